"""Reading certificates with openssl: thousands with one process, and nothing believed that is not there.

The text that openssl prints for a whole batch is checked against the bytes of each certificate (``proof``);
whatever does not agree is read again by itself, slowly and unambiguously (``parts``).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from kcert.openssl.asn1 import Extensions, MismatchError
from kcert.openssl.keys import key_belongs, public_material, same_key
from kcert.openssl.parts import UNAMBIGUOUS, escaped_name, parsed_extensions, requested_extensions
from kcert.openssl.pem import Block, armoured, pem_blocks
from kcert.openssl.program import check_works
from kcert.openssl.proof import guess_name, prove_extensions, prove_head
from kcert.openssl.text import HEAD, RECORD, REQUEST_HEAD, TAIL, public_key, serial, tail, time
from kcert.openssl.x509 import X509, Name, PublicKey, Request, Unreadable
from kcert.shell import Command, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "X509",
    "Name",
    "PublicKey",
    "Request",
    "Unreadable",
    "certificate_pems",
    "key_belongs",
    "pem_blocks",
    "public_material",
    "read_certificate",
    "read_certificates",
    "read_request",
    "same_key",
]

BATCH = 500
"""Certificates for one openssl process: enough that starting it costs nothing, few enough to stay small in memory."""


def read_certificates(openssl: str, pems: Iterable[str]) -> Iterator[X509 | Unreadable]:
    """Read one certificate from each of *pems*, in their order, with few processes of *openssl*.

    An iterator goes in and one comes out: only a batch is held in memory. A damaged certificate becomes an
    Unreadable in its place; ProgramError is raised where it is openssl that does not work.
    """
    source = iter(pems)
    while batch := list(islice(source, BATCH)):
        yield from _read_batch(openssl, batch)


def read_certificate(openssl: str, pem: str) -> X509 | Unreadable:
    """Read one certificate."""
    return next(read_certificates(openssl, [pem]))


def certificate_pems(content: bytes) -> list[str]:
    """The certificate blocks of a PEM file, each by itself; a damaged one keeps what is needed to say so."""
    return [block.pem if block.der else armoured(b"") for block in pem_blocks(content) if block.is_certificate]


def _read_batch(openssl: str, pems: list[str]) -> Iterator[X509 | Unreadable]:
    blocks = [_certificate_block(pem) for pem in pems]
    results: list[X509 | Unreadable | None] = [block if isinstance(block, Unreadable) else None for block in blocks]
    # A certificate ends with its signature, and so does its text: that tells which text is whose.
    waiting: dict[str, list[tuple[int, Block]]] = {}
    for index, block in enumerate(blocks):
        if isinstance(block, Block):
            waiting.setdefault(block.der[-TAIL:].hex(), []).append((index, block))
    if waiting:
        reading = read(
            Command((openssl, "storeutl", "-noout", "-text", "-certs", "/dev/stdin")),
            "".join(block.pem for block in blocks if isinstance(block, Block)).encode(),
        )
        for text in RECORD.split(reading.stdout.decode("latin-1"))[1:]:
            for index, block in waiting.get(tail(text), ()):
                results[index] = results[index] or _proven(text, block)
    for pem, block, result in zip(pems, blocks, results, strict=True):
        whole = result or (_read_slowly(openssl, block) if isinstance(block, Block) else None)
        assert whole is not None
        # Who gave a PEM that is as openssl writes it gets that very text back: no second copy in memory.
        yield replace(whole, pem=pem) if whole.pem == pem else whole


def _certificate_block(pem: str) -> Block | Unreadable:
    block = next((one for one in pem_blocks(pem.encode("utf-8", "replace")) if one.is_certificate), None)
    if block is None:
        return Unreadable("holds no certificate", pem)
    return Unreadable(block.fault, pem) if block.fault else block


def _proven(text: str, block: Block) -> X509 | None:
    """What *text* says of the certificate, if the bytes bear it out; None where that is in doubt."""
    head = HEAD.search(text)
    if head is None:
        return None
    try:
        said = prove_extensions(text[head.end() :], block.der, prove_head(head, block.der))
        return _x509(head, (guess_name(head["issuer"])[0], guess_name(head["subject"])[0]), said, block)
    except MismatchError:
        return None


def _read_slowly(openssl: str, block: Block) -> X509 | Unreadable:
    reading = read(Command((openssl, "x509", "-noout", "-text", "-nameopt", UNAMBIGUOUS)), block.pem.encode())
    head = HEAD.search(reading.stdout.decode("latin-1"))
    if not reading.succeeded or head is None:
        check_works(openssl)
        return Unreadable("holds a certificate that openssl cannot read", block.pem)
    try:
        names = escaped_name(head["issuer"]), escaped_name(head["subject"])
        return _x509(head, names, parsed_extensions(openssl, block.der), block)
    except MismatchError:
        return Unreadable("holds a certificate with parts that contradict each other or make no sense", block.pem)


def _x509(head: re.Match[str], names: tuple[Name, Name], said: Extensions, block: Block) -> X509:
    return X509(
        version=int(head["version"]),
        serial=serial(head),
        signature_algorithm=head["signature"],
        issuer=names[0],
        subject=names[1],
        not_before=time(head["not_before"]),
        not_after=time(head["not_after"]),
        # Everything in the text before the extensions is openssl's own words, names apart, and those are escaped.
        public_key=public_key(head.string, head.end()),
        ca=said.ca,
        path_length=said.path_length,
        basic_constraints_critical=said.basic_constraints_critical,
        key_usage=said.key_usage,
        key_usage_critical=said.key_usage_critical,
        extended_key_usage=said.extended_key_usage,
        alt_names=said.alt_names,
        subject_key_id=said.subject_key_id,
        authority_key_id=said.authority_key_id,
        sha256=hashlib.sha256(block.der).hexdigest(),
        pem=block.pem,
    )


def read_request(openssl: str, pem: str) -> Request | Unreadable:
    """Read the first certificate signing request of *pem*."""
    block = next((one for one in pem_blocks(pem.encode("utf-8", "replace")) if one.is_request), None)
    if block is None:
        return Unreadable("holds no certificate request", pem)
    if block.fault:
        return Unreadable(block.fault, pem)
    reading = read(Command((openssl, "req", "-noout", "-text", "-nameopt", UNAMBIGUOUS)), block.pem.encode())
    text = reading.stdout.decode("latin-1")
    head = REQUEST_HEAD.search(text)
    if not reading.succeeded or head is None:
        check_works(openssl)
        return Unreadable("holds a certificate request that openssl cannot read", pem)
    signature = re.findall(r"^    Signature Algorithm: ([^\n]+)$", text, re.MULTILINE)
    try:
        said = requested_extensions(openssl, block.der)
        return Request(
            subject=escaped_name(head["subject"]),
            public_key=public_key(text, head.end()),
            signature_algorithm=signature[-1] if signature else "",
            alt_names=said.alt_names,
            key_usage=said.key_usage,
            extended_key_usage=said.extended_key_usage,
            ca=said.ca,
            pem=block.pem,
        )
    except MismatchError:
        return Unreadable("holds a certificate request with parts that contradict each other or make no sense", pem)
