"""The programs that kcert, or a reader of its lessons, can use: `kcert doctor`."""

from __future__ import annotations

import os
from dataclasses import dataclass

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


OPENSSL_VARIABLES = {
    "OPENSSL_CONF": "openssl reads this config file, and loads the modules that it names",
    "OPENSSL_CONF_INCLUDE": "openssl looks in this folder for the files that its config includes",
    "OPENSSL_MODULES": "openssl loads its providers, which are programs, from this folder",
    "OPENSSL_ENGINES": "openssl loads its engines, which are programs, from this folder",
}
"""The effect of each of openssl's own variables (openssl-env(7))."""

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
    return (_check_tool(OPENSSL, openssl), *(_check_tool(program, program.name) for program in PROGRAMS))


def openssl_env_overrides() -> dict[str, str]:
    """Return the effect of each variable of the environment that changes what openssl does."""
    return {name: effect for name, effect in OPENSSL_VARIABLES.items() if name in os.environ}


def _check_tool(program: Program, name: str) -> ToolCheck:
    path = find(name)
    if path is None:
        return ToolCheck(program, None, trouble="it is not installed" if program is OPENSSL else None)
    try:
        if program is OPENSSL:
            text = version(name)
            return ToolCheck(program, path, text, unusable(text))
        reading = read(Command((name, *program.asks), limit=10))
    except ProgramError as error:
        return ToolCheck(program, path, trouble=str(error).removesuffix("."))
    lines = (reading.stdout.decode(errors="replace") or reading.stderr).strip().splitlines()
    text = ascii(lines[0])[1:-1] if lines else ""
    return ToolCheck(program, path, text, None if reading.succeeded else "it does not print its version")
