"""A small API server: enough of the Certificates API for kubectl, with client certificates, RBAC in two lines, and
kcert's own offline signer in the place of kube-controller-manager.

What it answers has the shape of what kube-apiserver answers; it knows one kind of object.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import yaml

from kcert.errors import KcertError
from kcert.kubernetes import signers, signing_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GROUP = "/apis/certificates.k8s.io/v1"
COLLECTION = f"{GROUP}/certificatesigningrequests"
NAME = "certificatesigningrequests.certificates.k8s.io"
VERSION = {"major": "1", "minor": "32", "gitVersion": "v1.32.4", "platform": "linux/amd64"}

_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
_DISCOVERY: dict[str, dict[str, Any]] = {
    "/version": VERSION,
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [
            {
                "name": "certificates.k8s.io",
                "versions": [{"groupVersion": "certificates.k8s.io/v1", "version": "v1"}],
                "preferredVersion": {"groupVersion": "certificates.k8s.io/v1", "version": "v1"},
            }
        ],
    },
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    GROUP: {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": "certificates.k8s.io/v1",
        "resources": [
            {
                "name": "certificatesigningrequests",
                "singularName": "certificatesigningrequest",
                "namespaced": False,
                "kind": "CertificateSigningRequest",
                "verbs": _VERBS,
                "shortNames": ["csr"],
            },
            {
                "name": "certificatesigningrequests/approval",
                "singularName": "",
                "namespaced": False,
                "kind": "CertificateSigningRequest",
                "verbs": ["get", "patch", "update"],
            },
        ],
    },
    # kubectl asks here whether the server itself checks fields; then it does not check them itself.
    "/openapi/v3": {
        "paths": {"apis/certificates.k8s.io/v1": {"serverRelativeURL": f"/openapi/v3{GROUP}"}},
    },
    f"/openapi/v3{GROUP}": {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.32.4"},
        "paths": {
            f"{COLLECTION}/{{name}}": {
                "patch": {
                    "operationId": "patchCertificateSigningRequest",
                    "x-kubernetes-action": "patch",
                    "x-kubernetes-group-version-kind": {
                        "group": "certificates.k8s.io",
                        "version": "v1",
                        "kind": "CertificateSigningRequest",
                    },
                    "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
                    "responses": {"200": {"description": "OK"}},
                }
            }
        },
    },
}


class RefusedError(Exception):
    """An answer with a status of 400 or more, as the API gives it."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.body = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
        }
        self.code = code


@dataclass
class Api:
    """The state of the server; ``signs`` is what happens to an object that was approved (None: no signer signs it)."""

    signs: Callable[[dict[str, Any]], dict[str, Any]] | None
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    version: int = 0

    def answer(
        self, method: str, path: str, body: dict[str, Any] | None, user: tuple[str, list[str]]
    ) -> dict[str, Any]:
        """Return what the server says to *method* on *path*."""
        with self.lock:
            self.asked.append(f"{method} {path}")
            if path in _DISCOVERY:
                return _DISCOVERY[path]
            if path == "/whoami":
                return {"kind": "User", "name": user[0], "groups": user[1]}
            if not path.startswith(COLLECTION):
                raise RefusedError(404, "NotFound", "the server could not find the requested resource")
            name, _, part = path.removeprefix(COLLECTION).strip("/").partition("/")
            self._authorize(method, user)
            if not name:
                return self._create(body or {}) if method == "POST" else self._list()
            if name not in self.objects:
                raise RefusedError(404, "NotFound", f'{NAME} "{name}" not found')
            return self._of_one(method, name, part, body)

    def _authorize(self, method: str, user: tuple[str, list[str]]) -> None:
        if "system:masters" in user[1]:
            return
        verb = {"GET": "list", "POST": "create"}.get(method, "update")
        raise RefusedError(
            403,
            "Forbidden",
            f'{NAME} is forbidden: User "{user[0]}" cannot {verb} resource "certificatesigningrequests" in API group '
            '"certificates.k8s.io" at the cluster scope',
        )

    def _list(self) -> dict[str, Any]:
        return {
            "kind": "CertificateSigningRequestList",
            "apiVersion": "certificates.k8s.io/v1",
            "metadata": {"resourceVersion": str(self.version)},
            "items": list(self.objects.values()),
        }

    def _create(self, one: dict[str, Any]) -> dict[str, Any]:
        try:
            found = signing_request.parse(yaml.safe_dump(one).encode(), "it")
            asked = signing_request.requested("openssl", found)
        except KcertError as error:
            raise RefusedError(422, "Invalid", f'CertificateSigningRequest "it" is invalid: {error}') from None
        if why := signers.forbidden(found.signer, asked):
            raise RefusedError(403, "Forbidden", f'{NAME} "{found.name}" is forbidden: {why}')
        one["metadata"] |= {"uid": f"0-{found.name}", "creationTimestamp": _now()}
        one["status"] = {}
        return self._store(one)

    def _store(self, one: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        one["metadata"]["resourceVersion"] = str(self.version)
        self.objects[one["metadata"]["name"]] = one
        return one

    def _of_one(self, method: str, name: str, part: str, body: dict[str, Any] | None) -> dict[str, Any]:
        one = self.objects[name]
        if method == "GET":
            return one
        if method == "PATCH":
            return one
        if method != "PUT" or part != "approval" or body is None:
            raise RefusedError(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
            )
        if body["metadata"]["resourceVersion"] != one["metadata"]["resourceVersion"]:
            raise RefusedError(
                409, "Conflict", f'Operation cannot be fulfilled on {NAME} "{name}": the object has been modified'
            )
        conditions = body.get("status", {}).get("conditions", [])
        for condition in conditions:
            condition.setdefault("lastTransitionTime", _now())
        decided = self._store({**one, "status": {**one["status"], "conditions": conditions}})
        if self.signs and any(condition["type"] == "Approved" for condition in conditions):
            self._store(self.signs(json.loads(json.dumps(decided))))
        return decided


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _body(kind: str, raw: bytes) -> dict[str, Any] | None:
    """Return what was sent, as far as this server looks at it. kubectl approves and denies in protobuf."""
    if raw.startswith(_PROTOBUF):
        return _decided(_fields(_fields(raw[len(_PROTOBUF) :])[2][0]))
    found = json.loads(raw) if raw and kind.startswith("application/json") else None
    assert found is None or isinstance(found, dict)
    return found


_PROTOBUF = b"k8s\0"


def _decided(one: dict[int, list[Any]]) -> dict[str, Any]:
    """metadata.resourceVersion and status.conditions of an object (k8s.io/api/certificates/v1/generated.proto)."""
    conditions = [_fields(condition) for status in one.get(3, []) for condition in _fields(status).get(1, [])]
    return {
        "metadata": {"resourceVersion": _fields(one[1][0])[6][0].decode()},
        "status": {
            "conditions": [
                {
                    "type": found[1][0].decode(),
                    "status": found[6][0].decode(),
                    "reason": found[2][0].decode(),
                    "message": found[3][0].decode(),
                    "lastUpdateTime": _now(),
                }
                for found in conditions
            ]
        },
    }


def _fields(message: bytes) -> dict[int, list[Any]]:
    """A protobuf message: numbers and bytes by the number of their field."""
    found: dict[int, list[Any]] = {}
    at = 0
    while at < len(message):
        tag, at = _number(message, at)
        value: Any
        value, at = _number(message, at)
        if tag & 7 == 2:  # so many bytes
            value, at = message[at : at + value], at + value
        found.setdefault(tag >> 3, []).append(value)
    return found


def _number(message: bytes, at: int) -> tuple[int, int]:
    """The number at a place, in groups of seven bits, the lowest first; and the place behind it."""
    value = shift = 0
    while True:
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not message[at - 1] & 0x80:
            return value, at


def _user(peer: dict[str, Any]) -> tuple[str, list[str]]:
    parts = [pair for rdn in peer.get("subject", ()) for pair in rdn]
    name = next((value for kind, value in parts if kind == "commonName"), "")
    return name, [value for kind, value in parts if kind == "organizationName"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: Api

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class has it
        """Say nothing."""

    def _answer(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(size)
        connection = self.connection
        assert isinstance(connection, ssl.SSLSocket)
        path = self.path.partition("?")[0]
        try:
            body = _body(self.headers.get("Content-Type", ""), raw)
            found, code = self.api.answer(self.command, path, body, _user(connection.getpeercert() or {})), 200
        except RefusedError as refused:
            found, code = refused.body, refused.code
        if code == 200 and self.command == "POST":
            code = 201
        content = json.dumps(found).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = _answer  # noqa: N815 - the names of the base class


@contextlib.contextmanager
def serving(pki: Path, signs: Callable[[dict[str, Any]], dict[str, Any]] | None) -> Iterator[tuple[Api, str]]:
    """The server with the certificates of the flat PKI folder *pki*, until the block ends; its state and its URL."""
    api = Api(signs)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "kube-apiserver.crt", pki / "kube-apiserver.key")
    context.load_verify_locations(pki / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    handler = type("Handler", (_Handler,), {"api": api})
    server = _Server(("127.0.0.1", 0), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield api, f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is not an error of the server."""
