"""Terminals, pipes and locales: what is printed arrives, and what cannot be printed causes no traceback."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.refusals import assert_refused, snapshot, staged
from tests.running import Kcert, output, program, representatives
from tests.terminal import on_terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki


@pytest.fixture
def course(own_pki: Callable[..., Pki]) -> Pki:
    """A PKI in which admin's certificate is missing, key and all."""
    own = own_pki("course")
    for path in own.folder.glob("*admin*"):
        path.unlink()
    return own


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_on_any_terminal_nothing_is_cut_and_prose_fits(course: Pki, kcert: Kcert, columns: int) -> None:
    ended = on_terminal(kcert, "client", "admin", columns=columns)

    assert ended.status == 0
    assert (course.folder / "admin.crt").exists()
    joined = re.sub(r" *\\\n *", " ", ended.plain)
    assert 'openssl req -new -key admin.key -subj "/CN=kube-admin/O=system:masters"' in joined
    prose = [line for line in ended.plain.splitlines() if line and not line.startswith("    ")]
    assert max(map(len, prose)) <= columns
    assert "…" not in ended.plain


@pytest.mark.parametrize("columns", [40, 80, 82, 120])
def test_a_bundles_paths_stay_whole(own_pki: Callable[..., Pki], kcert: Kcert, columns: int) -> None:
    own_pki("course")
    ended = on_terminal(kcert, "bundle", columns=columns)

    paths = [word for word in ended.plain.split() if word.startswith("/etc/kubernetes/")]
    assert "/etc/kubernetes/kube-controller-manager.kubeconfig" in paths
    assert "/etc/kubernetes/pki/apiserver-kubelet-client.crt" in paths
    row = next(
        line for line in ended.plain.splitlines() if "/etc/kubernetes/kube-controller-manager.kubeconfig" in line
    )
    assert row.split()[1:] == (["0600", "kube-controller-manager"] if columns > 80 else [])


def test_plan_on_forty_columns_names_every_certificate_in_full(course: Pki, kcert: Kcert) -> None:
    ended = on_terminal(kcert, "plan", columns=40)

    assert ended.status == 0
    assert "kube-controller-manager" in ended.plain
    assert "…" not in ended.plain
    assert max(map(len, ended.plain.splitlines())) <= 40
    assert course.folder.exists()


def test_a_terminal_has_colour_and_no_color_takes_it_away(course: Pki, kcert: Kcert) -> None:
    coloured = on_terminal(kcert, "plan")
    plain = on_terminal(kcert, "plan", NO_COLOR="1")

    assert re.search(r"\x1b\[[0-9;]*3[0-9]", coloured.text)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", plain.text)
    assert coloured.plain == plain.plain.replace("`", "")  # code is marked by one or the other
    assert course.folder.exists()


def test_into_a_pipe_there_is_no_colour_whatever_the_terminal(course: Pki, kcert: Kcert) -> None:
    ended = kcert.done("client", "admin", variables={"TERM": "xterm-256color", "COLORTERM": "truecolor"})

    assert "\x1b" not in ended.stdout
    assert course.folder.exists()


def test_step_waits_before_each_command_and_enter_runs_it(course: Pki, kcert: Kcert) -> None:
    ended = on_terminal(kcert, "client", "admin", "--step", rows=24, keys="\n" * 6)

    assert ended.status == 0
    prompts = re.findall(r"\[Enter (\w+) it, q stops, \? lists the keys\]", ended.plain)
    assert prompts == ["runs", "shows", "writes", "runs", "runs", "runs"], "the openssl.cnf has stops of its own"
    assert (course.folder / "admin.crt").exists()
    *shown, _result = ended.plain.partition("[1/1]")[2].split("lists the keys]")
    assert max(text.count("\n") for text in shown) < 24, "what is new since the last stop fits the screen"


def test_step_discards_what_was_typed_before_the_prompt(course: Pki, kcert: Kcert) -> None:
    ended = on_terminal(kcert, "client", "admin", "--step", rows=24, keys=["\n\n\n\n\n\n", "q\n"])

    assert ended.status == 0
    assert ended.plain.count("lists the keys]") == 2
    assert not (course.folder / "admin.crt").exists()


def test_step_runs_nothing_for_an_unknown_key_and_lists_and_explains(course: Pki, kcert: Kcert) -> None:
    keys = ["y", " ", "\x1b[A", "?\n", "e\n", "q"]
    ended = on_terminal(kcert, "client", "admin", "--step", rows=24, keys=keys)

    assert ended.status == 0
    *refused, explained, _left = ended.plain.split("lists the keys]")[1:]
    assert len(refused) == 4, "an Enter behind a key is thrown away"
    for listing in refused:
        assert [line.split()[0] for line in listing.splitlines()[1:-1]] == ["Enter", "s", "r", "e", "q"]
    assert "Keys come in pairs." in explained
    assert "kcert explain step-key, kcert explain admin." in explained
    assert "openssl ecparam " in explained, "the command, again above its prompt"
    assert "Not made: admin." in ended.plain
    assert not (course.folder / "admin.key").exists()


@pytest.mark.thorough
def test_step_skips_a_certificate_and_what_its_ca_would_sign(kcert: Kcert, tmp_path: Path) -> None:
    ended = on_terminal(kcert, "all", "--step", rows=24, keys=["s\n"])

    assert ended.status == 0
    assert ended.plain.count("lists the keys]") == 1
    assert "Not made: ca, admin, kube-scheduler," in ended.plain
    assert list((tmp_path / "pki").glob("*.c*")) == []
    kcert.done("ca", "--quiet")

    ended = on_terminal(kcert, "client", "jane", "bob", "-g", "dev", "--step", rows=24, keys=["\n", "s", "r"])

    assert ended.status == 0
    assert ended.plain.count("lists the keys]") == 3
    assert "Not made: jane." in ended.plain
    assert sorted(path.name for path in (tmp_path / "pki").glob("*.crt")) == ["bob.crt", "ca.crt"]
    assert staged(tmp_path / "pki") == []


def test_a_long_command_shows_how_long_it_has_been_running(course: Pki, kcert: Kcert, tmp_path: Path) -> None:
    openssl, go = tmp_path / "openssl", tmp_path / "go"
    os.mkfifo(go)
    openssl.write_text(f'#!/bin/sh\n[ "$1" = ecparam ] && cat {go}\nexec {program("openssl")} "$@"\n', encoding="utf-8")
    openssl.chmod(0o755)

    ended = on_terminal(
        kcert, "client", "admin", "--openssl", str(openssl), prompt=rb"running: 1 s", keys=[lambda: go.write_text("")]
    )

    assert ended.status == 0
    assert re.search(r"running: \d+ s\r\x1b\[K\x1b\[36m    -> admin.key", ended.text)
    assert (course.folder / "admin.crt").exists()


@pytest.mark.parametrize(("keys", "status"), [("\n\x04", 0), ("\n\x03", 130)], ids=["end", "Ctrl-C"])
def test_step_stops_cleanly(course: Pki, kcert: Kcert, keys: str, status: int) -> None:
    before = snapshot(course.folder)

    ended = on_terminal(kcert, "client", "admin", "--step", keys=keys)

    assert ended.status == status
    assert "Traceback" not in ended.text
    assert snapshot(course.folder) == before
    assert staged(course.folder) == []
    if status == 130:
        last = ended.plain.splitlines()[-2:]
        assert " ".join(last).startswith("kcert: Interrupted. What was finished is in place"), "behind the prompt"


def test_an_interruption_of_what_makes_nothing_speaks_of_nothing_finished(kcert: Kcert) -> None:
    ended = on_terminal(kcert, "diagnose", keys="\x03", prompt=rb"on a line of its own\.")

    assert ended.status == 130
    # The terminal sends the signal first and writes its own ^C afterwards, which may be later than kcert's sentence.
    lines = ended.plain.replace("^C", "").split("\n")
    assert [line for line in lines if line.strip()][-1].strip() == "kcert: Interrupted."


def test_q_stops_cleanly_and_says_how_to_go_on(course: Pki, kcert: Kcert) -> None:
    """The command's name alone would not do: only this command line names jane and her group."""
    before = snapshot(course.folder)
    command = ("client", "jane", "--group", "developers")

    ended = kcert(*command, "--step", stdin="\nq\n")

    assert ended.status == 0
    assert "Not made: jane. The same command continues from here." in " ".join(ended.stdout.split())
    assert snapshot(course.folder) == before
    assert staged(course.folder) == []
    assert "made  jane" in kcert.done(*command, "--quiet").stdout


def test_step_without_a_terminal_ends_with_the_input(course: Pki, kcert: Kcert) -> None:
    before = snapshot(course.folder)

    ended = kcert("client", "admin", "--step", stdin="\n\n")

    assert ended.status == 0
    assert "Not made: admin." in " ".join(ended.stdout.split())
    assert snapshot(course.folder) == before


def test_what_goes_wrong_does_not_stand_behind_the_counter(course: Pki, kcert: Kcert, tmp_path: Path) -> None:
    openssl = tmp_path / "openssl"
    openssl.write_text(f'#!/bin/sh\n[ "$1" = req ] && exit 1\nexec {program("openssl")} "$@"\n', encoding="utf-8")
    openssl.chmod(0o755)

    ended = on_terminal(kcert, "client", "admin", "--quiet", "--openssl", str(openssl))

    assert ended.status == 3
    assert "0 made, 1 to go\r\x1b[K" in ended.text
    assert "to gokcert" not in ended.plain
    assert not (course.folder / "admin.crt").exists()


@pytest.mark.parametrize("other", [["--quiet"], ["--dry-run"], ["--jobs", "2"]], ids=" ".join)
def test_step_goes_with_nobody_who_does_not_wait(kcert: Kcert, other: list[str], tmp_path: Path) -> None:
    assert_refused(kcert("all", "--step", *other), 2, "--step", other[0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.thorough
@pytest.mark.parametrize(
    "variables",
    representatives(
        [
            {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
            {"PYTHONIOENCODING": "latin-1"},
            {"LC_ALL": "C"},
            {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii"},
            {"PYTHONIOENCODING": "ascii:strict", "LC_ALL": "C"},
            {"LC_ALL": "nonsense"},
        ],
    ),
    ids=str,
)
def test_a_locale_without_utf8_is_no_trouble(kcert: Kcert, variables: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "pki-jürgen"
    (tmp_path / "kcert.yaml").write_text("# für jürgen\nkey: {algorithm: ecdsa}\n", encoding="utf-8")

    for arguments in (["ca"], ["client", "admin", "--quiet"], ["plan"], ["history"], ["all", "--dry-run"]):
        ended = kcert(*arguments, "--dir", folder, variables=variables)
        assert (ended.status, ended.stderr) == (0, ""), arguments
    assert (folder / "admin.crt").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        "client admin",
        *(
            pytest.param(arguments, marks=pytest.mark.thorough)
            for arguments in ("all --dry-run", "history --format json", "plan", "history", "doctor")
        ),
    ],
)
def test_a_reader_who_goes_away_ends_it_quietly(course: Pki, kcert: Kcert, arguments: str) -> None:
    said = output(
        ["bash", "-c", f'"$@" {arguments} | head -1; echo "${{PIPESTATUS[0]}}"', "bash", *kcert.argv()],
        kcert.folder,
        **kcert.environment(),
    )

    assert said.stderr == ""
    assert said.lines[-1] in ("0", "141")
    assert course.folder.exists()


@pytest.mark.parametrize(
    "redirection",
    representatives([">&-", "> /dev/full", "2> /dev/full", "2>&-", ">&- 2>&-", "<&-"], lambda how: "full" in how),
)
@pytest.mark.parametrize(
    "arguments", ["client admin", pytest.param("client admin --quiet", marks=pytest.mark.thorough)]
)
def test_closed_and_full_outputs_are_no_traceback(course: Pki, kcert: Kcert, redirection: str, arguments: str) -> None:
    said = output(
        ["bash", "-c", f'"$@" {arguments} {redirection}; echo "status $?" >&2', "bash", *kcert.argv()],
        kcert.folder,
        **kcert.environment(),
    )

    assert "Traceback" not in said.stderr
    assert "made a mistake" not in said.stderr
    assert "Exception ignored" not in said.stderr
    assert ("No space left on device" in said.stderr) == (redirection == "> /dev/full")
    assert bool(said.stdout) == (redirection in ("2>&-", "2> /dev/full", "<&-"))
    # Whatever the screen was, the certificate is whole or absent.
    assert (course.folder / "admin.crt").exists() == (course.folder / "admin.key").exists()


@pytest.mark.thorough
def test_an_error_that_cannot_be_said_keeps_its_status(kcert: Kcert) -> None:
    said = output(
        ["bash", "-c", '"$@" nothing 2> /dev/full; echo "status $?"', "bash", *kcert.argv()],
        kcert.folder,
        **kcert.environment(),
    )

    assert (said.stdout, said.stderr) == ("status 2\n", "")


LONG_FOLDER = "/".join(["a-folder-with-a-long-name"] * 6)


@pytest.mark.parametrize("columns", [0, 80])
def test_a_long_path_stays_whole(kcert: Kcert, columns: int) -> None:
    """A path in two pieces cannot be copied; zero columns mean a pipe."""
    path = f"{LONG_FOLDER}/kcert.yaml"
    arguments = ("plan", "--config", path)

    said = on_terminal(kcert, *arguments, columns=columns).plain if columns else kcert(*arguments).stderr

    lines = [line for line in said.splitlines() if "a-folder" in line]
    assert lines
    assert all(path in line for line in lines)


def test_what_was_typed_reaches_the_terminal_as_text(kcert: Kcert) -> None:
    said = kcert("plan", "--config", "no\x1b[31msuch\u202e")

    assert said.status == 2
    assert "no\\x1b[31msuch\\u202e does not exist" in said.stderr


def test_a_value_by_the_page_is_shortened(kcert: Kcert) -> None:
    said = kcert("client", "u" * 5000, "--group", "a")

    assert said.status == 2
    assert len(said.stderr) < 720
    assert "it has 5000 characters, and a subject allows at most 64" in " ".join(said.stderr.split())
