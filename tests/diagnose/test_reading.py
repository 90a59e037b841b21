"""Reading: encodings, what terminals and pagers do to lines, and logs that are followed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kcert.diagnose import CUT_LINE, Finding, diagnose
from kcert.diagnose.reading import entries
from tests.running import REPOSITORY, Ended, Kcert

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = 'Get "https://192.0.2.7:10250/containerLogs/x": '
UNKNOWN = "x509: certificate signed by unknown authority"
LINE = f"E1124 04:19:45.1 1 x.go:1] {ADDRESS}{UNKNOWN}"


def finding(*lines: str) -> Finding:
    [result] = diagnose([f"{line}\n".encode() for line in lines]).findings
    return result


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_any_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "log").write_bytes(f"ordinary\r\n{LINE}\r\n".encode(encoding))
    for stdin, words in ((None, [str(tmp_path / "log")]), ((tmp_path / "log").read_bytes(), [])):
        ended = kcert(*words, stdin=stdin)
        assert ended.status == 1
        assert "192.0.2.7:10250" in ended.stdout


@pytest.mark.parametrize(
    "line",
    [
        LINE.replace('"', "\u201c"),
        f"\x1b[31mE1124 {ADDRESS}x509: certificate \x1b[1msigned\x1b[0m by unknown authority\x1b[0m",
        f"{ADDRESS}x509: cert\x1b[31mificate signed by unk\x1b[0mnown authority",
        f"\u2502 {LINE}      \u2502",
        LINE.replace('"', "&quot;"),
        f"etcd-1  | {LINE}",
        f"6\u6708 28 01:24:08 node kubelet[1528]: {LINE}",
    ],
)
def test_what_copying_does_to_a_line(line: str) -> None:
    assert "192.0.2.7:10250" in finding(line).explanation.cause


SAME_NAME = 'while trying to verify candidate authority certificate "kubernetes"'
WRAPPED = (
    f"E1124 04:19:45.123456    1234 reflector.go:158] failed to list Nodes and some more: {ADDRESS}{UNKNOWN}",
    f'Unable to connect to the server: {UNKNOWN} (possibly because of "crypto/rsa: verification error" {SAME_NAME})',
    "Unable to connect to the server: x509: certificate is valid for kubernetes, 192.0.2.1, not api.example.org",
)


@pytest.mark.parametrize("width", range(63, 140, 7))
@pytest.mark.parametrize("line", WRAPPED, ids=["address", "another-cause", "name"])
def test_a_line_that_a_terminal_wrapped(line: str, width: int) -> None:
    """It means what the whole line means, even if its first piece is an error by itself."""
    pieces = [line[start : start + width] for start in range(0, len(line), width)]

    result = finding("E1124 04:19:44.1 1 x.go:1] ordinary", *pieces, "root@node1:~# kubectl get nodes")

    assert result.explanation == finding(line).explanation


@pytest.mark.parametrize("after", ["Please check the address", "Error: context deadline exceeded", "exit status 1"])
def test_what_follows_a_whole_line_is_not_the_rest_of_it(after: str) -> None:
    assert finding(WRAPPED[-1], after).explanation == finding(WRAPPED[-1]).explanation


def test_lines_that_all_may_be_wrapped_are_not_searched_again_and_again() -> None:
    """Without a memory of what was searched each line takes part in 68 searches."""
    log = [f"tls error {number:03} {'and so on ' * 11}x\n".encode() for number in range(100)]
    searched: list[bytes] = []

    assert len([*entries(log, searched.append)]) == len(log)
    assert len(searched) < 10 * len(log)


CRI = "2026-11-24T04:19:45.1Z stderr "
DOCKER = '{{"log":{},"stream":"stderr","time":"2026-11-24T04:19:45.1Z"}}'


@pytest.mark.parametrize("size", [40, 90, 120])
@pytest.mark.parametrize("runtime", ["cri", "docker"])
def test_a_line_that_the_runtime_divided(size: int, runtime: str) -> None:
    pieces = [LINE[start : start + size] for start in range(0, len(LINE), size)]
    if runtime == "cri":
        parts = [f"{CRI}P {piece}" for piece in pieces[:-1]] + [f"{CRI}F {pieces[-1]}", f"{CRI}F ordinary"]
    else:
        pieces[-1] += "\n"
        parts = [DOCKER.format(json.dumps(piece)) for piece in (*pieces, "ordinary\n")]

    assert finding(*parts).explanation == finding(LINE).explanation
    assert diagnose([f"{part}\n".encode() for part in parts]).read == len(parts)


def test_two_messages_are_not_taken_for_one() -> None:
    lines = (
        'E1124 04:19:45.1 1 x.go:1] connecting to "https://192.0.2.7:10250" over tls, which takes a long time',
        f"E1124 04:19:46.1 1 x.go:1] {UNKNOWN}",
    )

    result = finding(*lines)

    assert result.lines[0].number == 2
    assert "192.0.2.7" not in result.explanation.proof


def test_an_indented_object_is_one_message() -> None:
    result = finding(
        "{",
        '  "level": "warn",',
        '  "msg": "rejected connection",',
        '  "remote-addr": "192.0.2.7:40000",',
        '  "error": "remote error: tls: bad certificate"',
        "}",
    )

    assert "A client at 192.0.2.7 rejected the certificate that etcd presents" in result.explanation.cause


@pytest.mark.parametrize("end", ["signed by unkno", "signed by unknown auth>", "signed by unknown\u2026"])
def test_a_line_that_was_cut_is_told_to_be_cut(end: str) -> None:
    result = finding(f"Nov 24 04:19:45 node kubelet[1]: x509: certificate {end}")

    assert result.explanation.name == CUT_LINE
    assert "--no-pager" in result.explanation.proof


def kcert(*words: str, stdin: bytes | None = b"") -> Ended:
    return Kcert(REPOSITORY)("diagnose", *words, stdin=stdin or b"")


def test_the_line_itself_in_the_place_of_a_file() -> None:
    ended = kcert(UNKNOWN)
    assert ended.status == 1
    assert ended.stdout.startswith("1. The client does not trust the certificate of the server")
    assert kcert("all is well here").status == 0


@pytest.mark.thorough
def test_a_device_is_not_a_log() -> None:
    for ended in (kcert("/dev/zero"), kcert(stdin=bytes(70 * 1024 * 1024))):
        assert ended.status == 2
        assert "not a log" in ended.stderr or "a device" in ended.stderr


def test_an_unknown_kind_of_cluster() -> None:
    ended = kcert("--cluster", "k33s", UNKNOWN)
    assert ended.status == 2
    assert "k3s" in ended.stderr


def test_a_log_that_is_followed_is_answered_as_it_comes() -> None:
    """The answer is there while the log is still open, and Ctrl-C ends it with the sum."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "kcert", "diagnose"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{LINE}\n".encode())
        process.stdin.flush()
        said = b""
        while b"Lesson: " not in said:
            said += os.read(process.stdout.fileno(), 4096)
        assert b"192.0.2.7:10250" in said
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read().decode()
    assert process.returncode == 1
    assert "1 cause in 1 line" in rest
