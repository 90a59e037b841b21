"""The bundle of a host, and its files besides certificates: units or static pods, configuration, the script.

Everything is made from the components' own options; nothing here is written down twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import PurePosixPath
from typing import Any

from kcert import lessons, plain_yaml, profiles
from kcert.config import Cluster, Host, Version
from kcert.errors import InputError
from kcert.files import filled_file
from kcert.issue.context import Context
from kcert.kubernetes import TEMPLATES, bootstrap, encryption
from kcert.kubernetes.components import COMPONENTS, on_host
from kcert.kubernetes.components.component import Component, FolderState, Option, Pod
from kcert.kubernetes.credentials import read_file
from kcert.profiles.profile import KnownIssue
from kcert.quoting import quote
from kcert.roles import CLUSTER_ADMINS, MASTERS
from kcert.store import PUBLIC_MODE, SECRET_MODE

UNITS = PurePosixPath("/etc/systemd/system")
STATIC_PODS = PurePosixPath("/etc/kubernetes/manifests")
BACKUPS = "/var/backups/kcert"
EXECUTABLE_MODE = 0o755

PROGRAMS = "/usr/local/bin"
"""The folder of the programs that the hard way downloads."""


@dataclass(frozen=True)
class HostFile:
    """A file of a host: its path there, its mode, which components read it, and what for.

    ``source`` is the file of the PKI folder that it is. Of what kcert writes besides, ``form`` is the --format of
    `kcert flags` that prints it. ``owner`` is the certificate that it belongs to; ``exists`` is False for a kubeconfig
    that the PKI folder lacks, which is written for the archive.
    """

    path: PurePosixPath
    mode: int
    readers: tuple[str, ...]
    reasons: tuple[str, ...]
    content: bytes = field(repr=False)
    source: PurePosixPath | None = None
    form: str = ""
    owner: str = ""
    exists: bool = True

    @property
    def packed_path(self) -> str:
        """Return its path in an archive."""
        return str(self.path.relative_to("/"))


@dataclass(frozen=True)
class Manifest:
    """An object for the cluster, to be applied with kubectl once the API server answers."""

    name: str
    why: str
    content: bytes = field(repr=False)
    mode: int = PUBLIC_MODE


@dataclass(frozen=True)
class Bundle:
    """All that one host gets: files of the PKI folder, files that kcert writes, and objects to apply with kubectl.

    ``version`` is the release that options and formats are for; ``unsigning`` is why kube-controller-manager on this
    host gets no key to sign with.
    """

    host: Host
    cluster: Cluster
    version: Version
    files: tuple[HostFile, ...]
    generated: tuple[HostFile, ...] = ()
    manifests: tuple[Manifest, ...] = ()
    unsigning: str | None = None

    @property
    def rows(self) -> tuple[HostFile, ...]:
        """Every file that is installed on the host, by path."""
        return tuple(sorted((*self.files, *self.generated), key=lambda file: file.path))

    @property
    def certificates_only(self) -> Bundle:
        """The same without what kcert writes besides: for a cluster that runs, after a renewal."""
        return replace(self, generated=(), manifests=())

    @property
    def file(self) -> str:
        """Return what the archive is called."""
        return f"{self.host.name}.tar.gz"

    def texts(self) -> Iterator[tuple[str, int, bytes]]:
        """Yield name, mode and content of the files in the archive that are not installed."""
        units = {row.path.stem for row in self.generated if row.path.parent == UNITS}
        in_order = [name for name in COMPONENTS if name in units]
        yield "INSTALL.md", PUBLIC_MODE, _instructions(self, in_order).encode()
        yield "install.sh", EXECUTABLE_MODE, _script(self, in_order).encode()
        for manifest in self.manifests:
            yield f"manifests/{manifest.name}", manifest.mode, manifest.content


def generated(ctx: Context, host: Host, state: FolderState, version: Version) -> Iterator[HostFile]:
    """Yield units or static pods, and the configuration files, of the components on *host*, for that release.

    Raises InputError for a bootstrap token that is missing or expired.
    """
    profile = profiles.PROFILES[ctx.cluster.profile]
    kubelets = {kubelet_host.name for kubelet_host in profile.kubelet_hosts(ctx.cluster)}
    runs_pods = profile.static_pods and host.name in kubelets
    for component in on_host(ctx.cluster, host, state, version):
        name, written = component.NAME, list[tuple[PurePosixPath, str, str]]()
        if runs_pods and component.pod():
            written.append((STATIC_PODS / f"{name}.yaml", "static pod", "manifest"))
        elif component.why_no_unit() is None:
            written.append((UNITS / f"{name}.service", "systemd unit", "systemd"))
        else:
            continue
        if tuple(component.settings()):
            written.append((PurePosixPath(profile.configurations[name]), "configuration file", "config"))
        for path, purpose, form in written:
            content, why = render(component, form).encode(), lessons.file_reason(purpose)
            yield HostFile(path, PUBLIC_MODE, (name,), (why,), content, form=form)
        if name == "kube-apiserver" and state.encrypts:
            content = read_file(ctx.root / encryption.FILE)
            path, why = PurePosixPath(profile.encryption_config), lessons.file_reason("encryption config")
            yield HostFile(path, SECRET_MODE, (name,), (why,), content, encryption.FILE)
        if name == "kubelet" and component.host.bootstrap:
            path, why = PurePosixPath(profile.bootstrap_kubeconfig), lessons.file_reason("bootstrap kubeconfig")
            _check_token(ctx, host)
            content = read_file(ctx.root / bootstrap.KUBECONFIG)
            yield HostFile(path, SECRET_MODE, (name,), (why,), content, bootstrap.KUBECONFIG)


def _check_token(ctx: Context, host: Host) -> None:
    token = bootstrap.read(ctx.root)
    command = f"`kcert bootstrap{ctx.folder_option}` makes one"
    if token is None or not (ctx.root / bootstrap.KUBECONFIG).is_file():
        raise InputError(f"{host.name} bootstraps, and there is no token: {command}.")
    if token.expires <= datetime.now(timezone.utc):
        raise InputError(f"{host.name} bootstraps, and the token expired on {token.expires:%Y-%m-%d}: {command}.")


def manifests(ctx: Context, host: Host) -> Iterator[Manifest]:
    """Yield what is applied once to the cluster; it is in the archive of the first control-plane host."""
    cluster = ctx.cluster
    if host.name != cluster.control_plane[0].name:
        return
    known = ctx.known
    client = known[profiles.PROFILES[cluster.profile].bindings(cluster, host.name).kubelet_client].subject
    assert client
    if MASTERS not in client.organizations and CLUSTER_ADMINS not in client.organizations:
        why = lessons.file_reason("kube-apiserver-to-kubelet.yaml", user=client.common_name)
        role = ("kcert:kube-apiserver-to-kubelet", "system:kubelet-api-admin")
        binding = bootstrap.role_binding(*role, "User", client.common_name)
        yield Manifest("kube-apiserver-to-kubelet.yaml", why, binding.encode())
    if any(cert.subject and CLUSTER_ADMINS in cert.subject.organizations for cert in known.values()):
        why = lessons.file_reason("cluster-admins.yaml")
        binding = bootstrap.role_binding(CLUSTER_ADMINS, "cluster-admin", "Group", CLUSTER_ADMINS)
        yield Manifest("cluster-admins.yaml", why, binding.encode())
    if cluster.bootstrap_nodes:
        _check_token(ctx, cluster.bootstrap_nodes[0])
        token, rbac = (read_file(ctx.root / name) for name in (bootstrap.TOKEN, bootstrap.RBAC))
        yield Manifest(bootstrap.TOKEN.name, lessons.file_reason(bootstrap.TOKEN.name), token, SECRET_MODE)
        yield Manifest(bootstrap.RBAC.name, lessons.file_reason(bootstrap.RBAC.name), rbac)


def _instructions(bundle: Bundle, units: Sequence[str]) -> str:
    """Return INSTALL.md: each file, who reads it and what for, and the commands that install and start everything."""
    cluster, rows = bundle.cluster, bundle.rows
    files = (f"| `{row.path}` | {row.mode:04o} | {', '.join(row.readers)} | {'; '.join(row.reasons)} |" for row in rows)
    return filled_file(
        TEMPLATES / "INSTALL.md",
        host=bundle.host.name,
        cluster=cluster.name,
        profile=cluster.profile,
        version=str(bundle.version),
        files="\n".join(files),
        backups=BACKUPS,
        commands="\n".join(
            f"    sudo install -D -o root -g root -m {row.mode:o} {quote(row.packed_path)} {quote(str(row.path))}"
            for row in rows
        ),
        start=_start(units),
        apply=_apply(bundle.manifests),
        issues=_issues(profiles.PROFILES[cluster.profile].known_issues(cluster)),
    )


def _start(units: Sequence[str]) -> str:
    if not units:
        return "\nNothing on this host is a systemd unit of kcert's.\n"
    words = "\nThe programs themselves (in /usr/local/bin) and a container runtime are not in the archive. Start "
    words += "etcd on all its members at the same time: each waits for the others.\n" if "etcd" in units else "them:\n"
    return f"{words}\n    sudo systemctl daemon-reload\n    sudo systemctl enable --now {' '.join(units)}\n"


def _apply(applied: Sequence[Manifest]) -> str:
    if not applied:
        return ""
    rows = "".join(f"    kubectl apply -f manifests/{manifest.name}\n" for manifest in applied)
    reasons = "".join(f"- {manifest.name}: {manifest.why}.\n" for manifest in applied)
    return f"\n## Apply\n\nOnce, when the API server answers, with an administrator's kubeconfig:\n\n{rows}\n{reasons}"


def _issues(issues: Sequence[KnownIssue]) -> str:
    if not issues:
        return ""
    rows = "".join(f"- {issue.component}: {issue.problem}\n" for issue in issues)
    return (
        "\n## Known issues\n\nThe profile follows its book, and these come with it. `fix_known_issues: true` in "
        f"kcert.yaml corrects them.\n\n{rows}"
    )


_RELOAD = """

if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    echo "systemd has read the units. Start them as INSTALL.md says: systemctl enable --now {units}"
fi"""


def _script(bundle: Bundle, units: Sequence[str]) -> str:
    """Return install.sh: it installs every file, keeps what it replaces, and changes nothing when run again."""
    return filled_file(
        TEMPLATES / "install.sh",
        host=bundle.host.name,
        cluster=bundle.cluster.name,
        backups=BACKUPS,
        count=str(len(bundle.rows)),
        files="\n".join(f"put {row.mode:o} {quote(str(row.path))}" for row in bundle.rows),
        reload=_RELOAD.format(units=" ".join(units)) if units else "",
    )


# --- A component's options in every form


def render(component: Component, form: str) -> str:
    """Return its options as flags, systemd, manifest or config; raises InputError for a form that it does not have."""
    return _FORMS[form](component)


def arguments(component: Component) -> str:
    """One argument a line, and nothing else: what the program is started with."""
    return "".join(f"{option.argument}\n" for option in component.options())


def unit(component: Component) -> str:
    """A systemd unit, as the hard way installs it."""
    if why := component.why_no_unit():
        raise InputError(f"{component.NAME} has no unit here: {why}.")
    words = [f"{PROGRAMS}/{component.NAME}", *(option.argument for option in component.options())]
    return filled_file(
        TEMPLATES / "component.service",
        description=component.DESCRIPTION,
        documentation=component.DOCUMENTATION.format(component.NAME),
        after=" ".join(component.AFTER),
        type=component.TYPE,
        start=" \\\n  ".join(_unit_word(word) for word in words),
    )


def _unit_word(word: str) -> str:
    """A word of ExecStart: systemd expands % and $, and splits at blanks (systemd.service, "Command lines")."""
    escaped = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return f'"{escaped}"' if any(character.isspace() or character == "'" for character in word) else escaped


def manifest(component: Component) -> str:
    """A static pod, as kubeadm lays it down in /etc/kubernetes/manifests."""
    pod = component.pod()
    if pod is None:
        why = "where it is a pod, a DaemonSet starts it. Use --format config."
        if component.NAME == "kubelet":
            why = "it starts them. Use --format systemd and --format config."
        raise InputError(f"{component.NAME} is not a static pod: {why}")
    options = tuple(component.pod_options())
    mounts = tuple(_mounts(pod, options))
    requests = {"cpu": pod.cpu, **({"memory": pod.memory} if pod.memory else {})}
    container = {
        "command": [component.NAME, *(option.argument for option in options)],
        "image": pod.image,
        "imagePullPolicy": "IfNotPresent",
        "livenessProbe": _probe(pod, pod.alive, failures=8, period=10, delay=10),
        "name": component.NAME,
        "readinessProbe": _probe(pod, pod.ready, failures=3, period=1),
        "resources": {"requests": requests},
        "startupProbe": _probe(pod, pod.alive, failures=24, period=10, delay=10),
        "volumeMounts": [
            {"mountPath": path, "name": name, **({} if name in pod.writes else {"readOnly": True})}
            for name, path, _ in mounts
        ],
    }
    metadata: dict[str, Any] = {"annotations": dict(pod.annotations)} if pod.annotations else {}
    metadata |= {
        "labels": {"component": component.NAME, "tier": "control-plane"},
        "name": component.NAME,
        "namespace": "kube-system",
    }
    spec = {
        "containers": [container],
        "hostNetwork": True,
        "priority": 2000001000,
        "priorityClassName": "system-node-critical",
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"hostPath": {"path": path, "type": type_}, "name": name} for name, path, type_ in mounts],
    }
    return plain_yaml.dump({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def _probe(pod: Pod, path: str, *, failures: int, period: int, delay: int = 0) -> dict[str, Any]:
    where = {"host": pod.host, "path": path, "port": pod.port, "scheme": pod.scheme}
    begin = {"initialDelaySeconds": delay} if delay else {}
    return {"failureThreshold": failures, "httpGet": where, **begin, "periodSeconds": period, "timeoutSeconds": 15}


def _mounts(pod: Pod, options: Sequence[Option]) -> Iterator[tuple[str, str, str]]:
    """Return what of the host the pod sees: volume name, path, type. Kubeconfigs one by one, certificates by folder."""
    for name, path in pod.folders.items():
        yield name, path, "DirectoryOrCreate"
    for path in (option.mounts for option in options if option.mounts):
        yield PurePosixPath(path).stem, path, "File"
    files = [option.reads for option in options if option.reads]
    for path in dict.fromkeys(file.path for file in files if file.part == "kubeconfig"):
        yield "kubeconfig", path, "FileOrCreate"
    folders = {PurePosixPath(file.path).parent for file in files if file.part != "kubeconfig"}
    tops = sorted(folder for folder in folders if not folders.intersection(folder.parents))
    for number, top in enumerate(tops):
        yield f"k8s-certs{f'-{number}' if number else ''}", str(top), "DirectoryOrCreate"


def configuration(component: Component) -> str:
    """A KubeletConfiguration or KubeProxyConfiguration."""
    root: dict[str, Any] = {}
    for setting in component.settings():
        *groups, key = setting.name.split(".")
        group = root
        for name in groups:
            group = group.setdefault(name, {})
        group[key] = setting.value
    if not root:
        raise InputError(
            f"{component.NAME} has no configuration file: --format flags, systemd and manifest print its options. "
            "kubelet and kube-proxy have a configuration file."
        )
    return plain_yaml.dump(root)


_FORMS: dict[str, Callable[[Component], str]] = {
    "flags": arguments,
    "systemd": unit,
    "manifest": manifest,
    "config": configuration,
}
