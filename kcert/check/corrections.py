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
from kcert.openssl.cnf import AUTHORITY_KEY
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
"""More alternative names than this nobody wants to read in a command."""

AUTHORITY = (
    "basicConstraints = critical, CA:TRUE",
    "keyUsage = critical, keyCertSign, cRLSign, digitalSignature",
    "subjectKeyIdentifier = hash",
)
"""The extensions of a CA, as in openssl_templates/ca.cnf."""

_SIGNED_BY = f"authorityKeyIdentifier = {AUTHORITY_KEY}"

Parts = tuple[tuple[str, str], ...]


# ---------------------------------------------------------------- the subject


def subject(case: RuleContext, found: CertificateInstance) -> Parts:
    """The subject as it should be."""
    if wanted := other_subject(found):
        return (("CN", wanted.common_name), *(("O", group) for group in wanted.organizations))
    parts = [
        ("O", value) if kind == "OU" and is_group(found, value) else (kind, value)
        for kind, value in found.certificate.subject.parts
    ]
    if not may_be_powerful(case, found):
        parts = [part for part in parts if part != ("O", MASTERS)]
    parts = _with_group(found, parts)
    name = right_common_name(case, found)
    if name is not None:
        parts = [("CN", name), *(part for part in parts if part[0] != "CN")]
    return tuple(parts)


def other_subject(found: CertificateInstance) -> Subject | None:
    """The subject that kcert.yaml asks for, where the one that it has does not do the same work."""
    wanted = found.wanted
    if wanted is None or wanted.subject is None or wanted.role == "service-account":
        return None
    return None if is_equivalent(wanted, found.certificate) else wanted.subject


def _with_group(found: CertificateInstance, parts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    organizations = {value for kind, value in parts if kind == "O"}
    for demand in found.demands:
        if demand.groups and not organizations & set(demand.groups):
            return [*(part for part in parts if part[0] != "O"), ("O", demand.groups[0])]
    if asks_for_administrators(found) and not organizations:
        return [*parts, ("O", MASTERS)]
    return parts


def is_group(found: CertificateInstance, unit: str) -> bool:
    """True where an OU can only have been meant as a group."""
    if found.is_authority or found.only_service_account:
        return False
    if found.wanted is not None and found.wanted.subject is not None and unit in found.wanted.subject.organizations:
        return True
    return unit.startswith(("system:", "kubeadm:")) or any(unit in demand.groups for demand in found.demands)


def may_be_powerful(case: RuleContext, found: CertificateInstance) -> bool:
    """True for those whom nobody would wonder to see in system:masters: administrators, the API server, etcd's own."""
    if any(demand.masters for demand in found.demands):
        return True
    kind = cluster_kind_of(found.path) or case.survey.kind
    if kind is not None and found.certificate.subject.common_name in kind.powerful:
        return True
    if found.wanted is not None:
        return found.wanted.subject is not None and MASTERS in found.wanted.subject.organizations
    # Where nothing else tells, an administrator is who is called so.
    name = found.certificate.subject.common_name or ""
    return not found.demands and re.search(r"(^|[^a-z])(cluster-?)?admin", name.lower()) is not None


def asks_for_administrators(found: CertificateInstance) -> bool:
    """True for the API server's client to the kubelets where it is called what kubeadm and the guides call it."""
    is_called_so = Role.APISERVER_KUBELET_CLIENT in found.roles and found.path.stem == "apiserver-kubelet-client"
    # Since 1.36.1 kubeadm gives it no group: a ClusterRoleBinding names the user instead.
    return is_called_so and not found.path.with_name("apiserver.crt").exists()


def right_common_name(case: RuleContext, found: CertificateInstance) -> str | None:
    """The common name that it has to have; None where the one it has will do, or nobody can know."""
    name = found.certificate.subject.common_name or ""
    if wanted := other_subject(found):
        return None if wanted.common_name == name else wanted.common_name
    if found.roles & KUBELET_ROLES:
        return _right_node_name(found, name)
    for demand in found.demands:
        if demand.fixed_name and demand.common_name != name:
            return demand.common_name
    if Role.FRONT_PROXY_CLIENT in found.roles:
        allowed = (case.option("kube-apiserver", "--requestheader-allowed-names", found) or "").split(",")
        return None if name in allowed or not any(allowed) else allowed[0].strip()
    if found.roles & ETCD_CLIENTS and (only := case.option("etcd", "--client-cert-allowed-cn", found)):
        return None if name in (allowed_names := only.split(",")) else allowed_names[0]
    return None


ETCD_CLIENTS = frozenset({Role.APISERVER_ETCD_CLIENT, Role.ETCD_CLIENT})


def allowed_hostname(case: RuleContext, found: CertificateInstance) -> AltName | None:
    """Return the SAN that etcd asks of its clients (--client-cert-allowed-hostname), where *found* has none of them."""
    allowed = case.option("etcd", "--client-cert-allowed-hostname", found) if found.roles & ETCD_CLIENTS else None
    names = [AltName("IP" if is_address(value) else "DNS", value) for value in (allowed or "").split(",") if value]
    return names[0] if names and not set(names) & set(found.certificate.alt_names) else None


def _right_node_name(found: CertificateInstance, name: str) -> str | None:
    if found.nodes:
        right = f"{NODE_PREFIX}{found.nodes[0].lower()}"
    elif name.lower().startswith(NODE_PREFIX) and len(name) > len(NODE_PREFIX):
        right = name.lower()
    elif name.startswith(NODE_PREFIX):
        return None  # system:node: without a name: nobody knows which node it is
    else:
        # node01, or system:nodes:node01: the part that can be a host's name.
        right = f"{NODE_PREFIX}{name.rsplit(':', 1)[-1].lower()}"
    return None if right == name else right


# ---------------------------------------------------------------- alternative names


def names(case: RuleContext, found: CertificateInstance) -> tuple[AltName, ...]:
    """The alternative names as they should be: all that the plan has, the others under their right types, none missing.

    Those that nobody has to dial are no fault where they are missing, but who makes it again leaves none out.
    """
    typed = [right_type(part) for name in found.certificate.alt_names for part in well_formed(name)]
    here = {name.value for name in typed if name}
    stale = stale_service_addresses(case, found)
    kept = [name for name in typed if name and name.value not in stale]
    plan = found.wanted or (None if here else case.assumed.get(found.path.absolute()))
    planned = plan.alt_names if plan else ()
    return tuple(dict.fromkeys([*planned, *kept, *missing_names(case, found, here)]))


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


def missing_names(case: RuleContext, found: CertificateInstance, here: set[str]) -> list[AltName]:
    """The names that it must have, and *here* are not; a name of the wrong type is here."""
    asked = found.wanted
    wanted = [name for name in asked.alt_names if name not in asked.optional_sans] if asked is not None else []
    wanted += [AltName("DNS", name) for demand in found.demands for name in demand.names]
    wanted += service_addresses(case, found)
    wanted += [meant for _, meant in misspelled_names(found)]
    wanted += [name for _, name in kubelet_demand(case, found) if name]
    if name := allowed_hostname(case, found):
        wanted.append(name)
    if found.serves and not here:
        wanted += [name for role in found.roles for name in usual_names(case, role, found.path)]
    if found.serves and not (here or wanted):
        wanted += own_names(found)
    missing = [name for name in wanted if name.value not in here]
    if Role.ETCD_SERVER in found.roles:
        missing += _etcd_names(case, found, here | {name.value for name in missing})
    return list(dict.fromkeys(missing))


_SERVICE_NAMES = ("kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
"""What clients in pods call the API server, shortest first; "kubernetes" alone is too short for a comparison."""


def misspelled_names(found: CertificateInstance) -> list[tuple[AltName, AltName]]:
    """Return the SANs of an API server that only resemble a usual name that is missing, each with that name.

    Kelsey Hightower's pages have kubernetes.svc.cluster.local, in a cluster in which no pod needs the right name.
    """
    values = {name.value.lower() for name in found.certificate.alt_names if name.type == "DNS"}
    if Role.APISERVER not in found.roles or any(value.endswith(".kubernetes.local") for value in values):
        return []
    known = {*_SERVICE_NAMES, "kubernetes.default.svc.cluster", "kubernetes.svc", "kubernetes.cluster.local"}
    other_domain = any(value.startswith("kubernetes.default.svc.") for value in values - known)
    pairs = []
    for value in sorted(value for value in values - known if value.startswith("kube")):
        domain = value.removeprefix("kubernetes.svc.") if value.startswith("kubernetes.svc.") else ""
        near = difflib.get_close_matches(value, _SERVICE_NAMES, 1, 0.9)
        meant = f"kubernetes.default.svc.{domain}" if domain else next(iter(near), "")
        if meant and meant not in values and not (other_domain and meant == _SERVICE_NAMES[-1]):
            pairs.append((AltName("DNS", value), AltName("DNS", meant)))
    return pairs


def kubelet_demand(case: RuleContext, found: CertificateInstance) -> list[tuple[str, AltName | None]]:
    """Return the type of SAN that the API server looks for in a kubelet's serving certificate, where it has none.

    With the type comes the SAN, where the node's address or name is known. The API server connects to a kubelet at the
    first of --kubelet-preferred-address-types that the node has: every node has a Hostname and an InternalIP.
    """
    if not found.roles & {Role.KUBELET, Role.KUBELET_SERVER} or found.wanted or not found.certificate.alt_names:
        return []
    if not case.option("kube-apiserver", "--kubelet-certificate-authority", found):
        return []
    order = case.option("kube-apiserver", "--kubelet-preferred-address-types", found) or "Hostname"
    first = next((kind for kind in order.split(",") if kind in ("Hostname", "InternalIP")), "")
    if first == "InternalIP":
        if any(name.type == "IP" and not _is_loopback(name.value) for name in found.certificate.alt_names):
            return []
        address = case.option("kubelet", "--node-ip", found) or _address_of_static_pods(case, found)
        return [("IP", AltName("IP", address) if is_address(address) else None)]
    hosts = [name for name in found.certificate.alt_names if name.type == "DNS" and name.value != "localhost"]
    if first != "Hostname" or hosts:
        return []
    node = (found.nodes or ((found.certificate.subject.common_name or "").removeprefix(NODE_PREFIX),))[0]
    return [("DNS", AltName("DNS", node) if node and not is_address(node) else None)]


def _address_of_static_pods(case: RuleContext, found: CertificateInstance) -> str:
    """Return the address of the API server that the kubelet itself starts: it is the node's."""
    home = cluster_root_of(found.path)
    servers = (one for one in case.survey.configurations if one.component == "kube-apiserver")
    own = (one for one in servers if one.source.parent.name == "manifests" and cluster_root_of(one.source) == home)
    return next((one.options.get("--advertise-address", "") for one in own), "")


def _is_loopback(value: str) -> bool:
    return is_address(value) and ipaddress.ip_address(value).is_loopback


def usual_names(case: RuleContext, role: Role, path: Path) -> tuple[AltName, ...]:
    """By what the server of *role* whose certificate lies at *path* is dialled, as far as configurations tell."""
    hosts = ["localhost", "127.0.0.1"]
    if role is Role.APISERVER:
        hosts += [host_of(one.server or "") for one in case.survey.kubeconfigs]
        hosts.append(case.option("kube-apiserver", "--advertise-address", path) or "")
    elif role in (Role.ETCD_SERVER, Role.ETCD_PEER):
        options = ("--advertise-client-urls", "--initial-advertise-peer-urls", "--listen-client-urls")
        urls = ",".join(case.option("etcd", option, path) or "" for option in options)
        hosts += [host_of(url) for url in urls.split(",")]
        hosts.append(case.option("etcd", "--name", path) or "")
    else:
        return ()
    named = dict.fromkeys(host for host in hosts if host and host not in ("0.0.0.0", "::"))  # noqa: S104
    return tuple(AltName("IP" if is_address(host) else "DNS", host) for host in named)


def own_names(found: CertificateInstance) -> list[AltName]:
    """Names for a server of which nothing but its own name is known: its node's, or the CN where that is a host's."""
    names = found.nodes or (found.certificate.subject.common_name or "",)
    hosts = [name.removeprefix(NODE_PREFIX) for name in names]
    return [
        AltName("IP" if is_address(host) else "DNS", host) for host in hosts if re.fullmatch(r"[A-Za-z0-9.:-]+", host)
    ] or [AltName("DNS", "localhost")]


def service_addresses(case: RuleContext, found: CertificateInstance) -> list[AltName]:
    """The first address of the first service range, under which every pod dials the API server.

    Of a dual-stack range kubeadm takes the first family's alone, and the cluster's own service has that alone.
    """
    if Role.APISERVER not in found.roles:
        return []
    ranges = case.option("kube-apiserver", "--service-cluster-ip-range", found)
    first = first_address(ranges or case.option("kube-controller-manager", "--service-cluster-ip-range", found))
    return [AltName("IP", first)] if first else []


def first_address(ranges: str | None) -> str | None:
    """Return the first address of the first of some service ranges; None where there is none."""
    try:
        network = ipaddress.ip_network((ranges or "").split(",")[0].strip(), strict=False)
    except ValueError:
        return None
    return str(network.network_address + 1)


def stale_service_addresses(case: RuleContext, found: CertificateInstance) -> set[str]:
    """Addresses that look like the first of another service range, where this range's own is missing."""
    needed = {name.value for name in service_addresses(case, found)}
    here = {name.value for name in found.certificate.alt_names}
    if not needed or needed <= here:
        return set()
    dialled = {host_of(one.server or "") for one in case.survey.kubeconfigs}
    dialled |= {case.option("kube-apiserver", "--advertise-address", found) or ""}
    return {value for value in here if is_address(value) and _is_first(value) and value not in dialled}


def _is_first(value: str) -> bool:
    address = ipaddress.ip_address(value)
    return not address.is_loopback and int(address) & 0xFF == 1


def _etcd_names(case: RuleContext, found: CertificateInstance, here: set[str]) -> list[AltName]:
    """Where the API server dials this etcd, and under none of its names: the host that it dials."""
    servers = (case.option("kube-apiserver", "--etcd-servers", found) or "").split(",")
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


def usages(case: RuleContext, found: CertificateInstance) -> tuple[str, ...]:
    """The extended key usage as it should be; empty where there is none to be."""
    places = [place for place in case.copies.get(found.certificate.sha256, ()) if not place.is_authority] or [found]
    needed = []
    if any(place.serves for place in places):
        needed.append("serverAuth")
    if any(place.dials for place in places):
        needed.append("clientAuth")
    own = found.certificate.extended_key_usage
    if own is None:
        # None at all means any use, and that is how the guides that leave it out mean it.
        return tuple(needed) if found.certificate.version < 3 or not found.roles else ()
    return tuple(dict.fromkeys([*own, *(usage for usage in needed if "anyExtendedKeyUsage" not in own)]))


def extensions(case: RuleContext, found: CertificateInstance) -> list[str]:
    """The lines of an extensions file for openssl."""
    if found.is_authority:
        return [*AUTHORITY, _SIGNED_BY]
    rsa = found.certificate.public_key.algorithm.startswith("rsa")
    lines = [
        "basicConstraints = critical, CA:FALSE",
        f"keyUsage = critical, digitalSignature{', keyEncipherment' if rsa else ''}",
    ]
    if purposes := usages(case, found):
        lines.append(f"extendedKeyUsage = {', '.join(purposes)}")
    if names_line := _names_line(case, found):
        lines.append(names_line)
    return [*lines, "subjectKeyIdentifier = hash", _SIGNED_BY]


def _names_line(case: RuleContext, found: CertificateInstance) -> str:
    """The alternative names; hundreds of them are taken out of the certificate when the command runs."""
    wanted = [name for name in names(case, found) if _PLAIN.fullmatch(name.value)]
    own = found.certificate.alt_names
    # openssl's text is taken only where no name in it can be mistaken for two.
    if len(own) > MANY and not found.embedded and wanted[: len(own)] == list(own):
        file = bash.word(found.path)
        own_names = f"$(openssl x509 -in {file} -noout -ext subjectAltName | sed -n '2{{s/ //g;s/IPAddress:/IP:/g;p}}')"
        return f'"subjectAltName = {", ".join([own_names, *map(str, wanted[len(own) :])])}"'
    return f"subjectAltName = {', '.join(map(str, wanted))}" if wanted else ""


def authority_extensions(certificate: X509) -> list[str] | None:
    """What a root CA's extensions should be; None where those it has will do."""
    usage = certificate.key_usage
    good = certificate.ca and (usage is None or "keyCertSign" in usage) and certificate.version > 1
    return None if good else list(AUTHORITY)
