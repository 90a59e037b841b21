"""The same number of certificates made without kcert: bash scripts around openssl, easy-rsa and cfssl."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from tests.bench.measure import KCERT, ROOT
from tests.zoo.makers import EASYRSA

if TYPE_CHECKING:
    from pathlib import Path

CERTIFICATES = 12
"""What the built-in cluster needs, its CA among them."""

_SET = "set -euo pipefail\n"


def script(folder: Path) -> Path:
    """The dry run's script for the cluster in *folder*, without its comments and checks: key, request, signature."""
    printed = subprocess.run(
        [*KCERT, "all", "--dry-run", "--no-explain"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [line for line in printed.splitlines() if not line.startswith(("#", "openssl verify", "rm ", "chmod "))]
    return _written(folder / "by-hand.sh", "\n".join(lines))


def easy_rsa(folder: Path) -> Path:
    """A CA and its clients with easy-rsa."""
    easyrsa = f"{EASYRSA} --batch --pki-dir=pki"
    clients = [f"{easyrsa} build-client-full client{number} nopass" for number in range(1, CERTIFICATES)]
    lines = ["rm -rf pki", f"{easyrsa} init-pki", f"{easyrsa} --req-cn=CA build-ca nopass", *clients]
    return _written(folder / "easy-rsa.sh", "\n".join(lines))


def cfssl(folder: Path) -> Path:
    """A CA and its clients with cfssl."""
    folder.mkdir()
    request = {"CN": "CA", "key": {"algo": "rsa", "size": 2048}, "names": [{"O": "system:masters"}]}
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    signing = {"signing": {"default": {"expiry": "8760h", "usages": ["digital signature", "client auth"]}}}
    (folder / "signing.json").write_text(json.dumps(signing), encoding="utf-8")
    sign = "cfssl gencert -ca=ca.pem -ca-key=ca-key.pem -config=signing.json request.json | cfssljson -bare"
    clients = [f"{sign} client{number}" for number in range(1, CERTIFICATES)]
    return _written(
        folder / "cfssl.sh", "\n".join(["cfssl gencert -initca request.json | cfssljson -bare ca", *clients])
    )


def _written(path: Path, lines: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{_SET}{lines}\n", encoding="utf-8")
    return path
