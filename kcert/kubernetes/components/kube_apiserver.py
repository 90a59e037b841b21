"""kube-apiserver: everybody dials it, and it dials etcd and the kubelets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.kubernetes.components.component import (
    CLIENT_CA,
    ComponentInstance,
    Option,
    Pod,
    Probe,
    Setting,
    Unit,
    registry,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.config import Cluster, Host
    from kcert.profiles.profile import Profile

NAME = "kube-apiserver"
SUMMARY = "It shows a certificate of its own to each of three sides: its callers, etcd, and the kubelets."
UNIT = Unit(
    "kube-apiserver, the API of Kubernetes",
    "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/",
    after=("network-online.target", "etcd.service"),
)


def hosts(profile: Profile, cluster: Cluster) -> tuple[Host, ...]:
    """The control plane."""
    return cluster.control_plane


def options(seat: ComponentInstance) -> Iterator[Option]:
    """Towards callers, towards etcd, towards the kubelets, tokens, and what the rest of the cluster has to agree on."""
    yield from _serving(seat)
    yield from _etcd(seat)
    yield from _kubelets(seat)
    yield from _tokens(seat)
    yield from _front_proxy(seat)
    yield Option("--authorization-mode", "Node,RBAC", "Node: a kubelet sees what its own pods need, and no more")
    yield Option("--enable-admission-plugins", "NodeRestriction", "a kubelet changes its own node, and no other")
    yield Option("--enable-bootstrap-token-auth", "true", "a new node may ask for its certificate with a token")
    yield Option("--allow-privileged", "true", "kube-proxy and network plugins run as privileged pods")
    yield Option(
        "--service-cluster-ip-range",
        seat.service_cidrs,
        "services' addresses; the first is the API server's own, and among the names of its certificate",
    )


def _serving(seat: ComponentInstance) -> Iterator[Option]:
    duties = seat.duties
    yield Option("--advertise-address", seat.host.addresses[0], "what it tells the cluster; the certificate holds it")
    yield Option("--secure-port", str(seat.profile.secure_port(seat.cluster)), "where it is dialled, over TLS only")
    if seat.version.minor < 20:
        yield Option("--insecure-port", "0", "closes the port without TLS, which releases before 1.20 still open")
    yield from seat.pair(
        ("--tls-cert-file", "--tls-private-key-file"), duties.api_server, "what it shows to everybody who dials it"
    )
    yield seat.file("--client-ca-file", duties.cluster_ca, "crt", CLIENT_CA)


def _etcd(seat: ComponentInstance) -> Iterator[Option]:
    duties = seat.duties
    servers = ",".join(seat.profile.etcd_servers(seat.cluster, seat.host.name))
    yield Option("--etcd-servers", servers, "where etcd is")
    yield seat.file("--etcd-cafile", duties.etcd_ca, "crt", "the CA by which it recognises etcd")
    yield from seat.pair(("--etcd-certfile", "--etcd-keyfile"), duties.etcd_client, "what it shows to etcd")


def _kubelets(seat: ComponentInstance) -> Iterator[Option]:
    duties = seat.duties
    if duties.kubelets_ca:
        yield seat.file(
            "--kubelet-certificate-authority", duties.kubelets_ca, "crt", "the CA by which it recognises the kubelets"
        )
    yield from seat.pair(
        ("--kubelet-client-certificate", "--kubelet-client-key"),
        duties.kubelet_client,
        "what it shows to kubelets, for logs and exec",
    )
    yield Option(
        "--kubelet-preferred-address-types",
        "InternalIP,ExternalIP,Hostname",
        "by which of a node's addresses it dials; the kubelet's certificate has to hold that one",
    )


def _tokens(seat: ComponentInstance) -> Iterator[Option]:
    account = seat.duties.service_account
    public = seat.known[account].files.public_key is not None
    yield seat.file(
        "--service-account-key-file", account, "public_key" if public else "crt", "with this it checks pods' tokens"
    )
    if seat.version.minor >= 20:
        yield seat.file("--service-account-signing-key-file", account, "key", "with this it signs them (since 1.20)")
        yield Option(
            "--service-account-issuer",
            f"https://kubernetes.default.svc.{seat.cluster.dns_domain}",
            "the name that stands in them; every API server has the same",
        )


def _front_proxy(seat: ComponentInstance) -> Iterator[Option]:
    """Only with a CA of its own: whoever shows its certificate may say who he is (RequestHeader authentication)."""
    duties = seat.duties
    if not duties.front_proxy_ca or not duties.front_proxy_client:
        return
    client = seat.known[duties.front_proxy_client].subject
    assert client
    yield from seat.pair(
        ("--proxy-client-cert-file", "--proxy-client-key-file"),
        duties.front_proxy_client,
        "what it shows to extension API servers",
    )
    yield seat.file(
        "--requestheader-client-ca-file",
        duties.front_proxy_ca,
        "crt",
        "the CA whose clients are believed when they say for whom they ask",
    )
    yield Option("--requestheader-allowed-names", client.common_name, "and of those only this CN")
    yield Option("--requestheader-username-headers", "X-Remote-User", "where such a client names the user")
    yield Option("--requestheader-group-headers", "X-Remote-Group", "and the groups")
    yield Option("--requestheader-extra-headers-prefix", "X-Remote-Extra-", "and whatever else")


pod_options = options


def settings(seat: ComponentInstance) -> Iterator[Setting]:
    """It is told everything by its options."""
    return iter(())


def pod(seat: ComponentInstance) -> Pod:
    """As kubeadm starts it."""
    address, port = seat.host.addresses[0], seat.profile.secure_port(seat.cluster)
    return Pod(
        image=registry(NAME, seat.version),
        cpu="250m",
        probe=Probe(address, port, "HTTPS", "/livez", "/readyz"),
        folders={"ca-certs": "/etc/ssl/certs"},
        annotations={
            "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint": f"[{address}]:{port}"
            if ":" in address
            else f"{address}:{port}"
        },
    )


def without(profile: Profile) -> str | None:
    """It can always be a unit."""
    return None
