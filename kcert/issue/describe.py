"""The kcert.yaml that describes a PKI folder: told from its certificates, kubeconfigs, manifests and units."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kcert import plain_yaml, profiles
from kcert.certificates import Kind, Role
from kcert.config import ApiServer, Host, Lifetimes, User, check_context_name, check_host_name, check_user_name, example
from kcert.errors import InputError
from kcert.files import LARGEST_DOCUMENT, read_regular
from kcert.issue.adopt import detect_files
from kcert.issue.discovery import CertificateFile, kind_of, read_folder
from kcert.issue.status import State, status_of
from kcert.roles import NODE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from kcert.certificates import AltName, Certificate, Key
    from kcert.config import Cluster

_OPTIONS = re.compile(rb"--(service-cluster-ip-range|cluster-domain)[= ]\"?([0-9A-Za-z.:,/-]+)")
_CLUSTER_NAME = "kubernetes.default.svc."
_COMPONENT_USERS = ("system:", "kube-", "kubernetes-admin", "kubernetes-super-admin", "admin", "service-account")


@dataclass
class Description:
    """The ``cluster`` that a PKI folder is for, the folder that kcert works in, and what could not be told."""

    cluster: Cluster
    root: Path
    unknown: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the kcert.yaml, what could not be told as comments at its top."""
        known = profiles.PROFILES[self.cluster.profile]
        written = example.text(self.cluster, profiles.PROFILES, has_issues=bool(known.known_issues(self.cluster)))
        if self.cluster.etcd != self.cluster.control_plane:
            written = written.replace("etcd: []\n", f"etcd:\n{example.hosts(self.cluster.etcd)}\n")
        if self.cluster.users:
            written = written.replace("users: []\n", f"users:\n{example.users(self.cluster.users)}\n")
        notes = "".join(f"# Not certain: {note}\n" for note in self.unknown)
        head = f"# Written by `kcert init --from`, for the PKI folder {ascii(str(self.root))[1:-1]}.\n{notes}"
        return head + written

    def matching(self) -> tuple[int, list[str]]:
        """Return how many certificates of the folder are as the kcert.yaml says, and how the others differ."""
        specs = detect_files(self.root, profiles.certificates(self.cluster))
        present = [status for status in status_of(self.root, specs).values() if status.x509]
        other = [f"{status.certificate.name}: {status.blocking}" for status in present if status.blocking]
        return len(present) - len(other), other


def describe(folder: Path, cluster: Cluster) -> Description:
    """Return the description of the PKI *folder*; what nothing there tells is taken from the example *cluster*.

    Raises InputError where the folder holds no certificate.
    """
    if not folder.is_dir():
        raise InputError(f"--from {folder} is not a folder.")
    if folder.name == "pki" and (folder.parent / "admin.conf").is_file():
        folder = folder.parent  # kubeadm's: the kubeconfigs beside it say where the API server is
    files = read_folder(folder)
    if not files:
        raise InputError(f"--from {folder}: no certificate was found in it.")
    return _Describer(folder, cluster, files).description()


class _Describer:
    def __init__(self, folder: Path, cluster: Cluster, files: list[CertificateFile]) -> None:
        self.folder, self.example, self.files = folder, cluster, files
        self.leaves = [file for file in files if not file.x509.ca]
        self.unknown: list[str] = []
        self.options = dict(_options(folder))

    def description(self) -> Description:
        server = self._api_server_certificate()
        sans = server.x509.alt_names if server else ()
        if server is None:
            self.unknown.append("no certificate of an API server was found, so its names and addresses are examples.")
        api, name = self._api_server()
        services = self._service_cidrs(sans, api)
        hosts = self._control_plane(sans, {*api.addresses, *(_first(network) for network in services)}, api)
        cluster = replace(
            self.example,
            name=name or self.example.name,
            api_server=api,
            service_cidrs=services,
            dns_domain=self._dns_domain(sans),
            control_plane=hosts,
            etcd=hosts,
            nodes=self._nodes(hosts),
            users=(),
            key=self._key(),
            days=self._days(),
            defaults=(),
        )
        root, cluster = self._profile(cluster)
        cluster = replace(cluster, users=tuple(self._users(root, cluster)))
        if server:
            cluster = self._with_extra_sans(cluster, sans)
        return Description(cluster, root, self.unknown)

    def _api_server_certificate(self) -> CertificateFile | None:
        """Return the serving certificate that has the name by which pods call the API server."""
        serving = [
            file for file in self.leaves if any(san.value == "kubernetes.default" for san in file.x509.alt_names)
        ]
        return serving[0] if serving else None

    def _api_server(self) -> tuple[ApiServer, str]:
        """Return where clients connect to, and the cluster's name, as the kubeconfigs have them."""
        servers: Counter[str] = Counter()
        clusters: Counter[str] = Counter()
        for path in (self.folder / file.name for file in self.files if file.server):
            if called := _cluster_name(path):
                clusters[called] += 1
        for file in self.files:
            url = urlsplit(file.server)
            if url.hostname and not _is_loopback(url.hostname):
                servers[f"{url.hostname} {url.port or 443}"] += 1
        name = next((name for name, _ in clusters.most_common() if not check_context_name(name)), "")
        if not servers:
            self.unknown.append("no kubeconfig names the API server, so its address is an example.")
            return self.example.api_server, name
        host, port = servers.most_common(1)[0][0].split(" ")
        address = _address(host)
        return ApiServer(None if address else host, (address,) if address else (), int(port)), name

    def _control_plane(self, sans: tuple[AltName, ...], others: set[str], api: ApiServer) -> tuple[Host, ...]:
        """Return the control-plane hosts: those of etcd's certificates, else what the API server's SANs leave."""
        etcd_hosts = [host for file in self.leaves if (host := self._etcd_host(file))]
        if etcd_hosts:
            return tuple({host.name: host for host in etcd_hosts}.values())
        given = [san.value for san in sans if san.type == "DNS" and not check_host_name(san.value)]
        hosts = [name for name in given if name not in ("kubernetes", "localhost", api.host) and "." not in name]
        all_of_them = [san.value for san in sans if san.type == "IP" and not _is_loopback(san.value)]
        addresses = [address for address in all_of_them if address not in others] or list(api.addresses)
        if not hosts or not addresses:
            self.unknown.append("the control-plane hosts are examples: no certificate names a host and its address.")
            return self.example.control_plane
        if len(hosts) != len(addresses) or len(hosts) > 1:
            self.unknown.append("which control-plane host has which address: they are in the order of the SANs.")
        return tuple(Host(name, (address,)) for name, address in zip(hosts, addresses, strict=False))

    def _etcd_host(self, file: CertificateFile) -> Host | None:
        if "etcd" not in str(file.name) and "etcd" not in (file.x509.subject.common_name or ""):
            return None
        if not kind_of(file.x509).is_server:
            return None
        dns = [san.value for san in file.x509.alt_names if san.type == "DNS" and not check_host_name(san.value)]
        addresses, own = _addresses(file), [name for name in dns if name != "localhost"]
        return Host(own[0], addresses) if len(own) == 1 and addresses else None

    def _service_cidrs(self, sans: tuple[AltName, ...], api: ApiServer) -> tuple[str, ...]:
        if ranges := self.options.get("service-cluster-ip-range"):
            return tuple(ranges.split(","))
        addresses = [san.value for san in sans if san.type == "IP" and san.value not in api.addresses]
        first = [address for address in addresses if _is_first(address)]
        if not first:
            return self.example.service_cidrs
        self.unknown.append("the size of the service range: only its first address is in the certificate.")
        return tuple(_network(address) for address in first[:1])

    def _dns_domain(self, sans: tuple[AltName, ...]) -> str:
        domains = [san.value.removeprefix(_CLUSTER_NAME) for san in sans if san.value.startswith(_CLUSTER_NAME)]
        # Some certificates have shorter forms of the name as well.
        return self.options.get("cluster-domain") or max(domains, key=len, default=self.example.dns_domain)

    def _nodes(self, control_plane: tuple[Host, ...]) -> tuple[Host, ...]:
        """Return the nodes whose kubelets have certificates here, with the addresses of their serving certificates."""
        by_name: dict[str, tuple[str, ...]] = {}
        for file in self.leaves:
            common_name = file.x509.subject.common_name or ""
            addresses = tuple(
                san.value for san in file.x509.alt_names if san.type == "IP" and not _is_loopback(san.value)
            )
            if common_name.startswith(NODE_PREFIX):
                name = common_name.removeprefix(NODE_PREFIX)
                by_name[name] = by_name.get(name) or addresses
            elif common_name in by_name or file.name.stem in by_name:
                by_name[common_name] = by_name.get(common_name) or addresses
        own = {host.name for host in control_plane}
        for name, addresses in by_name.items():
            if not addresses and name not in own:
                self.unknown.append(f"the node {name!a} is left out, because no certificate has its address.")
        hosts = ((name, ips) for name, ips in by_name.items() if ips and not check_host_name(name))
        return tuple(Host(name, ips) for name, ips in hosts)

    def _key(self) -> Key:
        from kcert.issue.discovery import key_of

        keys = Counter(key_of(file.x509) for file in self.leaves or self.files)
        usual = [key for key, _ in keys.most_common() if key.algorithm == "rsa" or key.curve in ("P-256", "P-384")]
        return usual[0] if usual else self.example.key

    def _days(self) -> Lifetimes:
        days = {
            kind: Counter(max(1, (file.x509.not_after - file.x509.not_before).days) for file in files)
            for kind, files in (("leaf", self.leaves), ("ca", [file for file in self.files if file.x509.ca]))
        }
        ca, leaf = ((days[kind].most_common(1) or [(0, 0)])[0][0] for kind in ("ca", "leaf"))
        return Lifetimes(ca or max(leaf, self.example.days.ca), min(leaf, ca) if ca and leaf else leaf or ca)

    def _profile(self, cluster: Cluster) -> tuple[Path, Cluster]:
        """Return the profile, and the folder, whose files the certificates are called like."""
        folders = [self.folder, *([self.folder.parent] if self.folder.name == "pki" else [])]
        best, chosen = (-1, -1), (self.folder, cluster)
        for name in profiles.PROFILES:
            candidate = replace(cluster, profile=name)
            try:
                specs = profiles.certificates(candidate)
            except InputError:
                continue
            for folder in folders:
                statuses = status_of(folder, detect_files(folder, specs)).values()
                there = sum(status.state is not State.MISSING for status in statuses)
                score = there, sum(there and not status.reasons for status in statuses)
                if score > best:
                    best, chosen = score, (folder, candidate)
        if chosen[0] != self.folder:
            self.unknown.append(f"this layout has its PKI folder one level up: use --dir {str(chosen[0])!a}.")
        if best[0] < len([file for file in self.files if not file.server]) // 2:
            self.unknown.append("no profile has files with these names, so this is the nearest one.")
        return chosen

    def _users(self, root: Path, cluster: Cluster) -> Iterator[User]:
        """Yield the users of client certificates that the profile does not have."""
        known = {str(spec.files.primary) for spec in detect_files(root, profiles.certificates(cluster))}
        seen: set[str] = set()
        for file in self.leaves:
            subject = file.x509.subject
            name = subject.common_name or ""
            path = str((self.folder / file.name).relative_to(root))
            mine = path in known or name in seen or name.startswith(_COMPONENT_USERS) or file.server
            if mine or kind_of(file.x509) is not Kind.CLIENT or check_user_name(name) or file.name.stem != name:
                continue
            seen.add(name)
            yield User(name, tuple(group for group in subject.organizations if not check_user_name(group)))

    def _with_extra_sans(self, cluster: Cluster, sans: tuple[AltName, ...]) -> Cluster:
        spec = self._spec_of(cluster, Role.APISERVER)
        if spec is None:
            return cluster
        more = tuple(san for san in sans if san not in spec.alt_names and san.type in ("DNS", "IP"))
        return replace(cluster, api_server=replace(cluster.api_server, extra_sans=more))

    @staticmethod
    def _spec_of(cluster: Cluster, role: Role) -> Certificate | None:
        return next((spec for spec in profiles.certificates(cluster) if spec.role is role), None)


def _options(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the options that manifests and units in *folder*, and beside it, set."""
    folders: Iterable[Path] = (folder, folder / "manifests", folder.parent / "manifests")
    paths = (path for each in folders for ending in ("*.yaml", "*.service") for path in sorted(each.glob(ending)))
    for path in paths:
        try:
            content = read_regular(path, LARGEST_DOCUMENT)
        except OSError:
            continue
        for option, value in _OPTIONS.findall(content):
            yield option.decode("ascii"), value.decode("ascii")


def _cluster_name(path: Path) -> str:
    """Return what a kubeconfig calls its first cluster; nothing where it is no such file."""
    try:
        return str(plain_yaml.load(read_regular(path))["clusters"][0]["name"])
    except (plain_yaml.NotPlainError, OSError, KeyError, IndexError, TypeError):
        return ""


def _addresses(file: CertificateFile) -> tuple[str, ...]:
    """Return the addresses among the SANs, the machine's own apart."""
    return tuple(san.value for san in file.x509.alt_names if san.type == "IP" and not _is_loopback(san.value))


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _is_loopback(text: str) -> bool:
    address = _address(text)
    return ipaddress.ip_address(address).is_loopback if address else text == "localhost"


def _is_first(text: str) -> bool:
    """Whether an address can be the first of a service range."""
    return int(ipaddress.ip_address(text)) % 256 == 1 and not _is_loopback(text)


def _first(network: str) -> str:
    """Return the first address of a service range, which the API server has."""
    return str(ipaddress.ip_network(network, strict=False)[1])


def _network(first: str) -> str:
    """Return the usual network of services whose first address is *first*."""
    address = ipaddress.ip_address(first)
    sizes = (112,) if address.version == 6 else (12,) if first == "10.96.0.1" else (16, 24)
    networks = (ipaddress.ip_network(f"{first}/{size}", strict=False) for size in sizes)
    fitting = (network for network in networks if network.network_address + 1 == address)
    return str(next(fitting, ipaddress.ip_network(f"{first}/24", strict=False)))
