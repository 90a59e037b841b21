"""A log is what anybody may have written: nothing in it is run, reaches the terminal raw, or fills the memory."""

from __future__ import annotations

import io
import itertools
import json
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from kcert.cli import COMMANDS
from kcert.diagnose import MOST_FINDINGS, SHOWN_LINES, diagnose, explain
from kcert.diagnose.reading import LONGEST, log_lines
from tests.diagnose.test_messages import MESSAGES
from tests.running import output

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

BITES = [
    "$(touch {0})",
    "`touch {0}`",
    "'; touch {0}; '",
    '"; touch {0}; "',
    "a b; touch {0}",
    "&& touch {0}",
    "| touch {0}",
    "> {0}",
    "\\",
    "-x",
]
CARRIERS = [
    "open /etc/kubernetes/{}.crt: no such file or directory",
    "open /etc/kubernetes/{}.key: permission denied",
    "read /etc/kubernetes/{}.key: is a directory",
    "open {}.crt: no such file or directory",
    "stat /etc/{}/scheduler.conf: no such file or directory",
    'User "{}" cannot list resource "pods" in API group "" in the namespace "default"',
    'User "jane" cannot list resource "{}" in API group "x" in the namespace "{}"',
    'User "system:node:{}" cannot get resource "nodes" in API group "" at the cluster scope',
    'User "system:serviceaccount:{}:{}" cannot list resource "pods" in API group ""',
    'node "{}" is not allowed to modify node "{}"',
    "x509: certificate is valid for a, not {}",
    "x509: cannot validate certificate for {} because it doesn't contain any IP SANs",
    'Get "https://{}:6443/api": x509: certificate signed by unknown authority',
    "connect to {{https://{}:2379 x}}. Err: x509: certificate signed by unknown authority",
    "certificate verify failed: Hostname mismatch, certificate is not valid for '{}'",
    "calling stat({})",
    "calling fopen({}, r)",
    "Could not read private key from {}",
    "unable to set private key file: '{}' type PEM",
    "bad ip address:../crypto/x509/v3_san.c:552:value={}",
    "Error checking extension section {}",
    'Error on line 5 of config file "{}"',
    "subject name is expected to be in the format /type0=value0. This name is not in that format: '{}'",
    "part of the existing bootstrap client certificate in {} is expired: 2026-07-11 05:22:03 +0000 UTC",
    'tls: "{}" does not match any of DNSNames ["localhost"]',
]

STARTED = (
    *("openssl", "ls", "namei", "head", "grep", "sed", "hostname", "kubectl", "kcert", "curl", "chmod", "chown"),
    *("rmdir", "base64"),
)
"""What the proofs and repairs start."""


def in_one_bash(each: str, scripts: Iterable[str], folder: Path) -> str:
    """Have one bash do *each* with every script, whose file is ``$script``; what it prints."""
    files = []
    for number, script in enumerate(sorted(set(scripts))):
        files.append(folder / f"{number}.sh")
        files[-1].write_text(script + "\n", encoding="utf-8")
    (folder / "empty").mkdir()
    loop = f'for script in "$@"; do\n{each}\ndone\n:'
    ended = output(["bash", "-c", loop, "bash", *files], folder / "empty")
    assert ended.status == 0, ended.stderr
    return ended.stdout


def meanings(bite: str) -> list[str]:
    scripts = []
    for carrier in CARRIERS:
        explained = explain(carrier.format(bite, bite).encode())
        if explained:
            scripts += [explained.proof, explained.repair]
    return scripts


@pytest.mark.parametrize("bite", BITES)
def test_what_a_log_says_never_becomes_a_command(bite: str, tmp_path: Path) -> None:
    """Every program that the proofs and repairs would start is replaced, and only what bash itself does is seen."""
    harmless = "".join(f"{name}() {{ :; }}\n" for name in STARTED)
    scripts = meanings(bite.format("bitten"))
    assert scripts

    said = in_one_bash(
        f'({harmless}. "$script") > /dev/null 2>&1 < /dev/null\n[ ! -e bitten ] || {{ rm bitten; cat "$script"; }}',
        scripts,
        tmp_path,
    )

    assert said == ""


def test_every_proof_and_repair_is_bash(tmp_path: Path) -> None:
    scripts = []
    for line, _, _ in MESSAGES:
        explained = explain(line.encode())
        assert explained is not None
        scripts += [explained.proof, explained.repair]

    # As the body of a function each is read whole, and nothing of it runs.
    said = in_one_bash('eval "body() { :\n$(< "$script")\n}" 2>&1 || cat "$script"', scripts, tmp_path)

    assert said == ""


def test_every_repair_names_commands_that_kcert_has() -> None:
    for line, _, _ in MESSAGES:
        explained = explain(line.encode())
        assert explained is not None
        for repair in explained.repair.splitlines():
            if repair.startswith("kcert "):
                assert repair.split()[1] in COMMANDS, repair


def test_an_option_in_the_place_of_a_path_stays_a_path() -> None:
    explained = explain(b"open -engine.crt: no such file or directory")
    assert explained is not None
    assert "-in ./-engine.crt" in explained.proof


@pytest.mark.parametrize("wild", ["\x1b]0;owned\x07", "\x1b[2J", "\u202egnp.exe", "\x9b31m", "a\rb"])
def test_what_cannot_be_printed_is_not_believed(wild: str) -> None:
    for carrier in CARRIERS:
        explained = explain(carrier.format(wild, wild).encode())
        if explained:
            text = explained.cause + explained.proof + explained.repair
            assert text.replace("\n", "").isprintable(), carrier


# --- size


@pytest.mark.thorough
def test_a_long_log_is_not_held_in_memory() -> None:
    quiet = b'I1124 04:19:45.1 1 x.go:1] "Nothing happens here, and it takes many words to say so" name="%d"\n'
    loud = b"http: TLS handshake error from 10.0.0.7:%d: remote error: tls: bad certificate\n"

    def peak_of(lines: int) -> int:
        log = (line % number for number in range(lines // 2) for line in (quiet, loud))
        tracemalloc.start()
        diagnosis = diagnose(log)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert diagnosis.read == lines
        assert diagnosis.findings[0].count == lines // 2
        assert len(diagnosis.findings[0].lines) == SHOWN_LINES
        return peak

    peak_of(200)  # what is made once
    short, long = peak_of(200), peak_of(2_000)
    assert long - short < 50 * (2_000 - 200), "each line has more than 100 bytes"


def test_a_line_without_end_is_cut_and_the_next_one_is_read() -> None:
    stream = io.BytesIO(b"x" * (10 * LONGEST) + b"\ntls: private key does not match public key\n")
    lines = list(log_lines(stream))
    assert [len(line) for line in lines] == [LONGEST, 43]
    assert diagnose(lines).findings[0].lines[0].number == 2


@pytest.mark.thorough
def test_a_log_of_invented_names_does_not_fill_the_memory() -> None:
    log = (
        b"open /etc/kubernetes/pki/%d.crt: no such file or directory\n" % number for number in range(MOST_FINDINGS + 50)
    )
    diagnosis = diagnose(log)
    assert len(diagnosis.findings) == MOST_FINDINGS
    assert diagnosis.left_out == 50


@pytest.mark.parametrize(
    "filler", ["certificate is valid for a, ", 'User "', "open /", '\\"', '{"log":"', "read a ", "x509: "]
)
def test_a_line_made_to_cost_time_does_not(filler: str) -> None:
    line = (
        filler * (LONGEST // len(filler))
        + "x509: certificate signed by unknown authority, Unauthorized, no such file or directory"
    )
    assert explain(line.encode()) is not None  # with a pattern that backtracks without end this would never come back


def test_rubbish_is_read_to_its_end() -> None:
    rubbish = bytes(range(256)) * 40
    assert diagnose(itertools.repeat(rubbish, 3)).read == 3


def test_json_of_any_depth_is_survived() -> None:
    assert explain(("[" * 20_000 + "certificate").encode()) is None
    deep = '{"a":' * 5_000 + '"remote error: tls: certificate required"' + "}" * 5_000
    within = json.dumps({"log": json.dumps({"log": json.dumps({"msg": "remote error: tls: bad certificate"})})})
    for line, cause in ((deep, "no-client-certificate"), (within, "refused-by-the-other-side")):
        explained = explain(line.encode())
        assert explained is not None
        assert explained.name == cause
