"""PKIs as people make them: each function runs the programs that the guides name, in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

from tests.running import needs_openssl_3, needs_version_1, program
from tests.zoo import hardway
from tests.zoo.issuing import put

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EASYRSA = "/usr/share/easy-rsa/easyrsa"
"""Debian's package puts the program beside its configuration, not on the path."""


def run(*argv: str, folder: Path, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> bytes:
    """Run a program that has to succeed; what it prints on stdout comes back."""
    ended = subprocess.run(
        [program(argv[0]), *argv[1:]],
        cwd=folder,
        input=stdin,
        capture_output=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    assert ended.returncode == 0, (argv, ended.stdout.decode(), ended.stderr.decode())
    return ended.stdout


# ---------------------------------------------------------------- easy-rsa


def easy_rsa(folder: Path) -> Path:
    """Return what the Kubernetes page "Generate Certificates Manually" does with easy-rsa, and a client beside it."""
    folder.mkdir(parents=True)
    environment = {"EASYRSA_BATCH": "1", "EASYRSA_ALGO": "ec", "EASYRSA_CURVE": "prime256v1"}
    names = (
        "IP:192.168.56.11,IP:10.96.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,"
        "DNS:kubernetes.default.svc.cluster,DNS:kubernetes.default.svc.cluster.local"
    )
    for arguments in (
        ("init-pki",),
        ("--req-cn=192.168.56.11@1732412345", "build-ca", "nopass"),
        (f"--subject-alt-name={names}", "--days=3650", "build-server-full", "server", "nopass"),
        ("build-client-full", "admin", "nopass"),
    ):
        run(EASYRSA, *arguments, folder=folder, environment=environment)
    return folder / "pki"


# ---------------------------------------------------------------- cfssl

_CFSSL_SUBJECTS = {
    "admin": ("admin", "system:masters"),
    "worker-0": ("system:node:worker-0", "system:nodes"),
    "kube-controller-manager": ("system:kube-controller-manager", "system:kube-controller-manager"),
    "kube-proxy": ("system:kube-proxy", "system:node-proxier"),
    "kube-scheduler": ("system:kube-scheduler", "system:kube-scheduler"),
    "kubernetes": ("kubernetes", "Kubernetes"),
    "service-account": ("service-accounts", "Kubernetes"),
}
_CFSSL_NAMES = {
    "worker-0": "worker-0,10.240.0.20",
    "kubernetes": "10.32.0.1,10.240.0.10,127.0.0.1,kubernetes,kubernetes.default,kubernetes.default.svc,"
    "kubernetes.default.svc.cluster,kubernetes.svc.cluster.local",
}


def cfssl(folder: Path) -> Path:
    """The older edition of Kelsey Hightower's guide: ``NAME.pem`` and ``NAME-key.pem``, every usage for all."""
    folder.mkdir(parents=True)
    usages = ["signing", "key encipherment", "server auth", "client auth"]
    put(
        folder / "ca-config.json",
        json.dumps(
            {
                "signing": {
                    "default": {"expiry": "8760h"},
                    "profiles": {"kubernetes": {"usages": usages, "expiry": "8760h"}},
                }
            }
        ),
    )
    made = run("cfssl", "gencert", "-initca", "-", folder=folder, stdin=_cfssl_request("Kubernetes", "Kubernetes"))
    run("cfssljson", "-bare", "ca", folder=folder, stdin=made)
    for name, (common_name, organization) in _CFSSL_SUBJECTS.items():
        made = run(
            *("cfssl", "gencert", "-ca=ca.pem", "-ca-key=ca-key.pem", "-config=ca-config.json"),
            *(f"-hostname={_CFSSL_NAMES.get(name, '')}", "-profile=kubernetes", "-"),
            folder=folder,
            stdin=_cfssl_request(common_name, organization),
        )
        run("cfssljson", "-bare", name, folder=folder, stdin=made)
    return folder


def _cfssl_request(common_name: str, organization: str) -> bytes:
    names = [{"C": "US", "L": "Portland", "O": organization, "OU": "Kubernetes The Hard Way", "ST": "Oregon"}]
    return json.dumps({"CN": common_name, "key": {"algo": "ecdsa", "size": 256}, "names": names}).encode()


# ---------------------------------------------------------------- Kelsey Hightower's edition

_HIGHTOWER_HEAD = """\
[req]
distinguished_name = req_distinguished_name
prompt             = no
x509_extensions    = ca_x509_extensions

[ca_x509_extensions]
basicConstraints = CA:TRUE
keyUsage         = cRLSign, keyCertSign

[req_distinguished_name]
C   = US
ST  = Washington
L   = Seattle
CN  = CA
"""

_HIGHTOWER_SECTION = """
[{name}]
distinguished_name = {name}_distinguished_name
prompt             = no
req_extensions     = {name}_req_extensions

[{name}_req_extensions]
basicConstraints     = CA:FALSE
extendedKeyUsage     = {usages}
keyUsage             = critical, digitalSignature, keyEncipherment
nsCertType           = {type}
nsComment            = "{name} certificate"
{names}subjectKeyIdentifier = hash

[{name}_distinguished_name]
{subject}
"""

_HIGHTOWER_SUBJECTS = {
    "admin": "CN = admin\nO  = system:masters",
    "service-accounts": "CN = service-accounts",
    "node-0": "CN = system:node:node-0\nO  = system:nodes\nC  = US\nST = Washington\nL  = Seattle",
    "node-1": "CN = system:node:node-1\nO  = system:nodes\nC  = US\nST = Washington\nL  = Seattle",
    "kube-proxy": "CN = system:kube-proxy\nO  = system:node-proxier\nC  = US\nST = Washington\nL  = Seattle",
    "kube-controller-manager": "CN = system:kube-controller-manager\nO  = system:kube-controller-manager\nC  = US",
    "kube-scheduler": "CN = system:kube-scheduler\nO  = system:system:kube-scheduler\nC  = US",
    "kube-api-server": "CN = kubernetes\nC  = US\nST = Washington\nL  = Seattle",
}
_HIGHTOWER_NAMES = {
    "node-0": "DNS:node-0, IP:127.0.0.1",
    "node-1": "DNS:node-1, IP:127.0.0.1",
    "kube-proxy": "DNS:kube-proxy, IP:127.0.0.1",
    "kube-controller-manager": "DNS:kube-controller-manager, IP:127.0.0.1",
    "kube-scheduler": "DNS:kube-scheduler, IP:127.0.0.1",
    "kube-api-server": "IP:127.0.0.1, IP:10.32.0.1, DNS:kubernetes, DNS:kubernetes.default, "
    "DNS:kubernetes.default.svc, DNS:kubernetes.default.svc.cluster, DNS:kubernetes.svc.cluster.local, "
    "DNS:server.kubernetes.local, DNS:api-server.kubernetes.local",
}


def hightower(folder: Path) -> Path:
    """The openssl commands of Kelsey Hightower's edition: one conf, a section each, extensions copied."""
    needs_openssl_3("the guide's commands are those of OpenSSL 3")
    folder.mkdir(parents=True)
    put(folder / "ca.conf", _HIGHTOWER_HEAD + "".join(_hightower_section(name) for name in _HIGHTOWER_SUBJECTS))
    _ecdsa_key(folder, "ca.key")
    run(
        *("openssl", "req", "-x509", "-new", "-sha512", "-noenc", "-key", "ca.key", "-days", "3653"),
        *("-config", "ca.conf", "-out", "ca.crt"),
        folder=folder,
    )
    for name in _HIGHTOWER_SUBJECTS:
        _ecdsa_key(folder, f"{name}.key")
        run(
            *("openssl", "req", "-new", "-key", f"{name}.key", "-sha256", "-config", "ca.conf", "-section", name),
            *("-out", f"{name}.csr"),
            folder=folder,
        )
        run(
            *("openssl", "x509", "-req", "-days", "3653", "-in", f"{name}.csr", "-copy_extensions", "copyall"),
            *("-sha256", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.crt"),
            folder=folder,
        )
    return folder


def _hightower_section(name: str) -> str:
    names = f"subjectAltName       = {_HIGHTOWER_NAMES[name]}\n" if name in _HIGHTOWER_NAMES else ""
    server = name.startswith(("node-", "kube-")) and name not in ("kube-proxy", "kube-scheduler")
    return _HIGHTOWER_SECTION.format(
        name=name,
        usages="clientAuth, serverAuth" if server else "clientAuth",
        type="client, server" if server else "client",
        names=names,
        subject=_HIGHTOWER_SUBJECTS[name],
    )


def hightower_hosts(root: Path, pki: Path) -> None:
    """The guide's units, with its files where they go; its kubelet client is the API server's own certificate."""
    _install(root / "var/lib/kubernetes", pki, ("ca", "kube-api-server", "service-accounts"))
    kubelet = root / "var/lib/kubelet"
    put(kubelet / "ca.crt", (pki / "ca.crt").read_bytes())
    put(kubelet / "kubelet.crt", (pki / "node-0.crt").read_bytes())
    put(kubelet / "kubelet.key", (pki / "node-0.key").read_bytes(), 0o600)
    folder = "/var/lib/kubernetes"
    server = "https://server.kubernetes.local:6443"
    for name, place in {
        "kube-controller-manager": "var/lib/kubernetes/kube-controller-manager.kubeconfig",
        "kube-scheduler": "var/lib/kubernetes/kube-scheduler.kubeconfig",
        "kube-proxy": "var/lib/kube-proxy/kubeconfig",
        "node-0": "var/lib/kubelet/kubeconfig",
        "admin": "root/.kube/config",
    }.items():
        put(root / place, embedded_kubeconfig(pki, name, server), 0o600)
    put(
        kubelet / "kubelet-config.yaml",
        "kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\nauthentication:\n  x509:\n"
        '    clientCAFile: "/var/lib/kubelet/ca.crt"\ntlsCertFile: "/var/lib/kubelet/kubelet.crt"\n'
        'tlsPrivateKeyFile: "/var/lib/kubelet/kubelet.key"\n',
    )
    options = {
        "etcd": {
            "--name": "controller",
            "--listen-client-urls": "http://127.0.0.1:2379",
            "--data-dir": "/var/lib/etcd",
        },
        "kube-apiserver": {
            "--client-ca-file": f"{folder}/ca.crt",
            "--etcd-servers": "http://127.0.0.1:2379",
            "--kubelet-certificate-authority": f"{folder}/ca.crt",
            "--kubelet-client-certificate": f"{folder}/kube-api-server.crt",
            "--kubelet-client-key": f"{folder}/kube-api-server.key",
            "--service-account-key-file": f"{folder}/service-accounts.crt",
            "--service-account-signing-key-file": f"{folder}/service-accounts.key",
            "--service-account-issuer": "https://server.kubernetes.local:6443",
            "--service-cluster-ip-range": "10.32.0.0/24",
            "--tls-cert-file": f"{folder}/kube-api-server.crt",
            "--tls-private-key-file": f"{folder}/kube-api-server.key",
        },
        "kube-controller-manager": {
            "--cluster-signing-cert-file": f"{folder}/ca.crt",
            "--cluster-signing-key-file": f"{folder}/ca.key",
            "--kubeconfig": f"{folder}/kube-controller-manager.kubeconfig",
            "--root-ca-file": f"{folder}/ca.crt",
            "--service-account-private-key-file": f"{folder}/service-accounts.key",
            "--service-cluster-ip-range": "10.32.0.0/24",
        },
        "kube-scheduler": {"--kubeconfig": f"{folder}/kube-scheduler.kubeconfig"},
        "kubelet": {
            "--config": "/var/lib/kubelet/kubelet-config.yaml",
            "--kubeconfig": "/var/lib/kubelet/kubeconfig",
        },
    }
    for component, own in options.items():
        put(root / f"etc/systemd/system/{component}.service", hardway.unit(component, own))


def embedded_kubeconfig(pki: Path, name: str, server: str) -> str:
    """A kubeconfig with everything inside, as ``kubectl config … --embed-certs=true`` leaves it."""
    import base64

    data = {
        part: base64.b64encode((pki / part).read_bytes()).decode() for part in ("ca.crt", f"{name}.crt", f"{name}.key")
    }
    return f"""\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {data["ca.crt"]}
    server: {server}
  name: kubernetes-the-hard-way
contexts:
- context:
    cluster: kubernetes-the-hard-way
    user: {name}
  name: default
current-context: default
kind: Config
preferences: {{}}
users:
- name: {name}
  user:
    client-certificate-data: {data[f"{name}.crt"]}
    client-key-data: {data[f"{name}.key"]}
"""


def _install(target: Path, pki: Path, names: tuple[str, ...]) -> None:
    for name in names:
        put(target / f"{name}.crt", (pki / f"{name}.crt").read_bytes())
        put(target / f"{name}.key", (pki / f"{name}.key").read_bytes(), 0o600)


# ---------------------------------------------------------------- mmumshad's pages

_API_NAMES = (
    "DNS.1 = kubernetes\nDNS.2 = kubernetes.default\nDNS.3 = kubernetes.default.svc\n"
    "DNS.4 = kubernetes.default.svc.cluster\nDNS.5 = kubernetes.default.svc.cluster.local\n"
    "IP.1 = 10.96.0.1\nIP.2 = 192.168.56.11\nIP.3 = 192.168.56.12\nIP.4 = 192.168.56.30\nIP.5 = 127.0.0.1\n"
)
_MMUMSHAD: dict[str, tuple[str, str, str]] = {
    # name: subject, extended key usage, alternative names; without either it is a version 1 certificate
    "admin": ("/CN=admin/O=system:masters", "", ""),
    "kube-controller-manager": ("/CN=system:kube-controller-manager/O=system:kube-controller-manager", "", ""),
    "kube-proxy": ("/CN=system:kube-proxy/O=system:node-proxier", "", ""),
    "kube-scheduler": ("/CN=system:kube-scheduler/O=system:kube-scheduler", "", ""),
    "kube-apiserver": ("/CN=kube-apiserver/O=Kubernetes", "serverAuth", _API_NAMES),
    "apiserver-kubelet-client": ("/CN=kube-apiserver-kubelet-client/O=system:masters", "clientAuth", ""),
    "etcd-server": ("/CN=etcd-server/O=Kubernetes", "", "IP.1 = 192.168.56.11\nIP.2 = 127.0.0.1\n"),
    "service-account": ("/CN=service-accounts/O=Kubernetes", "", ""),
    "node01": ("/CN=system:node:node01/O=system:nodes", "", "DNS.1 = node01\nIP.1 = 192.168.56.21\n"),
}


def mmumshad(folder: Path) -> Path:
    """mmumshad's pages as printed: the CA and the clients of version 1, all of them for the same 1000 days."""
    needs_version_1()
    folder.mkdir(parents=True)
    _ecdsa_key(folder, "ca.key")
    _request(folder, "ca", "/CN=KUBERNETES-CA/O=Kubernetes")
    # The pages say -CAcreateserial here, which does nothing beside -signkey.
    run(
        *("openssl", "x509", "-req", "-in", "ca.csr", "-signkey", "ca.key", "-out", "ca.crt", "-days", "1000"),
        folder=folder,
    )
    for name, (subject, usage, names) in _MMUMSHAD.items():
        _ecdsa_key(folder, f"{name}.key")
        _request(folder, name, subject)
        extensions: tuple[str, ...] = ()
        if usage or names:
            cnf = f"openssl-{name}.cnf"
            lines = [
                "[v3_req]",
                "basicConstraints = critical, CA:FALSE",
                "keyUsage = critical, nonRepudiation, digitalSignature, keyEncipherment",
                *([f"extendedKeyUsage = {usage}"] if usage else []),
                *(["subjectAltName = @alt_names", "[alt_names]", names] if names else []),
            ]
            put(folder / cnf, "\n".join(lines) + "\n")
            extensions = ("-extensions", "v3_req", "-extfile", cnf)
        run(
            *("openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-out", f"{name}.crt", *extensions, "-days", "1000"),
            folder=folder,
        )
    return folder


def mmumshad_hosts(root: Path, pki: Path) -> None:
    """The units of these pages, with the files where they go."""
    names = ("ca", "kube-apiserver", "apiserver-kubelet-client", "etcd-server", "service-account", "node01")
    _install(root / "var/lib/kubernetes/pki", pki, names)
    _install(root / "etc/etcd", pki, ("etcd-server",))
    put(root / "etc/etcd/ca.crt", (pki / "ca.crt").read_bytes())
    for name, server in hardway.SERVERS.items():
        put(root / hardway.kubeconfig_path(name), embedded_kubeconfig(pki, name, server), 0o600)
    put(root / "var/lib/kubelet/kubelet-config.yaml", hardway.KUBELET_CONFIGURATION)
    put(root / "var/lib/kube-proxy/kube-proxy-config.yaml", hardway.PROXY_CONFIGURATION)
    for component, options in hardway.OPTIONS.items():
        put(root / f"etc/systemd/system/{component}.service", hardway.unit(component, options))


def _ecdsa_key(folder: Path, name: str) -> None:
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", name, folder=folder)


def _request(folder: Path, name: str, subject: str) -> None:
    run("openssl", "req", "-new", "-key", f"{name}.key", "-subj", subject, "-out", f"{name}.csr", folder=folder)
