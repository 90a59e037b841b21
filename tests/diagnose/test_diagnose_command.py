"""`kcert diagnose`, as it is typed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from kcert import lessons
from kcert.diagnose import causes
from tests.recorded import record
from tests.running import REPOSITORY, Ended, Kcert

RECORDED = Path(record.__file__).parent


def kcert(*words: str, stdin: bytes = b"", folder: Path = REPOSITORY) -> Ended:
    return Kcert(folder)("diagnose", *words, stdin=stdin)


def log(name: str) -> str:
    return str(RECORDED / f"{name}.log")


@pytest.mark.parametrize("cause", causes())
def test_every_cause_has_a_lesson(cause: str) -> None:
    assert causes()[cause].lesson in lessons.topics()


def test_a_finding_on_the_screen() -> None:
    ended = kcert(log("kubectl-unknown-authority"))
    assert ended.status == 1
    assert ended.stderr == ""
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("1. The client does not trust the certificate of the API server at")
    assert "Line 1, and 5 more like it:" in lines
    assert lines.index("Confirm with:") < lines.index("Fix:")
    assert any(line.startswith("    kcert renew kube-apiserver") for line in lines)
    assert "Lesson: `kcert explain unknown-authority`" in lines
    assert lines[-1] == "1 cause in 6 lines"


def test_a_negative_serial_number_is_not_fixed_by_a_command_that_cannot_parse_it() -> None:
    line = b"error reading /etc/kubernetes/pki/apiserver.crt: x509: negative serial number"
    told = kcert("--cluster", "kubeadm", stdin=line).stdout
    assert "openssl x509 -in /etc/kubernetes/pki/apiserver.crt -noout -serial" in told
    assert "\n    mv /etc/kubernetes/pki/apiserver.crt KEY_FILE" in told
    assert "\n    kubeadm init phase certs NAME" in told
    assert "\n    kubeadm certs" not in told


def test_the_json_names_the_cause() -> None:
    found = json.loads(kcert(log("kubectl-unknown-authority"), "--format", "json").stdout)
    assert [finding["name"] for finding in found] == ["unknown-authority"]
    assert set(found[0]) >= {"cause", "evidence", "fix", "lesson"}
    cut = kcert("x509: certificate signed by unknown author", "--format", "json")
    assert [finding["name"] for finding in json.loads(cut.stdout)] == ["cut-line"]


@pytest.mark.thorough
def test_the_passphrase_is_removed_before_the_key_is_given_up() -> None:
    line = b"etcdmain: tls: failed to parse private key"
    for cluster, renewal in (
        ("kubeadm", "kubeadm certs renew NAME"),
        ("kcert", "kcert renew NAME --new-key"),
    ):
        fix = kcert("--cluster", cluster, stdin=line).stdout.partition("\nFix:\n")[2]
        commands = [command.strip() for command in fix.splitlines() if command.strip()[:1] not in ("", "#")]
        pkey = "(umask 077; openssl pkey -in KEY_FILE -out KEY_FILE.new) && mv KEY_FILE.new KEY_FILE"
        assert commands[0] == pkey
        assert commands[1].startswith(f"{renewal}   # only if the passphrase is lost")


def test_nothing_found() -> None:
    ended = kcert(log("etcd-healthy"))
    assert ended.status == 0
    assert ended.stdout.startswith("No errors about certificates or access in 44 lines.")


@pytest.mark.parametrize("words", [(), ("-",)])
def test_standard_input(words: tuple[str, ...]) -> None:
    ended = kcert(*words, stdin=Path(log("etcd-key-mismatch")).read_bytes())
    assert ended.status == 1
    assert "do not match" in ended.stdout


def test_json() -> None:
    ended = kcert(log("etcd-unreadable-key"), "--format", "json")
    assert ended.status == 1
    [found] = json.loads(ended.stdout)
    assert set(found) == {"lines", "count", "name", "cause", "evidence", "fix", "proof", "repair", "lesson"}
    assert found["count"] == 1
    assert found["lines"] == [{"number": 40, "text": Path(log("etcd-unreadable-key")).read_text().splitlines()[39]}]
    assert found["lesson"] == "key-permissions"
    assert "ls -l /srv/pki/etcd-server.key" in found["proof"].splitlines()


def test_json_of_nothing_is_an_empty_list() -> None:
    ended = kcert("--format", "json", stdin=b"all is well\n")
    assert (ended.status, json.loads(ended.stdout)) == (0, [])


def test_an_empty_log() -> None:
    ended = kcert(stdin=b"")
    assert ended.status == 0
    assert "in 0 lines" in ended.stdout


@pytest.mark.parametrize(("name", "complaint"), [("gone.log", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, complaint: str) -> None:
    ended = kcert(name, folder=tmp_path)
    assert ended.status == 2
    assert ended.stdout == ""
    assert complaint in ended.stderr


def test_a_compressed_log_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "old.gz").write_bytes(gzip.compress(b"tls: private key does not match public key\n"))
    ended = kcert("old.gz", folder=tmp_path)
    assert ended.status == 2
    assert "zcat old.gz | kcert diagnose -" in " ".join(ended.stderr.split())


def test_no_escape_sequence_reaches_the_screen() -> None:
    ended = kcert(
        stdin=b"\x1b]0;owned\x07\x1b[31mopen /etc/kubernetes/pki/\x1b[2Jca.crt: permission denied \xe2\x80\xae "
        b"tls: private key does not match public key\n"
    )
    assert ended.status == 1
    assert "\x1b" not in ended.stdout
    assert "\x07" not in ended.stdout
    assert "\u202e" not in ended.stdout


def test_windows_line_ends_are_no_part_of_a_message() -> None:
    ended = kcert("--format", "json", stdin=b"open /etc/kubernetes/pki/ca.crt: no such file or directory\r\n")
    assert json.loads(ended.stdout)[0]["lines"][0]["text"].endswith("directory")


@pytest.mark.parametrize(
    "line", ["open {}: no such file or directory", "Could not open file or uri for loading certificate from {}"]
)
def test_a_mistyped_path_leads_to_the_file_beside_it(tmp_path: Path, line: str) -> None:
    (tmp_path / "etcd-server.crt").touch()
    (tmp_path / "etcd-server\nrm.crt").touch()
    wrong, right = tmp_path / "etcd-servr.crt", tmp_path / "etcd-server.crt"

    ended = kcert("--format", "json", stdin=line.format(wrong).encode())

    (finding,) = json.loads(ended.stdout)
    assert f"{wrong} does not exist, and etcd-server.crt is in the same folder" in finding["cause"]
    assert f"# replace {wrong} with {right} in th" in finding["repair"]
    assert str(right) in finding["proof"]
    assert "kcert all" not in finding["repair"]
    assert not [one for one in finding["repair"].splitlines() if "openssl" in one and not one.startswith("#")]


@pytest.mark.parametrize("name", ["apiserver-kubelet-client.crt", "node02.crt", "kube-scheduler.crt"])
def test_another_hosts_file_and_a_usual_name_are_no_typing_errors(tmp_path: Path, name: str) -> None:
    for one in ("apiserver-etcd-client.crt", "node01.crt"):
        (tmp_path / one).touch()

    ended = kcert("--format", "json", stdin=f"open {tmp_path / name}: no such file or directory".encode())

    (finding,) = json.loads(ended.stdout)
    assert "same folder" not in finding["cause"]
    assert "kcert all" in finding["repair"]


def test_a_request_is_signed_again_only_where_it_is(tmp_path: Path) -> None:
    line = f"open {tmp_path}/jane.crt: no such file or directory".encode()

    without = kcert(stdin=line).stdout
    for name in ("jane.csr", "openssl-jane.cnf"):
        (tmp_path / name).touch()
    beside = kcert(stdin=line).stdout

    assert "-req -in" not in without
    assert "openssl x509 -req -in jane.csr" in beside
