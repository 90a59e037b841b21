"""`kcert practice` as its users type it: from the list to the score, and whatever may be in the way."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from dataclasses import asdict, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from kcert import lessons
from kcert.practice import exam, session, state
from kcert.practice.lab import ExpectedAnswer, words
from kcert.practice.labs import NAMES, lab
from kcert.practice.scenario import ScenarioRng
from kcert.ui.practice import script
from tests import starting
from tests.refusals import assert_refused, snapshot
from tests.running import Kcert, output, program, representatives, wait_until
from tests.terminal import on_terminal

if TYPE_CHECKING:
    from pathlib import Path

QUICK = "make-the-ca"
"""A lab that starts at once, for what is the same with every lab."""

SOLVES = ("ca", "--quiet")
"""The command of kcert that solves it."""


def practice(kcert: Kcert, *arguments: str, status: int = 0) -> str:
    """Return what `kcert practice` prints, where it ends with *status*."""
    ended = kcert("practice", *arguments)
    assert ended.status == status, ended.stderr or ended.stdout
    return ended.stdout


def started(root: Path, seed: int = 3) -> session.Session:
    """The quick lab in *root*."""
    return session.begin(QUICK, root, seed=seed)


# --- from the list to the solution


def test_the_list_names_every_lab_and_what_is_done(kcert: Kcert, tmp_path: Path) -> None:
    listed = practice(kcert, "list")
    for name in NAMES:
        assert any(line.startswith(f"{name} ") for line in listed.splitlines())
    begun = started(tmp_path / "somewhere")
    assert not [one["name"] for one in json.loads(practice(kcert, "list", "--format", "json")) if one["done"]]
    kcert.done(*SOLVES, "--dir", "somewhere/pki", "--config", "somewhere/kcert.yaml")
    assert begun.check().solved
    records = json.loads(practice(kcert, "list", "--format", "json"))
    assert [one["name"] for one in records if one["done"]] == [QUICK]
    assert set(records[0]) == {"name", "title", "chapter", "difficulty", "minutes", "done", "solved"}


def test_a_lab_from_its_story_to_its_end(kcert: Kcert, tmp_path: Path) -> None:
    story = practice(kcert, "start", QUICK, "--seed", "3")
    assert "seed 3" in story
    told = " ".join((tmp_path / "lab/story.txt").read_text(encoding="utf-8").split())
    assert words(QUICK).title in told

    said = practice(kcert, "check", status=1)
    assert "not yet  pki/ca.key is the key of pki/ca.crt" in said
    assert "Not solved yet" in said

    hints = [practice(kcert, "hint") for _ in range(len(words(QUICK).hints) + 1)]
    assert hints[0] != hints[1]
    assert hints[-1] == hints[-2]
    assert "That was the last hint" in hints[-1]

    typed = practice(kcert, "solution", "--format", "sh")
    ended = output(["bash", "-c", typed], tmp_path / "lab")
    assert ended.status == 0, ended.stderr
    said = practice(kcert, "check")
    assert "Solved, with 3 hints and a look at the solution." in " ".join(said.split())
    assert f"Next: `kcert practice start {NAMES[NAMES.index(QUICK) + 1]} --replace`" in said
    verdict = json.loads(practice(kcert, "check", "--format", "json"))
    assert (verdict["lab"], verdict["seed"], verdict["solved"], verdict["hints"]) == (QUICK, 3, True, 3)
    assert all(one["works"] for one in verdict["checks"])


def test_in_the_labs_own_folder_no_option_is_needed(kcert: Kcert, tmp_path: Path) -> None:
    started(tmp_path / "lab")
    for folder in (tmp_path / "lab", tmp_path / "lab/pki"):
        ended = kcert("practice", "check", folder=folder)
        assert ended.status == 1
        assert "Not solved yet" in ended.stdout
    ended = kcert("practice", "check", "--dir", "other", folder=tmp_path / "lab")
    assert_refused(ended, 2, "other contains no lab", f"For the lab in {tmp_path / 'lab'}, omit --dir")


def test_no_lab_is_built_inside_another(kcert: Kcert, tmp_path: Path) -> None:
    started(tmp_path / "lab")
    before = snapshot(tmp_path)
    for folder in (tmp_path / "lab", tmp_path / "lab/pki"):
        assert_refused(kcert("practice", "start", QUICK, folder=folder), 2, "would be inside another lab")
        assert_refused(kcert("practice", "exam", "--labs", "1", folder=folder), 2, "would be inside another lab")
    for command in (("reset",), ("start", QUICK, "--replace")):
        assert_refused(
            kcert("practice", *command, folder=tmp_path / "lab/pki"), 2, "would delete the current folder", "cd .."
        )
    assert snapshot(tmp_path) == before
    assert kcert("practice", "start", "admins-certificate", "--replace", folder=tmp_path / "lab").status == 0
    assert session.resume(tmp_path / "lab").state.lab == "admins-certificate"
    assert not (tmp_path / "lab/lab").exists()


def test_an_exam_is_found_from_its_tasks(kcert: Kcert, tmp_path: Path) -> None:
    begun = json.loads(practice(kcert, "exam", "--labs", "1", "--seed", "1", "--dir", "exam", "--format", "json"))
    for folder in (tmp_path / "exam", tmp_path / "exam/1", tmp_path / "exam/1/pki"):
        ended = kcert("practice", "exam", "--format", "json", folder=folder)
        assert json.loads(ended.stdout)["started"] == begun["started"]
    assert_refused(kcert("practice", "exam", "--dir", "exam", folder=tmp_path / "exam"), 2, "inside an exam")
    assert kcert("practice", "exam", "--finish", folder=tmp_path / "exam/1").status == 1
    assert json.loads(practice(kcert, "exam", "--dir", "exam", "--format", "json"))["over"]


def test_reset_begins_again(tmp_path: Path) -> None:
    begun = started(tmp_path / "lab")
    before = snapshot(begun.root / "pki")
    begun.hint()
    shutil.rmtree(begun.root / "pki")
    (begun.root / "notes").write_text("mine", encoding="utf-8")

    again = session.reset(session.resume(begun.root))

    assert set(snapshot(begun.root / "pki")) == set(before)
    assert again.state.hints == 0
    assert again.state.seed == 3
    assert not (begun.root / "notes").exists()


def test_what_was_solved_is_remembered_when_another_lab_takes_its_place(tmp_path: Path) -> None:
    begun = started(tmp_path / "lab")
    begun.state = replace(begun.state, solved=(state.Solved(QUICK, 3, state.timestamp(), 0),))
    state.save(begun.root, begun.state)

    session.begin("two-requests", tmp_path / "lab", replaces=True)

    assert [one.words.name for one in session.listed(tmp_path) if one.solved] == [QUICK]
    assert not (tmp_path / "lab/pki/admin.csr").exists()


def test_a_lab_touches_nothing_outside_its_folder(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    practice(kcert, "start", "admin-without-rights", "--seed", "5", "--dir", "deep/er/lab")
    practice(kcert, "check", "--dir", "deep/er/lab", status=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "mine.txt"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["er"]
    lab_folder = tmp_path / "deep/er/lab"
    assert not [path for path in lab_folder.rglob("*.key") if path.stat().st_mode & 0o077]
    assert [path.name for path in (lab_folder / ".practice").iterdir()] == ["state.json"]


@pytest.mark.parametrize("name", representatives(NAMES, lambda name: NAMES.index(name) % 2))
def test_every_lab_through_the_command_line(name: str, kcert: Kcert, tmp_path: Path) -> None:
    """Started, solved by the script that it prints, and checked, as by a user who types the commands."""
    story = practice(kcert, "start", name, "--seed", "7")
    assert story.startswith(f"{words(name).title}\n---")
    path = tmp_path / "solution.sh"
    path.write_text(practice(kcert, "solution", "--format", "sh"), encoding="utf-8")
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "kcert").symlink_to(starting.program())
    variables = kcert.environment({"PATH": f"{bin_}:{os.environ['PATH']}"})

    ended = output(
        ["bash", path], tmp_path / "lab", **{name: value for name, value in variables.items() if name != "LC_ALL"}
    )

    assert ended.status == 0, ended.stderr
    assert "Solved, with a look at the solution" in practice(kcert, "check")


@pytest.mark.parametrize("name", NAMES)
def test_every_lab_has_its_lesson(name: str) -> None:
    assert lessons.lesson(name).chapter == "Practice"
    assert f"kcert practice start {name}" in lessons.lesson(name).sections["Command"]


def test_the_script_of_every_solution_is_clean_bash(tmp_path: Path) -> None:
    paths = []
    for name in NAMES:
        told = words(name, **session.scenario_of(lab(name), 7, datetime.now(timezone.utc)).values)
        paths.append(tmp_path / f"{name}.sh")
        paths[-1].write_text("\n".join(script(told, 7)) + "\n", encoding="utf-8")
    said = output([program("shellcheck"), *paths])
    assert (said.status, said.stdout) == (0, "")


# --- whatever may be in the way


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["start", "rotate-ca"], "'rotate-ca' is not a lab; did you mean rotate-the-ca"),
        (["start", "xyz"], "`kcert practice list` lists them"),
        (["start", "../../etc"], "is not a lab"),
        (["start", QUICK, "--seed", "-1"], "a number from 0 to"),
        (["start", QUICK, "--seed", "4294967296"], "a number from 0 to"),
        (["check"], "lab contains no lab. `kcert practice start LAB --dir lab` starts one"),
        (["hint", "--dir", "no where"], "--dir 'no where'"),
        (["answer", "1", "x"], "contains no lab"),
        (["reset"], "contains no lab"),
        (["exam", "--labs", "0"], "--labs 0"),
        (["exam", "--labs", "99"], "--labs 99"),
        (["exam", "--minutes", "0"], "--minutes 0"),
        (["exam", "--finish"], "lab contains no exam"),
        (["check", "--format", "yaml"], "--format"),
        (["begin"], "No such command 'begin'"),
    ],
)
def test_wrong_use_is_told_with_the_way_out(kcert: Kcert, tmp_path: Path, arguments: list[str], said: str) -> None:
    assert_refused(kcert("practice", *arguments), 2, said)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_else_is_left_alone(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/thesis.txt").write_text("mine", encoding="utf-8")
    for more in ([], ["--replace"]):
        assert_refused(kcert("practice", "start", QUICK, *more), 2, "lab is not empty")
        assert_refused(kcert("practice", "exam", *more), 2, "lab is not empty")
    (tmp_path / "link").symlink_to("lab")
    assert_refused(kcert("practice", "start", QUICK, "--dir", "link"), 2, "link is a link")
    assert_refused(kcert("practice", "start", QUICK, "--dir", "lab/thesis.txt"), 2, "is a file")
    assert snapshot(tmp_path / "lab") == snapshot(tmp_path / "lab")
    assert [path.name for path in (tmp_path / "lab").iterdir()] == ["thesis.txt"]


def test_a_lab_that_is_not_solved_is_not_replaced_by_itself(kcert: Kcert, tmp_path: Path) -> None:
    begun = started(tmp_path / "lab")
    before = snapshot(begun.root)
    assert_refused(
        kcert("practice", "start", QUICK), 2, f"lab contains the lab {QUICK}, which is not solved yet", "--replace"
    )
    assert snapshot(begun.root) == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: "",
        lambda text: text[:50],
        lambda text: text.replace('"hints": 0', '"hints": -3'),
        lambda text: text.replace(QUICK, "two-requests"),
        lambda _: "[" * 100000,
        lambda _: "null",
        lambda text: text.replace('"form": 1', '"form": 2'),
    ],
)
def test_a_damaged_state_is_an_error_in_words(kcert: Kcert, tmp_path: Path, damage: object) -> None:
    begun = started(tmp_path / "lab")
    path = begun.root / ".practice/state.json"
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")  # type: ignore[operator]
    ended = kcert("practice", "check")
    assert_refused(ended, 2, "state.json is damaged", "--replace")
    assert practice(kcert, "start", QUICK, "--seed", "1", "--replace")


def test_a_state_of_a_lab_that_this_kcert_does_not_have(kcert: Kcert, tmp_path: Path) -> None:
    begun = started(tmp_path / "lab")
    state.save(begun.root, replace(begun.state, lab="from-the-future"))
    assert_refused(kcert("practice", "check"), 2, "'from-the-future' is not a lab")


def test_whatever_lies_in_the_folder_a_check_ends_in_words(kcert: Kcert, tmp_path: Path) -> None:
    begun = started(tmp_path / "lab")
    (begun.root / "pki/ca.crt").mkdir()
    (begun.root / "pki/ca.key").symlink_to("/dev/zero")
    ended = kcert("practice", "check")
    assert ended.status == 1
    assert "Traceback" not in ended.stderr
    shutil.rmtree(begun.root / "pki")
    assert "does not exist" in practice(kcert, "check", status=1)


@pytest.mark.thorough
@pytest.mark.parametrize("arguments", [["start", "rotate-the-ca"], ["exam", "--labs", "3"]])
def test_what_is_interrupted_leaves_nothing_half_built(kcert: Kcert, tmp_path: Path, arguments: list[str]) -> None:
    with kcert.started("practice", *arguments) as process:
        wait_until(lambda: list((tmp_path / "lab").rglob("*.key")), what="the first key")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143, process.stderr.read()  # type: ignore[union-attr]
    assert list((tmp_path / "lab").iterdir()) == []
    assert practice(kcert, "start", QUICK)


def test_what_was_killed_is_known_for_what_it_is(kcert: Kcert, tmp_path: Path) -> None:
    begun = started(tmp_path / "lab")
    (begun.root / ".practice/state.json").unlink()
    assert_refused(kcert("practice", "start", QUICK), 2, "lab contains another lab, or a part of it", "--replace")
    assert practice(kcert, "start", QUICK, "--replace")


# --- questions


@pytest.mark.thorough
def test_questions_come_one_by_one(kcert: Kcert, tmp_path: Path) -> None:
    begun = session.begin("unknown-cluster", tmp_path / "lab", seed=2)
    expected_answers = begun.expected_answers
    assert_refused(kcert("practice", "answer", "3", "7"), 2, "question 3 is not open yet: answer question 1 first")
    assert_refused(kcert("practice", "answer", "8", "7"), 2, "numbered 1 to 7")
    assert_refused(kcert("practice", "answer", "1", "  "), 2, "is empty")
    assert "Answer it again" in practice(kcert, "answer", "1", "pki/none.crt", status=1)
    assert "Question 2" in practice(kcert, "answer", "1", expected_answers[0].text)
    assert "Question 2" in practice(kcert, "check", status=1)
    found = session.resume(begun.root)
    for number, right in enumerate(expected_answers, start=1):
        assert found.answer(number, f" {right.text.upper() if right.kind == 'words' else right.text} ")
    assert session.resume(begun.root).check().solved


def test_a_lab_without_questions_takes_no_answer(kcert: Kcert, tmp_path: Path) -> None:
    started(tmp_path / "lab")
    assert_refused(kcert("practice", "answer", "1", "x"), 2, "the lab in lab has no questions")


@pytest.mark.parametrize(
    ("given", "right", "agrees"),
    [
        ("  ETCD-CA. ", ExpectedAnswer("etcd-ca"), True),
        ("CN = etcd-ca", ExpectedAnswer("etcd-ca", also=("CN=etcd-ca",)), True),
        ("etcd", ExpectedAnswer("etcd-ca"), False),
        ("2027-03-05", ExpectedAnswer("2027-03-05", "date"), True),
        ("5.3.2027", ExpectedAnswer("2027-03-05", "date"), True),
        ("05.03.2027", ExpectedAnswer("2027-03-05", "date"), True),
        ("5 March 2027", ExpectedAnswer("2027-03-05", "date"), True),
        ("March 5, 2027", ExpectedAnswer("2027-03-05", "date"), True),
        ("notAfter=Mar  5 12:00:00 2027 GMT", ExpectedAnswer("2027-03-05", "date"), True),
        ("2027-03-05T12:00:00Z", ExpectedAnswer("2027-03-05", "date"), True),
        ("2027/03/05", ExpectedAnswer("2027-03-05", "date"), True),
        ("6 March 2027", ExpectedAnswer("2027-03-05", "date"), False),
        ("soon", ExpectedAnswer("2027-03-05", "date"), False),
        ("2027-02-30", ExpectedAnswer("2027-03-02", "date"), False),
        ("/etc/kubernetes/pki/ca.crt", ExpectedAnswer("/etc/kubernetes/pki/ca.crt", "path"), True),
        ("lab/etc/kubernetes/pki/ca.crt", ExpectedAnswer("/etc/kubernetes/pki/ca.crt", "path"), True),
        ("./pki/ca.crt", ExpectedAnswer("/etc/kubernetes/pki/ca.crt", "path"), True),
        ("pki/etcd/ca.crt", ExpectedAnswer("/etc/kubernetes/pki/ca.crt", "path"), False),
        ("ca.crt", ExpectedAnswer("/etc/kubernetes/pki/ca.crt", "path"), False),
        ("", ExpectedAnswer("/etc/kubernetes/pki/ca.crt", "path"), False),
        ("7 addresses", ExpectedAnswer("7", "number"), True),
        ("7 or 8", ExpectedAnswer("7", "number"), False),
        pytest.param("7" * 5000, ExpectedAnswer("7", "number"), False, id="more digits than int() takes"),
    ],
)
def test_an_answer_is_compared_as_a_person_would(given: str, right: ExpectedAnswer, agrees: bool) -> None:
    assert right.is_given_by(given) is agrees


# --- the exam


@pytest.mark.thorough
def test_an_exam_goes_on_ends_and_is_kept(kcert: Kcert, tmp_path: Path) -> None:
    begun = json.loads(practice(kcert, "exam", "--labs", "2", "--minutes", "10", "--seed", "1", "--format", "json"))
    assert (begun["seed"], begun["over"], len(begun["tasks"])) == (1, False, 2)
    assert 590 <= begun["seconds_left"] <= 600
    assert_refused(kcert("practice", "check"), 2, "contains an exam")
    assert_refused(kcert("practice", "start", QUICK), 2, "lab contains an exam")
    assert_refused(kcert("practice", "exam", "--labs", "3"), 2, "was started with 2")
    assert_refused(kcert("practice", "solution", "--dir", "lab/1"), 2, "when the exam is over")
    practice(kcert, "hint", "--dir", "lab/1")
    _solve(tmp_path / "lab/1")

    text = practice(kcert, "exam")
    assert "minutes are left" in text
    assert re.search(r"^lab/1   \w.+ {2}[12] +1 +yes +[\d.]+$", text, re.MULTILINE)  # in a pipe a line for each, whole
    done = json.loads(practice(kcert, "exam", "--finish", "--format", "json", status=1))

    first = done["tasks"][0]
    assert (done["over"], first["solved"], first["hints"], first["points"]) == (True, True, 1, 0.75 * first["weight"])
    assert done["percent"] == int(100 * done["points"] / done["of"])
    _solve(tmp_path / "lab/2")
    shutil.rmtree(tmp_path / "lab/1")
    assert json.loads(practice(kcert, "exam", "--format", "json"))["points"] == done["points"]
    assert "1 of 2 labs solved" in " ".join(practice(kcert, "exam").split())
    assert practice(kcert, "solution", "--dir", "lab/2")


def _solve(root: Path) -> None:
    """Solve the lab in *root* by its printed solution."""
    found = session.resume(root)
    lines = "\n".join(line for action in found.words.solution for line in action.commands)
    ended = output(["bash", "-c", f"set -e\numask 077\n{lines}"], root)
    assert ended.status == 0, ended.stderr
    assert found.check().solved


def test_what_is_solved_when_the_time_is_up_does_not_count(kcert: Kcert, tmp_path: Path) -> None:
    root = tmp_path / "lab"
    begun = exam.begin(root, seed=1, minutes=10, count=2)
    past = (datetime.now(timezone.utc) - timedelta(seconds=5)).replace(microsecond=0)
    late = replace(begun.exam, started=(past - timedelta(minutes=10)).isoformat(), deadline=past.isoformat())
    exam.save(root, late)
    for task in late.tasks:
        found = session.resume(root / task.folder)
        state.save(found.root, replace(found.state, deadline=late.deadline))
    _solve(root / "1")

    said = " ".join(practice(kcert, "check", "--dir", "lab/1").split())
    result = json.loads(practice(kcert, "exam", "--format", "json"))

    assert "so this does not count" in said
    assert "Solved, without a hint." in said
    assert (result["over"], result["points"]) == (True, 0)


def test_a_task_that_was_begun_by_itself_brings_nothing(tmp_path: Path) -> None:
    """It would show its solution while the exam goes on, and have forgotten its hints."""
    root = tmp_path / "lab"
    begun = exam.begin(root, seed=1, minutes=10, count=1)
    task = begun.exam.tasks[0]
    session.begin(task.lab, root / task.folder, seed=task.seed, replaces=True)
    _solve(root / task.folder)

    assert exam.evaluate(root, begun.exam, hand_in=True).points == 0


def test_the_same_seed_is_the_same_exam_and_mixes_chapters() -> None:
    mixed = [exam.mixed(ScenarioRng("exam", seed, datetime.now(timezone.utc)), 6) for seed in (1, 1, 2)]
    assert mixed[0] == mixed[1] != mixed[2]
    for names in mixed:
        assert len(set(names)) == 6
        assert len({words(name).chapter for name in names}) >= 5


def test_the_score_is_exact(kcert: Kcert, tmp_path: Path) -> None:
    """9.9 of 15 points are the pass mark, though the nearest floating-point numbers add up to less."""
    by_weight = {words(name).difficulty: name for name in NAMES}
    marks = [(2, 0, 0), (2, 1, 0), (3, 0, 3), (1, 2, 0), (2, 3, 0), (2, 2, 2), (3, 0, 1)]
    names = [by_weight[weight] for weight, _, _ in marks]
    tasks = tuple(exam.Task(str(number), name, 1) for number, name in enumerate(names, start=1))
    kept = tuple((True, hints, wrong) for _, hints, wrong in marks)
    over = exam.Exam(1, 10, "2026-01-01T08:00:00+00:00", "2026-01-01T08:10:00+00:00", tasks, kept=kept)
    (tmp_path / "lab").mkdir()
    exam.save(tmp_path / "lab", over)

    result = json.loads(practice(kcert, "exam", "--format", "json"))

    assert [task["points"] for task in result["tasks"]] == [2.0, 1.5, 2.1, 0.5, 0.5, 0.6, 2.7]
    assert (result["points"], result["of"], result["percent"], result["passed"]) == (9.9, 15, 66, True)


def test_a_damaged_exam_is_an_error_in_words(kcert: Kcert, tmp_path: Path) -> None:
    root = tmp_path / "lab"
    exam.begin(root, seed=1, minutes=10, count=1)
    path = root / ".practice/exam.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"minutes": 10', '"minutes": 99'), encoding="utf-8")
    assert_refused(kcert("practice", "exam"), 2, "exam.json is damaged", "kcert practice exam --dir lab --replace")


@pytest.mark.parametrize("hints", [-5, 10**400, float("inf"), 1.5, "1"])
def test_results_that_kcert_did_not_write_are_damage(kcert: Kcert, tmp_path: Path, hints: object) -> None:
    """The checksum of an exam is right, as someone who knows kcert can write it; a teacher reports on many."""
    root = tmp_path / "class/anna"
    begun = exam.begin(root, seed=1, minutes=10, count=1).exam
    state.write(root, state.EXAM_FILE, {**asdict(begun), "kept": [[True, hints, 0]]})

    assert_refused(kcert("practice", "exam", "--dir", "class/anna"), 2, "exam.json is damaged")
    assert practice(kcert, "report", "class")


# --- screens


def test_a_pipe_gets_plain_text_and_a_terminal_colours_unless_asked_not_to(kcert: Kcert, tmp_path: Path) -> None:
    started(tmp_path / "lab")
    assert "\x1b" not in practice(kcert, "check", status=1)
    assert "\x1b[" in on_terminal(kcert, "practice", "check").text
    plain = on_terminal(kcert, "practice", "check", NO_COLOR="1")
    assert plain.status == 1
    assert "\x1b[3" not in plain.text


@pytest.mark.parametrize("arguments", [["list"], ["check"], ["hint"]])
def test_forty_columns_are_enough(kcert: Kcert, tmp_path: Path, arguments: list[str]) -> None:
    started(tmp_path / "lab")
    shown = on_terminal(kcert, "practice", *arguments, columns=40)
    assert "Traceback" not in shown.plain
    for line in shown.plain.splitlines():
        assert len(line.rstrip()) <= 40 or line.startswith("    ")
    if arguments == ["list"]:
        assert all(name in shown.plain for name in NAMES)
