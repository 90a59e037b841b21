"""The logs of components: which command prints one depends on how the cluster was installed.

Components that are systemd units log to the journal. Where they are static pods, kubectl prints their logs as long as
the API server answers; when it does not, the container runtime on the host still has them.
"""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from kcert.clusters import COMPONENTS, kind_of_machine
from kcert.clusters.kind import ClusterKind
from kcert.durations import duration
from kcert.errors import InputError, ProgramError, ReaderGoneError, did_you_mean, sentence
from kcert.quoting import format_command
from kcert.shell import Command, exec_interactive, find, read, stream

Via = Literal["journalctl", "kubectl", "crictl", "docker"]
"""The programs that print logs."""

_PODS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
_LABELS = {name: f"component={name}" for name in _PODS} | {"kube-proxy": "k8s-app=kube-proxy"}
"""The label that kubeadm gives the components' pods. The kubelet is never a pod."""

_UNIT_FOLDERS = tuple(f"{above}/systemd/system" for above in ("etc", "run", "usr/local/lib", "usr/lib", "lib"))
_ANSWER_SECONDS = 15


@dataclass(frozen=True)
class LogRequest:
    """The log that is asked for: of a component, or a file.

    ``since`` is a time like 1h30m (empty: from its beginning), ``tail`` the number of lines at its end (None: all), and
    ``follow`` waits for more.
    """

    component: str
    via: Via | None = None
    follow: bool = False
    since: str = ""
    tail: int | None = None


@dataclass(frozen=True)
class Machine:
    """The machine to look at; another ``root`` than / and another ``host`` name serve the tests."""

    root: Path = Path("/")
    host: str = field(default_factory=socket.gethostname)

    def has_unit(self, name: str) -> bool:
        """True if systemd knows a unit of this name."""
        return any((self.root / folder / f"{name}.service").exists() for folder in _UNIT_FOLDERS)

    @property
    def kind(self) -> ClusterKind | None:
        """The kind of cluster that is installed on it."""
        return kind_of_machine(self.root, [Path.home()])

    def has_manifest(self, name: str) -> bool:
        """True if the kubelet starts a static pod of this name."""
        folder = self.root / "etc/kubernetes/manifests"
        return any((folder / f"{name}{suffix}").exists() for suffix in (".yaml", ".yml", ".json"))


@dataclass(frozen=True)
class LogSource:
    """The source of a log: the command that prints it, the reason, and the commands that found it."""

    command: Command
    why: str
    asked: tuple[Command, ...] = ()


def component(name: str) -> str:
    """Return *name*, if it is a component or the path of a file; InputError with the near ones if not."""
    if name in COMPONENTS or Path(name).is_file():
        return name
    hint = did_you_mean(name, COMPONENTS, f"the components are {', '.join(COMPONENTS)}.", 2)
    raise InputError(f"{name!a} is not a component of a cluster, nor a file; {hint}")


def back(since: str) -> str:
    """Return *since*, if it is a duration like 30s, 10m, 1h30m or 2d; InputError for anything else."""
    duration(since, "--since")
    return since.strip().lower()


def locate(request: LogRequest, machine: Machine | None = None) -> LogSource:
    """Find out which command prints the log.

    Raises InputError if there is no such component here, and ProgramError if nothing that could print its log
    works, saying what was tried.
    """
    machine = machine or Machine()
    if Path(request.component).is_file():
        return _file(request)
    if via := request.via:
        why = "you chose it"
        if via == "journalctl":
            return _journal(request, why)
        return _kubectl(request, machine, why) if via == "kubectl" else _container(request, via, why)
    kind = machine.kind
    if kind is not None and request.component in kind.logs:
        return _of_kind(request, machine, kind)
    if request.component == "kubelet":
        return _journal(request, "the kubelet is a systemd unit in every installation")
    if machine.has_unit(request.component):
        return _journal(request, "it is a systemd unit here")
    on_this_host = machine.has_manifest(request.component)
    why = "a static pod here" if on_this_host else "not a unit here"
    try:
        return _kubectl(request, machine, f"it is {why} and the API server answers")
    except ProgramError as error:
        return _runtime(request, error, on_this_host=on_this_host)


def _of_kind(request: LogRequest, machine: Machine, kind: ClusterKind) -> LogSource:
    """Return the command for a kind of cluster that runs the component inside another program, or logs to a file."""
    targets = kind.logs[request.component]
    target = next((unit for unit in targets if machine.has_unit(unit)), targets[0])
    if target.startswith("/"):
        return _file(replace(request, component=target), f"{kind.title} writes the log of {request.component} there")
    if target.startswith("docker "):
        name = target.removeprefix("docker ")
        argv = ("docker", "logs", *_options(request), name)
        return LogSource(Command(argv), f"{kind.title} runs {request.component} as a container of this name")
    return _journal(replace(request, component=target), f"{kind.title} runs {request.component} in this unit")


def _file(request: LogRequest, why: str = "you named a file") -> LogSource:
    if request.since or request.via:
        raise InputError("--since and --via are for the log of a component: a file is read with --tail and --follow.")
    lines = str(request.tail) if request.tail is not None else "+1"
    argv = ("tail", "-n", lines, *(("-F",) if request.follow else ()), "--", request.component)
    return LogSource(Command(argv), why)


def show(command: Command) -> None:
    """Run the command on the user's terminal. Ctrl-C ends --follow.

    Raises ProgramError if it fails, ReaderGoneError if nothing reads what it prints any more.
    """
    try:
        status = exec_interactive(command)
    except KeyboardInterrupt:
        return
    if status == -signal.SIGPIPE:
        raise ReaderGoneError
    if status:
        raise _failed(command, status)


def read_lines(command: Command) -> Iterator[bytes]:
    """Yield the lines of the log, as the command prints them; raises ProgramError if it fails in the end."""
    from kcert.diagnose.reading import log_lines  # with all of the diagnosis, which `kcert doctor` does without

    with stream(command) as process:
        assert process.stdout is not None
        yield from log_lines(process.stdout)
    if process.returncode:
        raise _failed(command, process.returncode)


def _failed(command: Command, status: int) -> ProgramError:
    root = "" if os.geteuid() == 0 else " If it needs root, try it with sudo."
    return ProgramError(f"{command.argv[0]} ended with status {status}; its output is above.{root}")


def _runtime(request: LogRequest, refused: ProgramError, *, on_this_host: bool) -> LogSource:
    """Ask the container runtime of this host, because the API server *refused* to answer."""
    why = "the API server does not answer, but the container runtime still has the log"
    if find("crictl"):
        return _container(request, "crictl", why)
    if find("docker") and on_this_host:
        return _container(request, "docker", why)
    if on_this_host or request.component == "kube-proxy":
        raise ProgramError(
            f"{request.component} is a pod here, and nothing that could print its log works: {refused} crictl and "
            f"docker are not on this machine. The log files are in /var/log/pods/kube-system_{request.component}-*."
        )
    raise InputError(
        f"{request.component} is neither a systemd unit nor a static pod on this machine, and no API server answers: "
        f"{refused} Run it on the host of {request.component}, or choose the program with --via."
    )


def _journal(request: LogRequest, why: str) -> LogSource:
    argv = ["journalctl", "-u", request.component, "-l", "--no-pager"]
    if request.since:
        argv += ["--since", f"{request.since} ago"]
    if request.tail is not None:
        argv += ["-n", str(request.tail)]
    return LogSource(Command((*argv, *(["-f"] if request.follow else []))), why)


def _kubectl(request: LogRequest, machine: Machine, why: str) -> LogSource:
    if request.component not in _LABELS:
        raise InputError(f"{request.component} is never a pod, so kubectl has no log of it: use --via journalctl.")
    kubectl = ("kubectl", *_kubeconfig(machine))
    columns = "custom-columns=NAME:.metadata.name,NODE:.spec.nodeName"
    listing = ("get", "pods", "-n", "kube-system", "-l", _LABELS[request.component], "-o", columns, "--no-headers")
    ask = Command((*kubectl, *listing, "--request-timeout=5s"), limit=_ANSWER_SECONDS, asks=True)
    pods = [line.split() for line in _answer(ask).splitlines()]
    names = [words for words in pods if words and _POD.fullmatch(words[0])]
    if not names:
        raise ProgramError(f"kubectl finds no pod with the label {_LABELS[request.component]} in kube-system.")
    prefix = f"{request.component}-"
    here = (name for name, *node in names if machine.host in (*node, name.removeprefix(prefix)))
    pod = next(here, names[0][0])
    which = "the first" if pod == names[0][0] else "this host's"
    others = f" ({which} of {len(names)} pods)" if names[1:] else ""
    argv = [*kubectl, "logs", "-n", "kube-system", pod, *_options(request)]
    return LogSource(Command(tuple(argv), asks=True), f"{why}{others}", (ask,))


_POD = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


def _kubeconfig(machine: Machine) -> tuple[str, ...]:
    """Return kubeadm's own kubeconfig, if the user has none and may read it."""
    admin = machine.root / "etc/kubernetes/admin.conf"
    own = os.environ.get("KUBECONFIG") or os.access(Path.home() / ".kube/config", os.F_OK)
    return () if own or not os.access(admin, os.R_OK) else ("--kubeconfig", str(admin))


def _container(request: LogRequest, program: Literal["crictl", "docker"], why: str) -> LogSource:
    """Return the log of the container that was made last, running or ended: both programs list it first."""
    name = request.component
    listing = {
        "crictl": ("crictl", "ps", "-a", "--name", f"^{name}$", "-q"),
        "docker": ("docker", "ps", "-a", "--filter", f"name=^k8s_{name}_", "--format", "{{.ID}}"),
    }
    ask = Command(listing[program], limit=_ANSWER_SECONDS)
    containers = [line.strip() for line in _answer(ask).splitlines() if re.fullmatch(r"[0-9a-f]{8,64}", line.strip())]
    if not containers:
        raise ProgramError(
            f"`{format_command(ask.argv)}` lists no container: the kubelet never started {name}. `kcert logs kubelet` "
            "says why; often it is a mistake in the manifest."
        )
    return LogSource(Command((program, "logs", *_options(request), containers[0])), why, (ask,))


def _answer(ask: Command) -> str:
    reading = read(ask)
    if reading.succeeded:
        return reading.stdout.decode(errors="replace")
    lines = [line for line in reading.stderr.splitlines() if line.strip()]
    last = ascii(lines[-1].strip())[1:-1][:300] if lines else f"it ended with status {reading.status}."
    raise ProgramError(f"`{format_command(ask.argv[:2])}` failed: {sentence(last)}")


def _options(request: LogRequest) -> tuple[str, ...]:
    """Return the options of kubectl, crictl and docker. Programs in Go know no unit of time above the hour."""
    since = ""
    if request.since:
        minutes, seconds = divmod(int(duration(request.since, "--since").total_seconds()), 60)
        hours, minutes = divmod(minutes, 60)
        parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
        since = "--since=" + ("".join(f"{count}{unit}" for count, unit in parts if count) or "0s")
    tail = "" if request.tail is None else f"--tail={request.tail}"
    return tuple(filter(None, (since, tail, "-f" if request.follow else "")))
