"""The certificates that a cluster needs: one module a profile, each with its ``kcert.profiles.profile.Profile``."""

from __future__ import annotations

import importlib
import ipaddress
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from kcert.certificates import Certificate, Kind, Role, chain_of, new_ca_only_path, root_beside
from kcert.config import (
    COMMON_NAME_LENGTH,
    ApiServer,
    Cluster,
    Host,
    User,
    Version,
    check_address,
    check_group_name,
    check_host_name,
    check_network,
    check_user_name,
    file,
)
from kcert.errors import InputError, did_you_mean, nearest
from kcert.profiles.profile import Example, Profile, kubeconfig_of


class _Profiles(Mapping[str, "Profile"]):
    """The profiles by name, in alphabetical order: ``PROFILE`` of each module, which is imported when it is needed."""

    def __init__(self) -> None:
        self._names = sorted({module.name for module in pkgutil.iter_modules(__path__)} - {"profile"})

    def __getitem__(self, name: str) -> Profile:
        if name not in self._names:
            raise KeyError(name)
        profile: Profile = importlib.import_module(f"{__name__}.{name}").PROFILE
        return profile

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


PROFILES = _Profiles()
"""Every profile: one for each module of this package but ``profile``, under the module's name."""


def load(path: Path | None) -> Cluster:
    """The cluster of the kcert.yaml at *path*, or the built-in example, with all that it needs found sound.

    Raises InputError for what the file has wrong, and for names that would share a file.
    """
    cluster = file.read(path, PROFILES)
    certificates(cluster)
    return cluster


def certificates(cluster: Cluster) -> tuple[Certificate, ...]:
    """Every certificate that *cluster* needs, in the order in which they are made; no two share a file."""
    wanted = tuple(PROFILES[cluster.profile].certificates(cluster))
    _check(cluster, wanted)
    return wanted if cluster.adopted is None else tuple(replace(spec, adopted=cluster.adopted) for spec in wanted)


def user(cluster: Cluster, name: str, groups: tuple[str, ...]) -> Certificate:
    """The certificate of a user who is not in kcert.yaml, but made as if he were."""
    widened = replace(cluster, users=(*cluster.users, User(name, groups)))
    return next(spec for spec in certificates(widened) if spec.role is Role.USER and spec.name == name)


def select(wanted: Iterable[Certificate], names: Iterable[str], cluster: Cluster) -> tuple[Certificate, ...]:
    """Return those of *wanted* that the user named: by name, by what they are for, or as a kubeconfig's file.

    ``kube-scheduler`` is the scheduler's certificate in every profile, however its file is called there.
    Raises InputError for an unknown name, with the names that are similar.
    """
    wanted = tuple(wanted)
    chosen: dict[str, Certificate] = {}
    for name in names:
        matching = named(wanted, name)
        if not matching:
            why = why_absent(cluster, name)
            raise InputError(
                f"{name!a}: {why}." if why else f"{name!a} is not a certificate of this cluster{near(name, wanted)}"
            )
        chosen.update((spec.name, spec) for spec in matching)
    return tuple(spec for spec in wanted if spec.name in chosen)


def named(wanted: Iterable[Certificate], name: str) -> tuple[Certificate, ...]:
    """Return those of *wanted* that *name* can mean; none if it means nothing."""
    wanted = tuple(wanted)
    exact = tuple(spec for spec in wanted if name in (spec.name, f"{spec.name}.conf"))
    return exact or tuple(spec for spec in wanted if spec.role == name and name != Role.USER)


def near(name: str, wanted: Iterable[Certificate]) -> str:
    """The end of a sentence: which names are like *name*, or all there are."""
    known = [spec.name for spec in wanted]
    question = did_you_mean(name, known, "")
    return f"; {question}" if question else f". There are: {', '.join(known)}."


def _check(cluster: Cluster, wanted: tuple[Certificate, ...]) -> None:
    for certificate in wanted:
        name = certificate.subject.common_name if certificate.subject else ""
        if len(name) > COMMON_NAME_LENGTH:
            raise InputError(
                f"{_place(cluster, certificate)}the common name {name!a} has {len(name)} characters, a certificate "
                f"holds {COMMON_NAME_LENGTH}: a shorter name is needed."
            )
    taken: dict[tuple[str, str], Certificate] = {}
    for certificate in wanted:
        # macOS does not distinguish Jane.key from jane.key.
        paths = [("kept in", path, path.casefold()) for path in _names_on_disk(certificate)]
        for how, name, key in (("called", certificate.name, certificate.name), *paths):
            other = taken.setdefault((how, key), certificate)
            if other is not certificate:
                raise InputError(
                    f"{_place(cluster, certificate)}{_called(certificate)} and {_called(other)} would both be {how} "
                    f"{name}: one of them needs another name."
                )


def _names_on_disk(certificate: Certificate) -> list[str]:
    files = certificate.files
    paths = [str(path) for path in dict.fromkeys((files.key, files.crt, *files.kept)) if path]
    if certificate.kind is not Kind.KEY_PAIR and certificate.kind.is_client and not files.kubeconfig:
        paths.append(str(kubeconfig_of(certificate)))
    if certificate.kind is Kind.CA and files.crt:
        # Beside its own file, while it is replaced or where a root has signed it.
        paths += [str(chain_of(files.crt)), str(new_ca_only_path(files.crt))]
        if certificate.name == "ca":
            root = root_beside(files.crt)
            paths += [str(root), str(root.with_suffix(".key"))]
    return paths


def _called(certificate: Certificate) -> str:
    what = {Role.USER: "the user", Role.KUBELET_SERVER: "the node", Role.KUBELET: "the node"}.get(certificate.role)
    return f"{what} {certificate.host or certificate.name}" if what else f"the certificate {certificate.name}"


def _place(cluster: Cluster, certificate: Certificate) -> str:
    of_user = certificate.role is Role.USER
    named = cluster.users if of_user else (*cluster.nodes, *cluster.etcd, *cluster.control_plane)
    name = certificate.name if of_user else certificate.host
    return cluster.place(next((each.line for each in named if each.name == name), 0))


def why_absent(cluster: Cluster, name: str) -> str | None:
    """Return why the cluster has no certificate called *name* where one could be expected; None without a reason."""
    if any(name in (node.name, f"kubelet-client-{node.name}") for node in cluster.bootstrap_nodes):
        return "the node bootstraps, so it gets its certificates from the cluster; `kcert bootstrap` creates the token"
    return PROFILES[cluster.profile].absent.get(name)


def kubelets(cluster: Cluster, known: tuple[Certificate, ...], nodes: Iterable[str]) -> tuple[Certificate, ...]:
    """Return the certificates of the kubelets on *nodes*; of all where none is named."""
    all_of_them = tuple(spec for spec in known if spec.chapter == "kubelet")
    nodes = tuple(nodes)
    hosts = list(dict.fromkeys(spec.host for spec in all_of_them if spec.host))
    for node in nodes:
        if node not in hosts:
            if why := why_absent(cluster, node):
                raise InputError(f"{node!a}: {why}.")
            close = nearest(node, hosts) or hosts
            raise InputError(f"{node!a} is not a node of this cluster. There are: {', '.join(close)}.")
    return tuple(spec for spec in all_of_them if not nodes or spec.host in nodes)


def clients(
    cluster: Cluster, names: Iterable[str], groups: tuple[str, ...]
) -> tuple[tuple[Certificate, ...], tuple[Certificate, ...]]:
    """Return what is known, and which of it is wanted, for `kcert client`: components by name, anybody else as a user.

    Raises InputError for groups if they are fixed, and for what another command makes.
    """
    names = tuple(dict.fromkeys(names))
    for group in groups:
        if why := check_group_name(group):
            raise InputError(f"--group {group!a} is invalid: {why}.")
    known = certificates(cluster)
    if not names:
        if groups:
            raise InputError("--group applies to a user, but no user is specified.")
        return known, tuple(spec for spec in known if spec.chapter == "client")
    wanted: list[Certificate] = []
    for name in names:
        matching = named(known, name)
        for spec in matching:
            _check_client(spec, groups)
        if not matching:
            newcomer = _newcomer(cluster, name, groups)
            known, matching = (*known, newcomer), (newcomer,)
        wanted += matching
    return known, tuple(wanted)


def _check_client(certificate: Certificate, groups: tuple[str, ...]) -> None:
    assert certificate.subject or certificate.kind is Kind.KEY_PAIR
    if certificate.chapter != "client":
        raise InputError(f"{certificate.name} is created by `kcert {certificate.chapter}`.")
    fixed = certificate.subject.organizations if certificate.subject else ()
    if groups and set(groups) != set(fixed):
        where = "kcert.yaml has him" if certificate.role is Role.USER else "Kubernetes wants it"
        listed = ", ".join(fixed) or "no group"
        raise InputError(f"--group: {certificate.name} cannot be put into other groups here; {where} in {listed}.")


def _newcomer(cluster: Cluster, name: str, groups: tuple[str, ...]) -> Certificate:
    if why := why_absent(cluster, name):
        raise InputError(f"{name!a}: {why}.")
    if why := check_user_name(name):
        raise InputError(f"{name!a} is not a valid user name: {why}.")
    known = certificates(cluster)
    meant = next((spec for spec in known if spec.subject and spec.subject.common_name == name), None)
    if meant and not groups:
        made_by = f"kcert client {meant.name}" if meant.chapter == "client" else f"kcert {meant.chapter}"
        raise InputError(
            f"{name!a} is the common name of the certificate {meant.name}, which `{made_by}` creates. To create "
            f"another user with this name, use --group GROUP."
        )
    if not groups:
        _check_meant(known, name)
    return user(cluster, name, groups)


def _check_meant(known: Iterable[Certificate], name: str) -> None:
    """Refuse a name that is, or is nearly, one of the cluster's own: a component's, a node's, a chapter's.

    A user of nearly that name has to be distinguished by groups; those of other users are as near as they like.
    """
    made_by = _makers(known)
    if name in made_by:
        raise InputError(f"{name} is created by `{made_by[name]}`.")
    whole = [known_name for known_name in made_by if known_name == f"kube-{name}"]
    close = whole or nearest(name, [known_name for known_name in made_by if len(known_name) >= _SHORTEST], 1, _NEAR)
    if close:
        command = made_by[close[0]]
        elsewhere = "" if command.startswith("kcert client ") else f", which `{command}` creates"
        raise InputError(
            f"{name!a} is not a component or user of this cluster; did you mean {close[0]}{elsewhere}? "
            "To create a user with this name, use --group GROUP."
        )


_NEAR = 0.8
"""Likeness (difflib) from which on a name is a typing error: `admn` is nearly admin, and Adam is himself."""

_SHORTEST = 4
"""Characters of a name that another can be like: Cal is not nearly ca."""


def _makers(known: Iterable[Certificate]) -> dict[str, str]:
    """The command that makes it, for each name under which a certificate of the cluster could be asked for."""
    made_by: dict[str, str] = {}
    for spec in known:
        if spec.role is Role.USER:
            continue
        client = spec.chapter == "client"
        command = f"kcert client {spec.name}" if client else f"kcert {spec.chapter}"
        common_name = spec.subject.common_name if spec.subject else None
        for name in (spec.name, spec.role, common_name, None if client else spec.chapter):
            if name:
                made_by.setdefault(name, command)
        if spec.host and spec.chapter == "kubelet":
            made_by.setdefault(spec.host, f"kcert kubelet {spec.host}")
    return made_by


def write_example(
    path: Path,
    name: str,
    *,
    control_plane: Iterable[str] = (),
    nodes: Iterable[str] = (),
    load_balancer: str | None = None,
    service_cidrs: Iterable[str] = (),
    version: Version | None = None,
    fix_known_issues: bool = False,
) -> Cluster:
    """Write a commented kcert.yaml for the profile of that name, and return the cluster that it describes.

    Machines are given as they are typed: ``NAME=IP`` or ``NAME=IP,IP``. Lists that are empty leave the profile's
    example as it is; without a node, new control-plane hosts have none. Raises InputError for a profile or a machine
    that is not valid, and where *path* exists.
    """
    from kcert.config import example  # kcert init alone writes one

    if name not in PROFILES:
        raise InputError(f"--profile {name!a} is not known; there are {', '.join(PROFILES)}.")
    profile, cidrs = PROFILES[name], tuple(service_cidrs)
    hosts, workers = _hosts("--control-plane", control_plane), _hosts("--node", nodes)
    balancer = _hosts("--load-balancer", (load_balancer,) if load_balancer else ())
    for cidr in cidrs:
        if why := check_network(cidr):
            raise InputError(f"--service-cidr {cidr!a} is invalid: {why}.")
    usual = profile.example
    cluster = Cluster(
        name=usual.cluster,
        profile=profile.name,
        api_server=_api_server(usual, hosts, balancer),
        service_cidrs=cidrs or (usual.service_cidr,),
        dns_domain="cluster.local",
        control_plane=hosts or usual.control_plane,
        nodes=workers or (() if hosts else usual.nodes),
        etcd=hosts or usual.control_plane,
        users=(),
        key=profile.key,
        days=profile.lifetimes,
        kubernetes_version=version,
        fix_known_issues=fix_known_issues,
    )
    has_issues = bool(profile.known_issues(replace(cluster, fix_known_issues=False)))
    if fix_known_issues and not has_issues:
        raise InputError(f"--fix-known-issues: kcert knows no mistakes of the profile {name}.")
    content = example.text(cluster, PROFILES, has_issues=has_issues)
    written = file.parse(content, path, PROFILES)
    certificates(written)
    example.write(path, content)
    return written


def _api_server(usual: Example, hosts: tuple[Host, ...], balancer: tuple[Host, ...]) -> ApiServer:
    """Return where clients connect to, for the *hosts* and the load balancer on the command line."""
    if len(hosts) > 1 and not balancer:
        raise InputError("several --control-plane hosts need a load balancer: add --load-balancer NAME=IP.")
    if not hosts and not balancer:
        return usual.api_server
    first = (*balancer, *hosts)[0]
    if usual.domain and not balancer:
        first = Host(first.name if "." in first.name else f"{first.name}.{usual.domain}", ())
    return replace(usual.api_server, host=first.name, addresses=first.addresses)


def _hosts(option: str, values: Iterable[str]) -> tuple[Host, ...]:
    """Return the hosts that are typed as NAME=IP, with further addresses after commas."""
    hosts = []
    for value in values:
        name, equals, addresses = value.partition("=")
        if not equals:
            raise InputError(f"{option} {value!a} is invalid: expected NAME=IP, for example node01=192.168.56.21.")
        parts = tuple(addresses.split(","))
        why = check_host_name(name) or next(filter(None, map(check_address, parts)), None)
        if why:
            raise InputError(f"{option} {value!a} is invalid: {why}.")
        hosts.append(Host(name, tuple(str(ipaddress.ip_address(part)) for part in parts)))
    return tuple(hosts)
