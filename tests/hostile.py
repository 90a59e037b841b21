"""Every command with a name of a test's choosing for its folder and files, and a shell that notices what it runs."""

from __future__ import annotations

import gzip
import re
import shutil
from typing import TYPE_CHECKING

from tests.running import output

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.running import Kcert

RUNS = ("$(touch CANARY);touch CANARY;", '\'\n touch CANARY\n"$(touch CANARY)"')
"""What runs a command where a name is not quoted, or quoted in another way than bash reads it."""

BEGINNINGS = (
    *("a", "a  b", "-rf", "--help", "x=y", "FS=x", "a&b", "a|b", "~root", "*", "{a,b}", "!!", "#x", "back\\slash"),
    *("\u00e9", "\udcff\udcfe", "\x1b[31m", "\u202eevil", "a\tb", "%s%n", "a:b", "file:x", "@x", "[a]", "?", "a\r"),
    *("ca.crt ", " lead", "$'x'", "\\n", "pkcs11:foo", "-----BEGIN CERTIFICATE-----", "data:x", "env:HOME", "`"),
)
"""Names that mean something to bash, to a program's options, to openssl or to a terminal."""

SANDBOX = """
touch() { echo "$current" >> ran; }
while IFS= read -r -d '' current; do ( eval "$current" ) < /dev/null > /dev/null 2>&1; done < commands
"""
"""bash without any program: a command does nothing, but what a name smuggles in is written down."""

RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u034f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f]")
"""What a terminal acts upon or does not show."""


def pasted(folder: Path, commands: list[str]) -> list[str]:
    """Return those of *commands* that run ``touch`` when they are pasted into a shell; *folder* is made for that."""
    folder.mkdir()
    (folder / "commands").write_text("".join(f"{one}\0" for one in commands), encoding="utf-8")
    output(["/bin/bash", "--norc", "--noprofile", "-c", SANDBOX], folder=folder, PATH="/nonexistent")
    ran = folder / "ran"
    return ran.read_text(encoding="utf-8").splitlines() if ran.exists() else []


def commands_in(printed: str, name: str) -> Iterator[str]:
    """Yield what a reader would paste: the text between backticks, and indented lines, continued ones whole.

    Outside commands, the *name* of a file is printed as it is: backticks in it begin no command.
    """
    prose = " ".join(printed.split()).replace(" ".join(name.split()), "NAME")
    yield from re.findall(r"`([^`]+)`", prose if "`" in name else printed.replace("\n", " "))
    yield from re.findall(r"^ {4,}(?![|-])(.+)", printed.replace("\\\n", ""), flags=re.MULTILINE)
    if printed.startswith("#!"):
        yield printed


def set_up(kcert: Kcert, name: str) -> None:
    """Give the PKI in kcert's folder the *name*, and put the files beside it that ``commands_with`` names."""
    home = kcert.folder
    kcert.done("csr", "new", "bob", "-g", "x", "-q")
    kcert.done("csr", "manifest", "bob")
    kcert.done("kubeconfig", "admin")
    shutil.copytree(home / "pki", home / name)
    shutil.copy(home / "pki/bob-csr.yaml", home / f"{name}.yaml")
    shutil.copy(home / "pki/admin.csr", home / f"{name}.csr")
    (home / f"{name}.log").write_bytes(gzip.compress(b"x509: certificate has expired\n"))
    (home / name / "etcd-server.crt").write_bytes((home / "pki/admin.crt").read_bytes())


def commands_with(name: str) -> list[tuple[str, ...]]:
    """Return every command that can be given a folder or a file, each with *name* in its place."""
    folder, manifest = ("-d", name), ("--file", f"{name}.yaml")
    return [
        ("plan", *folder),
        ("plan", "--wide", *folder),
        ("client", "eve", *folder),
        ("client", "zoe", "-g", "x", *folder),
        ("all", "--dry-run", *folder),
        ("all", "-q", *folder),
        ("ca", "--csr-only", "-d", f"{name}1"),
        ("all", "-q", "-d", f"{name}1"),
        ("renew", "admin", "--new-key", "--dry-run", *folder),
        ("renew", "admin", *folder),
        ("renew", "etcd-server", *folder),
        ("renew", "--all", "-q", "-c", f"{name}.yaml", *folder),
        ("all", "--ca-dir", f"{name}2", "-d", f"{name}3"),
        ("all", "-q", "--ca-passphrase-file", f"{name}.log", "-d", f"{name}4"),
        ("kubeconfig", "admin", *folder),
        ("kubeconfig", "admin", "--output", f"{name}.conf", *folder),
        ("kubeconfig", "admin", "--merge", f"{name}.conf", *folder),
        ("encryption-config", *folder),
        ("encryption-config", "--rotate", *folder),
        ("bootstrap", *folder),
        ("apiserver", *folder),
        ("etcd", *folder),
        ("kubelet", *folder),
        ("service-account", *folder),
        ("renew", "ca", "--new-key", "-q", *folder),
        ("logs", f"{name}.log"),
        ("flags", "kube-apiserver", *folder),
        ("flags", "kubelet", "--host", "node01", *folder),
        ("bundle", *folder),
        ("bundle", "node01", "--output", f"{name}.tar.gz", *folder),
        ("export", "ansible", *folder),
        ("export", "cert-manager", *folder),
        ("call", "/version", "--as", "admin", *folder),
        ("csr", "show", *manifest),
        ("csr", "manifest", "bob", *folder),
        ("csr", "manifest", "bob", "-o", f"{name}.yml", *folder),
        ("csr", "fetch", "bob", *manifest, *folder),
        ("csr", "sign", *manifest, *folder),
        ("csr", "approve", *manifest),
        ("csr", "approve", *manifest),
        ("csr", "fetch", "bob", *manifest, *folder),
        ("csr", "sign", *manifest, *folder),
        ("csr", "fetch", "bob", *manifest, *folder),
        ("csr", "deny", *manifest),
        ("csr", "sign", "--file", f"{name}.csr", *folder),
        ("csr", "new", "tom", "-g", "x", *folder),
        ("show", f"{name}/admin.crt"),
        ("show", f"{name}/admin.key"),
        ("show", f"{name}/nothing.crt"),
        ("show", f"{name}.csr"),
        ("inventory", name),
        ("inventory", name, "-o", f"{name}.yaml"),
        ("check", name),
        ("check", f"{name}/etcd-server.crt"),
        ("diagnose", f"{name}.log"),
        ("diagnose", f"{name}/nothing.log"),
        ("history", *folder),
        ("history", "--format", "sh", *folder),
        ("history", "--sign", *folder),
        ("explain", "ca", "-o", f"{name}.yaml"),
        ("practice", "start", "since-this-morning", "--seed", "1", "--dir", f"{name}5"),
        ("practice", "check", "--dir", f"{name}5"),
        ("practice", "exam", "--labs", "1", "--minutes", "9", "--seed", "1", "--dir", f"{name}7"),
        ("practice", "exam", "--finish", "--dir", f"{name}7"),
        ("practice", "hint", "--dir", f"{name}5"),
        ("practice", "solution", "--dir", f"{name}5"),
        ("practice", "check", "--dir", name),
        ("init", "--config", f"{name}.yaml"),
        ("init", "--from", name, "--config", f"{name}6.yaml"),
        ("doctor", "--openssl", f"{name}/openssl"),
    ]


def every_command_with(name: str) -> list[tuple[str, ...]]:
    """Return those and more, so that no command of kcert is missing: *name* as a word as well, and more outputs."""
    folder, no_cluster = ("-d", name), ("--kubeconfig", f"{name}/nothing.conf")
    return [
        *commands_with(name),
        ("client", name, "-g", name, "--dry-run", *folder),
        ("renew", name, *folder),
        ("kubeconfig", "admin", "--cluster", name, "--output", f"{name}.conf", *folder),
        ("flags", name, *folder),
        ("flags", "etcd", "--host", name, *folder),
        ("flags", "kubelet", "-o", f"{name}.unit", "--format", "systemd", "--path-prefix", name, *folder),
        ("bundle", name, *folder),
        ("bundle", "--scp", *folder),
        ("bundle", "--dry-run", *folder),
        ("bundle", "--certificates-only", "--output", f"{name}8", *folder),
        ("export", "ansible", "--dry-run", *folder),
        ("export", "ansible", "-o", f"{name}8", *folder),
        ("export", "cert-manager", "--dry-run", *folder),
        ("export", "cert-manager", "-o", f"{name}9", "--name", name, *folder),
        ("encryption-config", "--dry-run", *folder),
        ("bootstrap", "--dry-run", *folder),
        ("call", name, "--as", name, *folder),
        ("csr", "submit", f"{name}.yaml", *no_cluster, *folder),
        ("csr", "submit", name, *no_cluster, *folder),
        ("csr", "list", *no_cluster),
        ("csr", "show", name, *no_cluster),
        ("csr", "approve", name, *no_cluster),
        ("csr", "deny", name, *no_cluster),
        ("csr", "new", name, *folder),
        ("show", name),
        ("show", f"{name}/ca.key"),
        ("show", f"{name}/openssl-admin.cnf"),
        ("inventory", name, "--format", "markdown"),
        ("inventory", name, "--format", "json", "-o", f"{name}/ca.key"),
        ("check", name, "--format", "short"),
        ("check", f"{name}.log"),
        ("diagnose", f"tls: open {name}: permission denied"),
        ("diagnose", f"{name}.log", "--cluster", name),
        ("logs", name),
        ("logs", f"{name}.log", "--diagnose", "-o", f"{name}/ca.key"),
        ("history", "--verify", *folder),
        ("history", "--head", *folder),
        ("history", "--format", "markdown", *folder),
        ("history", "--format", "html", "-o", f"{name}.html", *folder),
        ("practice", "list"),
        ("practice", "start", name, "--dir", f"{name}5"),
        ("practice", "answer", "1", name, "--dir", f"{name}5"),
        ("practice", "reset", "--dir", f"{name}5"),
        ("practice", "report", f"{name}5"),
        ("practice", "report", name),
        ("practice", "quiz", "--count", "1", "--seed", "1"),
        ("explain", name),
        ("doctor", "-o", f"{name}.yaml"),
        ("completion", name),
        ("help", name),
        ("version",),
    ]
