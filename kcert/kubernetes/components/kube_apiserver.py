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


def options(instance: ComponentInstance) -> Iterator[Option]:
    """Towards callers, towards etcd, towards the kubelets, tokens, and what the rest of the cluster has to agree on."""
    yield from _serving(instance)
    yield from _etcd(instance)
    yield from _kubelets(instance)
    yield from _tokens(instance)
    yield from _front_proxy(instance)
    yield from _encryption(instance)
    yield Option("--authorization-mode", "Node,RBAC", "Node: a kubelet sees what its own pods need, and no more")
    yield Option("--enable-admission-plugins", "NodeRestriction", "a kubelet changes its own node, and no other")
    if instance.profile.bootstrap_tokens or instance.cluster.bootstrap_nodes:
        yield Option("--enable-bootstrap-token-auth", "true", "a new node may ask for its certificate with a token")
    yield Option("--allow-privileged", "true", "kube-proxy and network plugins run as privileged pods")
    if instance.profile.sets_service_range(instance.cluster):
        yield Option(
            "--service-cluster-ip-range",
            instance.service_cidrs,
            "services' addresses; the first is the API server's own, and a SAN of its certificate",
        )


def _encryption(instance: ComponentInstance) -> Iterator[Option]:
    path = instance.profile.encryption_config
    if instance.state.encrypts:
        why = "the key that Secrets are encrypted with in etcd; the file is as secret as a private key"
        yield Option("--encryption-provider-config", path, why, mounts=path)


def _serving(instance: ComponentInstance) -> Iterator[Option]:
    bindings = instance.bindings
    yield Option(
        "--advertise-address", instance.host.addresses[0], "what it tells the cluster; the certificate holds it"
    )
    yield Option(
        "--secure-port", str(instance.profile.secure_port(instance.cluster)), "where it is dialled, over TLS only"
    )
    if instance.version.minor < 20:
        yield Option("--insecure-port", "0", "closes the port without TLS, which releases before 1.20 still open")
    yield from instance.pair(
        ("--tls-cert-file", "--tls-private-key-file"), bindings.api_server, "what it shows to everybody who dials it"
    )
    yield instance.file("--client-ca-file", bindings.cluster_ca, "crt", CLIENT_CA)


def _etcd(instance: ComponentInstance) -> Iterator[Option]:
    bindings = instance.bindings
    servers = ",".join(instance.profile.etcd_servers(instance.cluster, instance.host.name))
    yield Option("--etcd-servers", servers, "where etcd is")
    if bindings.etcd_client:
        yield instance.file("--etcd-cafile", bindings.etcd_ca, "crt", "the CA by which it recognises etcd")
        yield from instance.pair(("--etcd-certfile", "--etcd-keyfile"), bindings.etcd_client, "what it shows to etcd")


def _kubelets(instance: ComponentInstance) -> Iterator[Option]:
    bindings = instance.bindings
    if bindings.kubelets_ca:
        yield instance.file(
            "--kubelet-certificate-authority", bindings.kubelets_ca, "crt", "the CA by which it recognises the kubelets"
        )
    yield from instance.pair(
        ("--kubelet-client-certificate", "--kubelet-client-key"),
        bindings.kubelet_client,
        "what it shows to kubelets, for logs and exec",
    )
    yield Option(
        "--kubelet-preferred-address-types",
        instance.profile.preferred_addresses,
        "by which of a node's addresses it dials; the kubelet's certificate has to hold that one",
    )


def _tokens(instance: ComponentInstance) -> Iterator[Option]:
    account = instance.bindings.service_account
    public = instance.known[account].files.public_key is not None
    yield instance.file(
        "--service-account-key-file", account, "public_key" if public else "crt", "with this it checks pods' tokens"
    )
    if instance.version.minor >= 20:
        yield instance.file(
            "--service-account-signing-key-file", account, "key", "with this it signs them (since 1.20)"
        )
        yield Option(
            "--service-account-issuer",
            instance.profile.token_issuer(instance.cluster),
            "the name that stands in them; every API server has the same",
        )


def _front_proxy(instance: ComponentInstance) -> Iterator[Option]:
    """Only with a CA of its own: whoever shows its certificate may say who he is (RequestHeader authentication)."""
    bindings = instance.bindings
    if not bindings.front_proxy_ca or not bindings.front_proxy_client:
        return
    client = instance.known[bindings.front_proxy_client].subject
    assert client
    yield from instance.pair(
        ("--proxy-client-cert-file", "--proxy-client-key-file"),
        bindings.front_proxy_client,
        "what it shows to extension API servers",
    )
    yield instance.file(
        "--requestheader-client-ca-file",
        bindings.front_proxy_ca,
        "crt",
        "the CA whose clients are believed when they say for whom they ask",
    )
    yield Option("--requestheader-allowed-names", client.common_name, "and of those only this CN")
    yield Option("--requestheader-username-headers", "X-Remote-User", "where such a client names the user")
    yield Option("--requestheader-group-headers", "X-Remote-Group", "and the groups")
    yield Option("--requestheader-extra-headers-prefix", "X-Remote-Extra-", "and whatever else")


pod_options = options


def settings(instance: ComponentInstance) -> Iterator[Setting]:
    """It is told everything by its options."""
    return iter(())


def pod(instance: ComponentInstance) -> Pod:
    """As kubeadm starts it."""
    address, port = instance.host.addresses[0], instance.profile.secure_port(instance.cluster)
    return Pod(
        image=registry(NAME, instance.version),
        cpu="250m",
        probe=Probe(address, port, "HTTPS", "/livez", "/readyz"),
        folders={"ca-certs": "/etc/ssl/certs"},
        annotations={
            "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint": f"[{address}]:{port}"
            if ":" in address
            else f"{address}:{port}"
        },
    )


def why_no_unit(profile: Profile) -> str | None:
    """It can always be a unit."""
    return None
