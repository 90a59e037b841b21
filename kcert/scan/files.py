"""What one file holds: certificates, keys, something else, or nothing that anybody can read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kcert.openssl.pem import Block, is_der, pem_blocks
from kcert.scan.documents import as_utf8
from kcert.scan.fs import Content, ReadError, read_file

if TYPE_CHECKING:
    from pathlib import Path

_OBJECT = (
    rb"(?:Secret|ConfigMap|(?:Validating|Mutating)WebhookConfiguration|APIService|CustomResourceDefinition|)(?:List)?"
)
_DOCUMENT = re.compile(
    rb"^[ \t]*kind:[ \t]*[\"']?" + _OBJECT + rb"[\"']?[ \t]*\r?$|\"kind\":[ \t]*\"" + _OBJECT + rb"\"|"
    rb"^[ \t]*\"?kind\"?[ \t]*:[ \t]*[\"']?(Config|Pod|WebhookAdmission"
    rb"|(?:Kubelet|KubeProxy|KubeScheduler|Admission|WebhookAdmission|Authorization|EgressSelector)Configuration)\b"
    rb"|^(?:clusters|imagePolicy|(?:client|peer)-transport-security):",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Inside:
    """A file as far as certificates go.

    ``certificates`` are PEM blocks, each by itself; ``faults`` say what is wrong with the damaged ones; ``key`` is the
    file's first private key and ``public_key`` its public ones, as PEM; ``text`` is kept for units and YAML alone.
    """

    certificates: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    key: bytes | None = field(default=None, repr=False)
    encrypted: bool = False
    public_key: bytes | None = None
    labels: tuple[str, ...] = ()
    mode: int = 0
    identity: tuple[int, int] = (0, 0)
    trouble: ReadError | None = None
    nothing: str | None = None
    text: bytes | None = field(default=None, repr=False)

    @property
    def why_no_certificate(self) -> str:
        """A clause that can follow the path of a file in which a certificate should be."""
        if self.trouble:
            return self.trouble.reason
        if self.faults:
            return self.faults[0]
        if self.nothing:
            return self.nothing
        if self.labels:
            return f"contains no certificate, but a {self.labels[0].lower()}"
        return "is not PEM: no line in it begins a certificate"


def look_into(path: Path) -> Inside:
    """Read *path* and tell what is inside."""
    read = read_file(path)
    if isinstance(read, ReadError):
        return Inside(trouble=read)
    return inside(read)


def inside(content: Content) -> Inside:
    """What a file's content holds."""
    data, mode, identity = content.data, content.mode, content.identity
    if not data.strip():
        return Inside(nothing="is empty", mode=mode, identity=identity)
    if is_der(data):
        return Inside(nothing="is DER, not PEM, which Kubernetes does not read", mode=mode, identity=identity)
    start = as_utf8(data[:1_000_000])
    if _DOCUMENT.search(start) or (b"[Service]" in data and b"ExecStart" in data):
        return Inside(text=data, mode=mode, identity=identity)
    blocks = pem_blocks(data)
    certificates = [block for block in blocks if block.is_certificate]
    keys = [block for block in blocks if block.is_key and block.recognized]
    public = [block.pem for block in blocks if block.is_public_key and not block.fault]
    return Inside(
        certificates=tuple(block.pem for block in certificates if not block.fault),
        faults=tuple(block.fault for block in blocks if block.fault),
        key=_key_pem(data, keys[0]) if keys else None,
        encrypted=bool(keys and keys[0].encrypted),
        public_key="".join(public).encode() or None,
        labels=tuple(block.label for block in blocks),
        mode=mode,
        identity=identity,
    )


def _key_pem(data: bytes, key: Block) -> bytes:
    # The headers of an encrypted PKCS#1 key are no part of its DER: only the file's own text will do for openssl.
    return data if key.encrypted else key.pem.encode()
