"""Reports that go to a file: whole or not at all, over an older report, and over nothing else."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from tests.refusals import assert_refused, snapshot
from tests.running import representatives

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki
    from tests.running import Kcert

FORMS = ["table", "csv", "xlsx", "json", "markdown", "html", "prometheus", "tree", "mermaid", "svg"]


@pytest.mark.parametrize("command", [("inventory", "pki", "--format", "csv"), ("explain", "ca")], ids=["csv", "lesson"])
@pytest.mark.parametrize("there", ["ca.key", "ca.crt", "admin.csr", "mine.txt", "link"])
def test_a_report_takes_the_place_of_no_other_file(
    own_pki: Callable[..., Pki], kcert: Kcert, command: tuple[str, ...], there: str
) -> None:
    folder = own_pki("course").folder
    (folder / "mine.txt").write_text("not a report\n", encoding="utf-8")
    (folder / "link").symlink_to("ca.key")
    before = snapshot(folder)

    ended = kcert(*command, "-o", folder / there)

    assert_refused(ended, 2, f"{there} exists and is not a report of kcert", "--force")
    assert snapshot(folder) == before


def test_with_force_a_copy_of_it_stays(own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path) -> None:
    own_pki("course")
    target = tmp_path / "mine.txt"
    target.write_text("not a report\n", encoding="utf-8")
    target.chmod(0o600)

    ended = kcert.done("inventory", "pki", "--format", "csv", "-o", target, "--force")

    (backup,) = tmp_path.glob("mine.txt.*")
    assert ended.lines == [f"    -> {target}", f"The previous file is {backup}."]
    assert backup.read_text(encoding="utf-8") == "not a report\n"
    assert target.read_text(encoding="utf-8").startswith("component,")
    assert target.stat().st_mode & 0o777 == 0o600


@pytest.mark.thorough
def test_a_report_takes_the_place_of_an_older_one_in_every_format(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path
) -> None:
    own_pki("course")
    (tmp_path / "empty").mkdir()
    commands: list[tuple[str, ...]] = [
        ("inventory", where, "--format", form) for form in FORMS for where in ("empty", "pki")
    ]
    commands += [("explain", "--format", form, *what) for form in ("text", "markdown", "html") for what in LESSONS]

    for command in commands:
        kcert.done(*command, "-o", "report")

    assert [path.name for path in tmp_path.glob("report*")] == ["report"]


@pytest.mark.thorough
def test_what_a_command_found_before_makes_room_for_what_it_finds_now(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path
) -> None:
    own_pki("course")
    for name, words in (
        ("old", "x509: certificate has expired"),
        ("new", "x509: certificate signed by unknown authority"),
    ):
        (tmp_path / name).write_text(f"{words}\n", encoding="utf-8")
    (tmp_path / "nothing").write_text("\n", encoding="utf-8")
    kcert.done("csr", "new", "jane", "--quiet")
    kinds: dict[str, list[str]] = {
        "check": ["check pki", "check pki --expiring-in 100y", "check pki/ca.crt"],
        "check json": ["check pki --json", "check pki --expiring-in 100y --json"],
        "diagnose": ["diagnose old", "diagnose new", "diagnose nothing", "logs old --diagnose"],
        "diagnose json": ["diagnose nothing --json", "diagnose old --json", "diagnose nothing --json"],
        "history": ["history", "history --last 1"],
        "show": ["show pki/ca.crt", "show pki/admin.crt"],
        "request": ["csr show --file pki/jane.csr", "csr show --file pki/jane.csr"],
    }

    for kind, commands in kinds.items():
        for command in commands:
            ended = kcert(*command.split(), "-o", kind)
            assert f"-> {kind}\n" in ended.stdout, (command, ended.stderr)
            printed = kcert(*command.split()).stdout
            assert (tmp_path / kind).read_text(encoding="utf-8") in printed, command
        assert [path.name for path in tmp_path.glob(f"{kind}*")].count(kind) == 1
    assert not list(tmp_path.glob("*.2*")), "a copy"


@pytest.mark.parametrize(
    ("command", "content"),
    [
        ("plan --json", '[\n  {\n    "name": "my own data"\n  }\n]\n'),
        ("flags kube-apiserver --format systemd", "[Unit]\nDescription=My own service\n"),
        ("flags kube-apiserver --format manifest", "apiVersion: v1\nkind: Secret\n"),
    ],
)
def test_a_copy_stays_of_a_file_that_only_begins_like_a_report(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path, command: str, content: str
) -> None:
    own_pki("kubeadm")
    (tmp_path / "mine").write_text(content, encoding="utf-8")

    kcert.done(*command.split(), "-o", "mine")

    (backup,) = tmp_path.glob("mine.*")
    assert backup.read_text(encoding="utf-8") == content


def test_a_page_that_is_not_kcerts_stays(own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path) -> None:
    own_pki("course")
    page = "<!doctype html>\n<p>my own page</p>\n"
    (tmp_path / "index.html").write_text(page, encoding="utf-8")

    ended = kcert("check", "pki", "--format", "html", "-o", "index.html")

    assert_refused(ended, 2, "index.html exists and is not a report of kcert", "--force")
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == page


LESSONS: tuple[tuple[str, ...], ...] = ((), ("ca",), ("--all",))


@pytest.mark.thorough
@pytest.mark.parametrize("form", representatives(["xlsx", "html", "csv"]))
def test_a_report_that_does_not_fit_leaves_the_older_one(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path, form: str
) -> None:
    own_pki("course")
    kcert.done("inventory", "pki", "--format", form, "-o", "report")
    before = (tmp_path / "report").read_bytes()

    ended = kcert(
        *("inventory", "pki/ca.crt", "pki", "--format", form, "-o", "report"),
        preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512)),
    )

    assert ended.status == 3
    assert "Exception ignored" not in ended.stderr
    assert "cannot be written" in " ".join(ended.stderr.split())
    assert (tmp_path / "report").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if "report" in path.name] == ["report"]
