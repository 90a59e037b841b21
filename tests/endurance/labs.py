"""The state of labs and exams with the right checksum and other values in it, as someone who knows kcert can write."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from typing import TYPE_CHECKING, Any

from kcert.practice import exam, session, state
from tests.endurance.inside import in_process
from tests.endurance.trial import Check, Part
from tests.hostile import RAW

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.endurance.trial import LabBuilder

VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**400, 1.5, "", "x", "../../x", "/etc/passwd", "\x1b[31m\u202e", [], {}, [1], {"a": 1}),
    *("2026-11-29T22:50:51", "0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+14:00", "rotate-the-ca", "nosuch"),
    *([{"lab": 1}], [{"lab": "x", "seed": 1, "when": 5, "hints": "z"}], [["a", "b"]], {"1": 5}, {"1": "x"}),
)
LABS = {
    "lab": ("state.json", (("check",), ("hint",), ("solution",), ("answer", "1", "x"), ("reset",), ("report",))),
    "exam": ("exam.json", (("exam",), ("exam", "--finish"), ("report",))),
}
A_TRIAL = 50


def changed_states(ground: LabBuilder, times: int) -> Iterator[Check]:
    """Each value in the place of each field: every subcommand of `practice` says what is wrong, and writes nowhere."""
    stock = ground.folder / "labs"
    stock.mkdir(exist_ok=True)
    if not (stock / "lab").exists():
        session.begin("since-this-morning", stock / "lab", seed=3)
        exam.begin(stock / "exam", seed=1, minutes=30, count=2)
    with ground.trial("state", 0) as (_, _, chance):
        cases = list(_cases(stock))
        chance.shuffle(cases)
    for number in range(0, min(times, len(cases)), A_TRIAL):
        with ground.trial("state", number) as (trial, kcert, _):
            few = cases[number : min(number + A_TRIAL, times)]
            trial.repeat, trial.cases = f"state --times {number + len(few)}", len(few)
            for folder, content, what, command in few:
                wrong = _tried(stock, kcert.folder, folder, content, command)
                trial.wrong += (f"{folder}, {what}, {' '.join(command)}: {one}" for one in wrong)
        yield trial


def _cases(stock: Path) -> Iterator[tuple[str, dict[str, Any], str, tuple[str, ...]]]:
    for folder, (file, commands) in LABS.items():
        good = (stock / folder / ".practice" / file).read_text(encoding="utf-8")
        fields = [(name,) for name in (*json.loads(good)["content"], "extra")]
        inner = [("tasks", name) for name in ("folder", "lab", "seed")] if folder == "exam" else []
        for field, value, command in itertools.product((*fields, *inner), VALUES, commands):
            content = json.loads(good)["content"]
            (content["tasks"][0] if len(field) > 1 else content)[field[-1]] = value
            yield folder, content, f"{'.'.join(field)} = {value!a:.60}", command


def _tried(stock: Path, home: Path, folder: str, content: dict[str, Any], command: tuple[str, ...]) -> Iterator[str]:
    root = home / folder
    shutil.copytree(stock / folder, root, symlinks=True)
    checksum = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    changed = {"form": state.FORM, "content": content, "sum": checksum}
    (root / ".practice" / LABS[folder][0]).write_text(json.dumps(changed), encoding="utf-8")
    where = (folder,) if command[0] == "report" else ("--dir", folder)
    ended = in_process(["practice", *command, *where], home)
    if ended.status not in (0, 1, 2, 3) or "mistake" in ended.stderr or "Traceback" in ended.stderr:
        yield f"it ended with {ended.status}: {ended.stderr[-300:]}"
    if raw := RAW.search(ended.stdout + ended.stderr):
        yield f"it prints {raw!a}"
    shutil.rmtree(root)
    if left := [path.name for path in home.iterdir()]:
        yield f"it wrote {left}"


PARTS = (Part("state", "the state of labs and exams with other values in it", changed_states, 3_000, 60),)
