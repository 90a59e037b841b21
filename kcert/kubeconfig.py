"""What a kubeconfig holds, as text: where the API server is, and who shows which certificate to it.

The reference is "Organizing Cluster Access Using kubeconfig Files" of the Kubernetes documentation; keys
stand in the order in which `kubectl config` writes them.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import PurePosixPath

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9._@:/\[\]-]*[A-Za-z0-9]")
_READ_AS_SOMETHING_ELSE = {"true", "false", "yes", "no", "on", "off", "null"}


@dataclass(frozen=True)
class Kubeconfig:
    """One cluster, one user and the context that joins them; ``ca``, ``crt`` and ``key`` are paths of PEM files."""

    cluster: str
    server: str
    user: str
    context: str
    ca: PurePosixPath
    crt: PurePosixPath
    key: PurePosixPath

    def embedded(self, base64_of: Callable[[PurePosixPath], str]) -> str:
        """The file's text with the three files inside it, each as *base64_of* gives it."""
        return self._text("-data", base64_of)

    def linked(self, path_of: Callable[[PurePosixPath], str]) -> str:
        """The file's text with the paths of the three files, each as *path_of* gives it."""
        return self._text("", lambda path: scalar(path_of(path)))

    def _text(self, data: str, value: Callable[[PurePosixPath], str]) -> str:
        cluster, user, context = scalar(self.cluster), scalar(self.user), scalar(self.context)
        return f"""\
apiVersion: v1
clusters:
- cluster:
    certificate-authority{data}: {value(self.ca)}
    server: {scalar(self.server)}
  name: {cluster}
contexts:
- context:
    cluster: {cluster}
    user: {user}
  name: {context}
current-context: {context}
kind: Config
preferences: {{}}
users:
- name: {user}
  user:
    client-certificate{data}: {value(self.crt)}
    client-key{data}: {value(self.key)}
"""


def scalar(text: str) -> str:
    """*text* in YAML: plain where it is read back as this text, in quotes where not (``"007"``, ``"no"``)."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _READ_AS_SOMETHING_ELSE
    return text if plain else json.dumps(text)


LARGEST = 1024 * 1024
"""Bytes; the largest kubeconfig that is read. The largest seen in the wild hold some hundred clusters."""


@dataclass(frozen=True)
class Embedded:
    """What a kubeconfig with one cluster and one user holds: the server, and three PEM files as bytes."""

    server: str
    ca: bytes
    crt: bytes
    key: bytes


def opened(content: bytes) -> Embedded | None:
    """What the kubeconfig *content* has embedded for its first cluster and user; None where it is no such file."""
    import yaml

    if len(content) > LARGEST:
        return None
    try:
        # Composed before it is constructed: what aliases would multiply is never built.
        if b"*" in content and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(content)):
            return None
        found = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader
        cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
        return Embedded(
            server=str(cluster["server"]),
            ca=base64.b64decode(cluster["certificate-authority-data"], validate=True),
            crt=base64.b64decode(user["client-certificate-data"], validate=True),
            key=base64.b64decode(user["client-key-data"], validate=True),
        )
    except (yaml.YAMLError, RecursionError, KeyError, IndexError, TypeError, ValueError):
        return None
