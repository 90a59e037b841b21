"""What a cause is: how programs word it, and what it means.

A cause is a function that fits ``Judge``, and one ``Cause`` in its module's ``CAUSES``; ``kcert.diagnose`` gathers the
modules. To add one: write the function, add the ``Cause`` with its wordings, and name the lesson.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from kcert.diagnose.commands import API_SERVER, ETCD_PEER
from kcert.diagnose.unwrapping import unwrap

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Wording:
    """One way in which a program says it.

    ``mark`` is plain text, whole words without quotation marks, that every such line holds: by its longest word kcert
    passes over all other lines quickly. ``pattern`` is a regular expression with named groups for what the line tells;
    without one, the mark is all there is to find.
    """

    mark: str
    pattern: str = ""

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """The pattern, ready to search with."""
        return re.compile(self.pattern or re.escape(self.mark))


@dataclass(frozen=True)
class Meaning:
    """What a line means.

    ``cause`` is one sentence. ``proof`` and ``repair`` are text for bash: commands, each with all that the log told
    filled in and quoted, and comments where something has to be chosen or done by hand.
    """

    cause: str
    proof: str
    repair: str


# Who is judged: a server's log tells of the certificates of clients, a client's of the server's.
_BY_SERVER = re.compile(
    r"rejected connection|TLS handshake error from|client'?s? certificate:|[Uu]nable to authenticate the request|"
    r"verifying certificate SN="
)
_CALLER = re.compile(
    r"(?:rejected connection from|TLS handshake error from|remote-addr=)\s*\"?"
    r"(\d[\d.]+|\[?[0-9a-fA-F:]*:[0-9a-fA-F:]*\]?):\d+\b"
)
_DIALLED = (
    re.compile(r"\b(?:Get|Post|Put|Patch|Delete|Head|Watch|List) \"?(https?)://([^\s/\"?]+)"),
    re.compile(r"connect to \{(?:Addr: \")?(?:(https?)://)?([^\s{}\",]+:\d+)"),
    re.compile(r"\bdial(?:ing)?:? (?:dial )?(tcp)[46]? ([^\s,\"]+:\d+)"),
    re.compile(r"\b(?:address|endpoint|remote-peer-url|target)=\"?(?:(https?)://)?([^\s\"/]+:\d+)"),
    re.compile(r"\btarget=(etcd-endpoints|endpoint)://[^\s/]*/([^\s/]+:\d+)"),
    re.compile(r"(https)://([^\s/\"?\]]+)"),
)
DIALLED = "dialled"
"""Under this name ``Saying.known`` holds the address that the log named last."""

_KUBECTL = "Unable to connect to the server"
"""kubectl's last words name no server, and the lines before them do."""

_OF_A_PEER = re.compile(r"\bremote-(?:peer|member)-id=|\b(?:health check for|prober detected|failed to reach the) peer")
_CHECKED = re.compile(r"error (\S.*): verification failed\s*")
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\])(?::\d{1,5})?")


@dataclass(frozen=True)
class Saying:
    """A line in which a wording was found, without what the log put around it.

    ``around`` are the lines before and behind it as they stand in the log, ``known`` the files that the log named
    earlier, by the option that names them.
    """

    text: str
    found: re.Match[str]
    around: tuple[bytes, bytes] = (b"", b"")
    known: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def before(self) -> str:
        """What the line before says."""
        return unwrap(self.around[0])

    @cached_property
    def after(self) -> str:
        """What the line behind says."""
        return unwrap(self.around[1])

    def word(self, name: str) -> str:
        """What the wording's group *name* found; empty where it found nothing, or something that cannot be printed."""
        value = self.found.groupdict().get(name) or ""
        return value if value.isprintable() else ""

    @cached_property
    def client_is_judged(self) -> bool:
        """True where a server speaks of a client's certificate; else a client speaks of the server's."""
        return bool(_BY_SERVER.search(self.text) or "tls_process_client_certificate" in self.after)

    @cached_property
    def caller(self) -> str:
        """The address of the client that a server speaks of, without its port, which no other connection will have."""
        found = _CALLER.search(self.text)
        return found[1].strip("[]") if found else ""

    @cached_property
    def dialled(self) -> str:
        """The HOST:PORT that the line's writer connected to; empty where the line does not say."""
        if self.text.startswith(_KUBECTL):
            return self.known.get(DIALLED, "")
        return dialled(self.text)

    @property
    def stand_in(self) -> str:
        """The address to try where the line names none: the API server's, or where etcd speaks of a peer, a peer's."""
        return ETCD_PEER if _OF_A_PEER.search(self.text) else API_SERVER

    @cached_property
    def checked(self) -> str:
        """The file that `openssl verify` names in the line behind its reason."""
        found = _CHECKED.fullmatch(self.after)
        return found[1] if found and found[1].isprintable() else ""

    def file(self, *options: str) -> str:
        """The file that one of *options* named earlier in the log; empty where none did."""
        return next((self.known[option] for option in options if self.known.get(option)), "")


def dialled(text: str) -> str:
    """The HOST:PORT that the writer of a line connected to; empty where the line does not say."""
    for pattern in _DIALLED:
        found = pattern.search(text)
        if found and _HOST.fullmatch(found[2]):
            port = "" if re.search(r":\d+$", found[2]) else ":80" if found[1] == "http" else ":443"
            return found[2] + port
    return ""


class Judge(Protocol):
    """Says what a line means; None where it is not about certificates or access after all."""

    def __call__(self, saying: Saying, /) -> Meaning | None:
        """Judge the line."""


@dataclass(frozen=True)
class Cause:
    """One cause: its name, the topic of its lesson, how programs word it, and who says what that means."""

    name: str
    lesson: str
    wordings: tuple[Wording, ...]
    judge: Judge
