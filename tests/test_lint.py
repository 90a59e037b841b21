"""The tests' own lint of code and of words finds what it is there for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import lint, prose
from tests.running import output

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


SAID = (
    "The certificate is no CA.",
    "Whoever has the key can sign.",
    "Nobody can read it.",
    "Everybody can read it.",
    "Somebody has the key.",
    "The certificate is made again.",
    "The file belongs into /etc.",
    "kcert runs openssl out loud.",
    "The key lies in pki.",
    "The name stands in the file.",
    "kubectl is told which CA to trust.",
    "The step takes out the key.",
    "This form leaves out the CA.",
    "The CA ends on 5 May.",
    "Read the file behind -CAfile.",
)
"""One sentence for each of `prose.PHRASES`, in their order."""

BROKEN = {
    "long sentence": ("message", "word " * 31 + "."),
    "pronoun": ("markdown", "It signs the request."),
    "long command": ("data", "Run `openssl x509 -in kube-apiserver.crt -noout -enddate -subject` to see it."),
    "help": ("help", "The folder with the CA."),
    "error": ("error", "the certificate is wrong."),
    "docstring": ("docstring", "Whether the file is a CA."),
}
"""A text that breaks each rule, with its kind."""

KEPT = (
    ("message", "word " * 30 + "."),
    ("markdown", "There is no CA."),
    ("markdown", 'The log says `nobody`, and openssl prints "he lies".'),
    ("data", "Run `openssl x509 -in ca.crt -noout -enddate`."),
    ("help", "Sign with the CA in this folder."),
    ("error", "{} is not a CA."),
    ("error", "the two passphrases differ. Try again."),
    ("error", "--since needs --verify."),
    ("docstring", "It begins as a comment may."),
    ("comment", "Where the file is."),
)
"""Texts that break none, with their kinds."""

FILES = {
    "lesson.md": "Some words.\n\nThen nobody signs.\n",
    "table.md": "| command | what for |\n| --- | --- |\n| `a` | nobody signs |\n",
    "command.md": "Some words.\n\n    # nobody signs\n    openssl version\n",
    "message.py": "say('then nobody signs')\n",
    "value.py": "say(f'in {path} nobody signs')\n",
    "docstring.py": 'def f():\n    """Return what nobody signs."""\n',
    "comment.py": "x = 1  # nobody signs\n",
    "help.py": "option(help='Take what nobody signs.')\n",
    "says.yaml": "cause:\n  says: Then nobody signs.\n",
    "fix.yaml": "cause:\n  fix: |\n    openssl version   # nobody signs\n",
    "comment.yaml": "# Then nobody signs.\na: 1\n",
    "template.yaml": "a: {{ b }}{{ c }}: d\n# Then nobody signs.\n",
    "page.html": "<h1>Then nobody signs</h1>\n",
    "label.html": "<input aria-label='Then nobody signs'>\n",
    "picture.svg": "<svg><text>nobody signs</text></svg>\n",
    "schema.json": '{"properties": {"a": {"description": "Then nobody signs."}}}\n',
    "kcert.1": ".TP\n\\fB\\-\\-file\\fR\nTake what nobody\nsigns.\n",
    "install.sh": 'echo "nobody signs"\n',
    "unit.service": "# Then nobody signs.\n",
    "ca.cnf": "# Then nobody signs.\n",
    "page.css": "/* nobody signs */\n",
    "page.js": "// nobody signs\n",
    "Makefile": "help:  ## what nobody signs\n",
}
"""A forbidden word in each kind of place that holds kcert's own words."""


def _broken(kind: str, words: str) -> list[str]:
    text = prose.Text(Path("somewhere"), 1, kind, words.replace("{}", "X"), words)
    return [rule for rule, _ in prose.findings(text, prose.forbidden())]


@pytest.mark.parametrize("number", range(len(prose.PHRASES)))
def test_a_phrase_that_kcert_does_not_use_is_found_by_its_own_pattern(number: int) -> None:
    pattern = list(prose.PHRASES)[number]
    text = prose.Text(Path("somewhere"), 1, "message", SAID[number])

    assert len(SAID) == len(prose.PHRASES)
    assert len(list(prose.findings(text, {pattern: "another"}))) == 1


@pytest.mark.parametrize("word", prose.glossary())
def test_a_word_that_the_glossary_replaces_is_found_and_its_term_named(word: str) -> None:
    assert _broken("message", f"The program and its {word} work.") == [f"word {word!r}"]


@pytest.mark.parametrize(
    "form", ["authorities", "dialled", "dialing", "judges", "judging", "judgment", "mended", "vouches"]
)
def test_each_form_of_a_word_that_the_glossary_replaces_is_found(form: str) -> None:
    assert _broken("message", f"The program and its {form} work.") == [f"word {form!r}"]


@pytest.mark.parametrize("rule", BROKEN)
def test_each_rule_of_the_words_finds_what_breaks_it(rule: str) -> None:
    assert _broken(*BROKEN[rule]) == [rule]


@pytest.mark.parametrize(("kind", "words"), KEPT)
def test_words_that_keep_the_rules_pass(kind: str, words: str) -> None:
    assert _broken(kind, words) == []


@pytest.mark.parametrize("name", FILES)
def test_the_words_in_each_kind_of_file_are_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(FILES[name], encoding="utf-8")

    texts = prose.READERS[path.suffix](path)

    assert [rule for text in texts for rule, _ in prose.findings(text, prose.PHRASES)] == ["word 'nobody'"]


def test_every_file_of_the_program_is_read() -> None:
    listed = output(["git", "ls-files", "*.md", "kcert", "openssl_templates", "Makefile", ".ci"], prose.REPOSITORY)
    read = {str(path.relative_to(prose.REPOSITORY)) for path in prose.files()}

    assert {name for name in listed.stdout.split() if not name.startswith("tests/")} <= read


def test_each_term_of_the_glossary_has_a_meaning_of_its_own() -> None:
    entries = prose.GLOSSARY.read_text(encoding="utf-8").partition("## Command")[0].split("\n- ")[1:]
    terms = [entry.partition(":")[0] for entry in entries]

    assert len(set(terms)) == len(terms) > 30
    for entry in entries:
        term, _, meaning = entry.partition(": ")
        assert term.startswith("**")
        assert term.endswith("**")
        assert len(meaning.partition(".")[0].split()) > 2, entry
