"""Static pods and component configuration: what they start, and which file of the host each path means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kcert.scan.documents import list_at, text_at, value_at
from kcert.scan.units import Started, started

if TYPE_CHECKING:
    from collections.abc import Iterator

_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")


@dataclass(frozen=True)
class StaticPod:
    """A component in a pod, and how the folders of its container map to the host's: (inside, on the host)."""

    started: Started
    mounts: tuple[tuple[str, str], ...] = ()

    def on_host(self, path: str) -> str:
        """The host's path for a path inside the container; the deepest mount counts."""
        for inside, outside in sorted(self.mounts, key=lambda mount: -len(mount[0])):
            if path == inside or path.startswith(inside.rstrip("/") + "/"):
                return outside.rstrip("/") + path[len(inside.rstrip("/")) :]
        return path


def static_pods(document: dict[str, Any]) -> list[StaticPod]:
    """The components that a Pod starts."""
    if document.get("kind") != "Pod":
        return []
    volumes = {
        text_at(volume, "name"): text_at(volume, "hostPath", "path") for volume in list_at(document, "spec", "volumes")
    }
    pods = []
    for container in list_at(document, "spec", "containers"):
        environment = {
            text_at(variable, "name") or "": text_at(variable, "value") or "" for variable in list_at(container, "env")
        }
        argv = [
            _REFERENCE.sub(lambda reference, known=environment: known.get(reference[1], reference[0]), str(word))  # type: ignore[misc]
            for word in [*list_at(container, "command"), *list_at(container, "args")]
        ]
        # An image with an entry point leaves the program out.
        if argv and argv[0].startswith("-"):
            argv = [text_at(container, "name") or "", *argv]
        if component := started(argv, environment):
            mounts = tuple(
                (inside, host)
                for mount in list_at(container, "volumeMounts")
                if (inside := text_at(mount, "mountPath")) and (host := volumes.get(text_at(mount, "name")))
            )
            pods.append(StaticPod(component, mounts))
    return pods


def configured(document: dict[str, Any]) -> Started | None:
    """What a component's own file configures, under the names of its fields; None for any other document."""
    kind = document.get("kind")
    if kind == "KubeletConfiguration":
        fields = {
            "clientCAFile": value_at(document, "authentication", "x509", "clientCAFile"),
            "tlsCertFile": document.get("tlsCertFile"),
            "tlsPrivateKeyFile": document.get("tlsPrivateKeyFile"),
            "rotateCertificates": document.get("rotateCertificates"),
            "serverTLSBootstrap": document.get("serverTLSBootstrap"),
        }
        return Started("kubelet", _texts(fields))
    if kind == "KubeSchedulerConfiguration":
        named = {"clientConnection.kubeconfig": value_at(document, "clientConnection", "kubeconfig")}
        return Started("kube-scheduler", _texts(named))
    if kind == "KubeProxyConfiguration":
        fields = {
            "clientConnection.kubeconfig": value_at(document, "clientConnection", "kubeconfig"),
            "hostnameOverride": document.get("hostnameOverride"),
        }
        return Started("kube-proxy", _texts(fields))
    if kind is None and any(name in document for name in _ETCD_SECTIONS):
        return Started("etcd", _etcd_options(document))
    named_files = [*_webhooks(document), *_egress(document)]
    return Started("kube-apiserver", tuple(named_files)) if named_files else None


def _webhooks(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What the API server's admission and authorization files name; a plugin's own file may stand inside.

    Source: https://kubernetes.io/docs/reference/config-api/apiserver-config.v1/ and, for what a plugin reads,
    https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#imagepolicywebhook
    """
    for plugin in list_at(document, "plugins") if document.get("kind") == "AdmissionConfiguration" else ():
        if path := text_at(plugin, "path"):
            yield "plugins.path", path
        if isinstance(inside := value_at(plugin, "configuration"), dict):
            yield from _webhooks(inside)
    if document.get("kind") == "AuthorizationConfiguration":
        for authorizer in list_at(document, "authorizers"):
            if path := text_at(authorizer, "webhook", "connectionInfo", "kubeConfigFile"):
                yield "authorizers.webhook.connectionInfo.kubeConfigFile", path
    if path := text_at(document, "imagePolicy", "kubeConfigFile"):
        yield "imagePolicy.kubeConfigFile", path
    is_webhook = document.get("kind") in ("WebhookAdmission", "WebhookAdmissionConfiguration")
    if is_webhook and (path := text_at(document, "kubeConfigFile")):
        yield "kubeConfigFile", path


def _egress(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if document.get("kind") != "EgressSelectorConfiguration":
        return
    for selection in list_at(document, "egressSelections"):
        settings = value_at(selection, "connection", "transport", "tcp", "tlsConfig")
        for name in ("caBundle", "clientCert", "clientKey"):
            if path := text_at(settings, name):
                yield f"egressSelections.{text_at(selection, 'name')}.{name}", path


_ETCD_SECTIONS = {"client-transport-security": "--", "peer-transport-security": "--peer-"}
"""Where etcd's configuration file names its files, and how the options begin that do the same."""


def _etcd_options(document: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """etcd's configuration file as options, whose names it has without dashes (etcd.conf.yml.sample)."""
    given = {f"--{name}": value for name, value in document.items()}
    for section, begin in _ETCD_SECTIONS.items():
        inside = document.get(section)
        if isinstance(inside, dict):
            given |= {f"{begin}{name}": value for name, value in inside.items()}
    return _texts(given)


def _texts(fields: dict[str, object]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in fields.items()
        if isinstance(value, str | bool)
    )
