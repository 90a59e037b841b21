"""kcert.yaml: read, checked value by value, and turned into a ``Cluster``.

The file is read as YAML's node graph: each error names its line, and YAML's own reading would silently take the last
of two equal keys.
"""

from __future__ import annotations

import ipaddress
import os
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar, cast

from kcert.certificates import AltName, Key
from kcert.config import (
    STABLE,
    ApiServer,
    Cluster,
    Defaults,
    Host,
    Lifetimes,
    User,
    Version,
    check_address,
    check_context_name,
    check_dns_name,
    check_group_name,
    check_host_name,
    check_machines,
    check_network,
    check_services,
    check_user_name,
    release,
)
from kcert.errors import InputError, did_you_mean, sentence
from kcert.files import LARGEST_DOCUMENT, open_at_once
from kcert.quoting import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import yaml

_TYPES = {
    "tag:yaml.org,2002:str": "text",
    "tag:yaml.org,2002:int": "a number",
    "tag:yaml.org,2002:float": "a number with a fraction",
    "tag:yaml.org,2002:bool": "yes or no",
    "tag:yaml.org,2002:null": "nothing",
    "tag:yaml.org,2002:seq": "a list",
    "tag:yaml.org,2002:map": "a group of keys",
    "tag:yaml.org,2002:timestamp": "a date",
}


@dataclass(frozen=True)
class Value:
    """One place in the file: the YAML node, its line, and its name in messages."""

    node: yaml.Node
    path: str
    file: Path

    @property
    def line(self) -> int:
        """The line of the file, counted from 1."""
        return int(self.node.start_mark.line) + 1

    @property
    def kind(self) -> str:
        """Return what YAML takes it for, in words."""
        return _TYPES.get(self.node.tag, self.node.tag)

    @property
    def shown(self) -> str:
        """The value as messages show it, with nothing in it that could upset a terminal."""
        text = str(self.node.value) if isinstance(self.node.value, str) else self.kind
        return ascii(text if len(text) <= 80 else text[:77] + "...")

    def refuse(self, why: str) -> InputError:
        """The error that this value cannot be taken."""
        where = f"{self.path}: " if self.path else ""
        return InputError(f"{self.file}:{self.line}: {where}{sentence(why)}")

    def text(self, reason: Callable[[str], str | None]) -> str:
        """The value as text for which *reason* finds nothing to say."""
        if self.kind in ("a list", "a group of keys"):
            raise self.refuse(f"expected one value, got {self.kind}")
        value = str(self.node.value)
        if self.kind != "text":
            raise self.refuse(f"expected text, but YAML reads {self.shown} as {self.kind} (write it in quotes)")
        if why := reason(value):
            raise self.refuse(f"{self.shown} is not valid: {why}")
        return value

    def number(self, least: int, most: int, unit: str) -> int:
        """The value as a whole number from *least* to *most*."""
        accepted = f"expected a whole number from {least} to {most} ({unit})"
        if self.kind != "a number":
            raise self.refuse(f"{self.shown} is {self.kind}; {accepted}")
        digits = str(self.node.value)
        # YAML 1.1 also reads 017, 0x1F, 1_000 and 1:30 as numbers, and not as they look: only plain ones are taken.
        plain = digits.isascii() and digits.isdigit() and (digits == "0" or not digits.startswith("0"))
        if not plain or len(digits) > 9 or not least <= int(digits) <= most:
            raise self.refuse(f"{self.shown} is not valid; {accepted}")
        return int(digits)

    def yes_or_no(self) -> bool:
        """The value as true or false."""
        if self.kind != "yes or no":
            raise self.refuse(f"{self.shown} is not valid; expected true or false")
        return str(self.node.value).lower() in ("true", "yes", "on", "y")

    def choice(self, accepted: tuple[str, ...]) -> str:
        """The value as one of *accepted*."""
        return self.text(lambda value: None if value in accepted else f"expected one of {', '.join(accepted)}")

    def items(self) -> list[Value]:
        """The values of a list; none for a key that is there without a value."""
        if self.kind == "nothing":
            return []
        if self.kind != "a list":
            raise self.refuse(f"expected a list, got {self.kind}")
        return [Value(node, f"{self.path}[{count}]", self.file) for count, node in enumerate(self.node.value)]

    def one_or_more(self) -> list[Value]:
        """One value or a list of them."""
        values = self.items() if self.kind == "a list" else [self]
        if not values:
            raise self.refuse("the list is empty; expected at least one value")
        return values

    def fields(self, known: tuple[str, ...]) -> dict[str, Value]:
        """The values of a group of keys, of which only those in *known* may occur, each once."""
        if self.kind != "a group of keys":
            raise self.refuse(f"expected a group of keys ({', '.join(known)}), got {self.kind}")
        fields: dict[str, Value] = {}
        for key_node, value_node in self.node.value:
            key = Value(key_node, self.path or "key", self.file)
            name = str(key_node.value)
            if key.kind != "text" or name not in known:
                raise key.refuse(f"unknown key {key.shown}{_nearest(name, known)}")
            path = f"{self.path}.{name}" if self.path else name
            if name in fields:
                raise Value(key_node, path, self.file).refuse(f"duplicate key, first in line {fields[name].line}")
            fields[name] = Value(value_node, path, self.file)
        return fields


def _nearest(name: str, known: tuple[str, ...]) -> str:
    accepted = ", ".join(known)
    return f"; {did_you_mean(name, known, f'expected {accepted}', 1)}"


LONGEST_LIFE = 36500  # days: a hundred years
CURVES = ("P-256", "P-384")

Built = TypeVar("Built")


def read(path: Path | None, defaults: Mapping[str, Defaults]) -> Cluster:
    """Return the cluster that the file at *path* describes; without a file (None) the built-in example.

    *defaults* holds what each known profile fills in. Raises InputError, which names the file, the line, the value and
    what would be accepted.
    """
    return _cluster({}, None, defaults) if path is None else parse(_read(path), path, defaults)


def parse(text: str, path: Path, defaults: Mapping[str, Defaults]) -> Cluster:
    """Return the cluster that *text* describes, the content of the file at *path*; raises InputError as ``read``."""
    root = _composed(text, path)
    return _cluster(root.fields(_KEYS) if root else {}, path, defaults)


def _read(path: Path) -> str:
    try:
        # It may be a pipe, as in `--config <(generator)`, or a device without end: so much is read, and no more.
        with open_at_once(path) as file:
            content = file.read(LARGEST_DOCUMENT + 1)
            piped = stat.S_ISFIFO(os.fstat(file.fileno()).st_mode)
        if len(content) > LARGEST_DOCUMENT:
            raise InputError(f"{path} is larger than {LARGEST_DOCUMENT} bytes, which is too large for a kcert.yaml.")
        if piped and not content:
            # An empty file means the built-in example; a program that failed, or was never started, does not.
            raise InputError(f"{path} is a pipe without content; expected the YAML of a kcert.yaml.")
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist. `kcert init --config {quote(str(path))}` writes one to start from."
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}: this is not text in UTF-8.") from None


def _composed(text: str, path: Path) -> Value | None:
    from kcert import plain_yaml  # the built-in example needs none

    try:
        node = plain_yaml.compose(text)
    except plain_yaml.TooDeepError:
        raise InputError(f"{path}: the values are nested too deeply.") from None
    except plain_yaml.NotPlainError as error:
        if error.line is None:
            raise InputError(f"{path}: this is not YAML that can be read: {error.problem or error}.") from None
        raise InputError(f"{path}:{error.line}: this is not YAML: {error.problem}.") from None
    return None if node is None or node.tag == "tag:yaml.org,2002:null" else Value(node, "", path)


_KEYS = (
    *("cluster", "profile", "api_server", "service_cidr", "dns_domain", "control_plane", "nodes"),
    *("etcd", "users", "key", "days", "kubernetes_version", "fix_known_issues", "adopted"),
)


class _Defaults:
    """Remembers, for the reader of the screen, what was taken because the file says nothing of it."""

    def __init__(self, fields: dict[str, Value]) -> None:
        self.found = fields
        self.taken: list[str] = []

    def get(self, key: str, build: Callable[[Value], Built], default: Built, phrase: str) -> Built:
        value = self.found.get(key)
        if value is not None and not (value.kind == "nothing" and isinstance(default, tuple)):
            return build(value)
        if phrase:
            self.taken.append(phrase)
        return default


def _cluster(fields: dict[str, Value], source: Path | None, defaults: Mapping[str, Defaults]) -> Cluster:
    asked = _Defaults(fields)
    local = ("127.0.0.1",)
    first_host: tuple[Host, ...] = (Host("controlplane01", local),)
    first_node: tuple[Host, ...] = (Host("node01", local),)
    services: tuple[str, ...] = ("10.96.0.0/16",)
    name = asked.get("cluster", lambda value: value.text(check_context_name), "kubernetes", "cluster kubernetes")
    profile = asked.get("profile", lambda value: value.choice(tuple(defaults)), "course", "profile course")
    control_plane = asked.get(
        "control_plane",
        lambda value: _hosts(value, least=1),
        first_host,
        "control-plane host controlplane01 at 127.0.0.1",
    )
    own = defaults[profile]
    nodes = asked.get(
        "nodes", lambda value: _hosts(value, keys=("name", "ip", "bootstrap")), first_node, "node node01 at 127.0.0.1"
    )
    api_server = asked.get(
        "api_server",
        lambda value: _api_server(value, control_plane[0]),
        ApiServer(control_plane[0].name, control_plane[0].addresses),
        f"API server at {control_plane[0].name}:6443",
    )
    cidrs = asked.get("service_cidr", _networks, services, "services in 10.96.0.0/16")
    cluster = Cluster(
        name=name,
        profile=profile,
        api_server=api_server,
        service_cidrs=cidrs,
        dns_domain=asked.get(
            "dns_domain", lambda value: value.text(check_host_name), "cluster.local", "domain cluster.local"
        ),
        control_plane=control_plane,
        nodes=nodes,
        etcd=asked.get("etcd", _hosts, (), "") or control_plane,
        users=asked.get("users", _users, (), ""),
        key=asked.get("key", _key, own.key, f"{own.key.algorithm.upper()} keys of {own.key.bits} bits"),
        days=asked.get("days", lambda value: _days(value, own.lifetimes), own.lifetimes, ""),
        kubernetes_version=asked.get("kubernetes_version", _release, None, ""),
        fix_known_issues=asked.get("fix_known_issues", lambda value: value.yes_or_no(), False, ""),
        adopted=asked.get("adopted", lambda value: value.yes_or_no(), None, ""),
        source=source,
    )
    check_machines(cluster)
    cidr = fields.get("service_cidr")
    check_services(cluster, f"{cidr.file}:{cidr.line}: service_cidr: " if cidr else "")
    return replace(cluster, defaults=tuple(asked.taken))


def _hosts(value: Value, least: int = 0, keys: tuple[str, ...] = ("name", "ip")) -> tuple[Host, ...]:
    hosts = tuple(_host(item, keys) for item in value.items())
    if len(hosts) < least:
        raise value.refuse("the list is empty; expected at least one host")
    _refuse_twins(((item, host.name) for item, host in zip(value.items(), hosts, strict=True)), "the name")
    addresses = ((item, address) for item, host in zip(value.items(), hosts, strict=True) for address in host.addresses)
    _refuse_twins(addresses, "the address")
    return hosts


def _host(value: Value, keys: tuple[str, ...]) -> Host:
    fields = value.fields(keys)
    for key in ("name", "ip"):
        if key not in fields:
            raise value.refuse(f"the host has no {key}; it is written as {{name: node01, ip: 192.168.56.21}}")
    bootstrap = fields["bootstrap"].yes_or_no() if "bootstrap" in fields else False
    return Host(fields["name"].text(check_host_name), _addresses(fields["ip"]), bootstrap, value.line)


def _release(value: Value) -> Version:
    # YAML reads 1.30 as the number 1.3; the file's own text is what was meant.
    if value.kind not in ("text", "a number with a fraction"):
        raise value.refuse(f"{value.shown} is {value.kind}; expected a release of Kubernetes, for example {STABLE}")
    version = release(str(value.node.value))
    if isinstance(version, str):
        raise value.refuse(f"{value.shown} is not valid: {version}")
    return version


def _addresses(value: Value) -> tuple[str, ...]:
    items = value.one_or_more()
    addresses = tuple(str(ipaddress.ip_address(item.text(check_address))) for item in items)
    _refuse_twins(zip(items, addresses, strict=True), "the address")
    return addresses


def _refuse_twins(values: Iterator[tuple[Value, str]], what: str) -> None:
    seen: dict[str, Value] = {}
    for item, text in values:
        if text in seen:
            raise item.refuse(f"{what} {text!a} is a duplicate of the one in line {seen[text].line}")
        seen[text] = item


def _users(value: Value) -> tuple[User, ...]:
    users = []
    for item in value.items():
        fields = item.fields(("name", "groups"))
        if "name" not in fields:
            raise item.refuse("the user has no name; one is written as {name: jane, groups: [developers]}")
        groups = fields["groups"].items() if "groups" in fields else []
        named = [(group, group.text(check_group_name)) for group in groups]
        _refuse_twins(iter(named), "the group")
        users.append(User(fields["name"].text(check_user_name), tuple(group for _, group in named), item.line))
    _refuse_twins(((item, user.name) for item, user in zip(value.items(), users, strict=True)), "the name")
    return tuple(users)


def _api_server(value: Value, first: Host) -> ApiServer:
    fields = value.fields(("host", "ip", "port", "extra_sans"))
    host = fields["host"].text(check_host_name) if "host" in fields else None
    addresses = _addresses(fields["ip"]) if "ip" in fields else ()
    if not host and not addresses:
        host, addresses = first.name, first.addresses
    return ApiServer(
        host=host,
        addresses=addresses,
        port=fields["port"].number(1, 65535, "a TCP port") if "port" in fields else 6443,
        extra_sans=tuple(_alt_name(item) for item in fields["extra_sans"].items()) if "extra_sans" in fields else (),
    )


def _alt_name(value: Value) -> AltName:
    text = str(value.node.value)
    if check_address(text) is None:
        return AltName("IP", str(ipaddress.ip_address(value.text(check_address))))
    return AltName("DNS", value.text(check_dns_name))


def _networks(value: Value) -> tuple[str, ...]:
    items = value.one_or_more()
    networks = tuple(str(ipaddress.ip_network(item.text(check_network))) for item in items)
    families = [ipaddress.ip_network(network).version for network in networks]
    if len(set(families)) < len(families):
        raise value.refuse("kube-apiserver takes one range, or two of which one is IPv4 and one IPv6")
    return networks


def _key(value: Value) -> Key:
    fields = value.fields(("algorithm", "bits", "curve"))
    algorithm = fields["algorithm"].choice(("rsa", "ecdsa")) if "algorithm" in fields else "rsa"
    foreign = "curve" if algorithm == "rsa" else "bits"
    if foreign in fields:
        raise fields[foreign].refuse(f"a key of algorithm {algorithm} has no {foreign}")
    return Key(
        algorithm=cast("Literal['rsa', 'ecdsa']", algorithm),
        bits=fields["bits"].number(2048, 8192, "the length of an RSA key in bits") if "bits" in fields else 2048,
        curve=fields["curve"].choice(CURVES) if "curve" in fields else CURVES[0],
    )


def _days(value: Value, default: Lifetimes) -> Lifetimes:
    fields = value.fields(("ca", "leaf"))
    days = {key: item.number(1, LONGEST_LIFE, "days") for key, item in fields.items()}
    ca, leaf = days.get("ca", default.ca), days.get("leaf", default.leaf)
    if leaf > ca:
        blamed = fields.get("leaf", fields.get("ca", value))
        raise blamed.refuse(
            f"a leaf of {leaf} days would expire after its CA of {ca} days: set leaf to at most {ca}, or ca to at "
            f"least {leaf}"
        )
    return Lifetimes(ca, leaf)
