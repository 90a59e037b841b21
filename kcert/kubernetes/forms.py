"""What a component is told, in the forms in which it can be told: arguments, a unit, a manifest, a configuration."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from kcert.errors import InputError
from kcert.kubernetes.components import COMPONENTS, ComponentInstance, Option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kcert.kubernetes.components.component import Pod, Probe

PROGRAMS = "/usr/local/bin"
"""Where the hard way puts what it downloads."""


def printed(seat: ComponentInstance, form: str) -> str:
    """What *seat* is told, as flags, systemd, manifest or config; raises InputError where it has no such form."""
    return _FORMS[form](seat)


def arguments(seat: ComponentInstance) -> str:
    """One argument a line, and nothing else: what the program is started with."""
    return "".join(f"{option.argument}\n" for option in COMPONENTS[seat.component].options(seat))


def unit(seat: ComponentInstance) -> str:
    """A systemd unit, as the hard way installs it."""
    component = COMPONENTS[seat.component]
    if why := component.without(seat.profile):
        raise InputError(f"{seat.component} has no unit here: {why}.")
    after = " ".join(component.UNIT.after)
    words = [f"{PROGRAMS}/{seat.component}", *(option.argument for option in component.options(seat))]
    start = " \\\n  ".join(_unit_word(word) for word in words)
    return f"""\
[Unit]
Description={component.UNIT.description}
Documentation={component.UNIT.documentation}
Wants=network-online.target
After={after}

[Service]
Type={component.UNIT.type}
ExecStart={start}
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
"""


def _unit_word(word: str) -> str:
    """A word of ExecStart: systemd expands % and $, and splits at blanks (systemd.service, "Command lines")."""
    escaped = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return f'"{escaped}"' if any(one.isspace() or one == "'" for one in word) else escaped


def manifest(seat: ComponentInstance) -> str:
    """A static pod, as kubeadm lays it down in /etc/kubernetes/manifests."""
    pod = COMPONENTS[seat.component].pod(seat)
    if pod is None:
        raise InputError(
            f"{seat.component} is no static pod: "
            + (
                "it is what starts them. --format systemd and --format config print what it takes."
                if seat.component == "kubelet"
                else "where it is a pod, a DaemonSet starts it. --format config prints what it takes."
            )
        )
    return _yaml(_pod_object(seat, pod))


def _pod_object(seat: ComponentInstance, pod: Pod) -> dict[str, Any]:
    options = tuple(COMPONENTS[seat.component].pod_options(seat))
    mounts = tuple(_mounts(pod, options))
    requests = {"cpu": pod.cpu, **({"memory": pod.memory} if pod.memory else {})}
    container = {
        "command": [seat.component, *(option.argument for option in options)],
        "image": pod.image,
        "imagePullPolicy": "IfNotPresent",
        "livenessProbe": _probe(pod.probe, pod.probe.alive, failures=8, period=10, delay=10),
        "name": seat.component,
        "readinessProbe": _probe(pod.probe, pod.probe.ready, failures=3, period=1),
        "resources": {"requests": requests},
        "startupProbe": _probe(pod.probe, pod.probe.alive, failures=24, period=10, delay=10),
        "volumeMounts": [
            {"mountPath": path, "name": name, **({} if name in pod.writes else {"readOnly": True})}
            for name, path, _ in mounts
        ],
    }
    metadata: dict[str, Any] = {"annotations": dict(pod.annotations)} if pod.annotations else {}
    metadata |= {
        "labels": {"component": seat.component, "tier": "control-plane"},
        "name": seat.component,
        "namespace": "kube-system",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            "containers": [container],
            "hostNetwork": True,
            "priority": 2000001000,
            "priorityClassName": "system-node-critical",
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"hostPath": {"path": path, "type": type_}, "name": name} for name, path, type_ in mounts],
        },
    }


def _probe(probe: Probe, path: str, *, failures: int, period: int, delay: int = 0) -> dict[str, Any]:
    where = {"host": probe.host, "path": path, "port": probe.port, "scheme": probe.scheme}
    begin = {"initialDelaySeconds": delay} if delay else {}
    return {"failureThreshold": failures, "httpGet": where, **begin, "periodSeconds": period, "timeoutSeconds": 15}


def _mounts(pod: Pod, options: Iterable[Option]) -> Iterator[tuple[str, str, str]]:
    """What of the host the pod sees: volume name, path, type. Kubeconfigs one by one, certificates by folder."""
    for name, path in pod.folders.items():
        yield name, path, "DirectoryOrCreate"
    files = [option.reads for option in options if option.reads]
    for path in dict.fromkeys(one.path for one in files if one.part == "kubeconfig"):
        yield "kubeconfig", path, "FileOrCreate"
    folders = {PurePosixPath(one.path).parent for one in files if one.part != "kubeconfig"}
    tops = sorted(folder for folder in folders if not folders.intersection(folder.parents))
    for number, top in enumerate(tops):
        yield f"k8s-certs{f'-{number}' if number else ''}", str(top), "DirectoryOrCreate"


def configuration(seat: ComponentInstance) -> str:
    """A KubeletConfiguration or KubeProxyConfiguration."""
    root: dict[str, Any] = {}
    for setting in COMPONENTS[seat.component].settings(seat):
        place = root
        for key in setting.path[:-1]:
            place = place.setdefault(key, {})
        place[setting.path[-1]] = list(setting.value) if isinstance(setting.value, tuple) else setting.value
    if not root:
        raise InputError(
            f"{seat.component} is told everything by its options: --format flags, systemd and manifest print them. "
            "kubelet and kube-proxy have a configuration file."
        )
    return _yaml(root)


def _yaml(content: dict[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(content, sort_keys=False, default_flow_style=False, width=1_000_000)
    return text


_FORMS: dict[str, Callable[[ComponentInstance], str]] = {
    "flags": arguments,
    "systemd": unit,
    "manifest": manifest,
    "config": configuration,
}
