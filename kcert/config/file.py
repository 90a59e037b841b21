"""kcert.yaml: read, checked value by value, and turned into a ``Cluster``.

The file is read as YAML's node graph: each error names its line, and YAML's own reading would silently take the last
of two equal keys.
"""

from __future__ import annotations

import ipaddress
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, cast

from kcert.certificates import AltName, Key
from kcert.config import (
    CURVES,
    LONGEST_LIFE,
    RSA_BITS,
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


Built = TypeVar("Built")
Default = TypeVar("Default")


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

    def host_name(self) -> str:
        """The value as the name of a host."""
        return self.text(check_host_name)

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

    def fields(self, known: tuple[str, ...]) -> Fields:
        """The values of a group of keys, of which only those in *known* may occur, each once."""
        if self.kind != "a group of keys":
            raise self.refuse(f"expected a group of keys ({', '.join(known)}), got {self.kind}")
        fields = Fields()
        for key_node, value_node in self.node.value:
            key = Value(key_node, self.path or "key", self.file)
            name = str(key_node.value)
            if key.kind != "text" or name not in known:
                hint = did_you_mean(name, known, f"expected {', '.join(known)}", 1)
                raise key.refuse(f"unknown key {key.shown}; {hint}")
            path = f"{self.path}.{name}" if self.path else name
            if name in fields:
                raise Value(key_node, path, self.file).refuse(f"duplicate key, first in line {fields[name].line}")
            fields[name] = Value(value_node, path, self.file)
        return fields


class Fields(dict[str, Value]):
    """The values of a group of keys; ``taken`` says which defaults count, because the file says nothing of them."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[str] = []

    def take(self, key: str, build: Callable[[Value], Built], default: Default, phrase: str = "") -> Built | Default:
        """Return what *build* makes of the value of *key*; without it *default*, which *phrase* describes."""
        value = self.get(key)
        if value is not None and not (value.kind == "nothing" and isinstance(default, tuple)):
            return build(value)
        if phrase:
            self.taken.append(phrase)
        return default


def read(path: Path | None, defaults: Mapping[str, Defaults]) -> Cluster:
    """Return the cluster that the file at *path* describes; without a file (None) the built-in example.

    *defaults* holds what each known profile fills in. Raises InputError, which names the file, the line, the value and
    what would be accepted.
    """
    return _cluster(Fields(), None, defaults) if path is None else parse(_read(path), path, defaults)


def parse(text: str, path: Path, defaults: Mapping[str, Defaults]) -> Cluster:
    """Return the cluster that *text* describes, the content of the file at *path*; raises InputError as ``read``."""
    from kcert import plain_yaml  # the built-in example needs none

    try:
        node = plain_yaml.compose(text)
    except plain_yaml.TooDeepError:
        raise InputError(f"{path}: the values are nested too deeply.") from None
    except plain_yaml.NotPlainError as error:
        if error.line is None:
            raise InputError(f"{path}: this is not YAML that can be read: {error.problem or error}.") from None
        raise InputError(f"{path}:{error.line}: this is not YAML: {error.problem}.") from None
    root = None if node is None or node.tag == "tag:yaml.org,2002:null" else Value(node, "", path)
    return _cluster(root.fields(_KEYS) if root else Fields(), path, defaults)


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


_KEYS = (
    *("cluster", "profile", "api_server", "service_cidr", "dns_domain", "control_plane", "nodes"),
    *("etcd", "users", "key", "days", "kubernetes_version", "fix_known_issues", "adopted"),
)


def _cluster(fields: Fields, source: Path | None, defaults: Mapping[str, Defaults]) -> Cluster:
    first_host, first_node = (Host("controlplane01", ("127.0.0.1",)),), (Host("node01", ("127.0.0.1",)),)
    name = fields.take("cluster", lambda value: value.text(check_context_name), "kubernetes", "cluster kubernetes")
    profile = fields.take("profile", lambda value: value.choice(tuple(defaults)), "course", "profile course")
    said = "control-plane host controlplane01 at 127.0.0.1"
    control_plane = fields.take("control_plane", lambda value: _hosts(value, least=1), first_host, said)
    own, first = defaults[profile], control_plane[0]
    said = "node node01 at 127.0.0.1"
    nodes = fields.take("nodes", lambda value: _hosts(value, may_bootstrap=True), first_node, said)
    usual, said = ApiServer(first.name, first.addresses), f"API server at {first.name}:6443"
    api_server = fields.take("api_server", lambda value: _api_server(value, usual), usual, said)
    cidrs = fields.take("service_cidr", _networks, ("10.96.0.0/16",), "services in 10.96.0.0/16")
    domain = fields.take("dns_domain", Value.host_name, "cluster.local", "domain cluster.local")
    cluster = Cluster(
        name=name,
        profile=profile,
        api_server=api_server,
        service_cidrs=cidrs,
        dns_domain=domain,
        control_plane=control_plane,
        nodes=nodes,
        etcd=fields.take("etcd", _hosts, ()) or control_plane,
        users=fields.take("users", _users, ()),
        key=fields.take("key", _key, own.key, f"{own.key.algorithm.upper()} keys of {own.key.bits} bits"),
        days=fields.take("days", lambda value: _days(value, own.lifetimes), own.lifetimes),
        kubernetes_version=fields.take("kubernetes_version", _release, None),
        fix_known_issues=fields.take("fix_known_issues", Value.yes_or_no, False),
        adopted=fields.take("adopted", Value.yes_or_no, None),
        defaults=tuple(fields.taken),
        source=source,
    )
    check_machines(cluster)
    cidr = fields.get("service_cidr")
    check_services(cluster, f"{cidr.file}:{cidr.line}: service_cidr: " if cidr else "")
    return cluster


def _hosts(value: Value, least: int = 0, *, may_bootstrap: bool = False) -> tuple[Host, ...]:
    keys = ("name", "ip", *(("bootstrap",) if may_bootstrap else ()))
    hosts = _distinct(
        value.items(),
        lambda item: _host(item, keys),
        name=lambda host: [host.name],
        address=lambda host: host.addresses,
    )
    if len(hosts) < least:
        raise value.refuse("the list is empty; expected at least one host")
    return hosts


def _host(value: Value, keys: tuple[str, ...]) -> Host:
    fields = value.fields(keys)
    for key in ("name", "ip"):
        if key not in fields:
            raise value.refuse(f"the host has no {key}; it is written as {{name: node01, ip: 192.168.56.21}}")
    bootstrap = fields.take("bootstrap", Value.yes_or_no, False)
    return Host(fields["name"].host_name(), _addresses(fields["ip"]), bootstrap, value.line)


def _release(value: Value) -> Version:
    # YAML reads 1.30 as the number 1.3; the file's own text is what was meant.
    if value.kind not in ("text", "a number with a fraction"):
        raise value.refuse(f"{value.shown} is {value.kind}; expected a release of Kubernetes, for example {STABLE}")
    version = release(str(value.node.value))
    if isinstance(version, str):
        raise value.refuse(f"{value.shown} is not valid: {version}")
    return version


def _addresses(value: Value) -> tuple[str, ...]:
    return _distinct(
        value.one_or_more(), lambda item: str(ipaddress.ip_address(item.text(check_address))), address=lambda ip: [ip]
    )


def _distinct(
    values: Iterable[Value], build: Callable[[Value], Built], **names_in: Callable[[Built], Iterable[str]]
) -> tuple[Built, ...]:
    """Return what *build* makes of each of *values*; none of the names in it, by their kind, may occur twice."""
    built = [(value, build(value)) for value in values]
    for what, names in names_in.items():
        seen: dict[str, Value] = {}
        for value, name in ((value, name) for value, item in built for name in names(item)):
            if name in seen:
                raise value.refuse(f"the {what} {name!a} is a duplicate of the one in line {seen[name].line}")
            seen[name] = value
    return tuple(item for _, item in built)


def _users(value: Value) -> tuple[User, ...]:
    return _distinct(value.items(), _user, name=lambda user: [user.name])


def _user(value: Value) -> User:
    fields = value.fields(("name", "groups"))
    if "name" not in fields:
        raise value.refuse("the user has no name; one is written as {name: jane, groups: [developers]}")
    groups = _distinct(
        fields.take("groups", Value.items, []), lambda item: item.text(check_group_name), group=lambda name: [name]
    )
    return User(fields["name"].text(check_user_name), groups, value.line)


def _api_server(value: Value, usual: ApiServer) -> ApiServer:
    fields = value.fields(("host", "ip", "port", "extra_sans"))
    host, addresses = fields.take("host", Value.host_name, None), fields.take("ip", _addresses, None) or ()
    return ApiServer(
        host=host if host or addresses else usual.host,
        addresses=addresses if host or addresses else usual.addresses,
        port=fields.take("port", lambda value: value.number(1, 65535, "a TCP port"), 6443),
        extra_sans=tuple(map(_alt_name, fields.take("extra_sans", Value.items, []))),
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
    algorithm = fields.take("algorithm", lambda value: value.choice(("rsa", "ecdsa")), "rsa")
    foreign = "curve" if algorithm == "rsa" else "bits"
    if foreign in fields:
        raise fields[foreign].refuse(f"a key of algorithm {algorithm} has no {foreign}")
    return Key(
        algorithm=cast("Literal['rsa', 'ecdsa']", algorithm),
        bits=fields.take(
            "bits", lambda value: value.number(RSA_BITS[0], RSA_BITS[-1], "the length of an RSA key in bits"), 2048
        ),
        curve=fields.take("curve", lambda value: value.choice(CURVES), CURVES[0]),
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
