"""Completion, tried with the Tab key in real shells on a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests import starting
from tests.running import Kcert, program, representatives, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki

TYPED = {
    "kcert encr": "kcert encryption-config",
    "kcert kubeconfig bo": "kcert kubeconfig bob",
    "kcert client kube-sch": "kcert client kube-scheduler",
    "kcert renew apiserver-e": "kcert renew apiserver-etcd-client",
    "kcert renew --dir pki bo": "kcert renew --dir pki bob",
    "kcert kubelet no": "kcert kubelet node01",
    "kcert bundle controlp": "kcert bundle controlplane01",
    "kcert flags kube-s": "kcert flags kube-scheduler",
    "kcert flags etcd --host controlp": "kcert flags etcd --host controlplane01",
    "kcert check --only expiri": "kcert check --only expiring-soon",
    "kcert check --skip key-m": "kcert check --skip key-mismatch",
    "kcert init --profile har": "kcert init --profile hardway",
    "kcert call /version --as bo": "kcert call /version --as bob",
    "kcert csr new x --signer kubelet-s": "kcert csr new x --signer kubelet-serving",
    "kcert practice start two-": "kcert practice start two-requests",
    "kcert explain tls-in": "kcert explain tls-in-one-page",
    "kcert logs kube-api": "kcert logs kube-apiserver",
    "kcert plan --form": "kcert plan --format",
    "kcert help practice rep": "kcert help practice report",
    "kcert kubelet --dir nowhere --config nothing.yaml no": "kcert kubelet --dir nowhere --config nothing.yaml no",
}

BASH = """
PS1=
eval "$(kcert completion bash)"
show() { printf '%s\\n' "$READLINE_LINE" >> typed; READLINE_LINE=; READLINE_POINT=0; }
bind -x '"\\C-g": show'
touch ready
"""

ZSH = """
PS1=
unsetopt BEEP
autoload -Uz compinit
compinit -u -D
eval "$(kcert completion zsh)"
show() { print -r -- "$BUFFER" >> typed; BUFFER=; }
zle -N show
bindkey '^G' show
touch ready
"""


FISH = """
function fish_prompt; end
function fish_greeting; end
kcert completion fish | source
function show; commandline -b >> typed; commandline -r ''; end
bind \\cg show
touch ready
"""


@pytest.fixture
def folder(own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path) -> Path:
    """A cluster with the user bob, whom kcert.yaml does not know, and a ``kcert`` in ``bin``."""
    own_pki("course")
    kcert.done("client", "bob", "--group", "dev", "--quiet")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/kcert").symlink_to(starting.program())
    return tmp_path


def typed_in(argv: list[str], folder: Path, lines: list[str]) -> list[str]:
    """The *lines* after the Tab key, as the shell *argv* has them on its terminal."""
    master, slave = pty.openpty()
    variables = {"HOME": str(folder), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "TERM": "xterm"}
    # Opened by the leader of a session, a terminal becomes the one that controls it: fish needs that.
    opens = ["sh", "-c", 'exec "$@" <>"$(tty)" >&0 2>&0', "sh"]
    shell = subprocess.Popen(
        [*opens, *argv], cwd=folder, env=variables, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)

    def shown() -> list[str]:
        while select.select([master], [], [], 0)[0]:
            os.read(master, 65536)
        file = folder / "typed"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []

    try:
        wait_until(lambda: shown() or (folder / "ready").exists(), 60, "the shell's prompt")
        for number, line in enumerate(lines, 1):
            os.write(master, f"{line}\t\a".encode())
            wait_until(lambda number=number: len(shown()) >= number, 60, f"Tab after {line!r}")  # type: ignore[misc]
        return [line.rstrip() for line in shown()]
    finally:
        shell.kill()
        shell.wait()
        os.close(master)


@pytest.mark.thorough
@pytest.mark.parametrize("shell", representatives(["bash", "zsh", "fish"]))
def test_tab_completes_commands_options_and_names(shell: str, folder: Path) -> None:
    if shell == "bash":
        (folder / "rc").write_text(BASH, encoding="utf-8")
        argv = [program("bash"), "--noprofile", "--rcfile", "rc", "-i"]
    elif shell == "fish":
        (folder / "rc").write_text(FISH, encoding="utf-8")
        argv = [program("fish"), "--private", "--init-command", "source rc", "--interactive"]
    else:
        (folder / ".zshrc").write_text(ZSH, encoding="utf-8")
        argv = [program("zsh"), "-d", "-i"]

    assert dict(zip(TYPED, typed_in(argv, folder, list(TYPED)), strict=True)) == TYPED


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_and_the_line_that_installs_it(shell: str, kcert: Kcert) -> None:
    script = kcert.done("completion", shell).stdout

    assert f"complete_{shell}" in script
    assert f"kcert completion {shell}" in kcert.done("completion", "--help").stdout
