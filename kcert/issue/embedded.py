"""Which kubeconfigs of a PKI folder have which certificates inside, so that these can follow when one is renewed."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kcert.files import LARGEST_DOCUMENT, read_regular
from kcert.issue.steps import Step, update_kubeconfigs
from kcert.kubeconfig import Swap, embedded_data, kubeconfigs_in
from kcert.openssl.pem import pem_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kcert.certificates import Certificate
    from kcert.kubeconfig import Part
    from kcert.openssl.x509 import X509


@dataclass
class Kubeconfigs:
    """Every embedded certificate and key, by its hash: the file that it is in, and the base64 that it is there."""

    _places: dict[tuple[Part, str], list[tuple[PurePosixPath, str]]] = field(default_factory=dict)

    @classmethod
    def below(cls, root: Path) -> Kubeconfigs:
        """Those of the PKI folder *root*; what cannot be read is none."""
        found = cls()
        for path in kubeconfigs_in(root) if root.is_dir() else ():
            try:
                content = read_regular(path, LARGEST_DOCUMENT)
            except OSError:
                continue
            name = PurePosixPath(path.relative_to(root))
            for part, token in embedded_data(content):
                for digest in _digests(part, token):
                    found._places.setdefault((part, digest), []).append((name, token))
        return found

    def of_leaf(
        self, certificate: Certificate, old: X509 | None, old_key: bytes | None, *, rewrites_own: bool
    ) -> Step | None:
        """Return the step that updates the kubeconfigs with *old* inside when *certificate* replaces it.

        *old_key* is the key that goes (None: it stays); with *rewrites_own* its own kubeconfig is written otherwise.
        """
        if old is None:
            return None
        files = certificate.files
        assert files.crt
        places = [
            (path, token)
            for path, token in self._places.get(("client-certificate", old.sha256), ())
            if not (rewrites_own and path == files.kubeconfig)
        ]
        if not places:
            return None
        paths = dict.fromkeys(path for path, _ in places)
        swaps = [Swap("client-certificate", _tokens(places), files.crt)]
        keys = [
            (path, token)
            for digest in (_digests("client-key", base64.b64encode(old_key).decode()) if old_key else ())
            for path, token in self._places.get(("client-key", digest), ())
            if path in paths
        ]
        if keys:
            swaps.append(Swap("client-key", _tokens(keys), files.key))
        return update_kubeconfigs(tuple(paths), tuple(swaps), own_key=files.kubeconfig is not None)

    def of_ca(self, certificate: Certificate, old: Iterable[X509]) -> Step | None:
        """Return the step that updates the kubeconfigs when the file of a CA changes, in which *old* were."""
        assert certificate.files.crt
        places = [place for one in old for place in self._places.get(("certificate-authority", one.sha256), ())]
        if not places:
            return None
        paths = tuple(sorted({path for path, _ in places}))
        return update_kubeconfigs(paths, (Swap("certificate-authority", _tokens(places), certificate.files.crt),))


def _tokens(places: Iterable[tuple[PurePosixPath, str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(token for _, token in places))


def _digests(part: Part, token: str) -> list[str]:
    """The SHA-256 of each thing that *token* holds; of a client's certificates the first alone is his."""
    try:
        content = base64.b64decode(token, validate=True)
    except (binascii.Error, ValueError):
        return []
    wanted = [
        block for block in pem_blocks(content) if (block.is_key if part == "client-key" else block.is_certificate)
    ]
    hashed = [hashlib.sha256(block.der).hexdigest() for block in wanted if block.der]
    return hashed if part == "certificate-authority" else hashed[:1]
