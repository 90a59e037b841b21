"""The programs that a host starts: systemd units, static pods, and the components' own configuration files.

Of units, drop-ins, continued lines and environment files count; of pods, which file of the host each path means.
Source: systemd.syntax(7), systemd.exec(5), systemd.service(5), "Command lines".
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kcert.scan.documents import list_at, text_at, value_at
from kcert.scan.layouts import COMPONENTS

_SECTION = re.compile(r"\[([^\]]+)\]")
_BRACED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_BARE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_ETCD_VARIABLE = re.compile(r"ETCD_([A-Z0-9_]+)")


@dataclass(frozen=True)
class Started:
    """One command line: which component, and its options in order, as name and value.

    ``mounts`` is how the folders of its container map to the host's: (inside, on the host). ``incomplete`` is True if
    a variable of the command, which may hold more options, has no value here.
    """

    component: str
    options: tuple[tuple[str, str], ...]
    mounts: tuple[tuple[str, str], ...] = ()
    incomplete: bool = False

    def on_host(self, path: str) -> str:
        """The host's path for a path inside the container; the deepest mount counts."""
        for inside, outside in sorted(self.mounts, key=lambda mount: -len(mount[0])):
            if path == inside or path.startswith(inside.rstrip("/") + "/"):
                return outside.rstrip("/") + path[len(inside.rstrip("/")) :]
        return path


def is_unit(content: bytes) -> bool:
    """True for the text of a service unit."""
    return re.search(rb"^\[Service\]", content, re.MULTILINE) is not None and b"ExecStart" in content


def started_by(texts: Iterable[str], read_environment: Callable[[str], str | None]) -> list[Started]:
    """The components that a unit starts; *texts* are the unit and its drop-ins, in the order in which they count.

    *read_environment* gives the text of an EnvironmentFile by its path, or None if there is none.
    """
    given: dict[str, list[str]] = {"ExecStart": [], "Environment": [], "EnvironmentFile": []}
    for text in texts:
        for name, value in _assignments(text):
            if name in given:
                # An empty assignment removes what was set before: that is how a drop-in replaces a command.
                given[name] = [*given[name], value] if value else []
    commands = given["ExecStart"]
    environment = {name: value for line in given["Environment"] for name, value in _pairs(_words(line))}
    for file in given["EnvironmentFile"]:  # whatever the order, files count more (systemd.exec(5))
        environment |= _environment_file(read_environment(file.removeprefix("-")) or "")
    components = ((command, started(_expanded(command, environment), environment)) for command in commands)
    return [
        replace(component, incomplete=_has_unknown(command, environment))
        for command, component in components
        if component
    ]


def _has_unknown(command: str, environment: Mapping[str, str]) -> bool:
    alone = (_BARE.fullmatch(word) for word in _words(command))
    return any(variable[1] not in environment for variable in alone if variable)


def started(argv: list[str], environment: Mapping[str, str] | None = None) -> Started | None:
    """The component of Kubernetes that *argv* starts, however it is wrapped (a shell, docker, hyperkube)."""
    argv = _without_shell(argv)
    for position, word in enumerate(argv):
        program = word.rsplit("/", 1)[-1]
        program = f"kube-{program}" if position and f"kube-{program}" in COMPONENTS else program
        if program in COMPONENTS:
            given = _options(argv[position + 1 :])
            if program == "etcd":
                given = [*_etcd_environment(environment or {}), *given]
            return Started(program, tuple(given))
        if word.startswith("--") and position == 0:
            return None
    return None


def _assignments(text: str) -> list[tuple[str, str]]:
    """The assignments of [Service]; a backslash joins the next line, and comments between them do not count."""
    options: list[tuple[str, str]] = []
    section, pending = "", ""
    for raw in [*text.splitlines(), ""]:  # the last line may end with a backslash
        line = raw.strip()
        if line.startswith(("#", ";")) or (not line and not pending):
            continue
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        line, pending = (pending + line).strip(), ""
        if heading := _SECTION.fullmatch(line):
            section = heading[1]
        elif section == "Service" and "=" in line:
            name, _, value = line.partition("=")
            options.append((name.strip(), value.strip()))
    return options


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote that never ends
        return text.split()


def _pairs(words: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, value) for name, separator, value in (word.partition("=") for word in words) if separator]


def _environment_file(text: str) -> dict[str, str]:
    joined = re.sub(r"\\\r?\n", "", text)
    lines = (line.strip() for line in joined.splitlines())
    pairs = _pairs(line.removeprefix("export ") for line in lines if line and not line.startswith(("#", ";")))
    return {name.strip(): _unquoted(value.strip()) for name, value in pairs}


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


def _expanded(command: str, environment: Mapping[str, str]) -> list[str]:
    """The words of a command line: ${NAME} within a word, and $NAME alone as several words (systemd.service(5))."""
    words = []
    for word in _words(command.lstrip("-@:+!")):
        if alone := _BARE.fullmatch(word):
            words += _words(environment.get(alone[1], ""))
        else:
            text = _BARE.sub(lambda match: environment.get(match[1], match[0]), word)
            words.append(_BRACED.sub(lambda match: environment.get(match[1], ""), text))
    return words


def _without_shell(argv: list[str]) -> list[str]:
    """The command inside ``sh -c "exec kube-apiserver …"``."""
    if len(argv) >= 3 and argv[0].rsplit("/", 1)[-1] in ("sh", "bash", "dash") and argv[1].endswith("c"):
        return [word for word in _words(argv[2].replace("\\\n", " ")) if word != "exec"]
    return argv


def _options(words: list[str]) -> list[tuple[str, str]]:
    """Options as Go's flag packages take them: ``--name=value``, ``--name value``, one dash or two."""
    options: list[tuple[str, str]] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if not word.startswith("-") or word in ("-", "--"):
            continue
        name, separator, value = word.partition("=")
        if not separator and position < len(words) and not words[position].startswith("-"):
            value = words[position]
            position += 1
        elif not separator:
            value = "true"
        options.append((f"--{name.lstrip('-')}", value))
    return options


def _etcd_environment(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """etcd takes every option from a variable as well: ETCD_CERT_FILE for --cert-file."""
    variables = ((_ETCD_VARIABLE.fullmatch(name), value) for name, value in environment.items())
    return [(f"--{name[1].lower().replace('_', '-')}", value) for name, value in variables if name]


_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")


def static_pods(document: dict[str, Any]) -> list[Started]:
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
            pods.append(replace(component, mounts=mounts))
    return pods


_CONFIGURATIONS = {
    "KubeletConfiguration": (
        "kubelet",
        ("clientCAFile", "tlsCertFile", "tlsPrivateKeyFile", "rotateCertificates", "serverTLSBootstrap"),
    ),
    "KubeSchedulerConfiguration": ("kube-scheduler", ("clientConnection.kubeconfig",)),
    "KubeProxyConfiguration": ("kube-proxy", ("clientConnection.kubeconfig", "hostnameOverride")),
}
"""By the kind of a component's own file: the component, and the fields that count."""


def configured(document: dict[str, Any]) -> Started | None:
    """Return what a component's own file configures, under the names of its fields; None for any other document."""
    kind = text_at(document, "kind")
    if kind in _CONFIGURATIONS:
        component, names = _CONFIGURATIONS[kind]
        fields = {name: value_at(document, *name.split(".")) for name in names}
        if "clientCAFile" in fields:
            fields["clientCAFile"] = value_at(document, "authentication", "x509", "clientCAFile")
        return Started(component, _texts(fields))
    if document.get("kind") is None and any(name in document for name in _ETCD_SECTIONS):
        return Started("etcd", _etcd_options(document))
    named_files = [*_webhooks(document), *_egress(document)]
    return Started("kube-apiserver", tuple(named_files)) if named_files else None


def _webhooks(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Return what the API server's admission and authorization files name; they may contain a plugin's own file.

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
"""The fields of etcd's configuration file that name its files, and the beginnings of the equivalent options."""


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
