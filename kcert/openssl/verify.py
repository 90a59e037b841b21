"""Signatures between certificates, as ``openssl verify`` checks them: many certificates for one process."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from kcert.openssl.program import check_works
from kcert.openssl.x509 import X509
from kcert.shell import Command, Reading, read_many

MOST = 500
"""Files on one command line: far below what Linux and macOS allow, and few to write before openssl reads them."""

LEAST = 100
"""Below this another process costs more than it saves."""

_MEMORY = "/dev/shm"  # noqa: S108 - a folder for its owner alone is made in it
"""Linux's folder in memory. On a disk a file for a moment costs as much as openssl's look at it, and more where many
were removed just before."""

_ROOM = 16 * 1024
"""Bytes to have free in memory for each certificate that is written there: few are larger than a page of 4 KiB."""

_THE_CAS_FAULT = frozenset({24, 32, 79})
"""openssl's numbers for a CA that must not be one (24, later 79), or must not sign (32): ``not-a-ca`` says so."""

_FAILED = re.compile(
    r"^error (?P<number>\d+) at \d+ depth lookup: (?P<words>[^\n]*)\n"
    r"error (?P<file>[^\n]*?): verification failed$",
    re.MULTILINE,
)

_UNCLEAR = "openssl cannot verify it"

Pair = tuple[str, tuple[str, ...], tuple[str, ...]]
"""SHA-256 of a certificate, of the CAs that are trusted, and of the chain that comes with the certificate."""

Question = tuple[X509, tuple[X509, ...], tuple[X509, ...]]


class Signatures:
    """The verdicts on certificates and the CAs that they answer to; openssl is asked when the first is needed.

    Dates are ignored (``-no_check_time``): other rules check them. An intermediate CA may be trusted by itself
    (``-partial_chain``), as Go does.
    """

    def __init__(self, openssl: str, questions: Iterable[Question]) -> None:
        self.openssl = openssl
        self._waiting: dict[Pair, Question] = {}
        self._verdicts: dict[Pair, str | None] = {}
        self.expect(question for question in questions if question[1])

    def expect(self, questions: Iterable[Question]) -> None:
        """Have *questions* answered together with the rest, when the first verdict is asked for."""
        for question in questions:
            if (pair := _pair(question)) not in self._verdicts:
                self._waiting[pair] = question

    def verdict(self, certificate: X509, issuers: tuple[X509, ...], chain: tuple[X509, ...] = ()) -> str | None:
        """Return None if one of *issuers* verifies *certificate*, through *chain*; else the error of openssl."""
        pair = _pair(question := (certificate, issuers, chain))
        if pair not in self._verdicts:
            self.expect([question])
            self._ask()
        return self._verdicts[pair]

    def signed_itself(self, certificate: X509) -> bool:
        """True if a certificate's own key made its signature."""
        return certificate.self_signed and self.verdict(certificate, (certificate,)) is None

    def _ask(self) -> None:
        by_issuers: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Pair]] = defaultdict(list)
        for pair in self._waiting:
            by_issuers[pair[1:]].append(pair)
        # Every processor has its share.
        size = min(MOST, max(LEAST, -(-len(self._waiting) // (os.cpu_count() or 1))))
        batches = [pairs[start : start + size] for pairs in by_issuers.values() for start in range(0, len(pairs), size)]
        with tempfile.TemporaryDirectory(prefix="kcert-", dir=_scratch(len(self._waiting))) as folder:
            folders = [Path(folder, str(number)) for number in range(len(batches))]
            files = [self._written(path, batch) for path, batch in zip(folders, batches, strict=True)]
            commands = [
                _command_for(self.openssl, path, list(named), batch[0])
                for path, named, batch in zip(folders, files, batches, strict=True)
            ]
            for named, reading in zip(files, read_many(commands), strict=True):
                self._take(named, reading)
            self._ask_one_by_one(list(zip(folders, files, strict=True)))
        self._waiting.clear()

    def _ask_one_by_one(self, requested: list[tuple[Path, dict[str, Pair]]]) -> None:
        """Verify again, each by itself, those that failed without a reason.

        OpenSSL 1.1.1 prints the reasons on standard error and the names on standard output, which do not show which
        reason belongs to which name.
        """
        unclear = [
            (folder, name, pair)
            for folder, named in requested
            for name, pair in named.items()
            if self._verdicts[pair] == _UNCLEAR
        ]
        if unclear:
            check_works(self.openssl)
        commands = [_command_for(self.openssl, folder, [name], pair) for folder, name, pair in unclear]
        for (_, name, pair), reading in zip(unclear, read_many(commands), strict=True):
            output = f"{reading.stderr}error {name}: verification failed\n"
            self._take({name: pair}, Reading(reading.status, reading.stdout, output))

    def _written(self, folder: Path, batch: list[Pair]) -> dict[str, Pair]:
        """The batch as files in *folder*, a name each, and the CA that has to have signed them."""
        folder.mkdir()
        _, issuers, chain = self._waiting[batch[0]]
        (folder / "authority").write_text("\n".join(ca.pem for ca in issuers))
        (folder / "chain").write_text("\n".join(cert.pem for cert in chain))
        # Names that nothing inside a certificate can foresee, and so not pretend to be a verdict on.
        names = {f"{folder.parent.name}-{number}": pair for number, pair in enumerate(batch)}
        for name, pair in names.items():
            (folder / name).write_text(self._waiting[pair][0].pem)
        return names

    def _take(self, names: dict[str, Pair], reading: Reading) -> None:
        fine = {line.removesuffix(": OK") for line in reading.stdout.decode("latin-1").splitlines()}
        failed = {match["file"]: match for match in _FAILED.finditer(reading.stderr)}
        for name, pair in names.items():
            self._verdicts[pair] = None if name in fine else _UNCLEAR
            if match := failed.get(name):
                own = int(match["number"]) not in _THE_CAS_FAULT
                self._verdicts[pair] = f"error {match['number']}: {match['words']}" if own else None


def _command_for(openssl: str, folder: Path, names: list[str], pair: Pair) -> Command:
    """Verify the files *names*, all of them with the issuers of *pair*."""
    # Without -no-CApath the CAs that the machine trusts would count as well.
    options = ["-no_check_time", "-partial_chain", "-no-CApath", "-CAfile", "authority"]
    if pair[2]:
        options += ["-untrusted", "chain"]
    if pair[1] == (pair[0],):
        # What is trusted is taken at its word otherwise: the signature would not be looked at.
        options.append("-check_ss_sig")
    return Command((openssl, "verify", *options, *names), folder)


def _scratch(certificates: int) -> str | None:
    """Return a folder in memory for so many certificates, if it has room; None for the folder of temporary files."""
    if os.environ.get("TMPDIR") or not os.access(_MEMORY, os.W_OK | os.X_OK):
        return None
    return _MEMORY if shutil.disk_usage(_MEMORY).free > certificates * _ROOM else None


def _pair(question: Question) -> Pair:
    certificate, issuers, chain = question
    return certificate.sha256, tuple(ca.sha256 for ca in issuers), tuple(cert.sha256 for cert in chain)
