"""A lab folder that came from someone else: nothing outside it is written, and a changed state ends in one sentence."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from kcert.errors import InputError
from kcert.practice import exam, session, state
from tests.practice.test_practice_command import QUICK, started

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.running import Kcert

LIES = [None, True, -1, 1.5, "", "../../x", "\x1b[31m", [], {"a": 1}, "2026-11-29T22:50:51", [{"lab": 1}], [["a", "b"]]]


TASK_FIELDS = ("folder",)


def rewrite(path: Path, **changes: Any) -> None:
    """Change the state in *path* and keep its checksum right, as someone who knows kcert's code can."""
    content = json.loads(path.read_text(encoding="utf-8"))["content"]
    for key, value in changes.items():
        if key in TASK_FIELDS:
            content["tasks"][0][key] = value
        else:
            content[key] = value
    checksum = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({"form": state.FORM, "content": content, "sum": checksum}), encoding="utf-8")


def test_check_writes_nothing_through_a_planted_link(kcert: Kcert, tmp_path: Path) -> None:
    # A lab whose check shakes hands: that is what needs a file with the key.
    root = session.begin("pods-stay-pending", tmp_path / "lab", seed=1).root
    victim = tmp_path / "bashrc"
    victim.write_text("# my settings\n", encoding="utf-8")
    for key in root.rglob("*.key"):
        key.write_text("touch CANARY #" + key.read_text(encoding="utf-8"), encoding="utf-8")
    # Process numbers were the file's name: whatever number the next process has, it is here.
    for number in range(os.getpid(), os.getpid() + 400):
        (root / ".practice" / f"side-{number}.pem").symlink_to(victim)

    ended = kcert("practice", "check", "--dir", "lab")

    assert ended.status == 1, ended.stderr
    assert victim.read_text(encoding="utf-8") == "# my settings\n"


def test_state_behind_a_link_is_refused_and_left_alone(kcert: Kcert, tmp_path: Path) -> None:
    root = started(tmp_path / "lab").root
    elsewhere = tmp_path / "elsewhere"
    shutil.move(root / ".practice", elsewhere)
    (root / ".practice").symlink_to(elsewhere)
    before = (elsewhere / "state.json").read_bytes()

    ended = kcert("practice", "hint", "--dir", "lab")

    assert (ended.status, ended.stdout) == (2, "")
    assert "is a link or a special file" in ended.stderr
    assert (elsewhere / "state.json").read_bytes() == before


def test_a_pipe_in_place_of_the_state_is_not_waited_for(kcert: Kcert, tmp_path: Path) -> None:
    root = started(tmp_path / "lab").root
    (root / ".practice/state.json").unlink()
    os.mkfifo(root / ".practice/state.json")

    ended = kcert("practice", "check", "--dir", "lab")

    assert ended.status == 2
    assert "special file" in ended.stderr


@pytest.fixture(scope="module")
def sat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab that was started, and an exam."""
    home = tmp_path_factory.mktemp("sat")
    session.begin(QUICK, home / "lab", seed=3)
    exam.begin(home / "exam", seed=1, minutes=30, count=1)
    return home


FIELDS = ("lab", "seed", "started", "hints", "shown", "answers", "marks", "solved", "deadline", "extra")
EXAM_FIELDS = ("seed", "minutes", "started", "deadline", "tasks", "handed_in", "kept", "folder")


def refusal(use: Callable[[], object]) -> str:
    """Return why *use* is refused; an error that is not for users fails the test."""
    try:
        use()
    except InputError as error:
        return str(error)
    return ""


def hand_in(root: Path) -> None:
    if found := exam.load(root):
        exam.evaluate(root, found, hand_in=True)


@pytest.mark.parametrize(
    ("folder", "file", "fields"), [("lab", "state.json", FIELDS), ("exam", "exam.json", EXAM_FIELDS)]
)
def test_a_state_of_other_types_is_called_damaged(
    sat: Path, tmp_path: Path, folder: str, file: str, fields: tuple[str, ...]
) -> None:
    root = tmp_path / folder
    shutil.copytree(sat / folder, root)
    good = (root / ".practice" / file).read_bytes()
    refused = 0
    for field in fields:
        for lie in LIES:
            (root / ".practice" / file).write_bytes(good)
            rewrite(root / ".practice" / file, **{field: lie})
            why = refusal(lambda: session.resume(root).hint() if folder == "lab" else hand_in(root))
            refused += "is damaged" in why
            assert lie not in (-1, "\x1b[31m") or "is damaged" in why
    assert refused > 0.7 * len(fields) * len(LIES)  # some of them are of the right type


def test_an_exam_reaches_no_folder_outside(sat: Path, kcert: Kcert, tmp_path: Path) -> None:
    root = tmp_path / "exam"
    shutil.copytree(sat / "exam", root)
    shutil.copytree(root / "1", tmp_path / "other")
    before = (tmp_path / "other/.practice/state.json").read_bytes()
    rewrite(root / ".practice/exam.json", folder="../other")

    ended = kcert("practice", "exam", "--finish", "--dir", "exam")

    assert ended.status == 2
    assert "exam.json is damaged" in ended.stderr
    assert (tmp_path / "other/.practice/state.json").read_bytes() == before
