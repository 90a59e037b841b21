"""What components are told: real etcd starts from it, systemd takes the units, and manifests are kubeadm's."""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kcert import lessons, profiles
from kcert.config import Version
from kcert.kubernetes import components, install
from kcert.kubernetes.components.component import FolderState
from tests.clusters import PROFILES, SIZES
from tests.kubernetes import accepted
from tests.running import Ended, Kcert, free_port, kill_group, output, program, representatives, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kcert.config import Cluster
    from kcert.kubernetes.components.component import Component
    from tests.clusters import Pki

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet")

ETCD = {"etcd1": "127.0.0.1", "etcd2": "127.0.0.2", "etcd3": "127.0.0.3"}

THREE_MEMBERS = """\
profile: {profile}
etcd:
  - {{name: etcd1, ip: 127.0.0.1}}
  - {{name: etcd2, ip: 127.0.0.2}}
  - {{name: etcd3, ip: 127.0.0.3}}
key: {{algorithm: ecdsa}}
"""

BOOTSTRAPS = {"small": "nodes: [{name: node01, ip: 192.0.2.21, bootstrap: true}]\n", "book": "", "fixed": ""}
"""A line that lets a node of the cluster get its certificates from the cluster itself."""

PLACES = {"course": "etc/kubernetes/pki", "hardway": "etc/etcd", "kubeadm": "etc/kubernetes"}
"""Where etcd's files lie in an unpacked bundle, laid out as in the PKI folder."""

API_SERVER_PLACES = {**PLACES, "hardway": "var/lib/kubernetes/pki"}


def printed(home: Path, component: str, form: str, *arguments: str | Path) -> str:
    """One form of what a component is told, with the options of `kcert flags` in *arguments*."""
    asked = dict(zip(arguments[::2], map(str, arguments[1::2]), strict=True))
    cluster = profiles.load(home / "kcert.yaml")
    instance = components.placement(
        cluster, component, asked.get("--host"), asked.get("--kubernetes-version"), asked.get("--path-prefix")
    )
    return install.render(instance, form)


def flags(home: Path, component: str, *arguments: str | Path) -> list[str]:
    """Its arguments."""
    return printed(home, component, "flags", *arguments).splitlines()


def options(home: Path, component: str, *arguments: str | Path) -> dict[str, str]:
    """The same, by option."""
    return dict(line.split("=", 1) for line in flags(home, component, *arguments))


def loaded(home: Path, component: str, form: str, *arguments: str) -> Any:
    """One form, read as YAML."""
    return yaml.safe_load(printed(home, component, form, *arguments))


@dataclass(frozen=True)
class Etcd:
    """A cluster of etcd that runs, and the options with which the API server connects to it."""

    clients: dict[str, str]
    api_server: dict[str, str]

    def etcdctl(self, member: str, *arguments: str) -> Ended:
        """Talk to one member as the API server would."""
        return output(
            [
                *(program("etcdctl"), "--endpoints", self.clients[member], "--command-timeout", "5s"),
                *("--cacert", self.api_server["--etcd-cafile"], "--cert", self.api_server["--etcd-certfile"]),
                *("--key", self.api_server["--etcd-keyfile"], *arguments),
            ],
            None,
            "",
            ETCDCTL_API="3",
        )


@pytest.fixture(params=representatives(PROFILES))
def etcd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Etcd]:
    """Three members, each started from its own bundle by the flags that are printed for it.

    Only ports and data folders are changed, because all members are on one machine here.
    """
    etcd_program, profile = program("etcd"), request.param
    (tmp_path / "kcert.yaml").write_text(THREE_MEMBERS.format(profile=profile), encoding="utf-8")
    Kcert(tmp_path).done("all", "--quiet")
    Kcert(tmp_path).done("bundle", "--no-explain")
    hosts = {name: unpacked(tmp_path, name) for name in (*ETCD, "controlplane01")}
    clients, peers = {name: free_port() for name in ETCD}, {name: free_port() for name in ETCD}
    prefix = hosts["controlplane01"] / API_SERVER_PLACES[profile]
    told = options(tmp_path, "kube-apiserver", "--path-prefix", prefix)
    running = Etcd({name: f"https://{address}:{clients[name]}" for name, address in ETCD.items()}, told)
    with contextlib.ExitStack() as members:
        for name in ETCD:
            asked = ("flags", "etcd", "--host", name, "--path-prefix", hosts[name] / PLACES[profile])
            told_etcd = Kcert(tmp_path).done(*asked, "--format", "flags").lines
            argv = [_on_one_machine(one, tmp_path / f"{name}.data", clients[name], peers) for one in told_etcd]
            log = members.enter_context((tmp_path / f"{name}.log").open("wb"))
            process = subprocess.Popen([etcd_program, *argv], stdout=log, stderr=log, start_new_session=True)
            members.callback(process.wait)
            members.callback(kill_group, process.pid)
        wait_until(
            lambda: running.etcdctl("etcd1", "endpoint", "health").status == 0, 60, "etcd", tmp_path.glob("*.log")
        )
        yield running


def _on_one_machine(argument: str, data: Path, client: int, peers: dict[str, int]) -> str:
    changed = argument.replace("=/var/lib/etcd", f"={data}").replace(":2379", f":{client}")
    for name, address in ETCD.items():
        changed = changed.replace(f"{address}:2380", f"{address}:{peers[name]}")
    return changed


def unpacked(home: Path, host: str) -> Path:
    """The bundle of a host, unpacked into a folder of its own."""
    folder = home / f"{host}.files"
    folder.mkdir()
    assert output([program("tar"), "-xzf", home / "bundles" / f"{host}.tar.gz", "-C", folder]).status == 0
    return folder


@pytest.mark.thorough
def test_etcd_of_three_members_starts_from_the_flags_and_talks_over_tls(etcd: Etcd) -> None:
    assert etcd.etcdctl("etcd1", "put", "/registry/kcert", "is here").stdout == "OK\n"
    wait_until(lambda: etcd.etcdctl("etcd3", "endpoint", "health").status == 0, what="the third member")

    assert etcd.etcdctl("etcd2", "get", "/registry/kcert").lines == ["/registry/kcert", "is here"]
    assert etcd.etcdctl("etcd3", "get", "/registry/kcert").lines == ["/registry/kcert", "is here"]
    assert etcd.etcdctl("etcd1", "member", "list").stdout.count("started") == 3


@pytest.mark.parametrize("profile", ["course", "hardway"])
def test_systemd_takes_every_unit(pki: Callable[[str, str], Pki], profile: str, tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    home = pki(profile, "small").home
    units = []
    for component in COMPONENTS:
        here = tmp_path / component
        here.write_text("#!/bin/sh\n", encoding="utf-8")
        here.chmod(0o755)
        text = printed(home, component, "systemd").replace("/usr/local/bin/", f"{tmp_path}/")
        units.append(tmp_path / f"{component}.service")
        units[-1].write_text(text, encoding="utf-8")

    said = output([analyze, "verify", "--man=no", *units])

    assert [line for line in said.stderr.splitlines() if str(tmp_path) in line or ".service" in line] == []
    assert said.status == 0, said.stderr


def test_a_unit_starts_the_program_with_just_its_flags(pki: Callable[[str, str], Pki]) -> None:
    home = pki("hardway", "large").home
    for component, host in (("etcd", "etcd2"), ("kube-apiserver", "cp1"), ("kube-scheduler", "cp1")):
        unit = printed(home, component, "systemd", "--host", host)
        start = unit.split("ExecStart=")[1].split("\nRestart=")[0].replace("\\\n", " ").split()

        assert start == [f"/usr/local/bin/{component}", *flags(home, component, "--host", host)]


def test_what_systemd_would_expand_is_escaped(pki: Callable[[str, str], Pki]) -> None:
    unit = printed(pki("course", "small").home, "etcd", "systemd", "--path-prefix", "/srv/50% of $HOME")

    assert '"--cert-file=/srv/50%% of $$HOME/etcd-server.crt" \\\n' in unit


@pytest.mark.parametrize(
    ("component", "form"), [("etcd", "flags"), ("etcd", "systemd"), ("kube-scheduler", "manifest")]
)
def test_the_command_prints_the_form_and_nothing_else(
    pki: Callable[[str, str], Pki], component: str, form: str
) -> None:
    home = pki("hardway", "small").home
    ended = Kcert(home)("flags", component, "--format", form, "--kubernetes-version", "1.22")

    assert ended.stdout == printed(home, component, form, "--kubernetes-version", "1.22")
    assert ended.stderr == ""


def test_each_member_of_etcd_has_its_own(pki: Callable[[str, str], Pki]) -> None:
    home = pki("course", "large").home
    one, three = options(home, "etcd", "--host", "etcd1"), options(home, "etcd", "--host", "etcd3")

    assert one["--name"] == "etcd1"
    assert one["--peer-cert-file"] == "/etc/kubernetes/pki/etcd-peer-etcd1.crt"
    assert one["--listen-client-urls"] == (
        "https://192.168.56.41:2379,https://[fd00:56::41]:2379,https://127.0.0.1:2379"
    )
    assert three["--listen-peer-urls"] == "https://[fd00:56::43]:2380"
    assert three["--initial-advertise-peer-urls"] in [
        member.partition("=")[2] for member in three["--initial-cluster"].split(",")
    ]
    assert one["--initial-cluster"] == three["--initial-cluster"]


API_SERVER_OF_KUBEADM = {
    "--advertise-address": "127.0.0.1",
    "--allow-privileged": "true",
    "--authorization-mode": "Node,RBAC",
    "--client-ca-file": "/etc/kubernetes/pki/ca.crt",
    "--enable-admission-plugins": "NodeRestriction",
    "--enable-bootstrap-token-auth": "true",
    "--etcd-cafile": "/etc/kubernetes/pki/etcd/ca.crt",
    "--etcd-certfile": "/etc/kubernetes/pki/apiserver-etcd-client.crt",
    "--etcd-keyfile": "/etc/kubernetes/pki/apiserver-etcd-client.key",
    "--etcd-servers": "https://127.0.0.1:2379",
    "--kubelet-client-certificate": "/etc/kubernetes/pki/apiserver-kubelet-client.crt",
    "--kubelet-client-key": "/etc/kubernetes/pki/apiserver-kubelet-client.key",
    "--kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
    "--proxy-client-cert-file": "/etc/kubernetes/pki/front-proxy-client.crt",
    "--proxy-client-key-file": "/etc/kubernetes/pki/front-proxy-client.key",
    "--requestheader-allowed-names": "front-proxy-client",
    "--requestheader-client-ca-file": "/etc/kubernetes/pki/front-proxy-ca.crt",
    "--requestheader-extra-headers-prefix": "X-Remote-Extra-",
    "--requestheader-group-headers": "X-Remote-Group",
    "--requestheader-username-headers": "X-Remote-User",
    "--secure-port": "6443",
    "--service-account-issuer": "https://kubernetes.default.svc.cluster.local",
    "--service-account-key-file": "/etc/kubernetes/pki/sa.pub",
    "--service-account-signing-key-file": "/etc/kubernetes/pki/sa.key",
    "--service-cluster-ip-range": "10.96.0.0/16",
    "--tls-cert-file": "/etc/kubernetes/pki/apiserver.crt",
    "--tls-private-key-file": "/etc/kubernetes/pki/apiserver.key",
}
"""What kubeadm 1.34 starts kube-apiserver with."""


HARDWAY = {
    ("etcd", "etcd2"): """\
        --name=etcd2
        --data-dir=/var/lib/etcd
        --cert-file=/etc/etcd/etcd-server.crt
        --key-file=/etc/etcd/etcd-server.key
        --trusted-ca-file=/etc/etcd/ca.crt
        --client-cert-auth=true
        --peer-cert-file=/etc/etcd/etcd-server.crt
        --peer-key-file=/etc/etcd/etcd-server.key
        --peer-trusted-ca-file=/etc/etcd/ca.crt
        --peer-client-cert-auth=true
        --listen-client-urls=https://192.168.56.42:2379,https://127.0.0.1:2379
        --advertise-client-urls=https://192.168.56.42:2379
        --listen-peer-urls=https://192.168.56.42:2380
        --initial-advertise-peer-urls=https://192.168.56.42:2380
        --initial-cluster=etcd1=https://192.168.56.41:2380,etcd2=https://192.168.56.42:2380,etcd3=https://[fd00:56::43]:2380
        --initial-cluster-token=etcd-prod-eu
        --initial-cluster-state=new""",
    ("kube-controller-manager", "cp1"): """\
        --kubeconfig=/var/lib/kubernetes/kube-controller-manager.kubeconfig
        --cluster-signing-cert-file=/var/lib/kubernetes/pki/ca.crt
        --cluster-signing-key-file=/var/lib/kubernetes/pki/ca.key
        --controllers=*,bootstrapsigner,tokencleaner
        --root-ca-file=/var/lib/kubernetes/pki/ca.crt
        --service-account-private-key-file=/var/lib/kubernetes/pki/service-account.key
        --use-service-account-credentials=true
        --client-ca-file=/var/lib/kubernetes/pki/ca.crt
        --authentication-kubeconfig=/var/lib/kubernetes/kube-controller-manager.kubeconfig
        --authorization-kubeconfig=/var/lib/kubernetes/kube-controller-manager.kubeconfig
        --bind-address=127.0.0.1
        --leader-elect=true
        --cluster-name=prod-eu
        --service-cluster-ip-range=10.32.0.0/24,fd00:10:96::/112""",
    ("kube-scheduler", "cp1"): """\
        --kubeconfig=/var/lib/kubernetes/kube-scheduler.kubeconfig
        --authentication-kubeconfig=/var/lib/kubernetes/kube-scheduler.kubeconfig
        --authorization-kubeconfig=/var/lib/kubernetes/kube-scheduler.kubeconfig
        --bind-address=127.0.0.1
        --leader-elect=true""",
    ("kubelet", "node01"): """\
        --config=/var/lib/kubelet/kubelet-config.yaml
        --kubeconfig=/var/lib/kubelet/kubelet.kubeconfig
        --hostname-override=node01
        --node-ip=192.168.56.21,fd00:56::21""",
    ("kube-proxy", "node01"): """\
        --config=/var/lib/kube-proxy/kube-proxy-config.yaml
        --hostname-override=node01""",
}
"""What each component is told on one host of the large cluster in the profile hardway; the API server is below."""


@pytest.mark.parametrize(("component", "host"), HARDWAY)
def test_in_hardway_each_component_is_told_this(pki: Callable[[str, str], Pki], component: str, host: str) -> None:
    told = flags(pki("hardway", "large").home, component, "--host", host)

    assert told == HARDWAY[component, host].split()


def test_kubeadms_api_server_is_told_what_kubeadm_tells_it(pki: Callable[[str, str], Pki]) -> None:
    assert options(pki("kubeadm", "small").home, "kube-apiserver") == API_SERVER_OF_KUBEADM


def test_the_manifest_of_the_api_server_key_by_key(pki: Callable[[str, str], Pki]) -> None:
    made = loaded(pki("kubeadm", "small").home, "kube-apiserver", "manifest", "--kubernetes-version", "1.34.2")

    container = made["spec"]["containers"][0]
    command = container.pop("command")
    assert command[0] == "kube-apiserver"
    assert dict(word.split("=", 1) for word in command[1:]) == API_SERVER_OF_KUBEADM
    wait = {"host": "127.0.0.1", "port": 6443, "scheme": "HTTPS"}
    assert made == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "annotations": {"kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint": "127.0.0.1:6443"},
            "labels": {"component": "kube-apiserver", "tier": "control-plane"},
            "name": "kube-apiserver",
            "namespace": "kube-system",
        },
        "spec": {
            "containers": [
                {
                    "image": "registry.k8s.io/kube-apiserver:v1.34.2",
                    "imagePullPolicy": "IfNotPresent",
                    "livenessProbe": {
                        "failureThreshold": 8,
                        "httpGet": {**wait, "path": "/livez"},
                        "initialDelaySeconds": 10,
                        "periodSeconds": 10,
                        "timeoutSeconds": 15,
                    },
                    "name": "kube-apiserver",
                    "readinessProbe": {
                        "failureThreshold": 3,
                        "httpGet": {**wait, "path": "/readyz"},
                        "periodSeconds": 1,
                        "timeoutSeconds": 15,
                    },
                    "resources": {"requests": {"cpu": "250m"}},
                    "startupProbe": {
                        "failureThreshold": 24,
                        "httpGet": {**wait, "path": "/livez"},
                        "initialDelaySeconds": 10,
                        "periodSeconds": 10,
                        "timeoutSeconds": 15,
                    },
                    "volumeMounts": [
                        {"mountPath": "/etc/ssl/certs", "name": "ca-certs", "readOnly": True},
                        {"mountPath": "/etc/kubernetes/pki", "name": "k8s-certs", "readOnly": True},
                    ],
                }
            ],
            "hostNetwork": True,
            "priority": 2000001000,
            "priorityClassName": "system-node-critical",
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [
                {"hostPath": {"path": "/etc/ssl/certs", "type": "DirectoryOrCreate"}, "name": "ca-certs"},
                {"hostPath": {"path": "/etc/kubernetes/pki", "type": "DirectoryOrCreate"}, "name": "k8s-certs"},
            ],
        },
    }


def test_every_file_that_a_pod_reads_is_mounted(pki: Callable[[str, str], Pki]) -> None:
    for profile in PROFILES:
        home = pki(profile, "small").home
        for component in COMPONENTS[:4]:
            made = loaded(home, component, "manifest")
            container = made["spec"]["containers"][0]
            mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
            volumes = {volume["name"]: volume["hostPath"]["path"] for volume in made["spec"]["volumes"]}
            paths = [word.partition("=")[2] for word in container["command"] if "=/" in word]

            assert paths
            assert [path for path in paths if not any(path == m or path.startswith(f"{m}/") for m in mounts)] == []
            assert {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]} == volumes
            assert len(volumes) == len(mounts)


def test_kubeadms_other_manifests_have_their_own(pki: Callable[[str, str], Pki]) -> None:
    home = pki("kubeadm", "small").home
    etcd = loaded(home, "etcd", "manifest", "--kubernetes-version", "1.34")["spec"]["containers"][0]
    manager = loaded(home, "kube-controller-manager", "manifest")["spec"]
    scheduler = loaded(home, "kube-scheduler", "manifest")["spec"]

    assert etcd["image"] == "registry.k8s.io/etcd:3.6.4-0"
    assert etcd["livenessProbe"]["httpGet"] == {"host": "127.0.0.1", "path": "/livez", "port": 2381, "scheme": "HTTP"}
    assert "--listen-metrics-urls=http://127.0.0.1:2381" in etcd["command"]
    assert etcd["volumeMounts"] == [
        {"mountPath": "/var/lib/etcd", "name": "etcd-data"},
        {"mountPath": "/etc/kubernetes/pki/etcd", "name": "k8s-certs", "readOnly": True},
    ]
    assert "--cluster-signing-key-file=/etc/kubernetes/pki/ca.key" in manager["containers"][0]["command"]
    assert {
        "hostPath": {"path": "/etc/kubernetes/controller-manager.conf", "type": "FileOrCreate"},
        "name": "kubeconfig",
    } in (manager["volumes"])
    assert [volume["hostPath"]["path"] for volume in scheduler["volumes"]] == ["/etc/kubernetes/scheduler.conf"]
    assert scheduler["containers"][0]["startupProbe"]["httpGet"]["port"] == 10259


def test_the_kubelets_configuration_key_by_key(pki: Callable[[str, str], Pki]) -> None:
    shared = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "systemd",
        "clusterDNS": ["10.96.0.10"],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
    }

    def authentication(ca: str) -> dict[str, Any]:
        return {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": {"clientCAFile": ca}}

    own = {profile: loaded(pki(profile, "small").home, "kubelet", "config", "--host", "node01") for profile in PROFILES}

    assert own["course"] == {
        **shared,
        "authentication": authentication("/etc/kubernetes/pki/ca.crt"),
        "tlsCertFile": "/etc/kubernetes/pki/node01.crt",
        "tlsPrivateKeyFile": "/etc/kubernetes/pki/node01.key",
    }
    assert own["hardway"] == {
        **shared,
        "authentication": authentication("/var/lib/kubernetes/pki/ca.crt"),
        "tlsCertFile": "/var/lib/kubernetes/pki/node01.crt",
        "tlsPrivateKeyFile": "/var/lib/kubernetes/pki/node01.key",
    }
    assert own["kubeadm"] == {
        **shared,
        "authentication": authentication("/etc/kubernetes/pki/ca.crt"),
        "rotateCertificates": True,
        "staticPodPath": "/etc/kubernetes/manifests",
    }


def test_kube_proxys_configuration_key_by_key(pki: Callable[[str, str], Pki]) -> None:
    paths = {
        "course": "/etc/kubernetes/kube-proxy.kubeconfig",
        "hardway": "/var/lib/kube-proxy/kube-proxy.kubeconfig",
        "kubeadm": "/var/lib/kube-proxy/kubeconfig.conf",
    }
    for profile, path in paths.items():
        assert loaded(pki(profile, "small").home, "kube-proxy", "config", "--host", "node01") == {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": path},
            "mode": "iptables",
        }


def test_the_front_proxy_and_the_kubelets_ca_belong_to_their_profiles(pki: Callable[[str, str], Pki]) -> None:
    """With the cluster's own CA as front-proxy CA, any client could say that he is somebody else."""
    for profile in ("course", "hardway"):
        for component in ("kube-apiserver", "kube-controller-manager"):
            told = options(pki(profile, "small").home, component)
            assert [name for name in told if name.startswith(("--requestheader-", "--proxy-client-"))] == []
        assert "--kubelet-certificate-authority" in options(pki(profile, "small").home, "kube-apiserver")
    assert "--kubelet-certificate-authority" not in options(pki("kubeadm", "small").home, "kube-apiserver")


def instances_of(cluster: Cluster, component: str, minor: int) -> tuple[Component, ...]:
    """The component on each of its hosts, with an encryption config in the PKI folder."""
    return components.instances(cluster, component, Version(minor), state=FolderState(encrypts=True))


@pytest.mark.thorough
@pytest.mark.parametrize("size", representatives(["large", "small", "book", "fixed"]))
@pytest.mark.parametrize("profile", representatives([*PROFILES, "kelsey"]))
def test_every_release_accepts_what_is_printed_for_it(tmp_path: Path, profile: str, size: str) -> None:
    """Options and fields of every component on every host, of a node that bootstraps too, in each release."""
    (tmp_path / "kcert.yaml").write_text(
        SIZES[size].format(profile=profile) + ("" if size == "large" else BOOTSTRAPS[size]), encoding="utf-8"
    )
    cluster = profiles.load(tmp_path / "kcert.yaml")
    documents = set()
    for minor in range(accepted.OLDEST, accepted.NEWEST + 1):
        for component in COMPONENTS:
            for instance in instances_of(cluster, component, minor):
                printed = {option.name for option in (*instance.options(), *instance.pod_options())}
                assert printed <= accepted.options(component, minor), (component, minor)
                if tuple(instance.settings()):
                    document = yaml.safe_load(install.configuration(instance))
                    documents.add((document["kind"], document["apiVersion"]))
                    assert accepted.unknown_fields(document, minor) == [], (component, minor)

    assert len(documents) == (4 if profile == "kelsey" else 2)


def test_a_scheduler_with_the_port_without_tls_is_configured_with_options(pki: Callable[[str, str], Pki]) -> None:
    """With --config, releases before 1.23 take that port from the file, and --port=0 does not close it."""
    home = pki("kelsey", "small").home

    old = options(home, "kube-scheduler", "--kubernetes-version", "1.22")
    new = options(home, "kube-scheduler", "--kubernetes-version", "1.23")

    assert (old["--port"], old["--kubeconfig"]) == ("0", "/var/lib/kubernetes/kube-scheduler.kubeconfig")
    assert "--config" not in old
    assert new["--config"] == "/etc/kubernetes/config/kube-scheduler.yaml"
    assert not {"--port", "--kubeconfig"} & set(new)


@pytest.mark.parametrize(
    ("component", "release", "there"),
    [
        ("kube-apiserver", "1.19", {"--insecure-port": True, "--service-account-issuer": False}),
        ("kube-apiserver", "v1.20.3", {"--insecure-port": False, "--service-account-issuer": True}),
        ("kube-controller-manager", "1.21", {"--port": True}),
        ("kube-controller-manager", "1.22", {"--port": False}),
        ("kube-scheduler", "1.22.17", {"--port": True}),
        ("kube-scheduler", "1.23", {"--port": False}),
        ("kubelet", "1.23", {"--container-runtime": True, "--container-runtime-endpoint": True}),
        ("kubelet", "1.26", {"--container-runtime": False, "--container-runtime-endpoint": True}),
        ("kubelet", "1.27", {"--container-runtime": False, "--container-runtime-endpoint": False}),
    ],
)
def test_the_release_decides(
    pki: Callable[[str, str], Pki], component: str, release: str, there: dict[str, bool]
) -> None:
    told = options(pki("course", "small").home, component, "--kubernetes-version", release)

    assert {name: name in told for name in there} == there


@pytest.mark.parametrize(
    ("component", "option", "before", "since"),
    [
        ("kube-apiserver", "--service-cluster-ip-range", "10.32.0.0/24", "10.32.0.0/24,fd00:10:96::/112"),
        ("kube-controller-manager", "--service-cluster-ip-range", "10.32.0.0/24", "10.32.0.0/24,fd00:10:96::/112"),
        ("kubelet", "--node-ip", "192.168.56.21", "192.168.56.21,fd00:56::21"),
    ],
)
def test_two_families_are_told_from_the_release_on_that_takes_them(
    pki: Callable[[str, str], Pki], component: str, option: str, before: str, since: str
) -> None:
    home, host = pki("course", "large").home, "node01" if component == "kubelet" else "cp1"
    told = {
        release: options(home, component, "--host", host, "--kubernetes-version", release)
        for release in ("1.20", "1.21")
    }

    assert (told["1.20"][option], told["1.21"][option]) == (before, since)


def test_a_kubelet_is_never_told_two_addresses_of_one_family(tmp_path: Path) -> None:
    """It ends with "must contain either a single IP or a dual-stack pair of IPs"."""
    addresses = '[192.0.2.7, 192.0.2.8, "fd00::8", "fd00::7"]'
    (tmp_path / "kcert.yaml").write_text(f"nodes: [{{name: node01, ip: {addresses}}}]\n", encoding="utf-8")

    assert options(tmp_path, "kubelet")["--node-ip"] == "192.0.2.7,fd00::8"


def test_each_option_is_shown_with_its_file_and_its_reason(pki: Callable[[str, str], Pki]) -> None:
    shown = Kcert(pki("course", "small").home).done("flags", "kube-controller-manager").stdout

    lines = [line.strip() for line in shown.splitlines()]
    option = lines.index("--cluster-signing-key-file=/etc/kubernetes/pki/ca.key")
    assert lines[option + 1] == "the key of that CA: no other component gets it (ca.key)"
    assert "csrapproving" in shown
    assert "csrsigning" in shown


@pytest.mark.parametrize("profile", PROFILES)
def test_each_option_and_field_has_a_reason_in_the_lessons(profile: str, tmp_path: Path) -> None:
    """Of the oldest and of the newest release, with tokens and encryption, so that each option is there."""
    text = f"profile: {profile}\nnodes: [{{name: n1, ip: 10.0.0.2}}, {{name: n2, ip: 10.0.0.3, bootstrap: true}}]\n"
    (tmp_path / "kcert.yaml").write_text(text, encoding="utf-8")
    cluster, state = profiles.load(tmp_path / "kcert.yaml"), FolderState(encrypts=True)
    for name in COMPONENTS:
        assert lessons.option_reason(name), name
        for minor in (19, 22, 37):
            for instance in components.instances(cluster, name, Version(minor), state=state):
                given = [*instance.given(), *instance.pod_options()]
                names = {option.name for option in given} - {"apiVersion", "kind"}
                assert not [option for option in names if not lessons.option_reason(name, option)], name


@pytest.mark.thorough
def test_the_reasons_are_those_of_the_teachers_lessons(pki: Callable[[str, str], Pki], tmp_path: Path) -> None:
    kcert, own = Kcert(pki("course", "small").home), tmp_path / "own"
    kcert.done("explain", "--export", str(own))
    path = own / "component-options.md"
    heading = "## --cluster-signing-key-file\n\n"
    path.write_text(path.read_text("utf-8").replace(heading, f"{heading}der Schluessel, und\n"), "utf-8")

    teachers = {"KCERT_LESSONS": str(own)}
    shown = kcert("flags", "kube-controller-manager", variables=teachers).stdout
    record = kcert("flags", "kube-controller-manager", "--json", variables=teachers).stdout

    assert "der Schluessel, und the key of that CA" in shown
    assert "der Schluessel, und the key of that CA" in record
    path.write_text(path.read_text("utf-8").replace(heading, "## --signing-key\n\n"), "utf-8")
    said = kcert("flags", "kube-controller-manager", variables=teachers)
    assert said.status == 2
    assert 'the section "## --cluster-signing-key-file" is missing' in " ".join(said.stderr.split())


def test_a_missing_certificate_is_said_beside_the_flags(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    (own_pki().folder / "etcd-server.crt").unlink()

    ended = kcert("flags", "etcd", "--format", "flags")

    assert "--cert-file=/etc/kubernetes/pki/etcd-server.crt" in ended.lines
    assert "not created yet: etcd-server. `kcert etcd` creates them." in " ".join(ended.stderr.split())


def test_a_stale_certificate_is_said_with_the_command_that_mends_it(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    with own_pki().config.open("a", encoding="utf-8") as config:
        config.write("api_server: {host: lb.example.com}\n")

    before = kcert.done("flags", "kube-apiserver", "--format", "flags")
    kcert.done("renew", "kube-apiserver", "--stale", "--quiet")
    after = kcert.done("flags", "kube-apiserver", "--format", "flags")

    assert "`kcert renew kube-apiserver --stale` renews it" in " ".join(before.stderr.split())
    assert (after.stdout, after.stderr) == (before.stdout, "")


@pytest.mark.parametrize(
    ("release", "image"), [("1.34", "3.6.4-0"), ("1.35.8", "3.6.6-0"), ("1.36.4", "3.6.8-0"), ("", "3.7.0-0")]
)
def test_etcd_is_the_one_that_kubeadm_starts_with_that_release(
    pki: Callable[[str, str], Pki], release: str, image: str
) -> None:
    """As `kubeadm config images list` has them; without a release it is the current one's, 1.37."""
    asked = ("--kubernetes-version", release) if release else ()

    pod = yaml.safe_load(printed(pki("kubeadm", "small").home, "etcd", "manifest", *asked))

    assert pod["spec"]["containers"][0]["image"] == f"registry.k8s.io/etcd:{image}"


def test_a_release_that_is_newer_than_what_kcert_knows_is_said(pki: Callable[[str, str], Pki]) -> None:
    ended = Kcert(pki("course", "small").home).done(
        "flags", "etcd", "--format", "flags", "--kubernetes-version", "1.99"
    )

    assert ended.lines[0] == "--name=controlplane01"
    assert "Kubernetes 1.99 is newer than 1.37" in " ".join(ended.stderr.split())


@pytest.mark.parametrize(
    ("size", "arguments", "words"),
    [
        ("small", ("kube-apiservr",), "did you mean kube-apiserver"),
        ("small", ("scheduler",), "did you mean kube-scheduler"),
        ("small", ("etcd", "--host", "node01"), "etcd does not run on 'node01'. There are: controlplane01"),
        ("large", ("etcd", "--host", "etcd4"), "did you mean etcd"),
        ("large", ("etcd",), "specify one with --host (etcd1, etcd2, etcd3)"),
        ("small", ("etcd", "--kubernetes-version", "latest"), "'latest' is invalid"),
        ("small", ("etcd", "--kubernetes-version", "2.0"), "expected a release of Kubernetes"),
        ("small", ("etcd", "--kubernetes-version", "1.5"), "1.16 and newer"),
        ("small", ("etcd", "--path-prefix", "a\x1bb"), "--path-prefix 'a\\x1bb'"),
        ("small", ("kubelet", "--format", "manifest"), "kubelet is not a static pod"),
        ("small", ("etcd", "--format", "config"), "etcd has no configuration file"),
    ],
)
def test_bad_input_is_refused_with_words(
    pki: Callable[[str, str], Pki], size: str, arguments: tuple[str, ...], words: str
) -> None:
    ended = Kcert(pki("course", size).home)("flags", *arguments)

    assert ended.status == 2
    assert words in " ".join(ended.stderr.split())
    assert ended.stdout == ""


def test_in_kubeadm_kube_proxy_is_no_unit(pki: Callable[[str, str], Pki]) -> None:
    ended = Kcert(pki("kubeadm", "small").home)("flags", "kube-proxy", "--host", "node01", "--format", "systemd")

    assert ended.status == 2
    assert "kubeadm runs kube-proxy as a pod" in ended.stderr
