"""kcert and its lessons use what OpenSSL 1.1.1 knows, the oldest that kcert works with, whatever the tests run on."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kcert.openssl.program import openssl
from tests.test_faults import fake_openssl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.clusters import Pki
    from tests.running import Kcert

HERE = Path(__file__).parent
LESSONS = HERE.parent / "kcert" / "lessons"
RULES = HERE.parent / "kcert" / "check"

OPTIONS = {
    command: frozenset(options.split())
    for command, options in re.findall(
        r"^(\w+): (.*)$", (HERE / "recorded/openssl-1.1.1-options.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
}

DIGESTS = {"-sha1", "-sha256", "-sha384", "-sha512"}
CIPHERS = {"-aes256"}
NEWER = {
    "-copy_extensions": "told as what OpenSSL 3 has",
    "-noenc": "the same",
}
"""Options of OpenSSL 3 that the words may name."""

SHOWN = re.compile(r"openssl ((?:[a-z0-9_]+)(?: (?:\"[^\"]*\"|'[^']*'|[^\s`|;&)]+))*)")
"""A command as the words quote it, up to a pipe or the end of the code."""


def strange(argv: list[str]) -> list[str]:
    """The options of ``openssl ARGV...`` that OpenSSL 1.1.1 does not have."""
    command, *words = argv
    if command not in OPTIONS:
        return [command]
    # Each hash, or each cipher, is an option of its own, which -help sums up.
    known = OPTIONS[command] | (DIGESTS | CIPHERS if "-*" in OPTIONS[command] else set())
    return [word for word in words if re.fullmatch(r"-[a-z_][A-Za-z0-9_-]*", word) and word not in known]


@pytest.mark.thorough
def test_every_command_that_runs_is_one_for_openssl_1_1_1(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path
) -> None:
    """Recorded where openssl is started: making, renewing, requests, signing, reading, checking."""
    own_pki("course")
    log = tmp_path / "log"
    # A line for each command, its words apart by tabs.
    recording = fake_openssl(tmp_path, f"""(IFS='\t'; printf '%s\\n' "$*" >> {log})""")
    for line in (
        "all -q --dir new",
        "renew admin -q",
        "renew --all --new-key -q",
        "renew ca --new-key -q",
        "renew ca --finish -q",
        "service-account --dir new",
        "csr new bob --group team --san bob.example.com",
        "csr manifest bob",
        "csr approve --file pki/bob-csr.yaml",
        "csr sign --file pki/bob-csr.yaml",
        "csr fetch bob --file pki/bob-csr.yaml",
        "kubeconfig --no-explain",
        "show pki/admin.crt",
        "show pki/admin.key",
        "show pki/bob.csr",
        "inventory pki",
        "check pki",
    ):
        kcert(*line.split(), "--openssl", recording)

    ran = {tuple(line.split("\t")) for line in log.read_text(encoding="utf-8").splitlines()}
    assert {argv[0] for argv in ran} >= {"ecparam", "req", "x509", "verify", "ca", "pkey"}
    assert {argv: strange(list(argv)) for argv in ran if strange(list(argv))} == {}


def _quoted() -> Iterator[tuple[str, str]]:
    files = [*sorted(LESSONS.glob("*.md")), *sorted(RULES.glob("*.py"))]
    assert {path.suffix for path in files} == {".md", ".py"}
    for path in files:
        for found in SHOWN.finditer(path.read_text(encoding="utf-8")):
            yield path.name, found[1]


def test_every_command_in_the_words_is_one_for_openssl_1_1_1() -> None:
    quoted = [(name, words) for name, words in _quoted() if words.split()[0] in OPTIONS]
    wrong = []
    for name, words in quoted:
        try:
            argv = shlex.split(words)
        except ValueError:  # code of kcert's own, not a command
            argv = words.split()
        # Kelsey Hightower's own commands need OpenSSL 3, which their lesson says.
        wrong += [(name, words, one) for one in strange(argv) if one not in NEWER and name != "hard-way-kelsey.md"]

    assert len(quoted) > 200
    assert wrong == []


def test_the_list_is_openssl_1_1_1s() -> None:
    assert strange(["x509", "-req", "-in", "a", "-copy_extensions", "copyall"]) == ["-copy_extensions"]
    assert strange(["req", "-noenc", "-new"]) == ["-noenc"]
    assert strange(["x509", "-in", "a", "-ext", "subjectAltName"]) == []
    assert strange(["fipsinstall"]) == ["fipsinstall"]


@pytest.mark.parametrize(
    "said",
    [
        "OpenSSL 1.1.1w  11 Sep 2023",
        "OpenSSL 1.1.1k  FIPS 25 Mar 2021",
        "OpenSSL 3.0.19 27 Jan 2026 (Library: OpenSSL 3.0.19 27 Jan 2026)",
        "OpenSSL 3.5.9 29 Sep 2026 (Library: OpenSSL 3.5.9 29 Sep 2026)",
        "OpenSSL 3.6.5 29 Sep 2026 (Library: OpenSSL 3.6.5 29 Sep 2026)",
    ],
)
def test_an_openssl_of_these_versions_is_taken(said: str, tmp_path: Path) -> None:
    program = fake_openssl(tmp_path, f'if [ "$1" = version ]; then echo "{said}"; exit 0; fi')

    assert openssl(str(program)) == str(program)
