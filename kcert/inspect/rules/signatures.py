"""Who signed what, as ``openssl verify`` says: many certificates for one process."""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from kcert.shell import Command, read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kcert.openssl.x509 import X509

BATCH = 1000
"""Files on one command line: far below what Linux and macOS allow."""

_THE_CAS_FAULT = frozenset({24, 32})
"""openssl's numbers for a CA that must not be one, or must not sign certificates: ``not-a-ca`` says so."""

_FAILED = re.compile(
    r"^error (?P<number>\d+) at \d+ depth lookup: (?P<words>[^\n]*)\n"
    r"error (?P<file>[^\n]*?): verification failed$",
    re.MULTILINE,
)

Pair = tuple[str, tuple[str, ...]]


class Signatures:
    """The verdicts on certificates and the CAs that they answer to; openssl is asked when the first is needed.

    Dates are left out (``-no_check_time``): other rules judge them. An intermediate CA may be trusted by itself
    (``-partial_chain``), as Go does.
    """

    def __init__(self, openssl: str, pairs: Iterable[tuple[X509, tuple[X509, ...]]]) -> None:
        self.openssl = openssl
        self._waiting: dict[Pair, tuple[X509, tuple[X509, ...]]] = {
            _pair(certificate, issuers): (certificate, issuers) for certificate, issuers in pairs if issuers
        }
        self._verdicts: dict[Pair, str | None] = {}

    def expect(self, pairs: Iterable[tuple[X509, tuple[X509, ...]]]) -> None:
        """Have *pairs* judged together with the rest, when the first verdict is asked for."""
        for certificate, issuers in pairs:
            if (pair := _pair(certificate, issuers)) not in self._verdicts:
                self._waiting[pair] = (certificate, issuers)

    def verdict(self, certificate: X509, issuers: tuple[X509, ...]) -> str | None:
        """None where one of *issuers* signed *certificate*, or what openssl has against it."""
        pair = _pair(certificate, issuers)
        if pair not in self._verdicts:
            self.expect([(certificate, issuers)])
            self._ask()
        return self._verdicts[pair]

    def signed_itself(self, certificate: X509) -> bool:
        """True where a certificate's own key made its signature."""
        return certificate.self_issued and self.verdict(certificate, (certificate,)) is None

    def _ask(self) -> None:
        by_issuers: dict[tuple[str, ...], list[Pair]] = defaultdict(list)
        for pair in self._waiting:
            by_issuers[pair[1]].append(pair)
        with tempfile.TemporaryDirectory(prefix="kcert-") as folder:
            for pairs in by_issuers.values():
                for start in range(0, len(pairs), BATCH):
                    self._verify(Path(folder), pairs[start : start + BATCH])
        self._waiting.clear()

    def _verify(self, folder: Path, pairs: list[Pair]) -> None:
        authority = folder / "authority.pem"
        authority.write_text("".join(_pem(issuer) for issuer in self._waiting[pairs[0]][1]))
        files = {str(folder / f"{number}.pem"): pair for number, pair in enumerate(pairs)}
        for file, pair in files.items():
            Path(file).write_text(self._waiting[pair][0].pem)
        # Without -no-CApath the CAs that the machine trusts would count as well.
        options = ["-no_check_time", "-partial_chain", "-no-CApath", "-CAfile", str(authority)]
        if pairs[0][1] == (pairs[0][0],):
            # What is trusted is taken at its word otherwise: the signature would not be looked at.
            options.append("-check_ss_sig")
        reading = read(Command((self.openssl, "verify", *options, *files)))
        fine = {line.removesuffix(": OK") for line in reading.stdout.decode("latin-1").splitlines()}
        failed = {found["file"]: found for found in _FAILED.finditer(reading.stderr)}
        for file, pair in files.items():
            found = failed.get(file)
            if file in fine or (found and int(found["number"]) in _THE_CAS_FAULT):
                self._verdicts[pair] = None
            else:
                words = f"error {found['number']}: {found['words']}" if found else "openssl cannot verify it"
                self._verdicts[pair] = words


def _pair(certificate: X509, issuers: tuple[X509, ...]) -> Pair:
    return certificate.sha256, tuple(issuer.sha256 for issuer in issuers)


def _pem(certificate: X509) -> str:
    return certificate.pem if certificate.pem.endswith("\n") else certificate.pem + "\n"
