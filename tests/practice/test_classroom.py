"""A class: sealed exams, the report on them, and the quiz."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from kcert import cli
from kcert.practice import exam, quiz, session
from kcert.practice.labs import NAMES
from kcert.practice.state import SEAL_VARIABLE
from tests.practice.test_practice_command import QUICK, SOLVES, practice, started
from tests.running import Kcert, output, representatives
from tests.terminal import on_terminal
from tests.test_schemas import validator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running import Ended

PASSPHRASE = "correct horse"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """A user of their own, who has typed the passphrase."""
    return {"HOME": str(tmp_path / "home"), "XDG_STATE_HOME": str(tmp_path / "state"), SEAL_VARIABLE: PASSPHRASE}


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed exam of two labs, as a teacher hands it out."""
    home = tmp_path_factory.mktemp("teacher")
    ended = Kcert(home)(
        *("practice", "exam", "--seal", "--labs", "2", "--name", "Olga"),
        variables={"HOME": str(home), SEAL_VARIABLE: PASSPHRASE},
    )
    assert ended.status == 0, ended.stderr
    assert "sealed" in ended.stdout
    return home / "lab"


@pytest.fixture
def sealed(handed_out: Path, kcert: Kcert, tmp_path: Path, home: dict[str, str]) -> Path:
    """That exam on a learner's machine, where it is running."""
    shutil.copytree(handed_out, tmp_path / "lab")
    assert "Task 2" in kcert("practice", "exam", variables=home).stdout
    return tmp_path / "lab"


def refused(ended: Ended) -> str:
    assert (ended.status, ended.stdout) == (2, ""), ended.stdout
    return " ".join(ended.stderr.split())


@pytest.mark.thorough
def test_a_sealed_exam_does_not_say_which_labs_they_are(sealed: Path, kcert: Kcert, home: dict[str, str]) -> None:
    shown = kcert("practice", "exam", variables=home).stdout
    record = json.loads(kcert("practice", "exam", "--format", "json", variables=home).stdout)
    texts = [path.read_text(encoding="utf-8") for path in sealed.rglob(".practice/*.json")]

    assert [task["title"] for task in record["tasks"]] == ["Task 1", "Task 2"]
    assert {record["seed"], *(task["lab"] for task in record["tasks"])} == {None}
    for text in (shown, *texts):
        assert not [name for name in NAMES if name in text]
        assert '"seed":' not in text
    assert (sealed / "1/story.txt").read_text(encoding="utf-8").startswith("Task 1\n")


@pytest.mark.parametrize(
    "command",
    representatives(
        [
            ("check", "lab/1", "--format", "json"),
            ("check", "copy", "--format", "json"),
            ("renew", "admin"),
            ("plan", "--dir", "lab/1/pki"),
            ("all", "--dir", "lab/1/pki"),
            ("diagnose", "lab/1/story.txt"),
            ("explain", "--all"),
            ("explain", "make-the-ca"),
            ("explain", "--export", "lessons"),
            ("practice", "start", "make-the-ca", "--dir", "other"),
            ("practice", "solution", "--dir", "other"),
        ],
        lambda command: command[0] in {"explain", "practice"},
    ),
)
def test_what_solves_a_task_by_itself_is_off(
    sealed: Path, kcert: Kcert, tmp_path: Path, home: dict[str, str], command: tuple[str, ...]
) -> None:
    started(tmp_path / "other")
    shutil.copytree(sealed / "1", tmp_path / "copy")
    assert "is disabled while the sealed exam in" in refused(kcert(*command, variables=home))


@pytest.mark.usefixtures("sealed")
def test_of_the_chapter_on_labs_a_sealed_exam_leaves_what_is_of_no_lab(kcert: Kcert, home: dict[str, str]) -> None:
    shown = kcert.done("explain", "Practice", variables=home).stdout

    assert "What kcert practice quiz asks" in shown
    assert "Lab: " not in shown


@pytest.mark.thorough
@pytest.mark.usefixtures("sealed")
def test_a_check_in_a_sealed_exam_says_solved_or_not_and_costs(kcert: Kcert, home: dict[str, str]) -> None:
    said = [kcert("practice", "check", "--dir", "lab/1", variables=home) for _ in range(2)]
    record = json.loads(kcert("practice", "exam", "--format", "json", variables=home).stdout)

    assert {(one.status, one.stdout) for one in said} == {(1, "Not solved.\n")}
    assert [task["wrong"] for task in record["tasks"]] == [2, 0]
    answered = refused(kcert("practice", "answer", "1", "x", "--dir", "lab/1", variables=home))
    assert not [name for name in NAMES if name in answered], "the name of a task is not to be read"


def test_wrong_checks_cost_a_tenth_each_and_leave_a_quarter() -> None:
    task = exam.Task("1", "node-not-ready", 1)
    assert exam.Mark(task).weight == 2
    points = [exam.Mark(task, solved=True, hints=1, wrong=wrong).points for wrong in (0, 2, 20)]
    assert points == pytest.approx([1.5, 1.1, 0.5])


@pytest.mark.thorough
def test_a_report_hides_the_tasks_of_a_running_exam_and_shows_a_changed_one(
    sealed: Path, kcert: Kcert, home: dict[str, str]
) -> None:
    def report(*more: str) -> list[tuple[str, int | None, str]]:
        text = kcert("practice", "report", "lab", "--format", "json", *more, variables=home).stdout
        return [(line["lab"], line["seed"], line["seal"]) for line in json.loads(text)]

    assert report() == [("Task 1", None, "not checked"), ("Task 2", None, "not checked")]
    assert {lab for lab, _, _ in report("--seal")} <= set(NAMES)
    (sealed / "2/.practice/state.json").write_text("{}", encoding="utf-8")
    assert report("--seal")[1] == ("", None, "broken")


@pytest.mark.thorough
def test_handing_in_below_the_pass_mark_ends_with_status_1(sealed: Path, kcert: Kcert, home: dict[str, str]) -> None:
    ended = kcert("practice", "exam", "--finish", variables=home)

    assert ended.status == 1
    assert "0 of" in ended.stdout
    assert kcert("check", str(sealed / "1"), variables=home).status in (0, 1)  # the exam is over


def test_a_sealed_exam_that_is_running_cannot_be_replaced(sealed: Path, kcert: Kcert, home: dict[str, str]) -> None:
    before = (sealed / ".practice/exam.json").read_bytes()
    for folder in ("lab", "lab/1"):
        ended = kcert("practice", "exam", "--replace", "--labs", "1", "--dir", folder, variables=home)
        assert f"the sealed exam in {folder} is running" in refused(ended)
    assert (sealed / ".practice/exam.json").read_bytes() == before
    kcert("practice", "exam", "--finish", variables=home)
    assert kcert("practice", "exam", "--replace", "--labs", "1", variables=home).status == 0


@pytest.mark.thorough
def test_a_changed_result_shows(sealed: Path, kcert: Kcert, home: dict[str, str]) -> None:
    path = sealed / ".practice/exam.json"
    whole = json.loads(path.read_text(encoding="utf-8"))
    whole["mac"] = "0" * 64
    path.write_text(json.dumps(whole), encoding="utf-8")

    assert "exam.json is damaged" in refused(kcert("practice", "exam", variables=home))


@pytest.mark.thorough
def test_the_state_of_one_task_is_none_of_another(sealed: Path, kcert: Kcert, home: dict[str, str]) -> None:
    shutil.copy(sealed / ".practice/exam.json", sealed / "1/.practice/state.json")
    assert "damaged" in refused(kcert("practice", "hint", "--dir", "lab/1", variables=home))


def test_a_short_passphrase_is_refused(kcert: Kcert, tmp_path: Path, home: dict[str, str]) -> None:
    ended = kcert("practice", "exam", "--seal", variables={**home, SEAL_VARIABLE: "short"})
    assert "5 characters: at least 8" in refused(ended)
    assert not (tmp_path / "lab").exists()


@pytest.mark.thorough
def test_what_is_printed_as_json_is_as_its_schema_says(sealed: Path, kcert: Kcert, home: dict[str, str]) -> None:
    lab = sealed.parent / "open"
    session.begin(QUICK, lab, seed=3)
    commands = ("list", "check --dir open", "check --dir lab/1", "exam", "report lab --seal", "report open")
    subcommands = cli.load("practice").commands.items()
    with_json = {
        name for name, leaf in subcommands if "--json" in {word for param in leaf.params for word in param.opts}
    }
    assert {command.split()[0] for command in commands} == with_json
    for command in commands:
        ended = kcert("practice", *command.split(), "--json", variables=home)
        content = json.loads(ended.stdout)
        name = f"practice-{command.split()[0]}"
        assert not [error.message for error in validator(name).iter_errors(content)], command
        assert f"kcert/schemas/{name}.json" in " ".join(kcert("practice", command.split()[0], "--help").stdout.split())
        record = content[0] if isinstance(content, list) else content
        changed = [{**record, "more": 1}] if isinstance(content, list) else {**record, "more": 1}
        assert list(validator(name).iter_errors(changed)), command


# --- the report


@pytest.fixture
def classroom(kcert: Kcert, tmp_path: Path) -> Path:
    """Three learners: one solved a lab alone, one with its solution, one has only started."""
    for name in ("anna", "ben", "carl"):
        practice(kcert, "start", QUICK, "--seed", "3", "--dir", f"class/{name}", "--name", name.title())
    practice(kcert, "check", "--dir", "class/anna", status=1)
    kcert.done(*SOLVES, "--dir", "class/anna/pki", "--config", "class/anna/kcert.yaml")
    practice(kcert, "hint", "--dir", "class/anna")
    practice(kcert, "check", "--dir", "class/anna")
    script = practice(kcert, "solution", "--dir", "class/ben", "--format", "sh")
    assert output(["bash", "-c", script], tmp_path / "class/ben").status == 0
    practice(kcert, "check", "--dir", "class/ben")
    return tmp_path / "class"


@pytest.mark.thorough
@pytest.mark.usefixtures("classroom")
def test_the_report_says_who_solved_what_and_how(kcert: Kcert) -> None:
    lines = json.loads(practice(kcert, "report", "class", "--format", "json"))

    found = {
        line["learner"]: (line["solved"] is not None, line["hints"], line["tries"], line["solution"]) for line in lines
    }
    assert found == {"Anna": (True, 1, 2, False), "Ben": (True, 0, 1, True), "Carl": (False, 0, 0, False)}
    assert {(line["lab"], line["seed"]) for line in lines} == {(QUICK, 3)}
    assert lines[0]["minutes"] == 0

    rows = list(csv.reader(io.StringIO(practice(kcert, "report", "class", "--format", "csv"))))
    assert [row[0] for row in rows] == ["learner", "Anna", "Ben", "Carl"]
    text = practice(kcert, "report", *(f"class/{name}" for name in ("anna", "ben", "carl")))
    assert "2 of 3 labs solved by 3 learners." in text
    assert re.search(r"Ben .*seen", text)
    assert practice(kcert, "report", "class", "--format", "html", "-o", "class.html").strip() == "-> class.html"
    assert (kcert.folder / "class.html").read_text(encoding="utf-8").count("<td>Carl</td>") == 1


def test_a_learner_without_a_name_is_the_folder_in_that_of_the_class(kcert: Kcert, tmp_path: Path) -> None:
    session.begin(QUICK, tmp_path / "class/anna", seed=3)
    session.begin(QUICK, tmp_path / "class/ben/lab", seed=3)
    exam.begin(tmp_path / "class/carl/lab", seed=1, minutes=5, count=1)

    def learners(*folders: str) -> list[str]:
        lines = json.loads(practice(kcert, "report", *folders, "--format", "json"))
        return sorted(line["learner"] for line in lines)

    assert learners("class") == ["anna", "ben", "carl"]
    assert learners("class/anna", "class/ben", "class/carl") == ["anna", "ben", "carl"]
    session.begin(QUICK, tmp_path / "class/ben/second", seed=3)
    assert learners("class/ben") == ["ben", "ben"]
    assert Kcert(tmp_path / "class/ben").done("practice", "report", ".").stdout.endswith("by 1 learner.\n")


def test_on_a_narrow_terminal_the_report_has_fewer_columns_and_whole_names(kcert: Kcert, tmp_path: Path) -> None:
    session.begin("apiserver-without-etcd", tmp_path / "class/anna", seed=3, learner="Anna Ivanova")

    narrow, wide = (on_terminal(kcert, "practice", "report", "class", columns=columns) for columns in (60, 140))

    assert re.search(r"^Anna Ivanova  apiserver-without-etcd  no ", narrow.plain, re.MULTILINE)
    assert "Not shown, because the terminal is narrow: seed, solution" in " ".join(narrow.plain.split())
    assert re.search(r"^learner +lab +seed +solved +minutes +hints +tries +solution", wide.plain, re.MULTILINE)


def test_a_name_that_is_a_formula_stays_text(kcert: Kcert, tmp_path: Path) -> None:
    session.begin(QUICK, tmp_path / "lab", seed=3, learner="=1+1")
    rows = list(csv.reader(io.StringIO(practice(kcert, "report", "lab", "--format", "csv"))))
    assert rows[1][0] == "'=1+1"


@pytest.mark.parametrize("form", ["text", "csv", "json", "html"])
def test_a_learner_of_another_folder_reaches_no_terminal_raw(kcert: Kcert, tmp_path: Path, form: str) -> None:
    session.begin(QUICK, tmp_path / "class/a\x1b]0;owned\x07\u202e", seed=3)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", practice(kcert, "report", "class", "--format", form))


def test_a_folder_without_labs_is_named(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty and the folders below contain no lab" in refused(kcert("practice", "report", "empty"))


@pytest.mark.thorough
@pytest.mark.usefixtures("sealed")
def test_the_passphrase_verifies_the_seal(kcert: Kcert, home: dict[str, str]) -> None:
    def seal(passphrase: str) -> set[str]:
        variables = {**home, SEAL_VARIABLE: passphrase}
        ended = kcert("practice", "report", "lab", "--seal", "--format", "json", variables=variables)
        return {line["seal"] for line in json.loads(ended.stdout)}

    assert seal(PASSPHRASE) == {"intact"}
    assert seal("another passphrase") == {"broken"}


# --- the quiz


@pytest.mark.parametrize("seed", representatives(range(3)))
def test_each_question_has_one_right_answer_which_openssl_shows(seed: int) -> None:
    for question in quiz.questions(seed, len(quiz.KINDS), "openssl"):
        assert len(set(question.choices)) == len(question.choices) > 1
        assert 0 <= question.right < len(question.choices)
        assert all(said for _, said in question.commands)


@pytest.mark.thorough
def test_the_quiz_counts_right_answers(kcert: Kcert) -> None:
    right = ["abcdefgh"[question.right] for question in quiz.questions(7, 6, "openssl")]

    all_right = kcert("practice", "quiz", "--seed", "7", stdin="x\n" + "\n".join(right))
    one_wrong = kcert("practice", "quiz", "--seed", "7", stdin="\n".join(["a" if right[0] != "a" else "b", *right[1:]]))

    assert (all_right.status, one_wrong.status) == (0, 1)
    assert "6 of 6 right" in all_right.stdout
    assert "Type one of the letters" in all_right.stdout
    assert "5 of 6 right" in one_wrong.stdout
    assert "input ended" in refused_text(kcert("practice", "quiz", "--seed", "7", stdin="a\n"))


def refused_text(ended: Ended) -> str:
    assert ended.status == 2
    return ended.stderr
