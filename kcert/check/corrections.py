"""What a certificate should have been: its own fields, with all that is known to be wrong put right."""

from __future__ import annotations

import difflib
import ipaddress
import re
from typing import TYPE_CHECKING

from kcert.certificates import AltName, Role
from kcert.check import bash
from kcert.clusters import cluster_kind_of
from kcert.issue.status import is_equivalent
from kcert.openssl.commands import AUTHORITY_KEY
from kcert.roles import KUBELET_ROLES, MASTERS, NODE_PREFIX
from kcert.scan.fs import cluster_root_of

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.certificates import Subject
    from kcert.check.context import CertificateInstance, RuleContext
    from kcert.openssl.x509 import X509

_PLAIN = re.compile(r"[A-Za-z0-9*@:/._-]+")
"""What openssl.cnf takes as it stands; nothing else is written into one."""

MANY = 600
"""With more SANs than this a command is no longer readable."""

AUTHORITY = (
    "basicConstraints = critical, CA:TRUE",
    "keyUsage = critical, keyCertSign, cRLSign, digitalSignature",
    "subjectKeyIdentifier = hash",
)
"""The extensions of a CA, as in openssl_templates/ca.cnf."""

_SIGNED_BY = f"authorityKeyIdentifier = {AUTHORITY_KEY}"

Parts = tuple[tuple[str, str], ...]


# ---------------------------------------------------------------- the subject


def subject(ctx: RuleContext, cert: CertificateInstance) -> Parts:
    """The subject as it should be."""
    if wanted := other_subject(cert):
        return (("CN", wanted.common_name), *(("O", group) for group in wanted.organizations))
    parts = [
        ("O", value) if kind == "OU" and is_group(cert, value) else (kind, value)
        for kind, value in cert.certificate.subject.parts
    ]
    if not may_be_powerful(ctx, cert):
        parts = [part for part in parts if part != ("O", MASTERS)]
    parts = _with_group(cert, parts)
    name = right_common_name(ctx, cert)
    if name is not None:
        parts = [("CN", name), *(part for part in parts if part[0] != "CN")]
    return tuple(parts)


def other_subject(cert: CertificateInstance) -> Subject | None:
    """The subject that kcert.yaml asks for, where the one that it has does not do the same work."""
    wanted = cert.wanted
    if wanted is None or wanted.subject is None or wanted.role == "service-account":
        return None
    return None if is_equivalent(wanted, cert.certificate) else wanted.subject


def _with_group(cert: CertificateInstance, parts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    organizations = {value for kind, value in parts if kind == "O"}
    for demand in cert.demands:
        if demand.groups and not organizations & set(demand.groups):
            return [*(part for part in parts if part[0] != "O"), ("O", demand.groups[0])]
    if asks_for_administrators(cert) and not organizations:
        return [*parts, ("O", MASTERS)]
    return parts


def is_group(cert: CertificateInstance, unit: str) -> bool:
    """True where an OU can only have been meant as a group."""
    if cert.is_authority or cert.only_service_account:
        return False
    if cert.wanted is not None and cert.wanted.subject is not None and unit in cert.wanted.subject.organizations:
        return True
    return unit.startswith(("system:", "kubeadm:")) or any(unit in demand.groups for demand in cert.demands)


def may_be_powerful(ctx: RuleContext, cert: CertificateInstance) -> bool:
    """True for those whose membership in system:masters is normal: administrators, the API server, etcd's own."""
    if any(demand.masters for demand in cert.demands):
        return True
    kind = cluster_kind_of(cert.path) or ctx.survey.kind
    if kind is not None and cert.certificate.subject.common_name in kind.powerful:
        return True
    if cert.wanted is not None:
        return cert.wanted.subject is not None and MASTERS in cert.wanted.subject.organizations
    # Where nothing else tells, an administrator is who is called so.
    name = cert.certificate.subject.common_name or ""
    return not cert.demands and re.search(r"(^|[^a-z])(cluster-?)?admin", name.lower()) is not None


def asks_for_administrators(cert: CertificateInstance) -> bool:
    """True for the API server's client to the kubelets where it is called what kubeadm and the guides call it."""
    is_called_so = Role.APISERVER_KUBELET_CLIENT in cert.roles and cert.path.stem == "apiserver-kubelet-client"
    # Since 1.36.1 kubeadm gives it no group: a ClusterRoleBinding names the user instead.
    return is_called_so and not cert.path.with_name("apiserver.crt").exists()


def right_common_name(ctx: RuleContext, cert: CertificateInstance) -> str | None:
    """Return the common name that it has to have; None where the one it has will do, or nothing tells."""
    name = cert.certificate.subject.common_name or ""
    if wanted := other_subject(cert):
        return None if wanted.common_name == name else wanted.common_name
    if cert.roles & KUBELET_ROLES:
        return _right_node_name(cert, name)
    for demand in cert.demands:
        if demand.fixed_name and demand.common_name != name:
            return demand.common_name
    if Role.FRONT_PROXY_CLIENT in cert.roles:
        allowed = (ctx.option("kube-apiserver", "--requestheader-allowed-names", cert) or "").split(",")
        return None if name in allowed or not any(allowed) else allowed[0].strip()
    if cert.roles & ETCD_CLIENTS and (only := ctx.option("etcd", "--client-cert-allowed-cn", cert)):
        return None if name in (allowed_names := only.split(",")) else allowed_names[0]
    return None


ETCD_CLIENTS = frozenset({Role.APISERVER_ETCD_CLIENT, Role.ETCD_CLIENT})


def allowed_hostname(ctx: RuleContext, cert: CertificateInstance) -> AltName | None:
    """Return the SAN that etcd asks of its clients (--client-cert-allowed-hostname), where *cert* has none of them."""
    allowed = ctx.option("etcd", "--client-cert-allowed-hostname", cert) if cert.roles & ETCD_CLIENTS else None
    names = [AltName("IP" if is_address(value) else "DNS", value) for value in (allowed or "").split(",") if value]
    return names[0] if names and not set(names) & set(cert.certificate.alt_names) else None


def _right_node_name(cert: CertificateInstance, name: str) -> str | None:
    if cert.nodes:
        right = f"{NODE_PREFIX}{cert.nodes[0].lower()}"
    elif name.lower().startswith(NODE_PREFIX) and len(name) > len(NODE_PREFIX):
        right = name.lower()
    elif name.startswith(NODE_PREFIX):
        return None  # system:node: without a name: which node it is, nothing tells
    else:
        # node01, or system:nodes:node01: the part that can be a host's name.
        right = f"{NODE_PREFIX}{name.rsplit(':', 1)[-1].lower()}"
    return None if right == name else right


# ---------------------------------------------------------------- alternative names


def names(ctx: RuleContext, cert: CertificateInstance) -> tuple[AltName, ...]:
    """The alternative names as they should be: all that the plan has, the others under their right types, none missing.

    Those that nobody has to dial are no fault where they are missing, but who makes it again leaves none out.
    """
    typed = [right_type(part) for name in cert.certificate.alt_names for part in well_formed(name)]
    here = {name.value for name in typed if name}
    stale = stale_service_addresses(ctx, cert)
    kept = [name for name in typed if name and name.value not in stale]
    plan = cert.wanted or (None if here else ctx.assumed.get(cert.path.absolute()))
    planned = plan.alt_names if plan else ()
    return tuple(dict.fromkeys([*planned, *kept, *missing_names(ctx, cert, here)]))


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
    """The name under the type that it belongs to; None for an address that is none."""
    if name.type == "DNS" and is_address(name.value):
        return AltName("IP", str(ipaddress.ip_address(name.value)))
    if name.type == "IP" and not is_address(name.value):
        return None
    return name


def is_address(text: str) -> bool:
    """True for an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def missing_names(ctx: RuleContext, cert: CertificateInstance, here: set[str]) -> list[AltName]:
    """The names that it must have, and *here* are not; a name of the wrong type is here."""
    asked = cert.wanted
    wanted = [name for name in asked.alt_names if name not in asked.optional_sans] if asked is not None else []
    wanted += [AltName("DNS", name) for demand in cert.demands for name in demand.names]
    wanted += service_addresses(ctx, cert)
    wanted += [meant for _, meant in misspelled_names(cert)]
    wanted += [name for _, name in kubelet_demand(ctx, cert) if name]
    if name := allowed_hostname(ctx, cert):
        wanted.append(name)
    if cert.serves and not here:
        wanted += [name for role in cert.roles for name in usual_names(ctx, role, cert.path)]
    if cert.serves and not (here or wanted):
        wanted += own_names(cert)
    missing = [name for name in wanted if name.value not in here]
    if Role.ETCD_SERVER in cert.roles:
        missing += _etcd_names(ctx, cert, here | {name.value for name in missing})
    return list(dict.fromkeys(missing))


_SERVICE_NAMES = ("kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
"""What clients in pods call the API server, shortest first; "kubernetes" alone is too short for a comparison."""


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
        near = difflib.get_close_matches(value, _SERVICE_NAMES, 1, 0.9)
        meant = f"kubernetes.default.svc.{domain}" if domain else next(iter(near), "")
        if meant and meant not in values and not (other_domain and meant == _SERVICE_NAMES[-1]):
            pairs.append((AltName("DNS", value), AltName("DNS", meant)))
    return pairs


def kubelet_demand(ctx: RuleContext, cert: CertificateInstance) -> list[tuple[str, AltName | None]]:
    """Return the type of SAN that the API server looks for in a kubelet's serving certificate, where it has none.

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
        if any(name.type == "IP" and not _is_loopback(name.value) for name in cert.certificate.alt_names):
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
    servers = (
        configuration for configuration in ctx.survey.configurations if configuration.component == "kube-apiserver"
    )
    own = (one for one in servers if one.source.parent.name == "manifests" and cluster_root_of(one.source) == home)
    return next((one.options.get("--advertise-address", "") for one in own), "")


def _is_loopback(value: str) -> bool:
    return is_address(value) and ipaddress.ip_address(value).is_loopback


def usual_names(ctx: RuleContext, role: Role, path: Path) -> tuple[AltName, ...]:
    """Return the names under which clients connect to the server of *role*, as far as configurations tell."""
    hosts = ["localhost", "127.0.0.1"]
    if role is Role.APISERVER:
        hosts += [host_of(kubeconfig.server or "") for kubeconfig in ctx.survey.kubeconfigs]
        hosts.append(ctx.option("kube-apiserver", "--advertise-address", path) or "")
    elif role in (Role.ETCD_SERVER, Role.ETCD_PEER):
        options = ("--advertise-client-urls", "--initial-advertise-peer-urls", "--listen-client-urls")
        urls = ",".join(ctx.option("etcd", option, path) or "" for option in options)
        hosts += [host_of(url) for url in urls.split(",")]
        hosts.append(ctx.option("etcd", "--name", path) or "")
    else:
        return ()
    named = dict.fromkeys(host for host in hosts if host and host not in ("0.0.0.0", "::"))  # noqa: S104
    return tuple(AltName("IP" if is_address(host) else "DNS", host) for host in named)


def own_names(cert: CertificateInstance) -> list[AltName]:
    """Names for a server of which nothing but its own name is known: its node's, or the CN where that is a host's."""
    names = cert.nodes or (cert.certificate.subject.common_name or "",)
    hosts = [name.removeprefix(NODE_PREFIX) for name in names]
    return [
        AltName("IP" if is_address(host) else "DNS", host) for host in hosts if re.fullmatch(r"[A-Za-z0-9.:-]+", host)
    ] or [AltName("DNS", "localhost")]


def service_addresses(ctx: RuleContext, cert: CertificateInstance) -> list[AltName]:
    """Return the first address of the first service range, at which every pod connects to the API server.

    Of a dual-stack range kubeadm takes the first family's alone, and the cluster's own service has that alone.
    """
    if Role.APISERVER not in cert.roles:
        return []
    ranges = ctx.option("kube-apiserver", "--service-cluster-ip-range", cert)
    first = first_address(ranges or ctx.option("kube-controller-manager", "--service-cluster-ip-range", cert))
    return [AltName("IP", first)] if first else []


def first_address(ranges: str | None) -> str | None:
    """Return the first address of the first of some service ranges; None where there is none."""
    try:
        network = ipaddress.ip_network((ranges or "").split(",")[0].strip(), strict=False)
    except ValueError:
        return None
    return str(network.network_address + 1)


def stale_service_addresses(ctx: RuleContext, cert: CertificateInstance) -> set[str]:
    """Addresses that look like the first of another service range, where this range's own is missing."""
    needed = {name.value for name in service_addresses(ctx, cert)}
    here = {name.value for name in cert.certificate.alt_names}
    if not needed or needed <= here:
        return set()
    dialled = {host_of(kubeconfig.server or "") for kubeconfig in ctx.survey.kubeconfigs}
    dialled |= {ctx.option("kube-apiserver", "--advertise-address", cert) or ""}
    return {value for value in here if is_address(value) and _is_first(value) and value not in dialled}


def _is_first(value: str) -> bool:
    address = ipaddress.ip_address(value)
    return not address.is_loopback and int(address) & 0xFF == 1


def _etcd_names(ctx: RuleContext, cert: CertificateInstance, here: set[str]) -> list[AltName]:
    """Return the host at which the API server connects to this etcd, where that is not among its SANs."""
    servers = (ctx.option("kube-apiserver", "--etcd-servers", cert) or "").split(",")
    hosts = [host_of(server) for server in servers if server.startswith("https://")]
    hosts = [host for host in hosts if host]
    if not hosts or set(hosts) & here:
        return []
    return [AltName("IP" if is_address(host) else "DNS", host) for host in hosts[:1]]


def host_of(url: str) -> str:
    """The host of a URL, an IPv6 address without its brackets; empty where there is none."""
    from urllib.parse import urlsplit

    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return str(ipaddress.ip_address(host)) if is_address(host) else host


# ---------------------------------------------------------------- usages and the rest


def usages(ctx: RuleContext, cert: CertificateInstance) -> tuple[str, ...]:
    """The extended key usage as it should be; empty where there is none to be."""
    places = [place for place in ctx.copies.get(cert.certificate.sha256, ()) if not place.is_authority] or [cert]
    needed = []
    if any(place.serves for place in places):
        needed.append("serverAuth")
    if any(place.dials for place in places):
        needed.append("clientAuth")
    own = cert.certificate.extended_key_usage
    if own is None:
        # None at all means any use, and that is how the guides that leave it out mean it.
        return tuple(needed) if cert.certificate.version < 3 or not cert.roles else ()
    return tuple(dict.fromkeys([*own, *(usage for usage in needed if "anyExtendedKeyUsage" not in own)]))


def extensions(ctx: RuleContext, cert: CertificateInstance) -> list[str]:
    """The lines of an extensions file for openssl."""
    if cert.is_authority:
        return [*AUTHORITY, _SIGNED_BY]
    rsa = cert.certificate.public_key.algorithm.startswith("rsa")
    lines = [
        "basicConstraints = critical, CA:FALSE",
        f"keyUsage = critical, digitalSignature{', keyEncipherment' if rsa else ''}",
    ]
    if purposes := usages(ctx, cert):
        lines.append(f"extendedKeyUsage = {', '.join(purposes)}")
    if names_line := _names_line(ctx, cert):
        lines.append(names_line)
    return [*lines, "subjectKeyIdentifier = hash", _SIGNED_BY]


def _names_line(ctx: RuleContext, cert: CertificateInstance) -> str:
    """The alternative names; hundreds of them are taken out of the certificate when the command runs."""
    wanted = [name for name in names(ctx, cert) if _PLAIN.fullmatch(name.value)]
    own = cert.certificate.alt_names
    # openssl's text is taken only where no name in it can be mistaken for two.
    if len(own) > MANY and not cert.embedded and wanted[: len(own)] == list(own):
        file = bash.word(cert.path)
        own_names = f"$(openssl x509 -in {file} -noout -ext subjectAltName | sed -n '2{{s/ //g;s/IPAddress:/IP:/g;p}}')"
        return f'"subjectAltName = {", ".join([own_names, *map(str, wanted[len(own) :])])}"'
    return f"subjectAltName = {', '.join(map(str, wanted))}" if wanted else ""


def authority_extensions(certificate: X509) -> list[str] | None:
    """What a root CA's extensions should be; None where those it has will do."""
    usage = certificate.key_usage
    good = certificate.ca and (usage is None or "keyCertSign" in usage) and certificate.version > 1
    return None if good else list(AUTHORITY)
