"""The openssl commands that make certificates, as argv lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.openssl.cnf import EXTENSIONS

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import PurePosixPath

    from kcert.certificates import Key, Subject

_CURVES = {"P-256": "prime256v1", "P-384": "secp384r1"}
"""openssl's names of the curves that FIPS 186 calls P-256 and P-384."""


def private_key(openssl: str, key: Key, out: PurePosixPath) -> tuple[str, ...]:
    """Generate a private key into *out*; openssl writes it readable by its owner alone."""
    if key.algorithm == "rsa":
        return (openssl, "genrsa", "-out", str(out), str(key.bits))
    return (openssl, "ecparam", "-name", _CURVES[key.curve], "-genkey", "-noout", "-out", str(out))


def public_key(openssl: str, key: PurePosixPath, out: PurePosixPath) -> tuple[str, ...]:
    """Write the public half of an RSA *key* into *out*."""
    return (openssl, "rsa", "-in", str(key), "-pubout", "-out", str(out))


def request(
    openssl: str, key: PurePosixPath, subject: Subject, cnf: PurePosixPath, out: PurePosixPath
) -> tuple[str, ...]:
    """Write a certificate signing request for *key* and *subject*."""
    beyond_ascii = () if str(subject).isascii() else ("-utf8",)
    return (
        *(openssl, "req", "-new", *beyond_ascii, "-key", str(key)),
        *("-subj", str(subject), "-config", str(cnf), "-out", str(out)),
    )


def request_again(openssl: str, crt: PurePosixPath, key: PurePosixPath, out: PurePosixPath) -> tuple[str, ...]:
    """Write a request for the subject of the certificate *crt*, byte for byte, and its *key*."""
    return (openssl, "x509", "-x509toreq", "-in", str(crt), "-signkey", str(key), "-out", str(out))


def copy(openssl: str, crt: PurePosixPath, out: PurePosixPath) -> tuple[str, ...]:
    """Write the first certificate of the file *crt*, and nothing else, into *out*."""
    return (openssl, "x509", "-in", str(crt), "-out", str(out))


def signature(
    openssl: str,
    csr: PurePosixPath,
    *,
    authority: tuple[PurePosixPath, PurePosixPath],
    out: PurePosixPath,
    days: int,
    cnf: PurePosixPath,
) -> tuple[str, ...]:
    """Sign a request with the CA's certificate and key (*authority*)."""
    crt, key = authority
    return (
        *(openssl, "x509", "-req", "-in", str(csr)),
        *("-CA", str(crt), "-CAkey", str(key), "-CAcreateserial", "-out", str(out)),
        *("-days", str(days), "-extensions", EXTENSIONS, "-extfile", str(cnf)),
    )


def self_signature(
    openssl: str, csr: PurePosixPath, *, key: PurePosixPath, out: PurePosixPath, days: int, cnf: PurePosixPath
) -> tuple[str, ...]:
    """Sign a CA's request with its own key."""
    return (
        *(openssl, "x509", "-req", "-in", str(csr), "-signkey", str(key), "-out", str(out)),
        *("-days", str(days), "-extensions", EXTENSIONS, "-extfile", str(cnf)),
    )


def signature_between(
    openssl: str,
    csr: PurePosixPath,
    *,
    authority: tuple[PurePosixPath, PurePosixPath],
    out: PurePosixPath,
    between: tuple[datetime, datetime],
    cnf: PurePosixPath,
) -> tuple[str, ...]:
    """Sign a request for an exact time, with the subject as it stands in the request."""
    crt, key = authority
    begins, ends = (f"{moment:%Y%m%d%H%M%SZ}" for moment in between)
    return (
        *(openssl, "ca", "-batch", "-config", str(cnf), "-in", str(csr), "-out", str(out), "-notext"),
        *("-cert", str(crt), "-keyfile", str(key), "-preserveDN", "-startdate", begins, "-enddate", ends),
    )


def verification(openssl: str, authority: PurePosixPath, *crts: PurePosixPath) -> tuple[str, ...]:
    """Check that the CA's certificate *authority* vouches for each of *crts*."""
    return (openssl, "verify", "-CAfile", str(authority), *(str(crt) for crt in crts))
