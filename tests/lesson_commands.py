"""The command lines inside the lessons, and how each kind of them is checked."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from kcert import lessons
from kcert.ui.explain import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DESIGNED = _words(
    "init plan ca client etcd apiserver kubelet service-account all kubeconfig flags bundle export call show inventory "
    "check renew csr logs diagnose history explain practice doctor bootstrap encryption-config completion help "
    "version"
)
"""Every command that kcert has or will have."""

RULES = _words(
    "expired not-yet-valid expiring-soon wrong-issuer issuer-expires-first not-a-ca missing-san san-type "
    "missing-server-auth missing-client-auth wrong-cn wrong-organization group-in-ou key-mismatch weak-key "
    "weak-signature version-1 key-permissions missing-file unreadable self-signed-leaf shared-key duplicate-serial "
    "powerful-user kubeconfig-server-not-in-san kubeconfig-wrong-ca service-cidr-mismatch wrong-ca-option "
    "wrong-certificate-option missing-option"
)
"""Every rule of `kcert check`."""


PROGRAMS = _words(
    "openssl kcert kubectl etcdctl curl cat base64 tr tar sha256sum journalctl crictl docker ps grep sed easyrsa cfssl "
    "cfssljson kubeadm eval export cp mv rm head ls stat ansible-playbook"
)
"""Every program that a lesson may tell a reader to start."""


def lines(topic: str) -> Iterator[str]:
    """The command lines of a lesson, without comments."""
    for kind, shown in blocks(lessons.lesson(topic).sections.get("Command", "")):
        if kind == "code":
            yield from (line for line in shown if line and not line.startswith("#"))


def programs(line: str) -> tuple[str, ...]:
    """The programs that a line starts, in order."""
    parts = shlex.shlex(line, posix=True, punctuation_chars="|<>;&")
    parts.whitespace_split = True
    found, begins = [], True
    for word in parts:
        if begins:
            found.append(word)
        begins = word == "|"
    return tuple(found)
