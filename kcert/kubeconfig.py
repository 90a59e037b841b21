"""The text of kubeconfigs: the URL of the API server, and the certificate that the user presents.

The reference is "Organizing Cluster Access Using kubeconfig Files" of the Kubernetes documentation; keys
are in the order in which `kubectl config` writes them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import Literal, cast, get_args

from kcert.files import LARGEST_DOCUMENT

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
    """Return *text* in YAML: plain if it is read back as this text, else in quotes (``"007"``, ``"no"``)."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _READ_AS_SOMETHING_ELSE
    return text if plain else json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True)
class Embedded:
    """The content of a kubeconfig with one cluster and one user: name and server, and three PEM files as bytes."""

    cluster: str
    server: str
    ca: bytes
    crt: bytes
    key: bytes


def opened(content: bytes) -> Embedded | None:
    """Return the parts that *content* has embedded for its first cluster and user; None if it is not a kubeconfig."""
    if len(content) > LARGEST_DOCUMENT:
        return None
    from kcert import plain_yaml  # most certificates are not in kubeconfigs

    try:
        document = plain_yaml.load(content)
        named, user = document["clusters"][0], document["users"][0]["user"]
        cluster = named["cluster"]
        return Embedded(
            cluster=str(named.get("name", "")),
            server=str(cluster["server"]),
            ca=base64.b64decode(cluster["certificate-authority-data"], validate=True),
            crt=base64.b64decode(user["client-certificate-data"], validate=True),
            key=base64.b64decode(user["client-key-data"], validate=True),
        )
    except (plain_yaml.NotPlainError, KeyError, IndexError, TypeError, ValueError):
        return None


Part = Literal["certificate-authority", "client-certificate", "client-key"]
"""The parts that a kubeconfig can have embedded, named as its keys are (which end in ``-data``)."""

_DATA = re.compile(
    rb"""(certificate-authority|client-certificate|client-key)-data["']?[ \t]*:[ \t]*["']?([A-Za-z0-9+/=]+)"""
)


@dataclass(frozen=True)
class Swap:
    """Replace each embedded *part* that looks like one of ``old`` (base64) with the file ``new``."""

    part: Part
    old: tuple[str, ...] = field(repr=False)
    new: PurePosixPath


def embedded_data(content: bytes) -> list[tuple[Part, str]]:
    """Every embedded file of a kubeconfig, YAML or JSON: which part it is, and its base64, in the order of the file."""
    return [(cast("Part", match[1].decode()), match[2].decode()) for match in _DATA.finditer(content)]


def swapped(content: bytes, swaps: Iterable[Swap], base64_of: Callable[[PurePosixPath], str]) -> bytes:
    """*content* with new files, as *base64_of* gives them, in the place of old ones; no other byte changes."""
    new = {(swap.part, old): swap.new for swap in swaps for old in swap.old}

    def replaced(match: re.Match[bytes]) -> bytes:
        path = new.get((cast("Part", match[1].decode()), match[2].decode()))
        if path is None:
            return match[0]
        return match[0][: -len(match[2])] + base64_of(path).encode("ascii")

    return _DATA.sub(replaced, content)


def read_command(path: PurePath, part: Part, user: str = "") -> tuple[str, ...]:
    """Return the command of kubectl that prints *part* of the kubeconfig *path*, of its first entry or of *user*."""
    which = f'?(@.name=="{user}")' if user else "0"
    entry = "clusters[0].cluster" if part == "certificate-authority" else f"users[{which}].user"
    return ("kubectl", "config", "view", "--raw", "--kubeconfig", str(path), "-o", f"jsonpath={{.{entry}.{part}-data}}")


def write_commands(path: PurePath, content: bytes, swaps: Iterable[Swap]) -> list[tuple[str, ...]]:
    """Return the commands of kubectl that do to the kubeconfig *path*, which holds *content*, what ``swapped`` does."""
    from kcert import plain_yaml

    new = {(swap.part, old): swap.new for swap in swaps for old in swap.old}
    commands: list[tuple[str, ...]] = []
    try:
        document = plain_yaml.load(content)
        for section, key, verb in (("users", "user", "set-credentials"), ("clusters", "cluster", "set-cluster")):
            for entry in document.get(section) or ():
                changes = ((part, new.get((part, entry[key].get(f"{part}-data", "")))) for part in get_args(Part))
                options = [word for part, file in changes if file for word in (f"--{part}", str(file))]
                if options:
                    named = ("kubectl", "config", verb, str(entry["name"]), "--kubeconfig", str(path))
                    commands.append((*named, *options, "--embed-certs=true"))
    except (plain_yaml.NotPlainError, KeyError, TypeError, AttributeError):
        return []  # kubectl cannot read it either
    return commands


def kubeconfigs_in(root: Path) -> list[Path]:
    """The files below the PKI folder *root* that are called like kubeconfigs; links and hidden ones apart."""
    return sorted(
        path
        for pattern in ("*.kubeconfig", "*.conf")
        for path in root.rglob(pattern)
        if not path.is_symlink()
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
