"""A message of a log, and its context: the server, the files and the kind of cluster that the lines name.

What journald, runtimes, JSON and copying add to the message is cut off. Known are journald (short, precise and ISO
times, months in any language; ``-o json``), syslog, CRI (``TIME stderr F text``), ``kubectl logs --timestamps`` and
``--prefix``, docker's json-file, docker compose, klog and zap in JSON, one field of an indented JSON object.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from kcert import clusters
from kcert.certificates import is_address

_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_PREFIXES = (
    re.compile(r"(?:\d{1,3}\.){3}\d{1,3}: (?=\{)"),  # talosctl logs
    re.compile(r"\[pod/(?P<program>[^\]\s/]+)/[^\]\s]*\] "),
    re.compile(r"(?P<program>[a-z][\w.-]{1,60}?)(?:[_-]\d+)? +\| "),  # docker compose
    re.compile(rf"{_TIME} (?:stdout|stderr) [FP](?::\S+)? "),
    re.compile(
        rf"(?:\w{{1,6}}\.? {{1,2}}\d{{1,2}} \d\d:\d\d:\d\d(?:\.\d+)?|{_TIME}) \S+ "
        r"(?P<program>[^\s:\[\]\"{}]+)(?:\[\d+\])?: "
    ),
    re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z "),
)
_FIELD = re.compile(r"\s*\"(?P<name>[\w.-]+)\":\s*(?P<value>\"(?:[^\"\\]|\\.)*\")\s*,?\s*")
_MESSAGES = ("MESSAGE", "msg", "message", "log")
_LEFT_OUT = {"ts", "level", "caller", "v", "stacktrace", "stream", "time", "logger", *_MESSAGES}
SEARCHED = 6000
"""Characters of a message that are searched: of a longer one, its beginning, its end and some between."""

_HINT = re.compile(r"x509|tls: |[Cc]ertificate |SSL|[Uu]nauthorized|forbidden")

_DEEPEST = 4
"""Logs within logs: docker's JSON around zap's JSON around a quoted error; no real one goes deeper."""

_COLORS = re.compile(r"(?:\x1b|\^\[|\\u001b|\\x1b|\\033|#033|\u2190)\[[0-9;]{0,16}[A-Za-z]")
_FRAME = re.compile(r"^[\s>]*[\u2500-\u257f]+ ?|\s*[\u2502\u2503]\s*$")
_AS_ASCII = str.maketrans(
    {
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2018\u2019\u201a\u201b", "'"),
        **dict.fromkeys("\u00a0\u2007\u202f", " "),
        "\ufeff": None,
    }
)
_ENTITIES = (("&quot;", '"'), ("&#34;", '"'), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_NEEDS_CLEANING = re.compile(rb"[\x80-\xff\x1b\0]|\^\[\[|&(?:quot|amp|lt|gt|#3[49]);|\\u001b|\\x1b\[|\\033\[|#033\[")


class Message(NamedTuple):
    """The text of a message on one line, and the program that wrote it, as far as the wrapping names it."""

    text: str
    program: str = ""


def clean(line: bytes) -> str:
    """Return the line as text, without colors and frames, with plain quotation marks in place of typographic ones."""
    text = line.decode(errors="replace").rstrip("\r\n")
    if not _NEEDS_CLEANING.search(line):
        return text
    text = _FRAME.sub("", _COLORS.sub("", text.replace("\0", ""))).translate(_AS_ASCII)
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    return text


def strip_prefix(line: bytes) -> Message:
    """Return the message of the program, with its quotation marks as they were before anything escaped them."""
    text, program = clean(line), ""
    for _ in range(_DEEPEST):
        bare, name = _without_prefix(text)
        program = program or name
        if bare.startswith("{") and bare.endswith("}"):
            bare, name = _from_json(bare)
            program = program or name
        elif field := _FIELD.fullmatch(bare):
            bare = _from_field(field, bare)
        if bare == text:
            break
        text = bare
    text = _unescape(text)
    return Message(text if len(text) <= SEARCHED else _shortened(text), program)


def _shortened(text: str) -> str:
    """The beginning and the end of a long message, and between them the text around the first word about TLS."""
    quarter = SEARCHED // 4
    hint = _HINT.search(text, quarter)
    middle = text[max(quarter, hint.start() - quarter // 2) : hint.start() + quarter] if hint else ""
    return f"{text[:quarter]} {middle} {text[-2 * quarter :]}"


def _without_prefix(text: str) -> tuple[str, str]:
    for prefix in _PREFIXES:
        if match := prefix.match(text):
            return text[match.end() :], match.groupdict().get("program") or ""
    return text, ""


def _from_field(field: re.Match[str], text: str) -> str:
    """A line of an indented object: the message alone, or NAME=VALUE as klog writes it."""
    try:
        value = str(json.loads(field["value"]))
    except ValueError:
        return text
    value = value.replace("\n", " ").replace("\t", " ")
    return value if field["name"] in _MESSAGES else f"{field['name']}={value}"


def _from_json(text: str) -> tuple[str, str]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return text, ""
    if not isinstance(fields, dict):
        return text, ""
    message = next((fields[name] for name in _MESSAGES if isinstance(fields.get(name), str)), "")
    if "MESSAGE" in fields or "log" in fields:
        unit = fields.get("_SYSTEMD_UNIT")
        return message.rstrip("\n") or text, unit.removesuffix(".service") if isinstance(unit, str) else ""
    rest = (f"{name}={_plain(value)}" for name, value in fields.items() if name not in _LEFT_OUT)
    return " ".join((message, *rest)).strip() or text, ""


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _unescape(text: str) -> str:
    for _ in range(_DEEPEST):
        if '\\"' not in text:
            return text
        text = text.replace("\\\\", "\\").replace('\\"', '"')
    return text


ADDRESS, GRPC, KIND, ROLES = "address", "grpc", "kind", "roles"
"""Names of the values in ``LogMatch.known``.

The address that the log named last, and the one in gRPC's lines before "}. Err: ..."; the kind of cluster that the log
named last; and the roles of the certificates in the PKI folder that kcert made here.
"""

KCERT_FOLDER = "kcert"
"""The kind of a PKI folder that kcert made."""

_SERVER_LOG = re.compile(
    r"rejected connection|client SSL certificate verify error|"
    r"TLS handshake error (?:from|error=)|security handshake from|client'?s? certificate:|"
    r"[Uu]nable to authenticate the request|verifying certificate SN=|tls_process_client_certificate|"
    r"peer did not return a certificate"
)
"""A server writes about the certificate of its client; everything else is a client's view of a server."""

_ABOUT_PROVIDER = re.compile(r"openid-configuration|fetching keys|get keys failed")
"""The API server writes about its identity provider, which is a server, in the same line as about a token."""

_CALLER = re.compile(
    r"(?:(?:rejected connection(?: on \w+ endpoint)?|TLS handshake error|security handshake) from|remote-addr=)\s*\"?"
    r"(\d[\d.]+|\[?[0-9a-fA-F:]*:[0-9a-fA-F:]*\]?):\d+\b"
)
SERVER_NAME = re.compile(r"(?:server-name=|ServerName )\"?([\w.-]{1,253})")
"""The name by which a client asked etcd for its certificate (SNI)."""

_ADDRESSES = (
    re.compile(r"[Ff]ailed\sto\sdial\s\"?(?:(https?)://)?([^\s/\",]+:\d+)"),
    re.compile(r"\b(?:Get|Post|Put|Patch|Delete|Head|Watch|List|GET|POST|PUT|HEAD) \"?(https?)://([^\s/\"?]+)"),
    re.compile(r"connect to \{(?:Addr: \")?(?:(https?)://)?([^\s{}\",]+:\d+)"),
    re.compile(r"\bdial(?:ing)?:?\s(?:dial\s)?(tcp)[46]?\s([^\s,\"]+:\d+)"),
    re.compile(r"\b(?:address|endpoint|remote-peer-url|target)=\"?(?:(https?)://)?([^\s\"/]+:\d+)"),
    re.compile(r"\btarget=(etcd-endpoints|endpoint)://[^\s/]*/(?:#initially=)?\[?([^\s/,;\]]+:\d+)"),
    re.compile(r"HTTPSConnectionPool\((host)='([^']+)'"),
    re.compile(r"\b(connection) to ([\w.-]+:\d+)"),
    re.compile(r"(?<!\bsee )(?<!\bsee: )(https)://([^\s/\"'?\])<>,;]+?):?(?=[\s/\"'?\])<>,;]|$)"),
)
_PORT = re.compile(r"port=(\d{1,5})")
_KUBECTL = "Unable to connect to the server"
"""kubectl's last words name no server, and the lines before them do."""

_BY_PROXY = "proxyconnect tcp: "
"""The address in such a line is that of the server behind the proxy."""

_ONE_PORT = ("kubelet", "etcd", "etcd-peer")
"""Targets whose port is the same in every cluster, so that an IP address in an error is enough to reach them."""

_CHECKED = re.compile(r"error (\S.*): verification failed\s*")
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\])(?::\d{1,5})?")
OPTIONS = (b"trusted-ca = ", b"FLAG: --", b'"Addr')
"""Every line in which a program names its files (etcd's ``trusted-ca = ``, ``FLAG: --`` of components) has one.

So has gRPC's line with the address that an error some lines further on is about.
"""

_ETCD_FILES = re.compile(r"cert = ([^,]*), key = ([^,]*), (?:[a-z-]+ = [^,]*, )*?trusted-ca = ([^,]*),")
_OPTION = re.compile(r"FLAG: --([a-z-]+)=\"?([^\"]+)")
_GRPC_ADDRESS = re.compile(r"Addr=([^\s/,]+:\d+)")
_GRPC_END = "}. Err"
_FILE_OPTIONS = frozenset(("client-ca-file", "tls-cert-file", "tls-private-key-file"))


@dataclass(frozen=True)
class Target:
    """The program that presents the certificate in question, or answers: an entry of ``targets.yaml``.

    ``fixes`` maps what has to be done (``renew``, ``names``, ``trust``) to commands by kind of cluster.
    """

    name: str
    noun: str = "the server"
    patterns: tuple[re.Pattern[str], ...] = ()
    port: str = ""
    role: str = ""
    component: str = ""
    note: str = ""
    fixes: Mapping[str, Mapping[str, str]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class LogMatch:
    """A message in which a pattern of a cause matches, with everything that is known around it.

    ``around`` are the messages of the lines before and after it, ``known`` the files, the address and the kind of
    cluster that earlier lines named.
    """

    message: Message
    match: re.Match[str]
    targets: Iterable[Target]
    around: tuple[str, str] = ("", "")
    known: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The message."""
        return self.message.text

    def word(self, name: str) -> str:
        """Return what the pattern's group *name* matched; empty for nothing, or for something that is not printable."""
        value = self.match.groupdict().get(name) or ""
        return value.strip() if value.isprintable() else ""

    @cached_property
    def server_log(self) -> bool:
        """True if a server writes about a client's certificate."""
        if _ABOUT_PROVIDER.search(self.text):
            return False
        return bool(_SERVER_LOG.search(self.text) or "tls_process_client_certificate" in self.around[1])

    @cached_property
    def caller(self) -> str:
        """The address of the client that a server writes about, without its port, which differs each time."""
        match = _CALLER.search(self.text)
        return match[1].strip("[]") if match else ""

    @cached_property
    def context(self) -> str:
        """The program and its message, without the port of a client, which says nothing about the server."""
        return context_of(self.message)

    @cached_property
    def target(self) -> Target:
        """Return the first target of the table that the message is about, or the program that wrote it."""
        address = self._named
        context = f"{self.context} https://{address}/" if address else self.context
        for target in self.targets:
            if any(pattern.search(context) for pattern in target.patterns):
                return target
        return Target("server")

    @cached_property
    def _named(self) -> str:
        """The address in the message, or in the lines that gRPC wrote before it."""
        return address_of(self.text) or (self.known.get(GRPC, "") if self.text.startswith(_GRPC_END) else "")

    @cached_property
    def address(self) -> str:
        """The HOST:PORT that the client connected to; empty if the log does not say."""
        if _BY_PROXY in self.text:
            return ""
        if self._named:
            return self._named
        if self.text.startswith(_KUBECTL):
            return self.known.get(ADDRESS, "")
        name, port = self.word("name"), self.target.port
        if port and self.target.name in _ONE_PORT and is_address(name) and not self.server_log:
            return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
        return ""

    @cached_property
    def checked(self) -> str:
        """The file that `openssl verify` names in the line after its reason."""
        match = _CHECKED.fullmatch(self.around[1])
        return match[1] if match and match[1].isprintable() else ""

    def file(self, *options: str) -> str:
        """Return the file that one of *options* named earlier in the log; empty if none did."""
        return next((self.known[option] for option in options if self.known.get(option)), "")


def context_of(message: Message) -> str:
    """Return the program and its message, without the port of a client."""
    text = _CALLER.sub(lambda match: match[0].rpartition(":")[0], message.text)
    return f"{message.program}: {text}"


def address_of(text: str) -> str:
    """Return the HOST:PORT that the writer of a line connected to; empty if the line does not say."""
    for pattern in _ADDRESSES:
        match = pattern.search(text)
        if match and _HOST.fullmatch(match[2]):
            if re.search(r":\d+$", match[2]):
                return match[2]
            if match[1] == "host":
                port = _PORT.search(text)
                return f"{match[2]}:{port[1] if port else '443'}"
            return match[2] + (":80" if match[1] == "http" else ":443")
    return ""


def kind_of_machine(root: Path = Path("/")) -> str:
    """Return the kind of cluster that is installed here; kcert beside a PKI folder of kcert, empty for neither."""
    folder = Path(os.environ.get("KCERT_DIR") or "pki")
    try:
        if (folder / ".kcert").is_dir():
            return KCERT_FOLDER
        kind = clusters.kind_of_machine(root, [Path.home()])
        return kind.name if kind else ""
    except (OSError, RuntimeError):
        return ""


def options_in(text: str) -> dict[str, str]:
    """Return the files that a line names, by option; etcd's by the names of its options for clients."""
    if match := _ETCD_FILES.search(text):
        named = dict(zip(("cert-file", "key-file", "trusted-ca-file"), match.groups(), strict=True))
    elif match := _GRPC_ADDRESS.fullmatch(text):
        return {GRPC: match[1]}
    elif match := _OPTION.search(text):
        named = {match[1]: match[2]} if match[1] in _FILE_OPTIONS else {}
    else:
        return {}
    return {option: path for option, path in named.items() if path and path.isprintable()}
