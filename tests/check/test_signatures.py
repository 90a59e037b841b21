"""Who signed what, asked of openssl in several rounds, and where its files lie meanwhile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from kcert.openssl import verify as signatures
from kcert.openssl.reader import read_certificate
from kcert.openssl.verify import Signatures
from kcert.openssl.x509 import X509
from tests.scan.made import authority, certificate, name

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running import Kcert
    from tests.scan.made import Pair


def read(pairs: list[Pair]) -> list[X509]:
    certificates = list(map(read_certificate, [pair.pem.decode() for pair in pairs]))
    return [one for one in certificates if isinstance(one, X509)]


@pytest.fixture(scope="module")
def pairs() -> list[tuple[X509, X509]]:
    """Thirteen certificates and the CA that should have signed them; every third is another CA's of that name."""
    true, impostor = authority(), authority()
    leaves = [certificate(name(f"host{number}"), impostor if number % 3 == 2 else true) for number in range(13)]
    ca, *certificates = read([true, *leaves])
    return [(one, ca) for one in certificates]


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where temporary files lie otherwise."""
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "disk"))
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk"


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the one in memory, and shows by its time whether anything was in it."""
    (tmp_path / "memory").mkdir()
    os.utime(tmp_path / "memory", (0, 0))
    monkeypatch.setattr(signatures, "_MEMORY", str(tmp_path / "memory"))
    return tmp_path / "memory"


def was_used(folder: Path) -> bool:
    return folder.stat().st_mtime > 0


def judged(pairs: list[tuple[X509, X509]]) -> list[bool]:
    asked = Signatures("openssl", [(leaf, (ca,), ()) for leaf, ca in pairs])
    return [asked.verdict(leaf, (ca,)) is None for leaf, ca in pairs]


@pytest.mark.parametrize("most", [1, 2, 5, 13, 500])
def test_each_certificate_gets_its_own_verdict_however_many_processes_are_asked(
    pairs: list[tuple[X509, X509]], memory: Path, disk: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(signatures, "MOST", most)
    monkeypatch.setattr(signatures, "LEAST", 1)
    os.utime(disk, (0, 0))
    assert judged(pairs) == [number % 3 != 2 for number in range(13)]
    assert was_used(memory)
    assert list(memory.iterdir()) == []
    assert not was_used(disk) or list(disk.iterdir()) == []


@pytest.mark.parametrize("why", ["full", "not there", "TMPDIR"])
def test_where_memory_will_not_do_the_files_lie_with_the_other_temporary_ones(
    pairs: list[tuple[X509, X509]], memory: Path, disk: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    os.utime(disk, (0, 0))
    if why == "full":
        monkeypatch.setattr(signatures, "_ROOM", 2**62)
    elif why == "not there":
        memory.rmdir()
    else:
        monkeypatch.setenv("TMPDIR", str(disk))
    assert judged(pairs) == [number % 3 != 2 for number in range(13)]
    assert why == "not there" or not was_used(memory)
    assert was_used(disk)
    assert list(disk.iterdir()) == []


def test_the_certificates_of_a_replaced_ca_are_verified_together(kcert: Kcert, tmp_path: Path) -> None:
    """A process for each of them would take minutes in a large folder."""
    log, program, pki = tmp_path / "log", tmp_path / "openssl-counted", tmp_path / "copied"
    program.write_text(f'#!/bin/sh\necho run >> "{log}"\nexec openssl "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    pki.mkdir()
    old, new = authority(), authority()
    (pki / "ca.crt").write_bytes(new.pem)
    for number in range(40):
        (pki / f"host{number}.crt").write_bytes(certificate(name(f"host{number}"), old).pem)

    run = kcert("check", pki, "--only", "wrong-issuer", "--format", "short", "--openssl", program)

    assert run.stdout.count("wrong-issuer") == 40
    assert len(log.read_text(encoding="utf-8").splitlines()) < 20
