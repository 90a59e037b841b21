"""What is printed to be pasted: with hostile names of folders and files, no command does anything else than it says."""

from __future__ import annotations

import gzip
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.running import Kcert, output, representatives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.clusters import Pki

HOSTILE = ["a  b$(touch CANARY);touch CANARY;", 'a\'\n touch CANARY\n"$(touch CANARY)"']
"""Names that run a command where they are not quoted, or quoted in another way than bash reads it."""

SANDBOX = """
touch() { echo "$current" >> ran; }
while IFS= read -r -d '' current; do ( eval "$current" ) < /dev/null > /dev/null 2>&1; done < commands
"""
"""bash without any program: a command does nothing, but what a name smuggles in is written down."""


def pasted(folder: Path, commands: list[str]) -> list[str]:
    """Those of *commands* that run ``touch`` when they are pasted into a shell."""
    folder.mkdir()
    (folder / "commands").write_text("".join(f"{one}\0" for one in commands), encoding="utf-8")
    output(["/bin/bash", "--norc", "--noprofile", "-c", SANDBOX], folder=folder, PATH="/nonexistent")
    ran = folder / "ran"
    return ran.read_text(encoding="utf-8").splitlines() if ran.exists() else []


def commands_in(printed: str) -> Iterator[str]:
    """What a reader would paste: what is between backticks, and the indented lines, continued ones whole."""
    yield from re.findall(r"`([^`]+)`", printed.replace("\n", " "))
    yield from re.findall(r"^ {4,}(?![|-])(.+)", printed.replace("\\\n", ""), flags=re.MULTILINE)
    if printed.startswith("#!"):
        yield printed


def test_a_backtick_in_a_name_ends_no_quotation_of_a_command(kcert: Kcert) -> None:
    kcert.done("ca", "--csr-only", "-q", "-d", "a`touch CANARY`b")

    said = " ".join(kcert("all", "-q", "-d", "a`touch CANARY`b").stderr.split())

    assert "`rm $'a\\x60touch CANARY\\x60b/ca.csr'`" in said


def test_the_sandbox_would_see_it(tmp_path: Path) -> None:
    assert pasted(tmp_path / "sandbox", ["kcert -d a;touch CANARY;", "kcert -d 'a;touch CANARY;'"]) == [
        "kcert -d a;touch CANARY;"
    ]


@pytest.mark.parametrize("name", representatives(HOSTILE, lambda _: None))
def test_no_printed_command_runs_what_a_name_says(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path, name: str
) -> None:
    own_pki("course")
    kcert.done("csr", "new", "bob", "-g", "x", "-q")
    kcert.done("csr", "manifest", "bob")
    kcert.done("kubeconfig", "admin")
    shutil.copytree(tmp_path / "pki", tmp_path / name)
    shutil.copy(tmp_path / "pki/bob-csr.yaml", tmp_path / f"{name}.yaml")
    shutil.copy(tmp_path / "pki/admin.csr", tmp_path / f"{name}.csr")
    (tmp_path / f"{name}.log").write_bytes(gzip.compress(b"x509: certificate has expired\n"))
    (tmp_path / name / "etcd-server.crt").write_bytes((tmp_path / "pki/admin.crt").read_bytes())

    printed = [kcert(*command) for command in commands_with(name)]

    mistaken = [ended.stderr for ended in printed if "mistake" in ended.stderr or "Traceback" in ended.stderr]
    assert mistaken == []
    found = [one for ended in printed for text in (ended.stdout, ended.stderr) for one in commands_in(text)]
    assert len([one for one in found if "CANARY" in one]) > 30
    assert pasted(tmp_path / "sandbox", found) == []


def commands_with(name: str) -> list[tuple[str, ...]]:
    """Every command that can be given a folder or a file, each with *name* in its place."""
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
        ("practice", "hint", "--dir", f"{name}5"),
        ("practice", "solution", "--dir", f"{name}5"),
        ("practice", "check", "--dir", name),
        ("init", "--config", f"{name}.yaml"),
        ("init", "--from", name, "--config", f"{name}6.yaml"),
        ("doctor", "--openssl", f"{name}/openssl"),
    ]
