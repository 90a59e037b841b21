"""kube-apiserver: every component connects to it, and it connects to etcd and the kubelets."""

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
SUMMARY = "The API server presents a different certificate to its clients, to etcd and to the kubelets."
UNIT = Unit(
    "kube-apiserver, the API of Kubernetes",
    "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/",
    after=("network-online.target", "etcd.service"),
)


def hosts(profile: Profile, cluster: Cluster) -> tuple[Host, ...]:
    """The control plane."""
    return cluster.control_plane


def options(instance: ComponentInstance) -> Iterator[Option]:
    """Yield what concerns its clients, etcd, the kubelets, tokens, and what the whole cluster has to agree on."""
    yield from _serving(instance)
    yield from _etcd(instance)
    yield from _kubelets(instance)
    yield from _tokens(instance)
    yield from _front_proxy(instance)
    yield from _encryption(instance)
    yield Option(
        "--authorization-mode",
        "Node,RBAC",
        "Node: a kubelet can read only what its own pods need; RBAC: roles give all other permissions",
    )
    yield Option(
        "--enable-admission-plugins", "NodeRestriction", "a kubelet can change only its own Node and the pods on it"
    )
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
    yield Option("--advertise-address", instance.host.addresses[0], "the address that it announces to the cluster")
    yield Option(
        "--secure-port", str(instance.profile.secure_port(instance.cluster)), "the port it serves on, with TLS only"
    )
    if instance.version.minor < 20:  # a no-op since (https://github.com/kubernetes/kubernetes/pull/95856)
        yield Option("--insecure-port", "0", "closes the port without TLS, which releases before 1.20 still open")
    yield from instance.pair(
        ("--tls-cert-file", "--tls-private-key-file"),
        bindings.api_server,
        "what it presents to clients",
    )
    yield instance.file("--client-ca-file", bindings.cluster_ca, "crt", CLIENT_CA)


def _etcd(instance: ComponentInstance) -> Iterator[Option]:
    bindings = instance.bindings
    servers = ",".join(instance.profile.etcd_servers(instance.cluster, instance.host.name))
    yield Option("--etcd-servers", servers, "the addresses of etcd")
    if bindings.etcd_client:
        yield instance.file("--etcd-cafile", bindings.etcd_ca, "crt", "the CA that etcd is verified with")
        yield from instance.pair(
            ("--etcd-certfile", "--etcd-keyfile"), bindings.etcd_client, "what it presents to etcd"
        )


def _kubelets(instance: ComponentInstance) -> Iterator[Option]:
    bindings = instance.bindings
    if bindings.kubelets_ca:
        yield instance.file(
            "--kubelet-certificate-authority", bindings.kubelets_ca, "crt", "the CA that kubelets are verified with"
        )
    yield from instance.pair(
        ("--kubelet-client-certificate", "--kubelet-client-key"),
        bindings.kubelet_client,
        "what it presents to kubelets, for logs and exec",
    )
    yield Option(
        "--kubelet-preferred-address-types",
        instance.profile.preferred_addresses,
        "the order in which the addresses of a node are tried; the address must be a SAN of the kubelet",
    )


def _tokens(instance: ComponentInstance) -> Iterator[Option]:
    account = instance.bindings.service_account
    public = instance.known[account].files.public_key is not None
    yield instance.file(
        "--service-account-key-file",
        account,
        "public_key" if public else "crt",
        "the public key that verifies service account tokens",
    )
    if instance.version.minor >= 20:
        yield instance.file(
            "--service-account-signing-key-file",
            account,
            "key",
            "the private key that signs service account tokens (since 1.20)",
        )
        yield Option(
            "--service-account-issuer",
            instance.profile.token_issuer(instance.cluster),
            "the issuer in the tokens, the same on every API server",
        )


def _front_proxy(instance: ComponentInstance) -> Iterator[Option]:
    """Yield them only with a separate CA: the holder of its certificate may act for any user (RequestHeader)."""
    bindings = instance.bindings
    if not bindings.front_proxy_ca or not bindings.front_proxy_client:
        return
    client = instance.known[bindings.front_proxy_client].subject
    assert client
    yield from instance.pair(
        ("--proxy-client-cert-file", "--proxy-client-key-file"),
        bindings.front_proxy_client,
        "what it presents to extension API servers",
    )
    yield instance.file(
        "--requestheader-client-ca-file",
        bindings.front_proxy_ca,
        "crt",
        "the CA of the clients that may act for other users",
    )
    yield Option("--requestheader-allowed-names", client.common_name, "only the client with this CN")
    yield Option("--requestheader-username-headers", "X-Remote-User", "the header with the user's name")
    yield Option("--requestheader-group-headers", "X-Remote-Group", "the header with the groups")
    yield Option("--requestheader-extra-headers-prefix", "X-Remote-Extra-", "the headers with everything else")


pod_options = options


def settings(instance: ComponentInstance) -> Iterator[Setting]:
    """Yield nothing: it has no configuration file."""
    return iter(())


def pod(instance: ComponentInstance) -> Pod:
    """Return the static pod that kubeadm starts."""
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
    """Return None: it can always be a unit."""
    return None
