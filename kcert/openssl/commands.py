"""The openssl commands that make certificates, as argv lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.openssl.cnf import EXTENSIONS

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import PurePosixPath

    from kcert.certificates import Key, Subject

CURVES = {"P-256": "prime256v1", "P-384": "secp384r1"}
"""openssl's names of the curves that FIPS 186 calls P-256 and P-384."""


def private_key(openssl: str, key: Key, out: PurePosixPath, passphrase: str = "") -> tuple[str, ...]:
    """Generate a private key into *out*; openssl writes it readable by its owner alone.

    With a *passphrase* (``env:…``, ``file:…``; see openssl-passphrase-options(1)) it is encrypted before it is written.
    """
    if key.algorithm == "rsa":
        locked = (CIPHER, "-passout", passphrase) if passphrase else ()
        return (openssl, "genrsa", *locked, "-out", str(out), str(key.bits))
    curve = CURVES[key.curve]
    if passphrase:
        # `openssl ecparam -genkey` has no way to encrypt what it writes.
        options = ("-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}")
        return (openssl, "genpkey", *options, CIPHER, "-pass", passphrase, "-out", str(out))
    return (openssl, "ecparam", "-name", curve, "-genkey", "-noout", "-out", str(out))


CIPHER = "-aes256"
"""AES-256 in CBC mode, which every openssl of ours can read again."""


def _unlocking(passphrase: str) -> tuple[str, ...]:
    """How a command opens the key that it reads."""
    return ("-passin", passphrase) if passphrase else ()


def public_key(openssl: str, key: PurePosixPath, out: PurePosixPath) -> tuple[str, ...]:
    """Write the public half of an RSA *key* into *out*."""
    return (openssl, "rsa", "-in", str(key), "-pubout", "-out", str(out))


def request(
    openssl: str,
    key: PurePosixPath,
    subject: Subject,
    *,
    cnf: PurePosixPath,
    out: PurePosixPath,
    passphrase: str = "",
) -> tuple[str, ...]:
    """Write a certificate signing request for *key*, which *passphrase* opens, and *subject*."""
    beyond_ascii = () if str(subject).isascii() else ("-utf8",)
    return (
        *(openssl, "req", "-new", *beyond_ascii, "-key", str(key), *_unlocking(passphrase)),
        *("-subj", str(subject), "-config", str(cnf), "-out", str(out)),
    )


def request_again(
    openssl: str, crt: PurePosixPath, key: PurePosixPath, out: PurePosixPath, passphrase: str = ""
) -> tuple[str, ...]:
    """Write a request for the subject of the certificate *crt*, byte for byte, and its *key*."""
    return (
        *(openssl, "x509", "-x509toreq", "-in", str(crt)),
        *("-signkey", str(key), *_unlocking(passphrase), "-out", str(out)),
    )


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
    passphrase: str = "",
) -> tuple[str, ...]:
    """Sign a request with the CA's certificate and key (*authority*), which *passphrase* opens."""
    crt, key = authority
    return (
        *(openssl, "x509", "-req", "-in", str(csr)),
        *("-CA", str(crt), "-CAkey", str(key), *_unlocking(passphrase), "-CAcreateserial", "-out", str(out)),
        *("-days", str(days), "-extensions", EXTENSIONS, "-extfile", str(cnf)),
    )


def self_signature(
    openssl: str,
    csr: PurePosixPath,
    *,
    key: PurePosixPath,
    out: PurePosixPath,
    days: int,
    cnf: PurePosixPath,
    passphrase: str = "",
    serial: str = "",
) -> tuple[str, ...]:
    """Sign a CA's request with its own key; *serial* is a number to keep, in hexadecimal (empty: a random one)."""
    kept = ("-set_serial", f"0x{serial}") if serial else ()
    return (
        *(openssl, "x509", "-req", "-in", str(csr), "-signkey", str(key), *_unlocking(passphrase), *kept),
        *("-out", str(out), "-days", str(days), "-extensions", EXTENSIONS, "-extfile", str(cnf)),
    )


def signature_between(
    openssl: str,
    csr: PurePosixPath,
    *,
    authority: tuple[PurePosixPath, PurePosixPath],
    out: PurePosixPath,
    between: tuple[datetime, datetime],
    cnf: PurePosixPath,
    passphrase: str = "",
) -> tuple[str, ...]:
    """Sign a request for an exact time, with the subject as it stands in the request."""
    crt, key = authority
    begins, ends = (f"{moment:%Y%m%d%H%M%SZ}" for moment in between)
    return (
        *(openssl, "ca", "-batch", "-config", str(cnf), "-in", str(csr), "-out", str(out), "-notext"),
        *(
            "-cert",
            str(crt),
            "-keyfile",
            str(key),
            *_unlocking(passphrase),
            "-preserveDN",
            "-startdate",
            begins,
            "-enddate",
            ends,
        ),
    )


def verification(
    openssl: str, authority: PurePosixPath, *crts: PurePosixPath, intermediate: bool = False
) -> tuple[str, ...]:
    """Check that the CA's certificate *authority* vouches for each of *crts*.

    One that another CA signed (an *intermediate*) is trusted for itself, as Go's programs do; openssl has to be told.
    """
    partial = ("-partial_chain",) if intermediate else ()
    return (openssl, "verify", *partial, "-CAfile", str(authority), *(str(crt) for crt in crts))
