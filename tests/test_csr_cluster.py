"""`kcert csr` with a cluster: real kubectl against a small API server, and kubectl's failures."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kcert.cli.csr_options import ClusterOptions
from kcert.errors import ProgramError
from kcert.kubeconfig import Kubeconfig
from kcert.kubernetes import manifests
from tests import judge, running
from tests.certificates_api import Api, serving
from tests.test_csr import Applicant
from tests.test_schemas import validator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_subprocess import FakeProcess

    from tests.clusters import Pki
    from tests.running import Kcert


@dataclass
class Cluster:
    """The API server that runs, and kubeconfigs for it."""

    api: Api
    url: str
    home: Path

    def kubeconfig(self, name: str) -> Path:
        """A kubeconfig of a user in the PKI folder."""
        pki = self.home / "pki"
        one = Kubeconfig(
            "here",
            self.url,
            name,
            "here",
            *(PurePosixPath(f"{one}") for one in ("ca.crt", f"{name}.crt", f"{name}.key")),
        )
        path = self.home / f"{name}.conf"
        path.write_text(
            one.embedded(lambda file: base64.b64encode((pki / file).read_bytes()).decode()), encoding="utf-8"
        )
        return path

    def whoami(self, name: str) -> dict[str, Any]:
        """Return the user as the server sees it."""
        context = ssl.create_default_context(cafile=str(self.home / "pki/ca.crt"))
        context.load_cert_chain(self.home / f"pki/{name}.crt", self.home / f"pki/{name}.key")
        connection = http.client.HTTPSConnection(self.url.removeprefix("https://"), context=context, timeout=20)
        try:
            connection.request("GET", "/whoami")
            found = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert isinstance(found, dict)
        return found


@pytest.fixture
def cluster(own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path) -> Iterator[Cluster]:
    """A cluster whose kube-controller-manager is `kcert csr sign`."""
    running.program("kubectl")
    folder = own_pki("course").folder
    object_file = tmp_path / "controller-manager.yaml"

    def signs(one: dict[str, Any]) -> dict[str, Any]:
        object_file.write_text(yaml.safe_dump(one), encoding="utf-8")
        kcert("csr", "sign", "--file", object_file)
        signed = yaml.safe_load(object_file.read_text(encoding="utf-8"))
        assert isinstance(signed, dict)
        return signed

    with serving(folder, signs) as (api, url):
        yield Cluster(api, url, tmp_path)


@pytest.mark.thorough
def test_the_whole_exercise_with_kubectl(cluster: Cluster, kcert: Kcert) -> None:
    admin = ("--kubeconfig", cluster.kubeconfig("admin"))
    kcert.done("csr", "new", "jane", "--group", "developers", "--quiet")
    kcert.done("csr", "manifest", "jane")

    submitted = kcert.done("csr", "submit", "jane", *admin).stdout
    listed = kcert.done("csr", "list", *admin).stdout
    looked = " ".join(kcert.done("csr", "show", "jane", *admin).stdout.split())
    early = kcert("csr", "fetch", "jane", *admin)
    approved = kcert.done("csr", "approve", "jane", *admin).stdout
    fetched = kcert.done("csr", "fetch", "jane", "--wait", "30s", *admin).stdout
    again = kcert.done("csr", "fetch", "jane", *admin).stdout
    alone = kcert.done("csr", "fetch", "jane", "--output", "-", *admin).stdout

    assert alone == (cluster.home / "pki/jane.crt").read_text()
    assert "-o 'jsonpath={.status.certificate}'" in fetched
    assert "| base64 -d > pki/jane.crt" in fetched
    assert "-> pki/jane.crt" in fetched
    assert "pki/jane.crt already is this certificate" in again
    assert "| base64 -d | openssl req -noout -text" in looked
    assert "kubectl apply -f pki/jane-csr.yaml" in " ".join(submitted.split())
    assert "jane" in listed
    assert "is the user jane, in the group developers" in looked
    assert early.status == 1
    assert "not approved yet" in early.stderr
    assert "approved" in approved
    assert "kubectl certificate approve jane" in " ".join(approved.split())
    assert cluster.whoami("jane") == {"kind": "User", "name": "jane", "groups": ["developers"]}
    kcert.done("kubeconfig", "jane", "--server", cluster.url)
    itself = running.output(
        ["kubectl", "get", "--raw", "/whoami", "--kubeconfig", cluster.home / "pki/jane.kubeconfig"],
        HOME=str(cluster.home),
    )
    assert json.loads(itself.stdout)["name"] == "jane"
    condition = cluster.api.objects["jane"]["status"]["conditions"][0]
    assert condition["reason"] == "KubectlApprove"
    assert condition["message"] == "This CSR was approved by kubectl certificate approve."
    made = judge.load(cluster.home / "pki/jane.crt")
    assert judge.matches((cluster.home / "pki/jane.key").read_bytes(), made)
    refused = kcert("csr", "list", "--kubeconfig", cluster.kubeconfig("jane"))
    assert refused.status == 3
    assert "(Forbidden)" in refused.stderr
    assert "Use one with more permissions" in " ".join(refused.stderr.split())


@pytest.mark.thorough
def test_what_was_denied_stays_denied(cluster: Cluster, kcert: Kcert) -> None:
    admin = ("--kubeconfig", cluster.kubeconfig("admin"))
    kcert.done("csr", "new", "jane", "--quiet")
    kcert.done("csr", "manifest", "jane")
    kcert.done("csr", "submit", "jane", *admin)

    kcert.done("csr", "deny", "jane", *admin)

    assert cluster.api.objects["jane"]["status"]["conditions"][0]["reason"] == "KubectlDeny"
    assert "was denied" in kcert("csr", "fetch", "jane", *admin).stderr
    again = kcert("csr", "approve", "jane", *admin)
    assert again.status == 3
    assert "already Denied" in " ".join(again.stderr.split())
    assert "A decision cannot be changed" in " ".join(again.stderr.split())


@pytest.mark.thorough
def test_approved_and_never_signed_says_what_to_look_at(cluster: Cluster, kcert: Kcert) -> None:
    cluster.api.signs = None
    admin = ("--kubeconfig", cluster.kubeconfig("admin"))
    kcert.done("csr", "new", "jane", "--quiet")
    kcert.done("csr", "manifest", "jane")
    kcert.done("csr", "submit", "jane", *admin)
    kcert.done("csr", "approve", "jane", *admin)

    ended = kcert("csr", "fetch", "jane", "--wait", "3s", *admin)

    assert ended.status == 1
    said = " ".join(ended.stderr.split())
    assert said.count("Trying again every second") == 1
    assert "approved, but not signed" in said
    assert "--cluster-signing-cert-file" in said


@pytest.mark.thorough
def test_what_the_signer_refuses_has_failed(cluster: Cluster, kcert: Kcert) -> None:
    admin = ("--kubeconfig", cluster.kubeconfig("admin"))
    kcert.done("csr", "new", "jane", "--quiet")
    kcert.done("csr", "manifest", "jane", "--usage", "server auth")
    kcert.done("csr", "submit", "jane", *admin)
    kcert.done("csr", "approve", "jane", *admin)

    ended = kcert("csr", "fetch", "jane", *admin)

    assert ended.status == 1
    assert "its signer rejected it (SignerValidationFailure" in " ".join(ended.stderr.split())


def test_the_cluster_refuses_system_masters_when_it_is_submitted(cluster: Cluster, kcert: Kcert) -> None:
    kcert.done("csr", "new", "jane", "--group", "system:masters", "--quiet")
    kcert.done("csr", "manifest", "jane")

    ended = kcert("csr", "submit", "jane", "--kubeconfig", cluster.kubeconfig("admin"))

    assert ended.status == 3
    assert "system:masters group is not allowed. The API server rejects this group" in " ".join(ended.stderr.split())


def _submitted(cluster: Cluster, name: str, signer: str, user: str, sans: tuple[str, ...] = ()) -> None:
    """A request of node01 in the cluster, as the API server keeps it: with who created it."""
    request = Applicant(cluster.home).request("CN=system:node:node01/O=system:nodes", sans)
    purpose = "server auth" if signer.endswith("serving") else "client auth"
    cluster.api.objects[name] = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name, "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "request": base64.b64encode(request).decode(),
            "signerName": f"kubernetes.io/{signer}",
            "usages": ["digital signature", purpose],
            "username": user,
        },
        "status": {},
    }


@pytest.mark.thorough
def test_the_requests_of_kubelets_are_listed_as_what_they_are(cluster: Cluster, kcert: Kcert) -> None:
    admin = ("--kubeconfig", cluster.kubeconfig("admin"))
    _submitted(cluster, "csr-a", "kube-apiserver-client-kubelet", "system:bootstrap:07401b")
    _submitted(cluster, "csr-b", "kube-apiserver-client-kubelet", "system:node:node01")
    _submitted(cluster, "csr-c", "kubelet-serving", "system:node:node01", ("DNS:node01",))
    _submitted(cluster, "csr-d", "kubelet-serving", "eve\x1b", ("DNS:node01",))
    _submitted(cluster, "csr-e", "kube-apiserver-client", "jane")

    said = " ".join(kcert.done("csr", "list", *admin).stdout.split())

    assert "csr-a: TLS bootstrapping: a kubelet asks for its first client certificate, as the node node01" in said
    assert "with the bootstrap token 07401b" in said
    assert "csr-b: The kubelet of node01 renews its client certificate." in said
    assert "csr-c: The kubelet of node01 asks for a serving certificate, which an administrator has to approve." in said
    assert "csr-d: The kubelet of node01 asks for a serving certificate" in said
    assert "eve\\x1b created it, not this kubelet." in said
    assert "csr-e:" not in said
    cluster.api.objects["csr-f"] = cluster.api.objects["csr-e"] | {"spec": {}}
    listed = json.loads(kcert.done("csr", "list", "--json", *admin).stdout)
    assert not list(validator("csr-list").iter_errors(listed))
    assert [one["username"] for one in listed[:-1]][-2:] == ["eve\x1b", "jane"]
    assert "spec" in listed[-1]["error"]
    shown = " ".join(kcert.done("csr", "show", "csr-a", *admin).stdout.split())
    assert "TLS bootstrapping: a kubelet asks" in shown


@pytest.mark.thorough
def test_a_kubelets_serving_request_is_approved_for_the_names_of_its_node_alone(cluster: Cluster, kcert: Kcert) -> None:
    admin = ("--kubeconfig", cluster.kubeconfig("admin"))
    node = "{name: node01, ip: 192.168.56.21}"
    with (cluster.home / "kcert.yaml").open("a", encoding="utf-8") as config:
        config.write(f"nodes: [{node}]\n")
    own = ("DNS:node01", "IP:192.168.56.21")
    for sans, user, said in (
        ((*own, "DNS:kubernetes.default.svc"), "system:node:node01", "it asks for DNS:kubernetes.default.svc"),
        (own, "system:node:node02", "and 'system:node:node02' created it"),
    ):
        _submitted(cluster, "csr-a", "kubelet-serving", user, sans)
        refused = kcert("csr", "approve", "csr-a", *admin)
        assert refused.status == 1
        assert said in " ".join(refused.stderr.split())
        assert "`kubectl certificate approve csr-a`" in " ".join(refused.stderr.split())
        assert not cluster.api.objects["csr-a"]["status"]

    _submitted(cluster, "csr-a", "kubelet-serving", "system:node:node01", own)
    kcert.done("csr", "approve", "csr-a", *admin)
    assert cluster.api.objects["csr-a"]["status"]["conditions"][0]["type"] == "Approved"


def test_a_request_that_is_not_what_it_seems_is_not_approved_in_a_cluster(cluster: Cluster, kcert: Kcert) -> None:
    admin = ("--kubeconfig", cluster.kubeconfig("admin"))
    _submitted(cluster, "jane", "kube-apiserver-client", "jane")
    spec = cluster.api.objects["jane"]["spec"]
    other = Applicant(cluster.home).request("CN=eve/O=kubeadm:cluster-admins")
    spec["request"] = base64.b64encode(b" " + base64.b64decode(spec["request"]) + other).decode()

    for command in ("show", "approve"):
        refused = kcert("csr", command, "jane", *admin)
        assert refused.status == 2
        assert "expected exactly one PEM block of type CERTIFICATE REQUEST" in " ".join(refused.stderr.split())
    assert not cluster.api.objects["jane"]["status"]


def test_an_object_that_is_not_there(cluster: Cluster, kcert: Kcert) -> None:
    ended = kcert("csr", "show", "nobody", "--kubeconfig", cluster.kubeconfig("admin"))

    assert ended.status == 3
    assert "(NotFound)" in ended.stderr
    assert "`kcert csr list`" in " ".join(ended.stderr.split())


# --- kubectl's command lines and failures, where there is no kubectl

APPROVE = ClusterOptions().kubectl("certificate", "approve", "jane")


@pytest.fixture
def kubectl_is_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Something called kubectl in PATH; pytest-subprocess answers in its place."""
    (tmp_path / "kubectl").write_text("#!/bin/sh\nexit 1\n", encoding="ascii")
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


@pytest.mark.usefixtures("kubectl_is_here")
@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (
            "The connection to the server localhost:8080 was refused - did you specify the right host or port?",
            "port? kubectl uses this address when no kubeconfig is set",
        ),
        (
            "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?",
            "No API server",
        ),
        ("Unable to connect to the server: dial tcp: lookup api: no such host", "No API server answers there"),
        ("error: no configuration has been provided, try setting KUBERNETES_MASTER", "--kubeconfig FILE"),
        ('Error from server (Forbidden): csr is forbidden: User "jane" cannot list', "Use one with more permissions"),
        (
            'Error from server (NotFound): certificatesigningrequests.certificates.k8s.io "jane" not found',
            "kcert csr list",
        ),
        ("Error from server (Conflict): Operation cannot be fulfilled on csr", "run the command again"),
        ("Error from server (AlreadyExists): csr jane already exists", "kubectl delete csr"),
        ("error: You must be logged in to the server (Unauthorized)", "does not recognize the user"),
        (
            "Unable to connect to the server: x509: certificate signed by unknown authority",
            "did not sign the server's certificate",
        ),
        ('error: context "elsewhere" does not exist', "get-contexts"),
        ("Error in configuration: context was not found for specified context: elsewhere", "get-contexts"),
        ("error: stat my.conf: no such file or directory", "The kubeconfig does not exist"),
        (
            "Unable to connect to the server: x509: certificate has expired or is not yet valid",
            "has expired, or a clock is wrong",
        ),
        (
            'Error from server (Forbidden): user not permitted to approve requests with signerName "a/b"',
            "the resource signers",
        ),
    ],
)
def test_each_failure_of_kubectl_says_what_to_do(fp: FakeProcess, said: str, advice: str) -> None:
    fp.register(list(APPROVE), stderr=f"{said}\n", returncode=1)

    with pytest.raises(ProgramError, match="failed with status 1") as caught:
        manifests.kubectl(APPROVE)

    assert advice in str(caught.value)
    assert caught.value.exit_status == 3


@pytest.mark.usefixtures("kubectl_is_here")
def test_what_kubectl_says_comes_back_where_it_succeeds(fp: FakeProcess) -> None:
    argv = ClusterOptions("my.conf", "prod").kubectl("get", "csr")
    fp.register(list(argv), stdout="NAME  AGE\n")

    assert manifests.kubectl(argv).stdout == b"NAME  AGE\n"
    assert argv == ("kubectl", "get", "csr", "--kubeconfig", "my.conf", "--context", "prod")


@pytest.mark.parametrize("answer", ["", "[]", "items:", "items: 3", "items: {a: b}", "- items", "\0"])
def test_a_list_that_is_none_is_said_to_be_none(answer: str) -> None:
    with pytest.raises(ProgramError, match="`kubectl get csr -o yaml` printed something other than a list of objects"):
        list(manifests.summaries(answer.encode(), "openssl"))


def test_a_list_may_hold_anything() -> None:
    items: list[Any] = [1, None, [], {}, {"metadata": 3}, {"metadata": {"name": "jane"}}]

    records = list(manifests.summaries(yaml.safe_dump({"items": items}).encode(), "openssl"))

    assert [record["name"] for record in records] == ["None"] * 5 + ["jane"]
    assert all(record["error"].startswith("the object") for record in records)


def test_without_kubectl_it_is_said_what_works_without_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ProgramError, match="take --file FILE"):
        manifests.kubectl(APPROVE)
