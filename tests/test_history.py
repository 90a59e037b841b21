"""The history: what was run, in every form; and whatever is changed in it shows."""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import shlex
import shutil
import sys
import threading
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from kcert.shell import Command, Outcome
from kcert.store.directory import Directory
from kcert.store.history import History, verify
from tests.clusters import SMALL
from tests.refusals import assert_refused
from tests.running import Kcert, output, program, representatives, without_privileges
from tests.test_screen import history

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki


def lines_of(folder: Path) -> list[bytes]:
    """The lines of the history as they lie there."""
    return (folder / ".kcert/history.jsonl").read_bytes().splitlines(keepends=True)


def write_lines(folder: Path, lines: list[bytes]) -> None:
    """Put other lines in their place."""
    (folder / ".kcert/history.jsonl").write_bytes(b"".join(lines))


def test_a_record_tells_what_ran_where_and_what_it_made(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course")
    for path in own.folder.glob("*admin.[ck]*"):
        path.unlink()
    before = len(history(own.folder))
    kcert.done("client", "admin")

    key, request, signature, proof = history(own.folder)[before:]

    assert key["argv"] == ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "admin.key"]
    assert key["files"] == {"admin.key": None}  # not even the hash of a key is written down
    assert request["files"] == {"admin.csr": hashlib.sha256((own.folder / "admin.csr").read_bytes()).hexdigest()}
    (config,) = request["prepared"]
    assert (config["step"], config["files"]) == ("settings", ["openssl-admin.cnf"])
    assert config["script"][1] == (own.folder / "openssl-admin.cnf").read_text(encoding="utf-8").rstrip("\n")
    assert [record["step"] for record in (key, request, signature, proof)] == ["key", "request", "signature", "verify"]
    assert signature["files"] == {"admin.crt": hashlib.sha256((own.folder / "admin.crt").read_bytes()).hexdigest()}
    assert proof["files"] == {}
    for record in (key, request, signature, proof):
        assert record["folder"] == str(own.folder)
        assert record["status"] == 0
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(record["time"]))
        assert 0 < float(str(record["seconds"])) < 60


def test_what_kcert_does_itself_after_the_last_command_has_a_line(pki: Callable[[str, str], Pki], kcert: Kcert) -> None:
    folder = pki("kubeadm", "small").folder
    own = {path: record for record in history(folder) if not record["argv"] for path in record["files"]}

    assert own["admin.conf"]["files"] == {"admin.conf": None}
    assert own["admin.conf"]["prepared"][0]["reads"] == ["pki/ca.crt", "admin.crt", "admin.key"]
    shown = kcert.done("history", "--dir", folder).stdout
    assert re.search(r"kcert itself: The kubeconfig\n +-> admin\.conf\n", shown)
    assert "cat > admin.conf <<EOF" in kcert.done("history", "--format", "sh", "--dir", folder).stdout


def test_each_line_carries_the_hash_of_the_line_before(pki: Callable[[str, str], Pki]) -> None:
    lines = lines_of(pki("course", "small").folder)
    hashes = [hashlib.sha256(line).hexdigest() for line in (b"", *lines)]

    assert [json.loads(line)["previous"] for line in lines] == hashes[:-1]


@pytest.mark.parametrize("profile", ["course", "kubeadm"])
def test_an_untouched_history_verifies(pki: Callable[[str, str], Pki], kcert: Kcert, profile: str) -> None:
    folder = pki(profile, "small").folder

    said = kcert("history", "--verify", "--dir", folder)

    assert said.status == 0
    assert str(len(lines_of(folder))) in said.stdout


def forged(lines: list[bytes]) -> bytes:
    """One more line, chained as it should be."""
    line = {**json.loads(lines[-1]), "argv": ["openssl", "forged"], "previous": sha256(lines[-1])}
    return json.dumps(line).encode() + b"\n"


def sha256(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


TAMPERING: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a line changed": lambda lines: [*lines[:4], lines[4].replace(b'"status": 0', b'"status": 1'), *lines[5:]],
    "the first line changed": lambda lines: [lines[0].replace(b'"status": 0', b'"status": 1'), *lines[1:]],
    "the last line changed": lambda lines: [*lines[:-1], lines[-1].replace(b'"status": 0', b'"status": 1')],
    "a blank put into a line": lambda lines: [*lines[:4], lines[4].replace(b": ", b":  ", 1), *lines[5:]],
    "a line in the middle removed": lambda lines: [*lines[:4], *lines[5:]],
    "the first line removed": lambda lines: lines[1:],
    "the last line removed": lambda lines: lines[:-1],
    "the last three lines removed": lambda lines: lines[:-3],
    "all lines removed": lambda lines: lines[:0],
    "a line put in": lambda lines: [*lines[:4], lines[3], *lines[4:]],
    "a line put in at the end": lambda lines: [*lines, lines[-1]],
    "two lines put in at the end": lambda lines: [*lines, lines[-2], lines[-1]],
    "a forged line put in at the end": lambda lines: [*lines, forged(lines)],
    "zeros put in at the end": lambda lines: [*lines, bytes(10)],
    "the last end of line removed": lambda lines: [*lines[:-1], lines[-1][:-1]],
    "two lines in another order": lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]],
    "nonsense put in": lambda lines: [*lines[:4], b"nonsense\n", *lines[4:]],
    "an empty line put in": lambda lines: [*lines[:4], b"\n", *lines[4:]],
    "bytes that are no text": lambda lines: [*lines[:4], b"\xff\xfe\n", *lines[4:]],
    "a line that is a list": lambda lines: [*lines[:4], b"[]\n", *lines[4:]],
    "a status beyond every number": lambda lines: [
        *lines[:4],
        lines[4].replace(b'"status": 0', b'"status": 1e999'),
        *lines[5:],
    ],
    "a line that is nested too deep": lambda lines: [*lines[:4], b"[" * 100_000 + b"\n", *lines[4:]],
    "another end of line": lambda lines: [*lines[:4], lines[4].replace(b"\n", b"\r\n"), *lines[5:]],
}


@pytest.mark.parametrize("how", TAMPERING)
def test_a_changed_history_shows(own_pki: Callable[..., Pki], kcert: Kcert, how: str) -> None:
    own = own_pki("course")
    lines = lines_of(own.folder)
    changed = TAMPERING[how](lines)
    assert changed != lines
    write_lines(own.folder, changed)

    said = kcert("history", "--verify")

    assert said.status == 1, said.stdout
    assert said.stderr.startswith("kcert: ")
    assert "history" in said.stderr
    assert said.stdout == ""


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux can root give its privileges up like this")
@pytest.mark.parametrize("closed", representatives([".kcert/history.head", ".kcert", ".kcert/history.jsonl"]))
def test_what_may_not_be_read_is_no_history_that_was_changed(
    own_pki: Callable[..., Pki], kcert: Kcert, closed: str
) -> None:
    own = own_pki("course")
    (own.folder / closed).chmod(0)

    said = kcert("history", "--verify", preexec=without_privileges)

    assert said.status == 2
    assert "cannot be read: Permission denied." in " ".join(said.stderr.split())


@pytest.mark.parametrize("how", ["gone", "emptied", "nonsense", "another count", "another hash", "one behind"])
def test_a_changed_head_shows(own_pki: Callable[..., Pki], kcert: Kcert, how: str) -> None:
    own = own_pki("course")
    head = own.folder / ".kcert/history.head"
    count, digest = head.read_text(encoding="ascii").split()
    if how == "gone":
        head.unlink()
    else:
        changed = {
            "nonsense": "x\n",
            "emptied": "",
            "one behind": f"{int(count) - 1} {sha256(lines_of(own.folder)[-2])}",
            "another count": f"{int(count) - 3} {digest}",
            "another hash": f"{count} {'0' * 64}",
        }
        head.write_text(changed[how], encoding="ascii")

    said = kcert("history", "--verify")

    assert said.status == 1, said.stdout
    assert said.stderr.startswith("kcert: ")


def test_a_history_that_was_changed_still_shows_after_another_run(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    """Going on at the end of a changed history must not cover the change."""
    own = own_pki("course")
    lines = lines_of(own.folder)
    (own.folder / "admin.crt").unlink()
    write_lines(own.folder, lines[:-2])

    kcert("all", "--quiet")

    assert kcert("history", "--verify").status == 1
    assert lines_of(own.folder)[: len(lines) - 2] == lines[:-2]


@pytest.mark.parametrize(("written", "zeros"), [(40, 0), (0, 3000), pytest.param(40, 3000, marks=pytest.mark.thorough)])
def test_a_last_line_that_was_cut_short_is_repaired(
    own_pki: Callable[..., Pki], kcert: Kcert, written: int, zeros: int
) -> None:
    own = own_pki("course")
    lines = lines_of(own.folder)
    (own.folder / "admin.crt").unlink()
    write_lines(own.folder, [*lines, lines[-1][:written] + bytes(zeros)])
    assert kcert("history", "--verify").status == (not written)
    assert kcert("history").status == 0

    kcert.done("all", "--quiet")

    assert kcert("history", "--verify").status == 0
    assert lines_of(own.folder)[: len(lines)] == lines
    assert len(lines_of(own.folder)) == len(lines) + 3


@pytest.mark.parametrize("written", [0, 1], ids=["before the line", "behind the line"])
def test_a_kill_on_either_side_of_a_line_is_no_change(own_pki: Callable[..., Pki], kcert: Kcert, written: int) -> None:
    own = own_pki("course")
    lines = lines_of(own.folder)
    head = f"{len(lines) - 1:012} {sha256(lines[-2])} {sha256(lines[-1])}\n"
    (own.folder / ".kcert/history.head").write_text(head, encoding="ascii")
    write_lines(own.folder, lines[: len(lines) - 1 + written])
    assert "is unchanged" in kcert.done("history", "--verify").stdout

    kcert.done("client", "eve", "-g", "x", "-q")

    assert "is unchanged" in kcert.done("history", "--verify").stdout


def test_the_line_that_was_being_written_at_a_kill_is_that_one_and_no_other(
    own_pki: Callable[..., Pki], kcert: Kcert
) -> None:
    own = own_pki("course")
    lines = lines_of(own.folder)
    head = f"{len(lines) - 1:012} {sha256(lines[-2])} {sha256(lines[-1])}\n"
    (own.folder / ".kcert/history.head").write_text(head, encoding="ascii")
    write_lines(own.folder, [*lines[:-1], lines[-1].replace(b'"status": 0', b'"status": 1')])

    assert_refused(kcert("history", "--verify"), 1, f"line {len(lines)} was changed after it was written")


# --- against a history that was rewritten, for which no secret is needed


def rewritten(folder: Path, lines: list[bytes]) -> None:
    """Another history, from a user who can write to both files."""
    write_lines(folder, lines)
    head = f"{len(lines):012} {sha256(lines[-1])}\n"
    (folder / ".kcert/history.head").write_text(head, encoding="ascii")


def test_a_hash_that_is_kept_elsewhere_proves_what_was_before_it(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course")
    lines = lines_of(own.folder)
    kept = kcert.done("history", "--head").stdout.strip()
    assert kept == sha256(lines[-1])
    kcert.done("client", "eve", "-g", "x", "-q")
    assert "is unchanged" in kcert.done("history", "--verify", "--since", kept).stdout

    rewritten(own.folder, lines[:10])

    assert kcert("history", "--verify").status == 0, "a chain without a secret cannot show it"
    said = kcert("history", "--verify", "--since", kept)
    assert_refused(said, 1, f"no record has the hash {kept}")


@pytest.mark.parametrize("encrypted", representatives([False, True]), ids=["plain", "encrypted"])
def test_a_signature_of_the_head_proves_it_as_well(kcert: Kcert, tmp_path: Path, encrypted: bool) -> None:
    secret = {"KCERT_CA_PASSPHRASE": "correct horse"} if encrypted else {}
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"), encoding="utf-8")
    kcert.done("ca", "-q", *(["--encrypt-ca-key"] if encrypted else []), variables=secret)

    shown = kcert.done("history", "--sign", variables=secret).stdout

    assert "    openssl dgst -sha256 -sign ca.key " in shown
    covered = len(lines_of(tmp_path / "pki")) - 1  # all but the command that signed
    kcert.done("encryption-config", "-q")
    said = " ".join(kcert.done("history", "--verify").stdout.split())
    assert f"The first {covered} are signed by the CA's key." in said, "what came later is not signed"
    assert "openssl rand " in kcert.done("history", "--format", "markdown").stdout
    lines = lines_of(tmp_path / "pki")
    rewritten(tmp_path / "pki", lines[:2])
    assert_refused(kcert("history", "--verify"), 1, "the end of the history was deleted")
    rewritten(tmp_path / "pki", lines[:covered])
    assert_refused(kcert("history", "--verify"), 1, "the end of the history was deleted")
    rewritten(tmp_path / "pki", lines)
    (tmp_path / "pki/.kcert/history.signed").write_text(f"{sha256(lines[1])}\n", encoding="ascii")
    assert_refused(kcert("history", "--verify"), 1, "history.sig is not the signature that the key")


def test_a_signature_that_was_deleted_or_replaced_is_a_finding(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"), encoding="utf-8")
    kcert.done("ca", "-q")
    own = tmp_path / "pki/.kcert"
    kcert.done("history", "--sign")
    first = [(own / name).read_bytes() for name in ("history.signed", "history.sig")]
    kcert.done("history", "--sign")
    second = [(own / name).read_bytes() for name in ("history.signed", "history.sig")]
    tricks: list[tuple[bytes | None, bytes | None, str]] = [
        (None, None, "its signature was deleted"),
        (second[0], None, "history.sig is missing"),
        (None, second[1], "history.signed is missing"),
        (first[0], first[1], "history.sig is not the signature that was recorded on"),
        (second[0], second[1] + b"x", "history.sig is not the signature that was recorded on"),
    ]
    for text, signature, why in tricks:
        for name, content in (("history.signed", text), ("history.sig", signature)):
            (own / name).unlink(missing_ok=True)
            if content is not None:
                (own / name).write_bytes(content)
        assert_refused(kcert("history", "--verify"), 1, why)

    (own / "history.signed").write_bytes(second[0])
    (own / "history.sig").write_bytes(second[1])
    kcert.done("history", "--verify")
    kcert.done("renew", "ca", "--new-key", "-q")
    kcert.done("renew", "ca", "--finish", "-q")
    assert_refused(kcert("history", "--verify"), 1, "The CA got a new key after that: `kcert history --sign`")
    kcert.done("history", "--sign")
    kcert.done("history", "--verify")


def test_certificates_that_no_record_explains_are_told(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course")
    argv: list[str | Path] = ["openssl", "x509", "-in", own.folder / "admin.crt", "-signkey", own.folder / "admin.key"]
    foreign = output(argv).stdout
    (own.folder / "foreign.crt").write_text(foreign, encoding="ascii")
    known = (own.folder / "admin.crt").read_text(encoding="ascii")
    (own.folder / "known.pem").write_text(known, encoding="ascii")
    (own.folder / "mixed.pem").write_text(known + foreign, encoding="ascii")

    said = " ".join(kcert.done("history", "--verify").stdout.split())

    assert "Not in the history: pki/foreign.crt, pki/mixed.pem. Another" in said


def test_without_its_record_a_folder_full_of_certificates_is_a_finding(
    own_pki: Callable[..., Pki], kcert: Kcert
) -> None:
    own = own_pki("course")
    shutil.rmtree(own.folder / ".kcert")

    assert_refused(kcert("history", "--verify"), 1, "but no record of any command")


@pytest.mark.parametrize("options", [("--since", "0" * 64), ("--head", "--verify"), ("--sign", "--head")])
def test_options_of_the_history_that_do_not_go_together(kcert: Kcert, options: tuple[str, ...]) -> None:
    assert_refused(
        kcert("history", *options), 2, "--since needs --verify" if "--since" in options else "cannot be combined"
    )


def test_as_json_it_is_the_record(pki: Callable[[str, str], Pki], kcert: Kcert) -> None:
    folder = pki("course", "small").folder
    records = [{key: value for key, value in record.items() if key != "previous"} for record in history(folder)]

    assert json.loads(kcert.done("history", "--format", "json", "--dir", folder).stdout) == records


def _taken_apart(script: str) -> list[list[str]]:
    joined = script.replace("\\\n", " ")
    return [shlex.split(line) for line in joined.splitlines() if line.strip().startswith("openssl ")]


@pytest.mark.thorough
def test_as_a_script_it_holds_each_command_and_shellcheck_finds_nothing(
    pki: Callable[[str, str], Pki], kcert: Kcert
) -> None:
    folder = pki("course", "rsa").folder
    script = kcert.done("history", "--format", "sh", "--dir", folder).stdout
    ran = [record["argv"] for record in history(folder)]

    assert [argv for argv in _taken_apart(script) if argv in ran] == ran
    assert output([program("shellcheck"), "-"], stdin=script).stdout == ""


@pytest.mark.parametrize("how", ["moved", "recorded elsewhere", "open to others", "of another user"])
def test_a_script_of_a_foreign_history_runs_nothing(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path, how: str
) -> None:
    folder = own_pki("course").folder
    lines = [json.loads(line) for line in lines_of(folder)]
    for line in lines:
        line["folder"] = str(folder)
    lines[0]["argv"] = ["touch", str(tmp_path / "CANARY")]
    if how == "recorded elsewhere":
        lines[0]["folder"] = "/proc/self/cwd/pki"
    write_lines(folder, [json.dumps(line).encode() + b"\n" for line in lines])
    if how == "moved":
        folder = folder.rename(tmp_path / "received")
    if how == "open to others":
        (folder / ".kcert/history.jsonl").chmod(0o666)
    if how == "of another user":
        if os.geteuid() != 0:
            pytest.skip("only root can give files away")
        os.chown(folder / ".kcert", 65534, 65534)

    script = kcert.done("history", "--format", "sh", "--dir", folder).stdout

    ended = output(["bash", "-s", tmp_path / "again"], stdin=script)
    assert ended.status != 0
    assert "read this script first: someone else could have written it" in ended.stderr
    assert not (tmp_path / "CANARY").exists()
    assert not (tmp_path / "again").exists()
    assert output([program("shellcheck"), "-"], stdin=script).stdout == ""


def test_as_markdown_each_command_is_a_block_to_copy(pki: Callable[[str, str], Pki], kcert: Kcert) -> None:
    folder = pki("course", "small").folder
    text = kcert.done("history", "--format", "markdown", "--dir", folder).stdout
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)

    assert [argv for block in blocks for argv in _taken_apart(block)] == [one["argv"] for one in history(folder)]


class _Page(HTMLParser):
    """Reads the commands of the page, and whether it asks for anything from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[str] = []
        self.foreign: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "pre"
        if self._inside:
            self.commands.append("")
        self.foreign += [str(value) for name, value in attrs if name in ("src", "href")]
        self.foreign += [tag] if tag == "script" else []

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "pre"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.commands[-1] += data


def test_as_a_page_it_needs_nothing_from_elsewhere(pki: Callable[[str, str], Pki], kcert: Kcert) -> None:
    folder = pki("course", "small").folder
    page = _Page()
    page.feed(kcert.done("history", "--format", "html", "--dir", folder).stdout)

    assert page.foreign == []
    taken = [argv for command in page.commands for argv in _taken_apart(command)]
    assert taken == [record["argv"] for record in history(folder)]


def test_as_a_table_every_command_is_in_it_in_its_order(pki: Callable[[str, str], Pki], kcert: Kcert) -> None:
    folder = pki("course", "small").folder
    shown = kcert.done("history", "--dir", folder).stdout
    ran = [record["argv"] for record in history(folder)]

    assert _taken_apart(shown) == ran
    assert f"{len(ran)} commands" in shown


@pytest.mark.parametrize("form", ["table", "sh", "markdown", "html"])
def test_a_hostile_history_does_nothing_to_the_terminal_or_the_page(
    own_pki: Callable[..., Pki], kcert: Kcert, form: str
) -> None:
    own = own_pki("course")
    line = json.loads(lines_of(own.folder)[0])
    line["argv"] = ["openssl", "\x1b]0;owned\x07<script>alert(1)</script>\n```\nrm -rf ~", "\u202eevil"]
    line["files"] = {"<img src=x>\x1b[2J": "<b>"}
    line["time"] = "\x1b[31m\nrm -rf ~"
    line["step"] = "../\x1b[2J"
    config = ["<script>\u202e", " ```", "[a link](https://evil.example)"]
    line["prepared"] = [
        {"step": "settings", "files": ["<img src=x>"], "reads": [], "script": ["\x1b[2J", *config, "EOF"]}
    ]
    write_lines(own.folder, [json.dumps(line).encode() + b"\n"])

    shown = kcert.done("history", "--format", form).stdout

    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", shown)
    if form == "html":
        assert "<script>" not in shown
        assert "<img" not in shown
        assert "href" not in shown
    if form == "markdown":
        assert "\n```\nrm" not in shown
    if form == "sh":
        assert not re.search(r"^rm", shown, flags=re.MULTILINE)


def test_while_another_kcert_writes_nothing_seems_to_be_missing(tmp_path: Path) -> None:
    """Between a look at the lines and a look at their number more may be written."""
    outcome = Outcome(Command(("openssl", "version")), 0, "", datetime.now(timezone.utc), 0.01)
    with Directory.open(tmp_path) as folder:
        written = History(folder)

    def write() -> None:
        for _ in range(500):
            written.append(outcome, tmp_path, {})

    writer = threading.Thread(target=write)
    writer.start()
    seen = [0]
    while writer.is_alive():
        seen.append(verify(tmp_path)[0])
    writer.join()
    written.close()

    assert seen == sorted(seen)
    assert verify(tmp_path) == (500, 0)


def test_where_nothing_was_run_there_is_nothing_to_tell(kcert: Kcert, tmp_path: Path) -> None:
    assert "Nothing was run" in kcert.done("history").stdout
    assert kcert.done("history", "--format", "json").stdout == "[]\n"
    assert kcert("history", "--verify").status == 0
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_failed_is_in_the_history(own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path) -> None:
    own = own_pki("course")
    (own.folder / "admin.crt").unlink()
    broken = tmp_path / "openssl"
    broken.write_text(
        '#!/bin/sh\n[ "$1" != x509 ] || [ "$2" != -req ] || { echo "no luck"; exit 7; }\nexec openssl "$@"\n',
        encoding="utf-8",
    )
    broken.chmod(0o755)

    assert kcert("client", "admin", "--openssl", broken).status == 3

    last = history(own.folder)[-1]
    assert (last["status"], last["files"]) == (7, {"admin.crt": None})
    assert "failed with status 7" in kcert.done("history").stdout
    assert f"# {broken} x509" in kcert.done("history", "--format", "sh").stdout


@pytest.mark.parametrize("how", ["the last line removed", "the last line changed", "all lines removed"])
def test_another_run_does_not_cover_any_change(own_pki: Callable[..., Pki], kcert: Kcert, how: str) -> None:
    own = own_pki("course")
    write_lines(own.folder, TAMPERING[how](lines_of(own.folder)))
    (own.folder / "admin.crt").unlink()

    kcert.done("client", "admin", "--quiet")

    said = kcert("history", "--verify")
    assert said.status == 1, said.stdout
    assert "history.jsonl" in said.stderr


# --- as a document


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_a_handout_has_chapters_reasons_and_each_config_once(
    pki: Callable[[str, str], Pki], kcert: Kcert, form: str
) -> None:
    made = pki("course", "small")
    shown = html.unescape(
        kcert.done("history", "--format", form, "--dir", made.folder, "--config", made.home / "kcert.yaml").stdout
    )

    for chapter in ("ca: The certificate authority", "admin: ", "kube-apiserver: "):
        assert re.search(rf"(<h2>|^## ){chapter}", shown, re.MULTILINE), chapter
    for config in made.folder.glob("*.cnf"):
        assert shown.count(config.read_text(encoding="utf-8").strip()) >= 1, config
    assert shown.count("distinguished_name = req_distinguished_name") == len(list(made.folder.glob("*.cnf")))
    reason = "Anyone who copies it can sign a certificate for any user in any group."
    assert shown.count(reason) == 1


def test_the_last_commands_and_the_clock_on_the_wall(pki: Callable[[str, str], Pki], kcert: Kcert) -> None:
    folder = pki("course", "small").folder
    records = history(folder)
    utc = datetime.strptime(records[-1]["time"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)

    shown = kcert.done("history", "--last", "2", "--dir", folder, variables={"TZ": "Asia/Seoul"}).stdout
    assert _taken_apart(shown) == [record["argv"] for record in records[-2:]]
    assert f"{utc + timedelta(hours=9):%Y-%m-%d %H:%M:%S}   " in shown
    assert len(json.loads(kcert.done("history", "--last", "3", "--json", "--dir", folder).stdout)) == 3


@pytest.mark.thorough
def test_a_lesson_is_printed_as_a_document(kcert: Kcert, tmp_path: Path) -> None:
    text = kcert.done("ca", "--format", "markdown").stdout
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)

    assert text.startswith("# The certificates of kubernetes\n\n## ca: The certificate authority")
    assert [argv for block in blocks for argv in _taken_apart(block)] == [
        record["argv"] for record in history(tmp_path / "pki")
    ]
    assert f"```ini\n{(tmp_path / 'pki/openssl-ca.cnf').read_text(encoding='utf-8').strip()}\n```" in text
    assert_refused(kcert("ca", "--format", "markdown", "--jobs", "2"), 2, "cannot be combined with --jobs")
