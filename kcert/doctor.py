"""The programs that kcert, or a reader of its lessons, can use: `kcert doctor`."""

from __future__ import annotations

import os
from dataclasses import dataclass

from kcert import environment
from kcert.errors import ProgramError
from kcert.openssl.program import unusable, version
from kcert.shell import Command, find, read


@dataclass(frozen=True)
class Program:
    """A program, how it is asked for its version, and what it is for; ``without`` completes "without it, …"."""

    name: str
    asks: tuple[str, ...]
    used_for: str
    without: str


@dataclass(frozen=True)
class ToolCheck:
    """A program as it was found: its path (None: not here), its version, and what is wrong with it (None: nothing)."""

    program: Program
    path: str | None
    version: str = ""
    trouble: str | None = None


@dataclass(frozen=True)
class EnvOverride:
    """A variable of the environment that changes what openssl does, and how."""

    name: str
    value: str
    effect: str


OPENSSL = Program(
    "openssl", ("version",), "everything", "only init, plan, flags, explain, history, diagnose and doctor work"
)
PROGRAMS = (
    Program("kubectl", ("version", "--client"), "kubeconfigs, the Certificates API", "kcert writes both itself"),
    Program("curl", ("--version",), "kcert call", "the other commands work"),
    Program(
        "etcd", ("--version",), "testing etcd certificates against a real etcd", "they are created and checked anyway"
    ),
    Program("etcdctl", ("version",), "querying etcd", "certificates are created and checked anyway"),
    Program("bash", ("--version",), "what --dry-run prints", "kcert runs the same commands itself"),
    Program("systemctl", ("--version",), "systemd units of a hard-way cluster", "units are printed anyway"),
    Program("journalctl", ("--version",), "logs of a hard-way cluster", "logs can be given as files"),
    Program("crictl", ("--version",), "logs of a kubeadm cluster", "logs can be given as files"),
    Program("docker", ("--version",), "logs of clusters that use Docker", "logs can be given as files"),
    Program(
        "kubeadm", ("version", "-o", "short"), "comparing with kubeadm's own view", "kcert check covers the folder"
    ),
)


def check_tools(openssl: str) -> tuple[ToolCheck, ...]:
    """Look for every program; *openssl* is the name or path of the one that kcert uses."""
    return (_openssl(openssl), *(_check_tool(program) for program in PROGRAMS))


def openssl_env_overrides() -> tuple[EnvOverride, ...]:
    """Return the environment variables that change what openssl does."""
    return tuple(
        EnvOverride(name, os.environ[name], effect)
        for name, effect in environment.OPENSSL.items()
        if name in os.environ
    )


def _openssl(name: str) -> ToolCheck:
    path = find(name)
    if path is None:
        return ToolCheck(OPENSSL, None, trouble="it is not installed")
    try:
        version_text = version(name)
    except ProgramError as error:
        return ToolCheck(OPENSSL, path, trouble=_as_clause(error))
    return ToolCheck(OPENSSL, path, version_text, unusable(version_text))


def _check_tool(program: Program) -> ToolCheck:
    path = find(program.name)
    if path is None:
        return ToolCheck(program, None)
    try:
        reading = read(Command((program.name, *program.asks), limit=10))
    except ProgramError as error:
        return ToolCheck(program, path, trouble=_as_clause(error))
    lines = (reading.stdout.decode(errors="replace") or reading.stderr).strip().splitlines()
    version_text = ascii(lines[0])[1:-1] if lines else ""
    return ToolCheck(program, path, version_text, None if reading.succeeded else "it does not print its version")


def _as_clause(error: ProgramError) -> str:
    return str(error).removesuffix(".")
