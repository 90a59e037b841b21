"""More clusters as people describe them: healthy layouts, and faults, each with its one finding and its fix."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.check.conftest import judged, mend
from tests.check.sick import PKI
from tests.running import representatives
from tests.zoo import hardway, kinds, kubeadm
from tests.zoo.issuing import Recipe, Workshop, changed, kubeconfig, put

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.running import Kcert
    from tests.zoo.issuing import Pair

CLIENT, SERVER, BOTH = ("clientAuth",), ("serverAuth",), ("serverAuth", "clientAuth")
ETC = "etc/kubernetes"
RECIPES = kubeadm.RECIPES
KUBELET = "var/lib/kubelet/pki"


def told(*where: Path, root: Path | None = None) -> list[tuple[str, str]]:
    return [(one.rule, one.path.name) for one in judged(*where, root=root)]


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def merged(path: Path, users: Mapping[str, tuple[Pair, bytes, bytes]]) -> Path:
    """A kubeconfig as `kubectl config view --flatten` merges them: a cluster and a user for each name."""
    clusters, contexts, people = [], [], []
    for one, (user, key, ca) in users.items():
        server = f"https://{one}.example.com:6443"
        clusters.append({"name": one, "cluster": {"server": server, "certificate-authority-data": encoded(ca)}})
        contexts.append({"name": one, "context": {"cluster": one, "user": one}})
        data = {"client-certificate-data": encoded(user.crt), "client-key-data": encoded(key)}
        people.append({"name": one, "user": data})
    document = {"apiVersion": "v1", "kind": "Config", "clusters": clusters, "contexts": contexts, "users": people}
    return put(path, json.dumps(document), 0o600)


# ---------------------------------------------------------------- kubeconfigs with several users


def two_users(folder: Path, change: Callable[[Workshop, Workshop], bytes] | None = None, begins: float = -1) -> Path:
    """Two clusters in one kubeconfig, whose CAs have one name; the second user's key is what *change* returns."""
    one = Workshop({"ca": RECIPES["ca"], "u": RECIPES["admin"]})
    two = Workshop({"ca": RECIPES["ca"], "u": replace(RECIPES["admin"], begins=begins)})
    for name, workshop in (("one", one), ("two", two)):
        put(folder / f"{name}-ca.crt", workshop["ca"].crt)
        put(folder / f"{name}-ca.key", workshop["ca"].pkcs8, 0o600)
    key = change(one, two) if change else two["u"].pkcs8
    users = {"one": (one["u"], one["u"].pkcs8, one["ca"].crt), "two": (two["u"], key, two["ca"].crt)}
    return merged(folder / "config", users)


def test_each_user_of_a_kubeconfig_has_a_key_of_their_own(tmp_path: Path) -> None:
    assert told(two_users(tmp_path).parent) == []


def test_the_second_user_of_a_kubeconfig_is_fixed_and_the_first_is_kept(tmp_path: Path) -> None:
    config = two_users(tmp_path, begins=-400)
    first = json.loads(config.read_text())["users"][0]
    (expired,) = judged(tmp_path)
    assert (expired.rule, expired.path) == ("expired", config)
    mend([expired])
    assert told(tmp_path) == []
    assert encoded(b"-----BEGIN CERTIFICATE")[:20] in config.read_text()
    assert first["user"]["client-certificate-data"] in config.read_text()


@pytest.mark.parametrize("whose", ["another's", "the first user's"])
def test_the_key_of_the_second_user_is_compared(whose: str, tmp_path: Path) -> None:
    stray = Workshop({"u": Recipe("CN=stray", None)})
    two_users(tmp_path, lambda one, _: (one if whose == "the first user's" else stray)["u"].pkcs8)
    assert told(tmp_path) == [("key-mismatch", "config")]


def test_kubeconfigs_in_one_secret_have_keys_of_their_own(tmp_path: Path) -> None:
    texts = {}
    for name in "ab":
        made = Workshop(RECIPES)
        text = kubeconfig(server=kubeadm.SERVER, authority=made["ca"].crt, user=made["admin"])
        texts[name] = encoded(text.encode())
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c", "namespace": "n"}, "data": texts}
    assert told(put(tmp_path / "o.json", json.dumps(secret))) == []


# ---------------------------------------------------------------- one fault, one finding, one fix


def chain_in_wrong_order(root: Path) -> None:
    intermediate = Recipe("CN=kubernetes-intermediate", "ca", ca=True, days=3000)
    recipes = {**changed(RECIPES, apiserver={"issuer": "intermediate"}), "intermediate": intermediate}
    made = kubeadm.lay_out(root, recipes)
    put(root / PKI / "apiserver.crt", made["intermediate"].crt + made["apiserver"].crt)


def certificate_and_key_swapped(root: Path) -> None:
    made = kubeadm.lay_out(root)["apiserver"]
    put(root / PKI / "apiserver.crt", made.traditional)
    put(root / PKI / "apiserver.key", made.crt, 0o600)


def kubeconfig_of_before(root: Path) -> None:
    kubeadm.lay_out(root)
    old = Workshop(RECIPES)
    text = kubeconfig(server=kubeadm.SERVER, authority=old["ca"].crt, user=old["admin"])
    put(root / "root/.kube/config", text, 0o600)


def node_of_another_name(root: Path) -> None:
    hardway.lay_out(root, options={"kubelet": {"--hostname-override": "node02"}})


def peers_of_another_ca(root: Path) -> None:
    peers = Recipe("CN=etcd-peer-ca", None, ca=True, days=3650)
    options = {"--peer-trusted-ca-file": "/etc/kubernetes/pki/etcd/peer-ca.crt"}
    made = kubeadm.lay_out(root, {**RECIPES, "peer-ca": peers}, options={"etcd": options})
    put(root / PKI / "etcd/peer-ca.crt", made["peer-ca"].crt)


FAULTS: dict[str, tuple[Callable[[Path], None], tuple[str, str]]] = {
    "chain": (chain_in_wrong_order, ("key-mismatch", "apiserver.crt")),
    "swapped": (certificate_and_key_swapped, ("unreadable", "apiserver.crt")),
    "re-created cluster": (kubeconfig_of_before, ("kubeconfig-wrong-ca", "config")),
    "peers": (peers_of_another_ca, ("wrong-ca-option", "etcd.yaml")),
    "node's name": (node_of_another_name, ("wrong-cn", "kubelet.kubeconfig")),
}


@pytest.mark.parametrize("fault", representatives(FAULTS))
def test_a_fault_is_told_once_and_its_fix_leaves_nothing_wrong(fault: str, tmp_path: Path) -> None:
    lay_out, finding = FAULTS[fault]
    lay_out(tmp_path)
    assert told(root=tmp_path) == [finding]
    mend(judged(root=tmp_path))
    assert told(root=tmp_path) == []


@pytest.mark.parametrize("known", [True, False], ids=["in --client-ca-file", "nowhere"])
def test_a_user_has_to_be_from_a_ca_that_the_api_server_knows(known: bool, tmp_path: Path) -> None:
    made = kubeadm.lay_out(tmp_path, options={"kube-apiserver": {"--client-ca-file": "/etc/kubernetes/pki/users.crt"}})
    people = Workshop({"ca": Recipe("CN=people", None, ca=True), "jane": Recipe("CN=jane", usages=CLIENT)})
    put(tmp_path / PKI / "users.crt", made["ca"].crt + (people["ca"].crt if known else b""))
    text = kubeconfig(server=kubeadm.SERVER, authority=made["ca"].crt, user=people["jane"])
    put(tmp_path / ETC / "jane.conf", text, 0o600)
    assert told(root=tmp_path) == ([] if known else [("wrong-issuer", "jane.conf")])


def test_a_kubelet_that_trusts_another_ca_of_the_same_name(tmp_path: Path) -> None:
    made = Workshop(RECIPES)
    kubeadm.lay_out_kubelet(tmp_path, made)
    put(tmp_path / PKI / "ca.crt", made["ca"].crt)
    assert told(root=tmp_path) == []
    put(tmp_path / PKI / "ca.crt", Workshop(RECIPES)["ca"].crt)
    assert told(root=tmp_path) == [("wrong-ca-option", "config.yaml")]


@pytest.mark.parametrize("layout", [kubeadm, hardway], ids=["kubeadm", "hardway"])
def test_a_ca_that_was_replaced_alone_has_no_certain_fix(layout: object, tmp_path: Path) -> None:
    pki = PKI if layout is kubeadm else hardway.PKI[1:]
    recipes = RECIPES if layout is kubeadm else hardway.RECIPES
    (kubeadm if layout is kubeadm else hardway).lay_out(tmp_path)
    new = Workshop(recipes)["ca"]
    put(tmp_path / pki / "ca.crt", new.crt)
    put(tmp_path / pki / "ca.key", new.pkcs8, 0o600)
    (only,) = judged(root=tmp_path)
    assert (only.rule, only.fix) == ("wrong-ca-option", "")
    assert "the CA was replaced, but not the certificates that it signed" in only.message


def test_the_certificate_of_a_webhook_s_service_needs_sans(tmp_path: Path) -> None:
    made = Workshop({"ca": Recipe("CN=hook-ca", None, ca=True), "hook": Recipe("CN=hook.n.svc", usages=SERVER)})
    data = {"tls.crt": encoded(made["hook"].crt), "tls.key": encoded(made["hook"].pkcs8)}
    secret = {"kind": "Secret", "metadata": {"name": "hook", "namespace": "n"}, "data": data}

    def found(bundle: str) -> list[tuple[str, str]]:
        client = {"caBundle": bundle, "service": {"name": "hook", "namespace": "n"}}
        hook = {
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "h"},
            "webhooks": [{"clientConfig": client}],
        }
        return told(put(tmp_path / "o.json", json.dumps({"kind": "List", "items": [secret, hook]})))

    assert found(encoded(made["ca"].crt)) == [("missing-san", "hook:tls.crt")]
    assert ("unreadable", "h:caBundle") in found(made["ca"].crt.decode())


def expired_administrator(folder: Path) -> Path:
    recipes = {
        "ca": Recipe("CN=k", None, ca=True, days=3650),
        "u": Recipe("O=system:masters/CN=u", usages=CLIENT, begins=-400),
        "admin": Recipe("O=system:masters/CN=admin", usages=CLIENT),
    }
    made = Workshop(recipes)
    for name in recipes:
        put(folder / f"{name}.crt", made[name].crt)
        put(folder / f"{name}.key", made[name].pkcs8, 0o600)
    return folder / "u.crt"


def test_only_the_fix_of_too_powerful_a_user_takes_the_group_away(tmp_path: Path) -> None:
    expired_administrator(tmp_path)
    expired, powerful = judged(tmp_path)
    assert (expired.rule, powerful.rule) == ("expired", "powerful-user")
    assert "/O=system:masters/CN=u" in expired.fix
    assert "system:masters" not in powerful.fix
    mend([expired])
    assert told(tmp_path) == [("powerful-user", "u.crt")]
    mend([powerful])
    assert told(tmp_path) == []


def test_one_file_is_fixed_as_it_is_in_its_folder(tmp_path: Path, kcert: Kcert) -> None:
    expired_administrator(tmp_path)
    checks = [json.loads(kcert("check", where, "--format", "json").stdout)["findings"] for where in (".", "u.crt")]
    fixes = [[one["fix"] for one in findings if one["rule"] == "expired"] for findings in checks]
    assert fixes[0] == fixes[1]
    assert "-CA ca.crt -CAkey ca.key" in fixes[1][0]


# ---------------------------------------------------------------- layouts that are healthy


def custom_ca(root: Path, name: str) -> None:
    """K3s or RKE2 with CAs below an organization's own, as generate-custom-ca-certs.sh of K3s makes them."""
    layout = kinds.rancher(name)
    own = {
        "root": Recipe("CN=root", None, ca=True, days=7300),
        "middle": Recipe("CN=middle", "root", ca=True, days=7000),
    }
    made = layout.lay_out(root)
    cas = [file for file, recipe in made.recipes.items() if recipe.ca]
    recipes = {**made.recipes, **own, **{ca: replace(made.recipes[ca], issuer="middle", days=6000) for ca in cas}}
    made = Workshop({**recipes, **{n: replace(r, days=365) for n, r in recipes.items() if not r.ca}})
    behind = made["middle"].crt + made["root"].crt
    for file, recipe in made.recipes.items():
        if file not in own:
            chain = b"" if recipe.ca or recipe.issuer is None else made[recipe.issuer].crt
            put(root / layout.home / f"{file}.crt", made[file].crt + chain + behind)
            put(root / layout.home / f"{file}.key", made[file].traditional, 0o600)
    for path, ca, user in (line.split() for line in layout.kubeconfigs.strip().splitlines()):
        text = kubeconfig(server="https://127.0.0.1:6443", authority=made[ca].crt + behind, user=made[user])
        put(root / path, text, 0o600)
    for ca in ("client-ca", "server-ca"):
        put(root / layout.home / f"{kinds.T}/{ca}.nochain.crt", made[f"{kinds.T}/{ca}"].crt)
    for manifest in (root / layout.home / "agent").glob("pod-manifests/kube-controller-manager.yaml"):
        manifest.write_text(manifest.read_text().replace("tls/client-ca.crt", "tls/client-ca.nochain.crt"))


def rotating_bundle(root: Path) -> None:
    made = kubeadm.lay_out(root)
    both = made["ca"].crt + Workshop(RECIPES)["ca"].crt
    put(root / PKI / "ca-old.crt", made["ca"].crt)
    put(root / PKI / "ca.crt", both)
    for name in ("admin", "super-admin", "controller-manager", "scheduler"):
        text = kubeconfig(server=kubeadm.SERVER, authority=both, user=made[name])
        put(root / ETC / f"{name}.conf", text, 0o600)
    manifest = root / ETC / "manifests/kube-controller-manager.yaml"
    old = "--cluster-signing-cert-file=/etc/kubernetes/pki/ca"
    manifest.write_text(manifest.read_text().replace(f"{old}.crt", f"{old}-old.crt"))


def serving_certificate_of_the_cluster(root: Path) -> None:
    names = (f"DNS:{kubeadm.HOST}", f"IP:{kubeadm.ADDRESS}")
    serving = Recipe(f"O=system:nodes/CN=system:node:{kubeadm.HOST}", usages=SERVER, names=names)
    options = {"--kubelet-certificate-authority": "/etc/kubernetes/pki/ca.crt"}
    made = kubeadm.lay_out(root, {**RECIPES, "serving": serving}, options={"kube-apiserver": options})
    for ending in ("crt", "key"):
        (root / KUBELET / f"kubelet.{ending}").unlink()
    put(root / KUBELET / "kubelet-server-1.pem", made["serving"].crt + made["serving"].traditional, 0o600)
    (root / KUBELET / "kubelet-server-current.pem").symlink_to("/var/lib/kubelet/pki/kubelet-server-1.pem")


def public_certificate_in_front(root: Path) -> None:
    live = "/etc/letsencrypt/live/api"
    options = {"--tls-sni-cert-key": f"{live}/fullchain.pem,{live}/privkey.pem"}
    made = kubeadm.lay_out(root, options={"kube-apiserver": options})
    public = Workshop(
        {
            "root": Recipe("CN=ISRG Root X1", None, ca=True, days=3000),
            "middle": Recipe("CN=R11", "root", ca=True, days=900),
            "api": Recipe("CN=api.example.com", "middle", usages=BOTH, names=("DNS:api.example.com",), days=90),
        }
    )
    put(root / f"{live[1:]}/fullchain.pem", public["api"].crt + public["middle"].crt)
    put(root / f"{live[1:]}/privkey.pem", public["api"].traditional, 0o600)
    text = kubeconfig(server="https://api.example.com:6443", authority=public["root"].crt, user=made["admin"])
    put(root / "root/.kube/config", text, 0o600)


def certificates_elsewhere(root: Path) -> None:
    """``certificatesDir: /etc/kubernetes/ssl`` in kubeadm's configuration."""
    kubeadm.lay_out(root)
    shutil.move(root / PKI, root / ETC / "ssl")
    for file in (*(root / ETC / "manifests").iterdir(), root / "var/lib/kubelet/config.yaml"):
        file.write_text(file.read_text().replace("/etc/kubernetes/pki", "/etc/kubernetes/ssl"))


def files_of_windows(root: Path) -> None:
    kubeadm.lay_out(root)
    for file in (*(root / PKI).glob("*.crt"), *(root / PKI).glob("*.key"), *(root / ETC).glob("*.conf")):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))


def copies_of_several_hosts(root: Path) -> None:
    """Two times ``scp -r HOST:/etc/kubernetes``, checked by the folder around them."""
    kubeadm.lay_out(root / "host")
    for name in ("cp1", "cp2"):
        shutil.copytree(root / "host" / ETC, root / "copies" / name, symlinks=True)
    assert told(root / "copies") == []


HEALTHY: dict[str, Callable[[Path], None]] = {
    "K3s below an organization's CA": lambda root: custom_ca(root, "k3s"),
    "RKE2 below an organization's CA": lambda root: custom_ca(root, "rke2"),
    "CA rotation with both CAs": rotating_bundle,
    "serverTLSBootstrap": serving_certificate_of_the_cluster,
    "public certificate in front": public_certificate_in_front,
    "certificatesDir": certificates_elsewhere,
    "CRLF": files_of_windows,
    "copies of several hosts": copies_of_several_hosts,
}


@pytest.mark.thorough
@pytest.mark.parametrize("layout", HEALTHY)
def test_a_healthy_layout_is_blamed_for_nothing(layout: str, tmp_path: Path) -> None:
    HEALTHY[layout](tmp_path)
    assert told(root=tmp_path) == []
