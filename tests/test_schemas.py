"""Every command that prints JSON prints what its schema in kcert/schemas describes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from kcert import cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.clusters import Pki
    from tests.running import Kcert

SCHEMAS = Path(cli.__file__).parents[1] / "schemas"

LOG = (
    "x509: certificate has expired or is not yet valid: current time 2026-01-01T00:00:00Z is after 2025-01-01T00:00:00Z"
)

LINES = {
    "plan": "plan",
    "ca": "ca",
    "client": "client bob --group dev",
    "etcd": "etcd",
    "apiserver": "apiserver",
    "kubelet": "kubelet",
    "service-account": "service-account",
    "all": "all",
    "kubeconfig": "kubeconfig",
    "kubeconfig to a file": "kubeconfig admin --output admin.conf",
    "kubeconfig merged": "kubeconfig admin --merge merged.conf",
    "bootstrap": "bootstrap",
    "encryption-config": "encryption-config",
    "encryption-config rotates": "encryption-config --rotate",
    "flags": "flags kube-controller-manager",
    "bundle": "bundle",
    "export cert-manager": "export cert-manager",
    "export ansible": "export ansible",
    "renew": "renew admin",
    "renew a missing": "renew --expiring-in 1y",
    "csr new": "csr new joe --group dev",
    "csr manifest": "csr manifest jane --name jane-2",
    "csr manifest that exists": "csr manifest jane --name jane-2",
    "csr show": "csr show --file jane-csr.yaml",
    "csr sign": "csr sign --file jane-csr.yaml",
    "csr sign again": "csr sign --file jane-csr.yaml",
    "csr fetch": "csr fetch jane --file jane-csr.yaml",
    "csr show of a request": "csr show --file pki/jane.csr",
    "show": "show pki/admin.crt",
    "show a key": "show pki/admin.key",
    "inventory": "inventory pki",
    "check": "check pki --expiring-in 100y",
    "check finds nothing": "check pki/ca.crt",
    "logs": "logs kubelet.log --diagnose",
    "diagnose": "diagnose kubelet.log",
    "history": "history",
    "doctor": "doctor",
}


IN_A_CLUSTER = {"csr list"}
"""Commands that need a cluster: their schema is held in tests/test_csr_cluster.py."""


def with_json() -> Iterator[tuple[str, str]]:
    """Every command that has ``--json``, with its schema; the labs' are in their own tests."""
    for name in cli.COMMANDS:
        command = cli.load(name)
        for sub, leaf in getattr(command, "commands", {"": command}).items():
            if name != "practice" and any("--json" in parameter.opts for parameter in leaf.params):
                yield f"{name} {sub}".strip(), cli.schema(name, sub)


def validator(name: str) -> Any:
    content = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(content)
    return jsonschema.Draft202012Validator(content)


def test_each_command_with_json_has_a_schema_that_its_help_names_and_a_line_here(kcert: Kcert) -> None:
    commands = dict(with_json())

    others = {path.stem for path in SCHEMAS.glob("*.json") if not path.stem.startswith("practice-")}
    assert others == set(commands.values())
    assert {command for command in commands if not any(key.startswith(command) for key in LINES)} == IN_A_CLUSTER
    assert "kcert/schemas/issue.json" in " ".join(kcert("client", "--help").stdout.split())


@pytest.mark.thorough
def test_what_each_command_prints_is_as_its_schema_says(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path
) -> None:
    own_pki("course")
    (tmp_path / "kubelet.log").write_text(LOG, encoding="utf-8")
    kcert.done("csr", "new", "jane", "--quiet")
    kcert.done("csr", "manifest", "jane", "--quiet", "--output", "jane-csr.yaml")
    kcert.done("csr", "approve", "--file", "jane-csr.yaml")
    commands = dict(with_json())
    wrong = []
    printed = ""

    for key, words in LINES.items():
        ended = kcert(*words.split(), "--json")
        name = next(schema for command, schema in commands.items() if key.startswith(command))
        assert ended.status in {0, 1}, (key, ended.stderr)
        content = json.loads(ended.stdout)
        printed += ended.stdout
        wrong += [f"{key}: {error.json_path}: {error.message}" for error in validator(name).iter_errors(content)]
        record = content if isinstance(content, dict) else {**content[0]}
        for broken in (record | {"more": 1}, dict(list(record.items())[1:])):
            instance = broken if isinstance(content, dict) else [broken]
            wrong += [] if list(validator(name).iter_errors(instance)) else [f"{key}: {broken} is accepted"]

    assert not wrong
    secrets = re.findall(r'secret: "?([\w+/=]{16,})', "".join(path.read_text() for path in tmp_path.rglob("*.yaml")))
    assert len(secrets) > 2, "the token's, and the two keys"
    assert not [secret for secret in secrets if secret in printed]
