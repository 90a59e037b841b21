"""The files that a program names when it starts, for the proofs of later lines.

etcd prints its TLS files (``ClientTLS: cert = …, key = …, trusted-ca = …``), and Kubernetes' components print their
options with ``-v=1`` and more (``FLAG: --client-ca-file="…"``).
"""

from __future__ import annotations

import re

OPTIONS = (b"trusted-ca = ", b"FLAG: --")
"""Every line that names files holds one of these."""

_ETCD = re.compile(r"cert = ([^,]*), key = ([^,]*), (?:[a-z-]+ = [^,]*, )*?trusted-ca = ([^,]*),")
_FLAG = re.compile(r"FLAG: --([a-z-]+)=\"?([^\"]+)")
_FLAGS = frozenset(("client-ca-file", "tls-cert-file", "tls-private-key-file"))


def options_in(text: str) -> dict[str, str]:
    """Return the files that a line names, by option; etcd's by the names of its options for clients."""
    if match := _ETCD.search(text):
        named = dict(zip(("cert-file", "key-file", "trusted-ca-file"), match.groups(), strict=True))
    elif match := _FLAG.search(text):
        named = {match[1]: match[2]} if match[1] in _FLAGS else {}
    else:
        return {}
    return {option: path for option, path in named.items() if path and path.isprintable()}
