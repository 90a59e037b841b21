"""On a terminal of 80 columns no name is broken in mid-word, and no command inside a sentence by the edge."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.running import representatives
from tests.terminal import on_terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.clusters import Pki
    from tests.running import Kcert

COMMANDS = """
--help
help csr
plan
plan --wide
plan --format markdown
ca
client jane bob --group dev
client admin
kubelet --no-explain
service-account --dry-run
all
all --quiet
kubeconfig
kubeconfig bob
flags kube-controller-manager
flags kubelet --no-explain
bundle
bundle --scp
bootstrap
encryption-config
export cert-manager
export ansible
renew admin --no-explain
renew ca --new-key --quiet
renew --stale
csr new max --group dev
csr manifest max
csr approve --file pki/max-csr.yaml
csr sign --file pki/max-csr.yaml
csr fetch max --file pki/max-csr.yaml
csr show --file pki/max-csr.yaml
show pki/kube-apiserver.crt
show pki/admin.kubeconfig
inventory pki
check pki
check pki --expiring-in 100y
check pki --format short
logs kube-apiserver
diagnose kubelet.log
history --last 5
explain
explain ca
explain expiry
doctor
practice list
nonsense
renew nobody
"""

LOG = 'E0101 00:00:00.000000 1 reflector.go:1] "x509: certificate signed by unknown authority"'


def broken(text: str, names: list[str]) -> list[str]:
    """Return what of *text* is broken at the edge: the names, and the commands in backticks."""
    flat = re.sub(r" *\n *", "", text)
    spread = [name for name in names if flat.count(name) > text.count(name)]
    commands = re.findall(r"`(?:kcert|openssl|kubectl|cat|rm) [^`\n]*\n[^`]*`", text)
    return [*spread, *commands]


@pytest.mark.parametrize("part", representatives(range(4)))
def test_no_name_and_no_command_is_broken(own_pki: Callable[..., Pki], kcert: Kcert, part: int) -> None:
    made = own_pki("course")
    (kcert.folder / "kubelet.log").write_text(LOG, encoding="utf-8")
    kcert.done("client", "bob", "--group", "dev", "--quiet")
    records = json.loads(kcert.done("plan", "--json").stdout)
    names = [name for record in records for name in (record["name"], *record["files"]) if len(name) > 7]
    names += [str(path) for path in made.folder.iterdir() if path.name in names]
    for words in ("csr new max --group dev", "csr manifest max"):
        kcert.done(*words.split(), "--quiet")
    wrong = {}

    for words in COMMANDS.split("\n")[1:-1][part::4]:
        shown = on_terminal(kcert, *words.split(), columns=80, NO_COLOR="1", PAGER="cat").plain
        assert len(shown) > 10, words
        if found := broken(shown, names):
            wrong[words] = found

    assert not wrong
