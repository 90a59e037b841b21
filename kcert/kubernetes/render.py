"""A component's options in every form: arguments, a unit, a static pod, a configuration file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from kcert.errors import InputError
from kcert.files import filled_file
from kcert.kubernetes import TEMPLATES
from kcert.kubernetes.components import ComponentInstance, Option
from kcert.kubernetes.components.component import Pod, Probe

PROGRAMS = "/usr/local/bin"
"""The folder of the programs that the hard way downloads."""


def render(instance: ComponentInstance, form: str) -> str:
    """Return the options of *instance* as flags, systemd, manifest or config; raises InputError for a form it lacks."""
    return _FORMS[form](instance)


def arguments(instance: ComponentInstance) -> str:
    """One argument a line, and nothing else: what the program is started with."""
    return "".join(f"{option.argument}\n" for option in instance.program.options(instance))


def unit(instance: ComponentInstance) -> str:
    """A systemd unit, as the hard way installs it."""
    component = instance.program
    if why := component.why_no_unit(instance.profile):
        raise InputError(f"{instance.component} has no unit here: {why}.")
    words = [f"{PROGRAMS}/{instance.component}", *(option.argument for option in component.options(instance))]
    return filled_file(
        TEMPLATES / "component.service",
        description=component.UNIT.description,
        documentation=component.UNIT.documentation,
        after=" ".join(component.UNIT.after),
        type=component.UNIT.type,
        start=" \\\n  ".join(_unit_word(word) for word in words),
    )


def _unit_word(word: str) -> str:
    """A word of ExecStart: systemd expands % and $, and splits at blanks (systemd.service, "Command lines")."""
    escaped = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return f'"{escaped}"' if any(character.isspace() or character == "'" for character in word) else escaped


def manifest(instance: ComponentInstance) -> str:
    """A static pod, as kubeadm lays it down in /etc/kubernetes/manifests."""
    from kcert import plain_yaml

    pod = instance.program.pod(instance)
    if pod is None:
        raise InputError(
            f"{instance.component} is not a static pod: "
            + (
                "it starts them. Use --format systemd and --format config."
                if instance.component == "kubelet"
                else "where it is a pod, a DaemonSet starts it. Use --format config."
            )
        )
    return plain_yaml.dump(_pod_object(instance, pod))


def _pod_object(instance: ComponentInstance, pod: Pod) -> dict[str, Any]:
    options = tuple(instance.program.pod_options(instance))
    mounts = tuple(_mounts(pod, options))
    requests = {"cpu": pod.cpu, **({"memory": pod.memory} if pod.memory else {})}
    container = {
        "command": [instance.component, *(option.argument for option in options)],
        "image": pod.image,
        "imagePullPolicy": "IfNotPresent",
        "livenessProbe": _probe(pod.probe, pod.probe.alive, failures=8, period=10, delay=10),
        "name": instance.component,
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
        "labels": {"component": instance.component, "tier": "control-plane"},
        "name": instance.component,
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


def configuration(instance: ComponentInstance) -> str:
    """A KubeletConfiguration or KubeProxyConfiguration."""
    from kcert import plain_yaml

    root: dict[str, Any] = {}
    for setting in instance.program.settings(instance):
        node = root
        for key in setting.path[:-1]:
            node = node.setdefault(key, {})
        node[setting.path[-1]] = list(setting.value) if isinstance(setting.value, tuple) else setting.value
    if not root:
        raise InputError(
            f"{instance.component} has no configuration file: --format flags, systemd and manifest print its options. "
            "kubelet and kube-proxy have a configuration file."
        )
    return plain_yaml.dump(root)


_FORMS: dict[str, Callable[[ComponentInstance], str]] = {
    "flags": arguments,
    "systemd": unit,
    "manifest": manifest,
    "config": configuration,
}
