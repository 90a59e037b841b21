"""What the tests of proofs and fixes share: the files of a certificate, and printed commands run in bash."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.recorded.programs import api_server

if TYPE_CHECKING:
    from tests.clusters import Pki
    from tests.running import Kcert


class Files(NamedTuple):
    """The files of a certificate in a PKI folder, and its CA's certificate."""

    crt: Path
    key: Path
    ca: Path


def files(kcert: Kcert, own: Pki, name: str, ca: str = "ca") -> Files:
    plan = {entry["name"]: entry["files"] for entry in json.loads(kcert.done("plan", "--format", "json").stdout)}
    crt, ca_crt = (next(own.folder / path for path in plan[wanted] if path.endswith(".crt")) for wanted in (name, ca))
    return Files(crt, crt.with_suffix(".key"), ca_crt)


def filled_in(script: str, files: Files, name: str) -> str:
    """The script with the words that stand for what the log does not say."""
    words = {"CLIENT_CERT": files.crt, "CLIENT_KEY": files.key, "CLIENT_CA": files.ca, "CA_FILE": files.ca}
    words |= {"CERT_FILE": files.crt, "KEY_FILE": files.key}
    for word, path in words.items():
        script = re.sub(rf"\b{word}\b", str(path), script)
    return re.sub(r"\bNAME\b", name, script)


def bash(script: str, folder: Path) -> str:
    ended = subprocess.run(
        ["bash", "-c", script.replace("CA_FILE", "ca.crt")],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return ended.stdout


def is_accepted(folder: Path, stem: str) -> bool:
    with api_server(folder, stem) as address:
        connect = f"openssl s_client -connect {address} -CAfile ca.crt -verify_return_error"
        said = bash(f"{connect} -verify_ip 127.0.0.1 -purpose sslserver </dev/null", folder)
    return "Verify return code: 0 (ok)" in said
