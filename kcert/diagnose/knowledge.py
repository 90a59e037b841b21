"""What a log tells about the files that its program uses, for the proofs of later lines.

etcd prints its TLS files when it starts (``ClientTLS: cert = …, key = …, trusted-ca = …``), and Kubernetes' components
print their options with ``-v=1`` and more (``FLAG: --client-ca-file="…"``).
"""

from __future__ import annotations

import re

_MARKS = (b"trusted-ca = ", b"FLAG: --")
_ETCD = re.compile(r"cert = ([^,]*), key = ([^,]*), (?:[a-z-]+ = [^,]*, )*?trusted-ca = ([^,]*),")
_FLAG = re.compile(r"FLAG: --([a-z-]+)=\"?([^\"]+)")
_FLAGS = frozenset(
    (
        *(
            "client-ca-file",
            "tls-cert-file",
            "tls-private-key-file",
            "root-ca-file",
            "kubeconfig",
            "bootstrap-kubeconfig",
        ),
        *("etcd-cafile", "etcd-certfile", "etcd-keyfile", "cluster-signing-cert-file", "cluster-signing-key-file"),
        *("kubelet-certificate-authority", "kubelet-client-certificate", "kubelet-client-key"),
        *("service-account-key-file", "service-account-private-key-file", "service-account-signing-key-file"),
    )
)


def tells(line: bytes) -> bool:
    """True where it is worth while to look closer."""
    return any(mark in line for mark in _MARKS)


def files(text: str) -> dict[str, str]:
    """The files that a line names, by option; etcd's by the names of its options for clients."""
    if found := _ETCD.search(text):
        named = dict(zip(("cert-file", "key-file", "trusted-ca-file"), found.groups(), strict=True))
    elif found := _FLAG.search(text):
        named = {found[1]: found[2]} if found[1] in _FLAGS else {}
    else:
        return {}
    return {option: path for option, path in named.items() if path and path.isprintable()}
