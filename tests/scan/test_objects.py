"""Certificates in objects of the API, as ``kubectl get -o yaml`` prints them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from tests.check.conftest import judged
from tests.running import REPOSITORY, Ended, Kcert
from tests.scan.made import CLIENT, SERVER, authority, certificate, name

if TYPE_CHECKING:
    from pathlib import Path


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def objects() -> bytes:
    ca = authority("kubernetes")
    web = certificate(name("web"), ca, uses=[SERVER])
    other = certificate(name("other"), ca, uses=[CLIENT])
    secret = {
        "kind": "Secret",
        "metadata": {"name": "web", "namespace": "default"},
        "data": {"tls.crt": encoded(web.pem), "tls.key": encoded(other.key_pem), "ca.crt": encoded(ca.pem)},
    }
    webhook = {
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "hook"},
        "webhooks": [{"name": "a", "clientConfig": {"caBundle": encoded(ca.pem)}}],
    }
    documents = [{"kind": "List", "items": [secret]}, webhook]
    return "\n---\n".join(json.dumps(document, indent=1) for document in documents).encode()


def run(objects: bytes, *arguments: str) -> Ended:
    return Kcert(REPOSITORY)(*arguments, stdin=objects)


def test_secrets_and_webhooks_are_listed_from_standard_input(objects: bytes) -> None:
    ended = run(objects, "inventory", "-", "--format", "json")
    listed = [(entry["path"], entry["kind"]) for entry in json.loads(ended.stdout)]
    assert listed == [
        ("secret/default/web:tls.crt", "server"),
        ("secret/default/web:ca.crt", "ca"),
        ("validatingwebhookconfiguration/hook:caBundle", "ca"),
    ]


def test_a_key_of_another_certificate_is_found_and_never_printed(objects: bytes, tmp_path: Path) -> None:
    (tmp_path / "objects.yaml").write_bytes(objects)
    for arguments, data in ((("-",), objects), ((str(tmp_path / "objects.yaml"),), b"")):
        ended = run(data, "check", *arguments, "--format", "json")
        assert "key-mismatch" in [finding["rule"] for finding in json.loads(ended.stdout)["findings"]]
        assert "PRIVATE KEY" not in ended.stdout + ended.stderr


def test_an_input_without_objects_is_wrong_use() -> None:
    ended = run(b"nothing\n", "check", "-")
    assert ended.status == 2
    assert "standard input contains no objects and no certificates" in ended.stderr


def test_a_bundle_of_before_and_files_that_are_none_are_found(tmp_path: Path) -> None:
    ca, before = authority("webhook-ca"), authority("webhook-ca")
    hook = certificate(name("hook"), ca, uses=[SERVER], names=["hook.ns.svc"])
    pair = {"tls.crt": hook.pem, "tls.key": hook.key_pem}
    service = {"name": "hook", "namespace": "ns"}

    def found(bundle: bytes, data: dict[str, bytes]) -> list[tuple[str, str, str]]:
        secret = {
            "kind": "Secret",
            "metadata": {"name": "s"},
            "data": {key: encoded(held) for key, held in data.items()},
        }
        webhooks = [{"name": "a", "clientConfig": {"caBundle": encoded(bundle), "service": service}}]
        documents = [secret, {"kind": "MutatingWebhookConfiguration", "metadata": {"name": "h"}, "webhooks": webhooks}]
        (tmp_path / "o.yaml").write_text("\n---\n".join(map(json.dumps, documents)))
        return [(one.rule, str(one.path).rpartition("/")[2], one.fix) for one in judged(tmp_path / "o.yaml")]

    assert found(ca.pem, pair) == []
    assert found(before.pem, pair) == [("wrong-ca-option", "h:caBundle", "")]
    assert found(b"\n", pair) == [("unreadable", "h:caBundle", "")]
    assert found(encoded(ca.pem).encode(), pair) == [("unreadable", "h:caBundle", "")]
    assert found(ca.pem, {"tls.crt": hook.key_pem, "tls.key": hook.pem}) == [("unreadable", "s:tls.crt", "")]
    (mixed,) = found(ca.pem, {"tls.crt": ca.pem + hook.pem, "tls.key": hook.key_pem})
    assert mixed == ("key-mismatch", "s:tls.crt", "")
