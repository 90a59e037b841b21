"""The tests' own lint finds what it is there for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import lint

if TYPE_CHECKING:
    from pathlib import Path

BAD = {
    "sleeps": "import time\ndef test_a():\n    time.sleep(1)\n    assert run().status == 0 and printed\n",
    "asserts nothing": "def test_a():\n    run()\n",
    "exit status alone": "def test_a():\n    assert run().status == 0\n",
    "always true": "def test_a():\n    assert (run(), 'a message')\n",
    "hides a test": "def test_a():\n    assert x\ndef test_a():\n    assert y\n",
    "pytest.skip without": "import pytest\ndef test_a():\n    pytest.skip()\n    assert x\n",
    "pytest.mark.skip without": "import pytest\n@pytest.mark.skip\ndef test_a():\n    assert x\n",
    "pytest.mark.skipif without": "import pytest\n@pytest.mark.skipif(True)\ndef test_a():\n    assert x\n",
    "pytest.mark.xfail without": "import pytest\n@pytest.mark.xfail()\ndef test_a():\n    assert x\n",
    "imports mock": "from unittest import mock\ndef test_a():\n    assert x\n",
}

GOOD = {
    "an assert": "def test_a():\n    assert run().stdout == 'done'\n",
    "a status and more": "def test_a():\n    ended = run()\n    assert ended.status == 2\n    assert ended.stderr\n",
    "an error expected": "import pytest\ndef test_a():\n    with pytest.raises(ValueError):\n        run()\n",
    "a helper that checks": "def test_a():\n    assert_refused(run(), 2)\n",
    "a reason": "import pytest\n@pytest.mark.skip(reason='no etcd')\ndef test_a():\n    assert x\n",
    "a reason without its name": "import pytest\ndef test_a():\n    pytest.skip('no etcd')\n    assert x\n",
    "no test": "def help_a_test():\n    run()\n",
}


def _findings(folder: Path, text: str) -> list[str]:
    module = folder / "test_something.py"
    module.write_text(text, encoding="utf-8")
    return list(lint.findings(module))


@pytest.mark.parametrize("what", BAD)
def test_a_bad_test_is_found_and_named_with_its_line(what: str, tmp_path: Path) -> None:
    found = _findings(tmp_path, BAD[what])

    assert len(found) == 1
    assert what in found[0]
    assert "test_something.py:" in found[0]


@pytest.mark.parametrize("what", GOOD)
def test_a_good_test_passes(what: str, tmp_path: Path) -> None:
    assert _findings(tmp_path, GOOD[what]) == []


def test_the_one_module_where_time_passes_may_sleep(tmp_path: Path) -> None:
    module = tmp_path / "running.py"
    module.write_text("import time\ntime.sleep(1)\n", encoding="utf-8")

    assert list(lint.findings(module)) == []


def test_a_variable_whose_name_says_nothing_is_found(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("def f(found: int) -> None:\n    one = found\n    path = one\n", encoding="utf-8")

    assert [finding.partition("module.py:")[2] for finding in lint.vague_names(module)] == [
        "1: 'found' does not say what it holds",
        "2: 'one' does not say what it holds",
    ]
