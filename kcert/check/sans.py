"""The SANs that a certificate should have: its own, under the right types, and those that are missing."""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

from kcert.certificates import AltName, Role, is_address
from kcert.check.rule import CertificateInstance, RuleContext
from kcert.errors import nearest
from kcert.openssl.x509 import X509
from kcert.roles import NODE_PREFIX
from kcert.scan.fs import cluster_root_of
from kcert.scan.layouts import kubeadm_ca

ETCD_CLIENTS = frozenset({Role.APISERVER_ETCD_CLIENT, Role.ETCD_CLIENT})


def allowed_hostname(ctx: RuleContext, cert: CertificateInstance) -> AltName | None:
    """Return the SAN that etcd requires of clients (--client-cert-allowed-hostname), if *cert* has none of those."""
    allowed = ctx.option("etcd", "--client-cert-allowed-hostname", cert) if cert.roles & ETCD_CLIENTS else None
    names = [_of_host(value) for value in (allowed or "").split(",") if value]
    return names[0] if names and not set(names) & set(cert.certificate.alt_names) else None


def names(ctx: RuleContext, cert: CertificateInstance) -> tuple[AltName, ...]:
    """Return the SANs as they should be: the planned ones, and its own with the right types, and the missing ones.

    A SAN that no client needs is not reported as missing, but a new certificate has it as well.
    """
    typed = [right_type(part) for name in cert.certificate.alt_names for part in well_formed(name)]
    present = {name.value for name in typed if name}
    stale = stale_service_addresses(ctx, cert)
    kept = [name for name in typed if name and name.value not in stale]
    planned = cert.wanted.alt_names if cert.wanted else ()
    return tuple(dict.fromkeys([*planned, *kept, *missing_names(ctx, cert, present)]))


def well_formed(name: AltName) -> list[AltName]:
    """Return what *name* was meant to be: two names joined by a Chinese comma, an umlaut, a dot at the end."""
    if name.type != "DNS":
        return [name]
    values = [value.strip().rstrip(".") for value in re.split("[\uff0c\u3001,]", name.value)]
    try:
        return [AltName("DNS", value.encode("idna").decode()) for value in values if value and " " not in value]
    except UnicodeError:
        return []


def right_type(name: AltName) -> AltName | None:
    """Return the SAN with the right type; None for an IP SAN that is not an IP address."""
    if name.type == "DNS" and is_address(name.value):
        return AltName("IP", str(ipaddress.ip_address(name.value)))
    if name.type == "IP" and not is_address(name.value):
        return None
    return name


_HOST = re.compile(r"[A-Za-z0-9.:-]+")


def _of_host(host: str) -> AltName:
    return AltName("IP" if is_address(host) else "DNS", host)


def missing_names(ctx: RuleContext, cert: CertificateInstance, present: set[str]) -> list[AltName]:
    """Return the names that it must have and that are not *present*; one of the wrong type counts as present."""
    asked = cert.wanted
    wanted = [name for name in asked.alt_names if name not in asked.optional_sans] if asked is not None else []
    wanted += [AltName("DNS", name) for demand in cert.demands for name in demand.names]
    wanted += service_addresses(ctx, cert)
    wanted += connected_hosts(ctx, cert)
    wanted += [meant for _, meant in misspelled_names(cert)]
    wanted += [name for _, name in kubelet_demand(ctx, cert) if name]
    if name := allowed_hostname(ctx, cert):
        wanted.append(name)
    if cert.is_server and not present:
        wanted += [name for role in cert.roles for name in usual_names(ctx, role, cert.path)]
    if cert.is_server and not (present or wanted):
        wanted += own_names(cert)
    wanted += [name for name in advertised(cert) if present]
    missing = [name for name in wanted if name.value not in present]
    if Role.ETCD_SERVER in cert.roles:
        missing += _etcd_names(ctx, cert, present | {name.value for name in missing})
    return list(dict.fromkeys(missing))


_SERVICE_NAMES = ("kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
"""The names of the API server for clients in pods, shortest first; "kubernetes" alone is too short to compare."""


def misspelled_names(cert: CertificateInstance) -> list[tuple[AltName, AltName]]:
    """Return the SANs of an API server that only resemble a usual name that is missing, each with that name.

    Kelsey Hightower's pages, old and new, have kubernetes.default.svc.cluster and kubernetes.svc.cluster.local, in a
    cluster in which no pod needs the right name.
    """
    values = {name.value.lower() for name in cert.certificate.alt_names if name.type == "DNS"}
    if Role.APISERVER not in cert.roles or "kubernetes.default.svc.cluster" in values:
        return []
    known = {*_SERVICE_NAMES, "kubernetes.svc", "kubernetes.cluster.local"}
    other_domain = any(value.startswith("kubernetes.default.svc.") for value in values - known)
    pairs = []
    for value in sorted(value for value in values - known if value.startswith("kube")):
        domain = value.removeprefix("kubernetes.svc.") if value.startswith("kubernetes.svc.") else ""
        near = nearest(value, _SERVICE_NAMES, 1, 0.9)
        meant = f"kubernetes.default.svc.{domain}" if domain else next(iter(near), "")
        if meant and meant not in values and not (other_domain and meant == _SERVICE_NAMES[-1]):
            pairs.append((AltName("DNS", value), AltName("DNS", meant)))
    return pairs


def kubelet_demand(ctx: RuleContext, cert: CertificateInstance) -> list[tuple[str, AltName | None]]:
    """Return the type of SAN that the API server looks for in a kubelet's serving certificate, if it has none.

    With the type comes the SAN, where the node's address or name is known. The API server connects to a kubelet at the
    first of --kubelet-preferred-address-types that the node has: every node has a Hostname and an InternalIP.
    """
    if not cert.roles & {Role.KUBELET, Role.KUBELET_SERVER} or cert.wanted or not cert.certificate.alt_names:
        return []
    if not ctx.option("kube-apiserver", "--kubelet-certificate-authority", cert):
        return []
    order = ctx.option("kube-apiserver", "--kubelet-preferred-address-types", cert) or "Hostname"
    first = next((kind for kind in order.split(",") if kind in ("Hostname", "InternalIP")), "")
    if first == "InternalIP":
        if any(name.type == "IP" and not is_loopback(name.value) for name in cert.certificate.alt_names):
            return []
        address = ctx.option("kubelet", "--node-ip", cert) or _address_of_static_pods(ctx, cert)
        return [("IP", AltName("IP", address) if is_address(address) else None)]
    hosts = [name for name in cert.certificate.alt_names if name.type == "DNS" and name.value != "localhost"]
    if first != "Hostname" or hosts:
        return []
    node = (cert.nodes or ((cert.certificate.subject.common_name or "").removeprefix(NODE_PREFIX),))[0]
    return [("DNS", AltName("DNS", node) if node and not is_address(node) else None)]


def _address_of_static_pods(ctx: RuleContext, cert: CertificateInstance) -> str:
    """Return the address of the API server that the kubelet itself starts: it is the node's."""
    home = cluster_root_of(cert.path)
    for configuration in ctx.scan.configurations:
        source = configuration.source
        is_static_pod = source.parent.name == "manifests" and cluster_root_of(source) == home
        if configuration.component == "kube-apiserver" and is_static_pod:
            return usable_address(configuration.options.get("--advertise-address"))
    return ""


def advertised_address(ctx: RuleContext, where: CertificateInstance | Path) -> str:
    """Return the --advertise-address of the API server; empty if it is a variable, or not set."""
    return usable_address(ctx.option("kube-apiserver", "--advertise-address", where))


def usable_address(value: str | None) -> str:
    """Return *value* if it is the address of a machine: no variable like $(POD_IP), and not 0.0.0.0."""
    return value if value and is_address(value) and not ipaddress.ip_address(value).is_unspecified else ""


def is_loopback(value: str) -> bool:
    """True for a name or an address of the machine itself."""
    return value == "localhost" or (is_address(value) and ipaddress.ip_address(value).is_loopback)


def usual_names(ctx: RuleContext, role: Role, path: Path) -> tuple[AltName, ...]:
    """Return the names under which clients connect to the server of *role*, if configurations show them."""
    hosts = ["localhost", "127.0.0.1"]
    if role is Role.APISERVER:
        hosts.append(_SERVICE_NAMES[-1])
        hosts += [host_of(kubeconfig.server or "") for kubeconfig in ctx.scan.kubeconfigs]
        hosts.append(advertised_address(ctx, path))
    elif role in (Role.ETCD_SERVER, Role.ETCD_PEER):
        options = ("--advertise-client-urls", "--initial-advertise-peer-urls", "--listen-client-urls")
        urls = ",".join(ctx.option("etcd", option, path) or "" for option in options)
        hosts += [host_of(url) for url in urls.split(",")]
        hosts.append(ctx.option("etcd", "--name", path) or "")
    else:
        return ()
    named = dict.fromkeys(host for host in hosts if host and host not in ("0.0.0.0", "::"))  # noqa: S104
    return tuple(map(_of_host, named))


def own_names(cert: CertificateInstance) -> list[AltName]:
    """Names for a server of which nothing but its own name is known: its node's, or the CN if that is a host's."""
    names = cert.nodes or (cert.certificate.subject.common_name or "",)
    hosts = [name.removeprefix(NODE_PREFIX) for name in names]
    return [_of_host(host) for host in hosts if _HOST.fullmatch(host)] or [AltName("DNS", "localhost")]


def service_addresses(ctx: RuleContext, cert: CertificateInstance) -> list[AltName]:
    """Return the first address of the first service range, at which every pod connects to the API server.

    Of a dual-stack range kubeadm takes the first family's alone, and the cluster's own service has that alone.
    """
    if Role.APISERVER not in cert.roles:
        return []
    ranges = ctx.option("kube-apiserver", "--service-cluster-ip-range", cert)
    first = first_address(ranges or ctx.option("kube-controller-manager", "--service-cluster-ip-range", cert))
    return [AltName("IP", first)] if first else []


def connected_hosts(ctx: RuleContext, cert: CertificateInstance) -> list[AltName]:
    """Return the hosts of an API server that its certificate lacks, where no single kubeconfig is to blame.

    Those are its --advertise-address in kubeadm's layout, where kubeadm always writes it, and hosts that more than one
    kubeconfig connects to.
    """
    if Role.APISERVER not in cert.roles or cert.live or not cert.certificate.alt_names:
        return []
    users: dict[str, set[Path]] = defaultdict(set)
    for kubeconfig in ctx.scan.kubeconfigs:
        trusted = kubeconfig.authorities if kubeconfig.verifies else ()
        if trusted and ctx.signatures.verdict(cert.certificate, trusted, cert.use.chain) is None:
            users[kubeconfig.server_name or host_of(kubeconfig.server or "")].add(kubeconfig.path)
    advertised = advertised_address(ctx, cert)
    hosts = [host for host, paths in users.items() if len(paths) > 1 or host == advertised]
    ca = kubeadm_ca(cert.path, Role.APISERVER)
    if advertised and any(other.path == ca for other in ctx.authorities):
        hosts.append(advertised)
    return [_of_host(host) for host in dict.fromkeys(hosts) if host and not answers_to(cert.certificate, host)]


def answers_to(certificate: X509, host: str) -> bool:
    """Return True if *certificate* has the name or the address, of any type: ``san-type`` reports a wrong type."""
    values = {name.value.lower() for name in certificate.alt_names}
    host = host.lower().removesuffix(".")  # as Go's VerifyHostname does
    return host in values or f"*.{host.partition('.')[2]}" in values


def first_address(ranges: str | None) -> str | None:
    """Return the first address of the first of several service ranges; None if there is none."""
    try:
        network = ipaddress.ip_network((ranges or "").split(",")[0].strip(), strict=False)
    except ValueError:
        return None
    return str(network.network_address + 1)


def stale_service_addresses(ctx: RuleContext, cert: CertificateInstance) -> set[str]:
    """Addresses that look like the first of another service range, where this range's own is missing."""
    needed = {name.value for name in service_addresses(ctx, cert)}
    present = {name.value for name in cert.certificate.alt_names}
    if not needed or needed <= present:
        return set()
    used = hosts_in_use(ctx, cert)
    return {value for value in present if is_address(value) and is_first(value) and value not in used}


def hosts_in_use(ctx: RuleContext, cert: CertificateInstance) -> list[str]:
    """Return the hosts that kubeconfigs connect to, then the address that the API server of *cert* advertises."""
    advertised = advertised_address(ctx, cert)
    return [*(host_of(kubeconfig.server or "") for kubeconfig in ctx.scan.kubeconfigs), advertised]


def is_first(value: str) -> bool:
    """Return True for an address that looks like the first of a range, which the service `kubernetes` has."""
    address = ipaddress.ip_address(value)
    return not address.is_loopback and int(address) & 0xFF == 1


def _etcd_names(ctx: RuleContext, cert: CertificateInstance, present: set[str]) -> list[AltName]:
    """Return the host at which the API server connects to this etcd, if that is not among its SANs."""
    servers = (ctx.option("kube-apiserver", "--etcd-servers", cert) or "").split(",")
    hosts = [host for server in servers if server.startswith("https://") and (host := host_of(server))]
    return [] if set(hosts) & present else [_of_host(host) for host in hosts[:1]]


def advertised(cert: CertificateInstance) -> list[AltName]:
    """Return the hosts that a member of etcd announces to its clients and to the other members.

    kubeadm and `etcdctl --cluster` connect to the first; of peers only a cluster with several members has any.
    """
    members = [use.configuration.options for use in cert.uses if use.configuration and use.component == "etcd"]
    if not members:
        return []
    options = {Role.ETCD_SERVER: "--advertise-client-urls"}
    if "," in members[0].get("--initial-cluster", ""):
        options[Role.ETCD_PEER] = "--initial-advertise-peer-urls"
    urls = ",".join(members[0].get(options[role], "") for role in cert.roles if role in options).split(",")
    hosts = [host_of(url) for url in urls if url.startswith("https://")]
    usable = [host for host in hosts if _HOST.fullmatch(host) and host.strip("0.:")]
    return [_of_host(host) for host in usable if not answers_to(cert.certificate, host)]


@cache
def host_of(url: str) -> str:
    """The host of a URL, an IPv6 address without its brackets; empty if there is none."""
    from urllib.parse import urlsplit

    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return str(ipaddress.ip_address(host)) if is_address(host) else host
