"""Faults of whole clusters, as people reported them: half-finished rotations, restored backups, hosts that differ."""

from __future__ import annotations

import base64
import re
import shutil
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kcert.certificates import Kind
from kcert.scan.discovery import survey
from tests import judge
from tests.check.conftest import judged, mend
from tests.check.sick import PKI
from tests.zoo import course, hardway, kubeadm
from tests.zoo.issuing import Recipe, Workshop, changed, kubeconfig, put

if TYPE_CHECKING:
    from pathlib import Path

ETC = "etc/kubernetes"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def told(root: Path) -> list[tuple[str, str]]:
    return [(finding.rule, str(finding.path.relative_to(root))) for finding in judged(root=root)]


def mended(root: Path) -> None:
    mend(judged(root=root))
    assert told(root) == []


@pytest.mark.thorough
@pytest.mark.parametrize("first", ["old", "new"])
def test_the_controller_manager_signs_with_one_ca_alone(first: str, tmp_path: Path) -> None:
    workshop = kubeadm.lay_out(tmp_path)
    other, crt = Workshop({"ca": kubeadm.RECIPES["ca"]})["ca"].crt, tmp_path / PKI / "ca.crt"
    crt.write_bytes(workshop["ca"].crt + other if first == "old" else other + workshop["ca"].crt)
    assert told(tmp_path) == [("wrong-ca-option", f"{ETC}/manifests/kube-controller-manager.yaml")]
    mended(tmp_path)
    assert (tmp_path / PKI / "ca-signing.crt").read_bytes().strip() == workshop["ca"].crt.strip()


@pytest.mark.thorough
def test_a_client_ca_that_signed_no_client_is_named(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path, options={"kube-apiserver": {"--client-ca-file": f"/{PKI}/users-ca.crt"}})
    put(tmp_path / PKI / "users-ca.crt", Workshop({"ca": Recipe("CN=users", None, ca=True, days=3650)})["ca"].crt)
    assert told(tmp_path) == [("wrong-ca-option", f"{ETC}/manifests/kube-apiserver.yaml")]
    mended(tmp_path)


ETCD = ("etcd/ca", "etcd/server", "etcd/peer", "etcd/healthcheck-client", "apiserver-etcd-client")
DIFFERENT = {
    "sa": (("sa.key", "sa.pub"), "key-mismatch", ("one/PKI/sa.pub", "two/PKI/sa.pub")),
    "etcd": (
        tuple(f"{stem}.{ending}" for stem in ETCD for ending in ("crt", "key")),
        "wrong-ca-option",
        (f"two/{ETC}/manifests/kube-apiserver.yaml",),
    ),
}


@pytest.mark.thorough
@pytest.mark.parametrize("what", DIFFERENT)
def test_the_hosts_of_a_control_plane_share_what_they_must(what: str, tmp_path: Path) -> None:
    files, rule, paths = DIFFERENT[what]
    for name in ("one", "other"):
        kubeadm.lay_out(tmp_path / name)
    shutil.copytree(tmp_path / "one", tmp_path / "two", symlinks=True)
    assert judged(tmp_path / "one", tmp_path / "two") == ()
    for file in files:
        shutil.copy(tmp_path / "other" / PKI / file, tmp_path / "two" / PKI / file)
    found = [(finding.rule, finding.path) for finding in judged(tmp_path / "one", tmp_path / "two")]
    assert found == [(rule, tmp_path / path.replace("PKI", PKI)) for path in paths]


@pytest.mark.thorough
def test_a_renewed_ca_replaces_the_expired_one_in_every_kubeconfig(tmp_path: Path) -> None:
    workshop = kubeadm.lay_out(tmp_path)
    ca = workshop["ca"]
    workshop.keys["ca"] = ca.key
    old = replace(kubeadm.RECIPES["ca"], key="ca", begins=-20, days=10)
    expired = Workshop({"ca": old}, keys={"ca": ca.key})["ca"].crt
    for name in ("admin.conf", "scheduler.conf"):
        text = (tmp_path / ETC / name).read_text()
        (tmp_path / ETC / name).write_text(text.replace(encoded(ca.crt), encoded(expired)))
    assert told(tmp_path) == [("expired", f"{ETC}/admin.conf"), ("expired", f"{ETC}/scheduler.conf")]
    mended(tmp_path)


@pytest.mark.parametrize(
    ("stem", "content", "rule"),
    [
        pytest.param("etcd/ca", "der", "unreadable", id="etcd's is DER"),
        pytest.param("front-proxy-ca", "der", "unreadable", id="the front proxy's is DER"),
        pytest.param("etcd/ca", "", "missing-file", id="etcd's is missing"),
    ],
)
def test_what_a_ca_signed_is_not_blamed_where_its_file_cannot_be_read(
    stem: str, content: str, rule: str, tmp_path: Path
) -> None:
    kubeadm.lay_out(tmp_path)
    crt = tmp_path / PKI / f"{stem}.crt"
    pem = crt.read_text()
    crt.unlink()
    if content:
        crt.write_bytes(ssl.PEM_cert_to_DER_cert(pem))
    assert told(tmp_path) == [(rule, f"{PKI}/{stem}.crt")]
    mended(tmp_path)


@pytest.mark.parametrize("verifies", ["certificate", "private key"])
def test_the_token_keys_match_where_a_certificate_or_a_private_key_verifies(verifies: str, tmp_path: Path) -> None:
    file = "service-account.crt" if verifies == "certificate" else "service-account.key"
    hardway.lay_out(
        tmp_path, options={"kube-apiserver": {"--service-account-key-file": f"/var/lib/kubernetes/pki/{file}"}}
    )
    assert told(tmp_path) == []
    other = Workshop({"ca": Recipe("CN=other", None, ca=True)})["ca"].traditional
    put(tmp_path / "var/lib/kubernetes/pki/other.key", other, 0o600)
    unit = tmp_path / "etc/systemd/system/kube-controller-manager.service"
    unit.write_text(re.sub(r"(private-key-file=\S*/)service-account\.key", r"\1other.key", unit.read_text()))
    assert told(tmp_path)[0] == ("key-mismatch", f"var/lib/kubernetes/pki/{file}")
    mended(tmp_path)


@pytest.mark.parametrize(
    ("component", "option", "other"),
    [
        ("kube-apiserver", "--tls-private-key-file", "front-proxy-client.key"),
        ("kube-controller-manager", "--cluster-signing-key-file", "etcd/ca.key"),
        ("etcd", "--key-file", "etcd/peer.key"),
        ("kube-apiserver", "--tls-cert-file", "front-proxy-client.crt"),
        ("kube-apiserver", "--service-account-key-file", "ca.crt"),
        ("kube-apiserver", "--service-account-signing-key-file", "apiserver.key"),
        ("kube-controller-manager", "--service-account-private-key-file", "ca.key"),
    ],
)
def test_an_option_that_names_another_pair_is_corrected_and_no_key_replaced(
    component: str, option: str, other: str, tmp_path: Path
) -> None:
    kubeadm.lay_out(tmp_path, options={component: {option: f"/{PKI}/{other}"}})
    before = {path: path.read_bytes() for path in (tmp_path / PKI).rglob("*.*")}
    rule = "wrong-certificate-option" if option.endswith("cert-file") else "key-mismatch"
    assert told(tmp_path) == [(rule, f"{ETC}/manifests/{component}.yaml")]
    mended(tmp_path)
    assert f"{option}=/{PKI}/{other}" not in (tmp_path / ETC / "manifests" / f"{component}.yaml").read_text()
    assert before == {path: path.read_bytes() for path in (tmp_path / PKI).rglob("*.*")}


def test_the_certificate_that_verifies_tokens_is_named_in_place_of_another(tmp_path: Path) -> None:
    hardway.lay_out(
        tmp_path, options={"kube-apiserver": {"--service-account-key-file": "/var/lib/kubernetes/pki/ca.crt"}}
    )
    assert told(tmp_path) == [("key-mismatch", "etc/systemd/system/kube-apiserver.service")]
    mended(tmp_path)


def test_an_option_may_be_in_a_variable_whose_value_is_not_here(tmp_path: Path) -> None:
    hardway.lay_out(tmp_path)
    unit = tmp_path / "etc/systemd/system/kube-apiserver.service"
    text = unit.read_text()
    without = re.sub(r"--client-ca-file=\S+", "$CLIENT_CA", text)
    assert without != text
    unit.write_text(without)
    assert told(tmp_path) == []
    unit.write_text(without.replace("[Service]\n", "[Service]\nEnvironment=CLIENT_CA=--v=2\n"))
    assert told(tmp_path) == [("missing-option", "etc/systemd/system/kube-apiserver.service")]


def test_another_pair_that_serves_as_well_is_no_mistake(tmp_path: Path) -> None:
    pair = {"--cert-file": f"/{PKI}/etcd/peer.crt", "--key-file": f"/{PKI}/etcd/peer.key"}
    client = {"--etcd-certfile": f"/{PKI}/etcd/healthcheck-client.crt"}
    client["--etcd-keyfile"] = f"/{PKI}/etcd/healthcheck-client.key"
    kubeadm.lay_out(tmp_path, options={"etcd": pair, "kube-apiserver": client})
    assert told(tmp_path) == []


def test_two_options_that_name_each_others_certificates_are_corrected_together(tmp_path: Path) -> None:
    pairs = {
        "--tls-cert-file": "apiserver-etcd-client.crt",
        "--tls-private-key-file": "apiserver-etcd-client.key",
        "--etcd-certfile": "apiserver.crt",
        "--etcd-keyfile": "apiserver.key",
    }
    kubeadm.lay_out(tmp_path, options={"kube-apiserver": {name: f"/{PKI}/{file}" for name, file in pairs.items()}})
    manifest = f"{ETC}/manifests/kube-apiserver.yaml"
    assert told(tmp_path) == [("wrong-certificate-option", manifest)] * 2
    mended(tmp_path)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("apiserver", "etcd/server"),
        ("etcd/peer", "etcd/server"),
        ("etcd/healthcheck-client", "apiserver-etcd-client"),
        ("front-proxy-ca", "ca"),
        ("etcd/ca", "ca"),
        ("ca", "etcd/ca"),
        ("ca", "front-proxy-ca"),
    ],
)
def test_what_was_copied_over_another_file_is_one_fault_and_is_made_again(
    source: str, target: str, tmp_path: Path
) -> None:
    kubeadm.lay_out(tmp_path)
    crt = tmp_path / PKI / f"{target}.crt"
    before = judge.load(crt).subject
    shutil.copy(tmp_path / PKI / f"{source}.crt", crt)
    assert told(tmp_path) == [("key-mismatch", f"{PKI}/{target}.crt")]
    mended(tmp_path)
    assert not target.endswith("ca") or judge.load(crt).subject == before


def test_a_copy_of_the_right_certificate_is_put_back(tmp_path: Path) -> None:
    hardway.lay_out(tmp_path)
    pki = tmp_path / "var/lib/kubernetes/pki"
    before = (pki / "etcd-server.crt").read_bytes()
    shutil.copy(pki / "kube-apiserver.crt", pki / "etcd-server.crt")
    assert told(tmp_path) == [("key-mismatch", "var/lib/kubernetes/pki/etcd-server.crt")]
    mended(tmp_path)
    assert (pki / "etcd-server.crt").read_bytes().strip() == before.strip()


def exchanged(first: Path, second: Path) -> tuple[bytes, bytes]:
    """Let two files change places; return what they held before."""
    before = first.read_bytes(), second.read_bytes()
    first.write_bytes(before[1])
    second.write_bytes(before[0])
    return before


def test_the_private_and_the_public_key_of_tokens_change_places(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path)
    private, public = tmp_path / PKI / "sa.key", tmp_path / PKI / "sa.pub"
    before = exchanged(private, public)
    assert told(tmp_path) == [("unreadable", f"{PKI}/sa.key")]
    mended(tmp_path)
    assert (private.read_bytes(), public.read_bytes()) == before
    assert private.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("one", "other"), [("controller-manager.conf", "scheduler.conf"), ("admin.conf", "kubelet.conf")]
)
def test_kubeconfigs_that_changed_places_change_back(one: str, other: str, tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path)
    first, second = tmp_path / ETC / one, tmp_path / ETC / other
    before = exchanged(first, second)
    assert told(tmp_path) == [("wrong-cn", f"{ETC}/{one}")]
    mended(tmp_path)
    assert (first.read_bytes(), second.read_bytes()) == before


def test_a_copy_of_the_administrators_kubeconfig_becomes_the_kubelets(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path)
    conf = tmp_path / ETC / "kubelet.conf"
    shutil.copy(tmp_path / ETC / "admin.conf", conf)
    assert told(tmp_path) == [("wrong-cn", f"{ETC}/kubelet.conf"), ("wrong-organization", f"{ETC}/kubelet.conf")]
    mended(tmp_path)
    shown = judged(conf)
    assert shown == ()


def test_a_component_with_the_administrators_certificate_gets_none_of_the_rights(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path)
    conf = tmp_path / ETC / "scheduler.conf"
    shutil.copy(tmp_path / ETC / "admin.conf", conf)
    assert told(tmp_path) == [("wrong-cn", f"{ETC}/scheduler.conf")]
    mended(tmp_path)
    (user,) = (use.certificate for use in survey([str(conf)]).uses if use.kind is Kind.CLIENT)
    assert str(user.subject) == "CN=system:kube-scheduler"


def worker(root: Path, ca: str) -> Path:
    """A node that joined with kubeadm, and the certificate *ca* in the file for the CA."""
    workshop = Workshop(kubeadm.RECIPES)
    kubeadm.lay_out_kubelet(root, workshop)
    crt = root / PKI / "ca.crt"
    put(crt, workshop[ca].crt)
    return crt


def test_a_leaf_in_the_file_of_a_nodes_ca_is_replaced_by_the_ca_of_the_kubeconfig(tmp_path: Path) -> None:
    crt = worker(tmp_path, "kubelet")
    assert told(tmp_path) == [("not-a-ca", f"{PKI}/ca.crt")]
    mended(tmp_path)
    assert judge.load(crt).subject.rfc4514_string() == "CN=kubernetes"


def test_a_node_with_another_ca_for_its_clients_is_told(tmp_path: Path) -> None:
    worker(tmp_path, "ca")
    assert told(tmp_path) == []
    worker(tmp_path / "other", "etcd-ca")
    (finding,) = judged(root=tmp_path / "other")
    assert (finding.rule, finding.path.name) == ("wrong-ca-option", "config.yaml")
    assert "another CA (CN=etcd-ca) than the CA that" in finding.message


def test_only_the_ca_is_blamed_while_its_file_and_its_key_do_not_match(tmp_path: Path) -> None:
    course.lay_out(tmp_path)
    crt = tmp_path / "ca.crt"
    before = judge.load(crt)
    crt.write_bytes(Workshop({"ca": course.RECIPES["ca"]})["ca"].crt)
    (finding,) = judged(tmp_path)
    assert (finding.rule, finding.path) == ("key-mismatch", crt)
    mend([finding])
    assert judged(tmp_path) == ()
    assert judge.load(crt).public_key() == before.public_key()


def test_a_missing_front_proxy_ca_gets_its_own_name_again(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path)
    crt = tmp_path / PKI / "front-proxy-ca.crt"
    before = judge.load(crt).subject
    crt.unlink()
    assert told(tmp_path) == [("missing-file", f"{PKI}/front-proxy-ca.crt")]
    mended(tmp_path)
    assert judge.load(crt).subject == before


def test_a_leaf_in_the_file_of_a_ca_is_replaced_by_the_ca_that_kubeconfigs_hold(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path)
    crt = tmp_path / PKI / "ca.crt"
    before = crt.read_bytes()
    shutil.copy(tmp_path / PKI / "apiserver.crt", crt)
    assert told(tmp_path) == [("key-mismatch", f"{PKI}/ca.crt")]
    mended(tmp_path)
    assert crt.read_bytes().strip() == before.strip()


def test_an_intermediate_ca_that_the_chain_lacks_is_appended(tmp_path: Path) -> None:
    recipes = changed(
        {**kubeadm.RECIPES, "middle": Recipe("CN=middle", "ca", ca=True, days=3000)},
        **{name: {"issuer": "middle"} for name in ("apiserver", "apiserver-kubelet-client")},
    )
    workshop = kubeadm.lay_out(tmp_path, recipes)
    complete = workshop["apiserver-kubelet-client"].crt + workshop["middle"].crt
    (tmp_path / PKI / "apiserver-kubelet-client.crt").write_bytes(complete)
    assert told(tmp_path) == [("wrong-issuer", f"{PKI}/apiserver.crt")]
    mended(tmp_path)
    assert (tmp_path / PKI / "apiserver.crt").read_bytes() == workshop["apiserver"].crt + workshop["middle"].crt


def test_the_ca_that_a_key_belongs_to_is_put_back(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path)
    before, crt = (tmp_path / PKI / "ca.crt").read_bytes(), tmp_path / PKI / "ca.crt"
    crt.write_bytes(Workshop({"ca": Recipe("CN=Corp Root", None, ca=True, days=3650)})["ca"].crt)
    first = judged(root=tmp_path)[0]
    assert (first.rule, first.path) == ("key-mismatch", crt)
    mend([first])
    assert crt.read_bytes().strip() == before.strip()
    assert told(tmp_path) == []


def test_the_certificate_of_the_key_comes_first(tmp_path: Path) -> None:
    workshop = kubeadm.lay_out(tmp_path)
    crt = tmp_path / PKI / "apiserver.crt"
    crt.write_bytes(workshop["ca"].crt + workshop["apiserver"].crt)
    first = judged(root=tmp_path)[0]
    assert (first.rule, first.path) == ("key-mismatch", crt)
    mend([first])
    assert crt.read_bytes() == workshop["apiserver"].crt + workshop["ca"].crt
    assert told(tmp_path) == []


@pytest.mark.thorough
def test_a_member_of_etcd_has_the_address_that_it_advertises(tmp_path: Path) -> None:
    names = ("DNS:localhost", "IP:127.0.0.1")
    kubeadm.lay_out(tmp_path, changed(kubeadm.RECIPES, **{"etcd-server": {"names": names}}))
    assert told(tmp_path) == [("missing-san", f"{PKI}/etcd/server.crt")]
    mended(tmp_path)


@pytest.fixture(scope="module")
def config() -> str:
    workshop = Workshop({"ca": Recipe("CN=k", None, ca=True), "u": Recipe("CN=jane", "ca", usages=("clientAuth",))})
    return kubeconfig(server=kubeadm.SERVER, authority=workshop["ca"].crt, user=workshop["u"])


REFUSED = {
    "has apiVersion v2, and kubectl reads only v1": ("apiVersion: v1", "apiVersion: v2"),
    "has current-context gone, and no context of that name": ("current-context: ", "current-context: gone #"),
    "has the field certificate_authority-data, which kubectl ignores": (
        "certificate-authority-data",
        "certificate_authority-data",
    ),
    "has no user other, which the context": ("  user: ", "  user: other #"),
    "has no cluster other, which the context": ("    cluster: ", "    cluster: other #"),
}


@pytest.mark.parametrize("clause", REFUSED)
def test_what_kubectl_does_not_follow_in_a_kubeconfig(clause: str, config: str, tmp_path: Path) -> None:
    old, new = REFUSED[clause]
    assert old in config
    put(tmp_path / "config", config.replace(old, new, 1), 0o600)
    messages = [finding.message for finding in judged(tmp_path / "config") if finding.rule == "kubeconfig-invalid"]
    assert [message for message in messages if clause in message]


def test_of_two_expired_cas_neither_is_the_renewed_one(tmp_path: Path) -> None:
    past = replace(Recipe("CN=k", None, ca=True, days=10), begins=-40)
    first = Workshop({"ca": past})["ca"]
    second = Workshop({"ca": replace(past, begins=-20)}, keys={"ca": first.key})["ca"]
    for path, ca in (("a.crt", first), ("b.crt", second)):
        put(tmp_path / path, ca.crt)

    findings = judged(tmp_path)

    assert [finding.rule for finding in findings] == ["expired", "expired"]
    assert not [finding.message for finding in findings if "renewed one" in finding.message]


def test_the_only_administrator_stays_one(tmp_path: Path) -> None:
    recipes = {"ca": Recipe("CN=k", None, ca=True), "jane": Recipe("CN=jane/O=system:masters", usages=("clientAuth",))}
    workshop = Workshop(recipes)
    put(tmp_path / "ca.crt", workshop["ca"].crt)
    put(
        tmp_path / "config",
        kubeconfig(server=kubeadm.SERVER, authority=workshop["ca"].crt, user=workshop["jane"]),
        0o600,
    )

    (finding,) = judged(tmp_path)

    assert (finding.rule, finding.fix) == ("powerful-user", "")
    assert "No other administrator's certificate was found" in finding.message


@pytest.mark.parametrize(("dot", "rules"), [(".", []), ("", []), ("x", ["kubeconfig-server-not-in-san"])])
def test_a_dot_at_the_end_of_a_host_is_part_of_no_name(tmp_path: Path, dot: str, rules: list[str]) -> None:
    kubeadm.lay_out(tmp_path)
    path = tmp_path / ETC / "admin.conf"
    server = f"https://kubernetes.default.svc.cluster.local{dot}:6443"
    path.write_text(path.read_text().replace(kubeadm.SERVER, server))

    assert [rule for rule, _ in told(tmp_path)] == rules


def test_a_ca_that_allows_no_ca_below_it_is_named(tmp_path: Path) -> None:
    below = {"middle": Recipe("CN=middle", ca=True)}
    recipes = changed(kubeadm.RECIPES, ca={"path_length": 0}, apiserver={"issuer": "middle"}) | below
    workshop = kubeadm.lay_out(tmp_path, recipes)
    put(tmp_path / PKI / "apiserver.crt", workshop["apiserver"].crt + workshop["middle"].crt)

    (finding,) = judged(root=tmp_path)

    assert (finding.rule, finding.fix) == ("wrong-issuer", "")
    assert "pathlen that allows none" in finding.message


def test_the_loopback_address_stays_in_a_new_certificate(tmp_path: Path) -> None:
    names = tuple(name for name in kubeadm.RECIPES["apiserver"].names if name != "IP:10.96.0.1")
    kubeadm.lay_out(tmp_path, changed(kubeadm.RECIPES, apiserver={"names": (*names, "IP:127.0.0.1")}))

    (finding,) = judged(root=tmp_path)

    assert finding.rule == "missing-san"
    assert re.search(r"'IP\.\d = 10\.96\.0\.1'", finding.fix)
    assert re.search(r"'IP\.\d = 127\.0\.0\.1'", finding.fix)


def test_two_clusters_side_by_side_need_not_know_each_others_tokens(tmp_path: Path) -> None:
    for name in ("one", "two"):
        kubeadm.lay_out(tmp_path / name)

    assert judged(tmp_path / "one", tmp_path / "two") == ()
