"""The kcert.yaml that describes a PKI folder: derived from its certificates, kubeconfigs, manifests and units."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from kcert import profiles
from kcert.certificates import AltName, Key, Kind, Role, is_address
from kcert.clusters import HARD_WAY, KIND, KUBEADM, KUBESPRAY, cluster_kind_of
from kcert.config import (
    LONGEST_LIFE,
    ApiServer,
    Cluster,
    Host,
    Lifetimes,
    User,
    check_address,
    check_context_name,
    check_group_name,
    check_host_name,
    check_network,
    check_user_name,
    example,
    is_offered,
)
from kcert.errors import InputError
from kcert.files import LARGEST_DOCUMENT, read_regular
from kcert.issue.adopt import SAN_CHECKS, detect_files
from kcert.issue.discovery import DEPTH, CertificateFile, kind_of, read_folder
from kcert.issue.status import State, key_of, status_of
from kcert.roles import NODE_PREFIX

_OPTIONS = re.compile(rb"--(service-cluster-ip-range|cluster-domain)[= ]\"?([0-9A-Za-z.:,/-]+)")
_COMPONENT_USERS = ("system:", "kube-", "kubernetes-admin", "kubernetes-super-admin", "admin", "service-account")
_IN_PODS = AltName("DNS", "kubernetes.default")
_BOOK = ".kubernetes.local"
"""The domain of the machines in Kelsey Hightower's book."""

_ADOPTED = """\
# The certificates were made by another tool: differences that no client notices do not make them stale.
adopted: true
"""


@dataclass
class Description:
    """The ``cluster`` that a PKI folder is for, the folder that kcert works in, and what could not be determined."""

    cluster: Cluster
    root: Path
    unknown: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the kcert.yaml, what could not be determined as comments at its top."""
        known = profiles.PROFILES[self.cluster.profile]
        written = example.text(self.cluster, profiles.PROFILES, has_issues=bool(known.known_issues(self.cluster)))
        notes = "".join(f"# Not certain: {note}\n" for note in self.unknown)
        head = f"# Written by `kcert init --from`, for the PKI folder {ascii(str(self.root))[1:-1]}.\n{notes}"
        return f"{head}{written}\n{_ADOPTED}"

    def matching(self) -> tuple[int, list[str]]:
        """Return how many certificates of the folder are as the kcert.yaml says, and how the others differ."""
        specs = detect_files(self.root, profiles.certificates(self.cluster))
        present = [status for status in status_of(self.root, specs).values() if status.x509]
        differing = [status for status in present if status.blocking and status.state is not State.EXPIRING]
        other = [f"{status.certificate.name}: {status.blocking}" for status in differing]
        return len(present) - len(other), other


def describe(folder: Path, cluster: Cluster) -> Description:
    """Return the description of the PKI *folder*; what nothing there shows is taken from the example *cluster*.

    Raises InputError where the folder holds no certificate.
    """
    if not folder.is_dir():
        raise InputError(f"--from {folder} is not a folder.")
    if folder.name == "pki" and (folder.parent / "admin.conf").is_file():
        folder = folder.parent  # kubeadm's: the kubeconfigs beside it say where the API server is
    files = read_folder(folder)
    if not files:
        raise InputError(f"--from {folder}: no certificate was found in it, down to {DEPTH} levels of folders.")
    kinds = (cluster_kind_of(folder / file.name) for file in files)
    kind = next((kind for kind in kinds if kind not in (None, KUBEADM, KIND, KUBESPRAY, HARD_WAY)), None)
    if kind:
        raise InputError(
            f"--from {folder}: these {len(files)} certificates are those of {kind.title}, and no profile of kcert.yaml "
            "has its file names. `kcert check`, `kcert show`, `kcert inventory` and `kcert renew NAME` work there "
            f"without a kcert.yaml. {kind.renewal}"
        )
    own, files = _own_folder(folder, files)
    if own.name == "pki" and len(own.parts) > 1:
        return describe(folder / own, cluster)  # kubeadm's, in the root of a host
    return _Describer(folder, cluster, files).description()


class _Describer:
    def __init__(self, folder: Path, cluster: Cluster, files: list[CertificateFile]) -> None:
        self.folder, self.example, self.files = folder, cluster, files
        self.leaves = [file for file in files if not file.x509.ca]
        self.unknown: list[str] = []
        self.options = dict(_options(folder))
        # The name by which pods call the API server is in its serving certificate alone.
        names = (file.x509.alt_names for file in self.leaves)
        self.sans = next((sans for sans in names if _IN_PODS in sans), ())

    def description(self) -> Description:
        if not self.sans:
            self.unknown.append("no certificate of an API server was found, so its names and addresses are examples.")
        api, name = self._api_server()
        services = self._service_cidrs(set(api.addresses if api else ()))
        first = {str(ipaddress.ip_network(network, strict=False)[1]) for network in services}
        api, hosts, etcd = self._machines(api, first)
        cluster = replace(
            self.example,
            name=name or self.example.name,
            api_server=api,
            service_cidrs=services,
            dns_domain=self._dns_domain(),
            control_plane=hosts,
            etcd=etcd,
            nodes=self._nodes(hosts),
            users=(),
            key=self._key(),
            days=self._days(),
            adopted=True,
            defaults=(),
        )
        root, cluster = self._profile(cluster)
        cluster = replace(cluster, users=tuple(self._users(root, cluster)))
        specs = (spec for spec in profiles.certificates(cluster) if spec.role is Role.APISERVER)
        usual = {name for spec in specs for name in spec.alt_names}
        extra = (san for san in self.sans if san not in usual and san.type in SAN_CHECKS)
        more = tuple(san for san in extra if self._takes(f"SAN {str(san)!a}", SAN_CHECKS[san.type](san.value)))
        cluster = replace(cluster, api_server=replace(cluster.api_server, extra_sans=more))
        return Description(cluster, root, self.unknown)

    def _takes(self, what: str, fault: object) -> bool:
        """Return True if kcert.yaml can have *what*, which has no *fault*; otherwise say that it is omitted."""
        note = f"the {what} is omitted, because kcert.yaml cannot have it."
        if fault and note not in self.unknown:
            self.unknown.append(note)
        return not fault

    def _api_server(self) -> tuple[ApiServer | None, str]:
        """Return where clients connect to, and the cluster's name, as the kubeconfigs have them."""
        clusters = Counter(file.cluster for file in self.files if file.cluster)
        name = next((name for name, _ in clusters.most_common() if not check_context_name(name)), "")
        read = ((file.server, _host_and_port(file.server)) for file in self.files if file.server)
        servers = [server for url, server in read if self._takes(f"API server {url!a}", not server[0])]
        if not servers:
            return None, name
        elsewhere = [server for server in servers if not _is_loopback(server[0])]
        (host, port), _ = Counter(elsewhere or servers).most_common(1)[0]
        if is_address(host):
            return ApiServer(None, (str(ipaddress.ip_address(host)),), port), name
        return ApiServer(host, (), port), name

    def _machines(
        self, api: ApiServer | None, services: set[str]
    ) -> tuple[ApiServer, tuple[Host, ...], tuple[Host, ...]]:
        """Return the API server, the control-plane hosts and the members of etcd, as far as SANs show.

        *api* is what kubeconfigs say, *services* are the addresses of the service `kubernetes`.
        """
        servers = [file for file in self.leaves if kind_of(file.x509).is_server]
        of_etcd = (file for file in servers if "etcd" in f"{file.name} {file.x509.subject.common_name}")
        etcd = {host.name: host for file in of_etcd for host in _hosts(file.x509.alt_names)}
        known = {*services, *(filter(None, (api.host, *api.addresses)) if api else ())}
        hosts = {host.name: host for host in _hosts(self.sans, known)}
        members = tuple(etcd.values())
        if etcd and etcd.keys() <= {san.value for san in self.sans}:
            control_plane = members
        else:
            # The name of a load balancer comes behind those of the hosts.
            control_plane = tuple(hosts.values())[: -1 if api is None and len(hosts) > 1 else None]
        others = [host for host in hosts.values() if host not in control_plane]
        if not control_plane:
            self.unknown.append("the control-plane hosts are examples: no certificate names a host and its address.")
            nameless = (Host("localhost", (address,)) for address in _addresses(self.sans) if address not in known)
            book = self._named_by_the_book()
            control_plane = (book or next(nameless, self.example.control_plane[0]),)
        elif len(control_plane) > 1:
            self.unknown.append("which control-plane host has which address: they are in the order of the SANs.")
        if api is None:
            self.unknown.append(
                "no kubeconfig names the API server, so its address is the one that remains among the SANs."
            )
            reached = others[-1] if others else control_plane[0]
            api = ApiServer(reached.name, reached.addresses if hosts else (), 6443)
            if not hosts and reached.name not in {san.value for san in self.sans}:
                near = (san.value for san in self.sans if san.value.startswith(f"{reached.name}."))
                api = replace(api, host=next(near, "localhost"))
        return api, control_plane, members or control_plane

    def _named_by_the_book(self) -> Host | None:
        """Return the host of Kelsey Hightower's book, whose certificate has its name but not its address."""
        own = (san.value for san in self.sans if san.value.endswith(_BOOK) and san.value != f"api-server{_BOOK}")
        name = next(own, "").removesuffix(_BOOK)
        return Host(name, self.example.control_plane[0].addresses) if name and not check_host_name(name) else None

    def _service_cidrs(self, others: set[str]) -> tuple[str, ...]:
        ranges = self.options.get("service-cluster-ip-range", "")
        networks = tuple(ranges.split(",")) if ranges else ()
        if ranges and self._takes(f"service range {ranges!a}", any(map(check_network, networks))):
            return tuple(str(ipaddress.ip_network(network)) for network in networks)
        first: dict[int, str] = {}
        for address in (ipaddress.ip_address(text) for text in _addresses(self.sans) if text not in others):
            if int(address) % 256 == 1:
                first.setdefault(address.version, str(address))
        if not first:
            return self.example.service_cidrs
        self.unknown.append("the size of the service range: only its first address is in the certificate.")
        return tuple(map(_network, first.values()))

    def _dns_domain(self) -> str:
        names = [san.value for san in self.sans]
        prefixes = ("kubernetes.default.svc.", "kubernetes.svc.")
        domains = [name.removeprefix(prefix) for prefix in prefixes for name in names if name.startswith(prefix)]
        # kubernetes.default.svc.cluster is in most certificates, whatever the domain is.
        whole = (domain for domain in domains if domain != "cluster" and not check_host_name(domain))
        usual = max(whole, key=len, default=self.example.dns_domain)
        domain = self.options.get("cluster-domain", usual)
        return domain if self._takes(f"domain {domain!a}", check_host_name(domain)) else usual

    def _nodes(self, control_plane: tuple[Host, ...]) -> tuple[Host, ...]:
        """Return the nodes whose kubelets have certificates here, with the addresses of their serving certificates."""
        by_name: dict[str, tuple[str, ...]] = {}
        for file in self.leaves:
            common_name = file.x509.subject.common_name or ""
            addresses = _addresses(file.x509.alt_names)
            if common_name.startswith(NODE_PREFIX):
                name = common_name.removeprefix(NODE_PREFIX)
                by_name[name] = by_name.get(name) or addresses
            elif common_name in by_name or file.name.stem in by_name:
                by_name[common_name] = by_name.get(common_name) or addresses
        own = {host.name: host.addresses for host in control_plane}
        by_name = {name: own.get(name, addresses) if addresses else () for name, addresses in by_name.items()}
        for name, addresses in by_name.items():
            if not addresses and name not in own:
                self.unknown.append(f"the node {name!a} is omitted, because no certificate contains its address.")
        hosts = ((name, ips) for name, ips in by_name.items() if ips and not check_host_name(name))
        return tuple(Host(name, ips) for name, ips in hosts)

    def _key(self) -> Key:
        keys = Counter(key_of(file.x509) for file in self.leaves or self.files)
        usual = (key for key, _ in keys.most_common() if self._takes(f"key {key}", not is_offered(key)))
        return next(usual, self.example.key)

    def _days(self) -> Lifetimes:
        x509s = [file.x509 for file in self.files]
        cas, leaves = ([x509 for x509 in x509s if bool(x509.ca) is is_ca] for is_ca in (True, False))
        days = (Counter(max(1, (x509.not_after - x509.not_before).days) for x509 in each) for each in (cas, leaves))
        usual = [(counts.most_common(1) or [(0, 0)])[0][0] for counts in days]
        for most in usual:
            self._takes(f"lifetime of {most} days", most > LONGEST_LIFE)
        ca, leaf = (min(most, LONGEST_LIFE) for most in usual)
        return Lifetimes(ca or max(leaf, self.example.days.ca), min(leaf, ca) if ca and leaf else leaf or ca)

    def _profile(self, cluster: Cluster) -> tuple[Path, Cluster]:
        """Return the profile, and the folder, whose files the certificates are called like."""
        folders = [self.folder, *([self.folder.parent] if self.folder.name == "pki" else [])]
        best, chosen = (-1, -1), (self.folder, cluster)
        for name in profiles.PROFILES:
            candidate = replace(cluster, profile=name, adopted=False)  # every difference counts here
            try:
                specs = profiles.certificates(candidate)
            except InputError:
                continue
            for folder in folders:
                statuses = status_of(folder, detect_files(folder, specs)).values()
                existing = sum(status.state is not State.MISSING for status in statuses)
                score = existing, sum(existing and not status.reasons for status in statuses)
                if score > best:
                    best, chosen = score, (folder, replace(candidate, adopted=True))
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
            checked = ((group, check_group_name(group)) for group in subject.organizations)
            yield User(name, tuple(group for group, why in checked if self._takes(f"group {group!a} of {name}", why)))


def _own_folder(folder: Path, files: list[CertificateFile]) -> tuple[PurePosixPath, list[CertificateFile]]:
    """Return the folder with the API server's certificate, and *files* without those in copies of it, such as pki.old.

    Raises InputError where it is not clear which folder is not a copy.
    """
    folders = {file.name.parent for file in files if _IN_PODS in file.x509.alt_names and not file.server}
    nearest = [each for each in folders if len(each.parts) == min(len(other.parts) for other in folders)]
    own = [each for each in nearest if each.name == "pki"] if len(nearest) > 1 else nearest
    if folders and len(own) != 1:
        hosts = ", ".join(sorted(map(str, nearest)))
        raise InputError(
            f"--from {folder}: it has the certificates of several hosts ({hosts}). Use the folder of one of them."
        )
    copies = folders.difference(own)
    usual = own[0] if own else PurePosixPath()
    return usual, [file for file in files if not copies.intersection(file.name.parents)]


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


def _hosts(sans: tuple[AltName, ...], others: AbstractSet[str] = frozenset()) -> tuple[Host, ...]:
    """Return the hosts among SANs but *others*: a name with the addresses behind it, else names and addresses in order.

    What kcert makes has each host's addresses behind its name; other tools write all names before all addresses.
    """
    behind: dict[str, list[str]] = {}
    addresses: list[str] = []
    name = ""
    for san in sans:
        if san.type == "DNS":
            usual = san.value.partition(".")[0] == "kubernetes" or san.value in ("localhost", *others)
            name = "" if usual or check_host_name(san.value) or san.value.endswith(_BOOK) else san.value
            behind.update({name: []} if name and name not in behind else {})
        elif san.value not in others and _addresses((san,)):
            addresses.append(san.value)
            behind.get(name, []).append(san.value)
    follow = {name: values for name, values in behind.items() if values}
    one_of_each = all(len({":" in value for value in values}) == len(values) for values in follow.values())
    if one_of_each and sum(map(len, follow.values())) == len(addresses) and follow:
        return tuple(Host(name, tuple(values)) for name, values in follow.items())
    each = max(1, len(addresses) // len(behind)) if behind else 1
    in_order = {name: addresses[at * each : (at + 1) * each] for at, name in enumerate(behind)}
    return tuple(Host(name, tuple(values)) for name, values in in_order.items() if values)


def _addresses(sans: tuple[AltName, ...]) -> tuple[str, ...]:
    """Return the addresses of machines: neither loopback addresses nor those that no machine has."""
    ips = (san.value for san in sans if san.type == "IP")
    return tuple(ip for ip in ips if not (check_address(ip) or _is_loopback(ip)))


def _host_and_port(url: str) -> tuple[str, int]:
    """Return what a client connects to by *url*; without a host where that is not one that a cluster has."""
    try:
        parsed = urlsplit(url)
        host, port = parsed.hostname or "", parsed.port or 443
    except ValueError:
        return "", 0
    return ("", 0) if check_address(host) and check_host_name(host) else (host, port)


def _is_loopback(text: str) -> bool:
    return ipaddress.ip_address(text).is_loopback if is_address(text) else text == "localhost"


def _network(first: str) -> str:
    address = ipaddress.ip_address(first)
    sizes = (112,) if address.version == 6 else (12,) if first == "10.96.0.1" else (16, 24)
    networks = (ipaddress.ip_network(f"{first}/{size}", strict=False) for size in sizes)
    fitting = (network for network in networks if network.network_address + 1 == address)
    return str(next(fitting, ipaddress.ip_network(f"{first}/24", strict=False)))
