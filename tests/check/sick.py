"""Sick clusters: for each rule, clusters that are healthy but for one fault, and the file that has to be fixed."""

from __future__ import annotations

import base64
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.running import needs_openssl_3, needs_version_1
from tests.zoo import course, hardway, kubeadm, makers
from tests.zoo.issuing import Recipe, Workshop, kubeconfig, put

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FOLDER, MANIFESTS, UNITS = "folder", "manifests", "units"
RECIPES = {FOLDER: course.RECIPES, MANIFESTS: kubeadm.RECIPES, UNITS: hardway.RECIPES}


@dataclass(frozen=True)
class Sick:
    """One fault, in a plain folder, a tree with manifests, or one with units.

    ``recipes`` are changes to certificates (a new name adds one), ``damage`` is done to the files afterwards.
    ``paths`` are the files to fix, relative to the folder or the root.
    """

    rule: str
    place: str
    paths: tuple[str, ...]
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    layout: Mapping[str, Any] = field(default_factory=dict)
    damage: Any = None

    def lay_out(self, root: Path) -> None:
        """Make the cluster below *root*."""
        recipes = dict(RECIPES[self.place])
        for name, change in self.recipes.items():
            recipes[name] = replace(recipes[name], **change) if name in recipes else Recipe(**change)
        if self.place == FOLDER:
            files = {name: recipe for name, recipe in recipes.items() if not name.startswith("_")}
            workshop = Workshop(recipes)
            course.lay_out(root, files, workshop=workshop)
        else:
            lay_out = kubeadm.lay_out if self.place == MANIFESTS else hardway.lay_out
            workshop = lay_out(root, recipes, **self.layout)
        if self.damage is not None:
            self.damage(root, workshop)

    def __str__(self) -> str:
        return f"{self.rule}-{self.place}-{self.paths[0].replace('/', '.')}"


PKI = "etc/kubernetes/pki"
HARD = "var/lib/kubernetes/pki"
ETCD_COPIES = (f"{HARD}/etcd-server.crt", "etc/etcd/etcd-server.crt")
ROTATED = "var/lib/kubelet/pki/kubelet-client-2026-11-24-03-27-10.pem"


def copied_manifest(root: Path, _: Workshop) -> None:
    """A copy of the API server's manifest in the folder that the kubelet watches."""
    manifest = root / "etc/kubernetes/manifests/kube-apiserver.yaml"
    text = manifest.read_text().replace("pki/apiserver.crt", "pki/apiserver-old.crt")
    put(manifest.with_name("kube-apiserver.yaml.bak"), text.encode())


def second_scheduler(root: Path, _: Workshop) -> None:
    """A scheduler as a static pod, and the editor's copy of it, on a machine whose other components are units."""
    text = kubeadm.manifest("kube-scheduler", {"--kubeconfig": "/var/lib/kubernetes/kube-scheduler.kubeconfig"})
    for name in ("kube-scheduler.yaml", "kube-scheduler.yaml~"):
        put(root / "etc/kubernetes/manifests" / name, text)


def without_line(path: str, *options: str) -> Callable[[Path, Workshop], None]:
    """Delete the lines with *options*."""

    def damage(root: Path, _: Workshop) -> None:
        lines = (root / path).read_text().split("\n")
        assert all(any(option in line for line in lines) for option in options)
        kept = (line for line in lines if not any(option in line for option in options))
        (root / path).write_text("\n".join(kept))

    return damage


def insecure(path: str, *, keeps_ca: bool = False) -> Callable[[Path, Workshop], None]:
    """Let kubectl skip the check of the server, in place of the CA or beside it."""

    def damage(root: Path, _: Workshop) -> None:
        lines = []
        for line in (root / path).read_text().split("\n"):
            authority = "certificate-authority-data:" in line
            lines += [line] if keeps_ca or not authority else []
            lines += ["    insecure-skip-tls-verify: true"] if authority else []
        (root / path).write_text("\n".join(lines))

    return damage


def etcd_with_its_own_ca(root: Path, workshop: Workshop) -> None:
    """etcd's certificates come from a CA of its own, and the API server is given the cluster's for it."""
    put(root / "etc/etcd/ca.crt", workshop["_etcd-ca"].crt)
    put(root / "var/lib/kubernetes/pki/etcd-ca.crt", workshop["_etcd-ca"].crt)


def named_pair(component: str, option: str, key_option: str, stem: str, folder: str = PKI) -> dict[str, Any]:
    """Let both options of a pair name the certificate and the key of another use."""
    return {"layout": {"options": {component: {option: f"/{folder}/{stem}.crt", key_option: f"/{folder}/{stem}.key"}}}}


def cases(rule: str, *some: tuple[Any, ...]) -> list[Sick]:
    """Cases of one rule: place, path or paths, changed recipes, and what else is different."""
    found = []
    for place, paths, *rest in some:
        recipes = rest[0] if rest else {}
        more = rest[1] if len(rest) > 1 else {}
        found.append(Sick(rule, place, (paths,) if isinstance(paths, str) else paths, recipes, **more))
    return found


# ---------------------------------------------------------------- damages


def chmod(path: str, mode: int) -> Callable[[Path, Workshop], None]:
    return lambda root, _: (root / path).chmod(mode)


def remove(*paths: str) -> Callable[[Path, Workshop], None]:
    def damage(root: Path, _: Workshop) -> None:
        for path in paths:
            (root / path).unlink()

    return damage


def overwrite(path: str, content: bytes) -> Callable[[Path, Workshop], None]:
    def damage(root: Path, _: Workshop) -> None:
        (root / path).write_bytes(content)

    return damage


def cut(path: str) -> Callable[[Path, Workshop], None]:
    def damage(root: Path, _: Workshop) -> None:
        content = (root / path).read_bytes()
        (root / path).write_bytes(content[: len(content) // 2])

    return damage


def to_der(path: str) -> Callable[[Path, Workshop], None]:
    def damage(root: Path, _: Workshop) -> None:
        text = (root / path).read_text()
        body = "".join(line for line in text.splitlines() if not line.startswith("-----"))
        (root / path).write_bytes(base64.b64decode(body))

    return damage


def to_base64(path: str, *, twice: bool) -> Callable[[Path, Workshop], None]:
    """The base64 of a PEM file, as a kubeconfig has it, or only what is between BEGIN and END."""

    def damage(root: Path, _: Workshop) -> None:
        content = (root / path).read_bytes()
        body = b"\n".join(line for line in content.splitlines() if not line.startswith(b"-----"))
        (root / path).write_bytes(base64.b64encode(content) if twice else body)

    return damage


def copy(source: str, target: str) -> Callable[[Path, Workshop], None]:
    def damage(root: Path, _: Workshop) -> None:
        (root / target).write_bytes((root / source).read_bytes())

    return damage


def other_key(path: str) -> Callable[[Path, Workshop], None]:
    """Another key, which belongs to no certificate."""

    def damage(root: Path, _: Workshop) -> None:
        key = Workshop({"_": Recipe("CN=nobody", None)})["_"].pkcs8
        put(root / path, key, 0o600)

    return damage


def link(path: str, target: str) -> Callable[[Path, Workshop], None]:
    def damage(root: Path, _: Workshop) -> None:
        (root / path).unlink()
        (root / path).symlink_to(target)

    return damage


def lay(stem: str, name: str) -> Callable[[Path, Workshop], None]:
    """A certificate with its key beside the others."""

    def damage(root: Path, workshop: Workshop) -> None:
        put(root / f"{stem}.crt", workshop[name].crt)
        put(root / f"{stem}.key", workshop[name].pkcs8, 0o600)

    return damage


def edit(path: str, old: str, new: str) -> Callable[[Path, Workshop], None]:
    def damage(root: Path, _: Workshop) -> None:
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new))

    return damage


def signed_again(path: str, name: str, *options: str) -> Callable[[Path, Workshop], None]:
    """Have openssl sign a certificate again, with *options* that make it worse."""

    def damage(root: Path, workshop: Workshop) -> None:
        pair, signer = workshop[name], workshop["ca"]
        with tempfile.TemporaryDirectory() as folder:
            files = {"key": pair.pkcs8, "ca.crt": signer.crt, "ca.key": signer.pkcs8}
            for file, content in files.items():
                put(Path(folder) / file, content)
            if options:
                needs_openssl_3("only OpenSSL 3 copies extensions from a certificate into a request")
            copied = ("-copy_extensions", "copyall") if options else ()
            request = makers.run(
                *("openssl", "x509", "-x509toreq", "-signkey", "key", *copied), folder=Path(folder), stdin=pair.crt
            )
            own = ("-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", "4711")
            made = makers.run(
                *("openssl", "x509", "-req", "-days", "365", *copied, *options),
                *(("-signkey", "key") if name == "ca" else own),
                folder=Path(folder),
                stdin=request,
            )
        if path.endswith(".conf"):
            embed(path, "client-certificate-data", made)(root, workshop)
        else:
            (root / path).write_bytes(made)

    return damage


def without_extensions(path: str, name: str) -> Callable[[Path, Workshop], None]:
    """Sign again as notes often do: without ``-extfile``, which makes it version 1."""
    sign = signed_again(path, name)

    def damage(root: Path, workshop: Workshop) -> None:
        needs_version_1()
        sign(root, workshop)

    return damage


def sha1(path: str, name: str) -> Callable[[Path, Workshop], None]:
    """Sign again with SHA-1, which the ``cryptography`` package will not do."""
    return signed_again(path, name, "-sha1")


def embed(path: str, field: str, content: bytes | str) -> Callable[[Path, Workshop], None]:
    """Put other data into a field of a kubeconfig; a text is written as it is."""

    def damage(root: Path, _: Workshop) -> None:
        value = content if isinstance(content, str) else base64.b64encode(content).decode()
        lines = (root / path).read_text().splitlines()
        changed = [f"{line.split(':')[0]}: {value}" if f" {field}:" in line else line for line in lines]
        assert changed != lines
        (root / path).write_text("\n".join(changed) + "\n")

    return damage


def embed_key(path: str, name: str) -> Callable[[Path, Workshop], None]:
    return lambda root, workshop: embed(path, "client-key-data", workshop[name].pkcs8)(root, workshop)


def embed_authority(path: str, name: str) -> Callable[[Path, Workshop], None]:
    return lambda root, workshop: embed(path, "certificate-authority-data", workshop[name].crt)(root, workshop)


def conf(path: str, **paths: str) -> Callable[[Path, Workshop], None]:
    """A kubeconfig that names files instead of holding them."""

    def damage(root: Path, workshop: Workshop) -> None:
        fields = {name.replace("_", "-"): value for name, value in paths.items()}
        put(root / path, kubeconfig(server=kubeadm.SERVER, authority=workshop["ca"].crt, paths=fields), 0o600)

    return damage


def swap_user(root: Path, workshop: Workshop, name: str, subject: str) -> None:
    """Another user's certificate in a kubeconfig of the hard way, while the loose file stays as it was."""
    other = Workshop(
        {**workshop.recipes, "_user": replace(workshop.recipes[name], subject=subject)}, made=dict(workshop.made)
    )
    path = hardway.kubeconfig_path(name)
    put(root / path, kubeconfig(server=hardway.SERVERS[name], authority=workshop["ca"].crt, user=other["_user"]), 0o600)


# ---------------------------------------------------------------- the cases

OVER = {"begins": -400, "days": 365}
SOON = {"begins": -355, "days": 365}
LATER = {"begins": 2, "days": 365}
FOREIGN = {"_other": {"subject": "CN=another-ca", "issuer": None, "ca": True}}


def yesterday(subject: str) -> dict[str, dict[str, Any]]:
    """A CA of the same name, with another key."""
    return {"_other": {"subject": subject, "issuer": None, "ca": True}}


KUBERNETES = kubeadm.RECIPES["apiserver"].names
FLAT = hardway.RECIPES["kube-apiserver"].names


def retyped(names: tuple[str, ...], address: str) -> tuple[str, ...]:
    return tuple(f"DNS:{address}" if name == f"IP:{address}" else name for name in names)


def respelled(names: tuple[str, ...], misspelled: str) -> tuple[str, ...]:
    """*names* with the API server's longest name misspelled, alone."""
    return (*(name for name in names if not name.endswith("cluster.local")), f"DNS:{misspelled}")


VERIFIES_KUBELETS = {
    "--kubelet-certificate-authority": f"/{PKI}/ca.crt",
    "--kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
}


def kubelet_certificate(root: Path, workshop: Workshop) -> None:
    """A serving certificate of the cluster's CA, with the node's name alone, which the kubelet is given."""
    put(root / "var/lib/kubelet/pki/kubelet.crt", workshop["kubelet-serving"].crt)
    text = (root / "var/lib/kubelet/config.yaml").read_text()
    files = "tlsCertFile: /var/lib/kubelet/pki/kubelet.crt\ntlsPrivateKeyFile: /var/lib/kubelet/pki/kubelet.key\n"
    (root / "var/lib/kubelet/config.yaml").write_text(text + files)


SICK: list[Sick] = [
    *cases(
        "expired",
        (FOLDER, "admin.crt", {"admin": OVER}),
        (FOLDER, "ca.crt", {"ca": {"begins": -4000}}),
        (FOLDER, "jane.crt", {"jane": OVER}),
        (MANIFESTS, f"{PKI}/apiserver.crt", {"apiserver": OVER}),
        (MANIFESTS, f"{PKI}/ca.crt", {"ca": {"begins": -4000}}),
        (MANIFESTS, f"{PKI}/etcd/ca.crt", {"etcd-ca": {"begins": -4000}}),
        (MANIFESTS, "etc/kubernetes/scheduler.conf", {"scheduler": OVER}),
        (MANIFESTS, ROTATED, {"kubelet": OVER}),
        (UNITS, f"{HARD}/kube-apiserver.crt", {"kube-apiserver": OVER}),
        (UNITS, f"{HARD}/ca.crt", {"ca": {"begins": -2000}}),
        (UNITS, ETCD_COPIES, {"etcd-server": OVER}),
        (MANIFESTS, "var/lib/kubelet/pki/kubelet.crt", {"kubelet-serving": OVER, "kubelet-serving-ca": OVER}),
    ),
    *cases(
        "not-yet-valid",
        (FOLDER, "kube-scheduler.crt", {"kube-scheduler": LATER}),
        (FOLDER, "ca.crt", {"ca": {"begins": 1}}),
        (MANIFESTS, f"{PKI}/etcd/server.crt", {"etcd-server": LATER}),
        (MANIFESTS, "etc/kubernetes/admin.conf", {"admin": LATER}),
        (UNITS, f"{HARD}/apiserver-kubelet-client.crt", {"apiserver-kubelet-client": LATER}),
    ),
    *cases(
        "expiring-soon",
        (FOLDER, "etcd-server.crt", {"etcd-server": SOON}),
        (FOLDER, "ca.crt", {"ca": {"begins": -3640}}),
        (MANIFESTS, f"{PKI}/front-proxy-client.crt", {"front-proxy-client": SOON}),
        (MANIFESTS, "etc/kubernetes/controller-manager.conf", {"controller-manager": SOON}),
        (UNITS, ("var/lib/kube-proxy/kube-proxy.kubeconfig", f"{HARD}/kube-proxy.crt"), {"kube-proxy": SOON}),
    ),
    *cases(
        "issuer-expires-first",
        (FOLDER, "jane.crt", {"jane": {"days": 4000}}),
        (FOLDER, "kube-apiserver.crt", {"ca": {"days": 500}, "kube-apiserver": {"days": 700}}),
        (MANIFESTS, f"{PKI}/apiserver-etcd-client.crt", {"apiserver-etcd-client": {"days": 4000}}),
        (MANIFESTS, "etc/kubernetes/super-admin.conf", {"super-admin": {"days": 3700}}),
        (UNITS, f"{HARD}/apiserver-kubelet-client.crt", {"apiserver-kubelet-client": {"days": 1100}}),
    ),
    *cases(
        "wrong-issuer",
        (FOLDER, "kube-proxy.crt", {**FOREIGN, "kube-proxy": {"issuer": "_other"}}),
        (FOLDER, "kube-apiserver.crt", {**yesterday("CN=Kubernetes-CA"), "kube-apiserver": {"issuer": "_other"}}),
        (FOLDER, "jane.crt", {**yesterday("CN=Kubernetes-CA"), "jane": {"issuer": "_other"}}),
        (MANIFESTS, f"{PKI}/apiserver.crt", {**yesterday("CN=kubernetes"), "apiserver": {"issuer": "_other"}}),
        (MANIFESTS, f"{PKI}/apiserver-etcd-client.crt", {"apiserver-etcd-client": {"issuer": "ca"}}),
        (MANIFESTS, f"{PKI}/etcd/server.crt", {"etcd-server": {"issuer": "ca"}}),
        (MANIFESTS, "etc/kubernetes/admin.conf", {**FOREIGN, "admin": {"issuer": "_other"}}),
        (MANIFESTS, ROTATED, {**FOREIGN, "kubelet": {"issuer": "_other"}}),
        (UNITS, ETCD_COPIES, {**FOREIGN, "etcd-server": {"issuer": "_other"}}),
        (UNITS, f"{HARD}/kube-apiserver.crt", {**FOREIGN, "kube-apiserver": {"issuer": "_other"}}),
    ),
    *cases(
        "not-a-ca",
        (FOLDER, "ca.crt", {"ca": {"ca": False}}),
        (FOLDER, "ca.crt", {"ca": {"ca": False, "key_usage": False}}),
        (FOLDER, "ca.crt", {"ca": {"signs": False}}),
        (MANIFESTS, f"{PKI}/ca.crt", {"ca": {"ca": False}}),
        (MANIFESTS, f"{PKI}/etcd/ca.crt", {"etcd-ca": {"ca": False}}),
        (UNITS, f"{HARD}/ca.crt", {"ca": {"ca": False}}),
    ),
    *cases(
        "missing-san",
        (FOLDER, "kube-apiserver.crt", {"kube-apiserver": {"names": ()}}),
        (FOLDER, "kube-apiserver.crt", {"kube-apiserver": {"names": FLAT[:2] + FLAT[3:]}}),
        (FOLDER, "etcd-server.crt", {"etcd-server": {"names": ()}}),
        (MANIFESTS, f"{PKI}/apiserver.crt", {"apiserver": {"names": KUBERNETES[:5] + KUBERNETES[6:]}}),
        (MANIFESTS, f"{PKI}/etcd/peer.crt", {"etcd-peer": {"names": ()}}),
        (MANIFESTS, f"{PKI}/etcd/server.crt", {"etcd-server": {"names": ("DNS:elsewhere",)}}),
        (MANIFESTS, f"{PKI}/apiserver.crt", {"apiserver": {"names": ()}}),
        (UNITS, f"{HARD}/kube-apiserver.crt", {"kube-apiserver": {"names": FLAT[1:]}}),
        (FOLDER, "kube-apiserver.crt", {}, {"damage": without_extensions("kube-apiserver.crt", "kube-apiserver")}),
        *(
            (place, path, {name: {"names": respelled(names, misspelled)}})
            for misspelled in ("kubernetes.svc.cluster.local", "kubernetes.defualt.svc.cluster.local")
            for place, path, name, names in (
                (MANIFESTS, f"{PKI}/apiserver.crt", "apiserver", KUBERNETES),
                (UNITS, f"{HARD}/kube-apiserver.crt", "kube-apiserver", FLAT),
            )
        ),
        (
            MANIFESTS,
            "var/lib/kubelet/pki/kubelet.crt",
            {"kubelet-serving": {"issuer": "ca", "subject": f"CN=system:node:{kubeadm.HOST}/O=system:nodes"}},
            {"layout": {"options": {"kube-apiserver": VERIFIES_KUBELETS}}, "damage": kubelet_certificate},
        ),
        (
            UNITS,
            f"{HARD}/node01.crt",
            {"node01": {"names": ("IP:192.168.56.21",)}},
        ),
    ),
    *cases(
        "san-type",
        (FOLDER, "kube-apiserver.crt", {"kube-apiserver": {"names": retyped(FLAT, "10.96.0.1")}}),
        (FOLDER, "node01.crt", {"node01": {"names": ("DNS:node01", "DNS:192.168.56.21")}}),
        (MANIFESTS, f"{PKI}/apiserver.crt", {"apiserver": {"names": retyped(KUBERNETES, kubeadm.ADDRESS)}}),
        (MANIFESTS, f"{PKI}/etcd/server.crt", {"etcd-server": {"names": (f"IP:{kubeadm.ADDRESS}", "DNS:127.0.0.1")}}),
        (UNITS, f"{HARD}/kube-apiserver.crt", {"kube-apiserver": {"names": retyped(FLAT, "10.96.0.1")}}),
    ),
    *cases(
        "missing-server-auth",
        (FOLDER, "kube-apiserver.crt", {"kube-apiserver": {"usages": ("clientAuth",)}}),
        (FOLDER, "etcd-server.crt", {"etcd-server": {"usages": ("clientAuth",)}}),
        (MANIFESTS, f"{PKI}/apiserver.crt", {"apiserver": {"usages": ("codeSigning",)}}),
        (MANIFESTS, f"{PKI}/etcd/peer.crt", {"etcd-peer": {"usages": ("clientAuth",)}}),
        (UNITS, f"{HARD}/kube-apiserver.crt", {"kube-apiserver": {"usages": ("clientAuth",)}}),
        (UNITS, f"{HARD}/node01.crt", {"node01": {"usages": ("clientAuth",)}}),
        (
            MANIFESTS,
            f"{PKI}/public.crt",
            {"_public": {"subject": "CN=api.example", "usages": ("clientAuth",), "names": ("DNS:api.example",)}},
            {
                "layout": {
                    "options": {
                        "kube-apiserver": {"--tls-sni-cert-key": f"/{PKI}/public.crt,/{PKI}/public.key:api.example"}
                    }
                },
                "damage": lay(f"{PKI}/public", "_public"),
            },
        ),
    ),
    *cases(
        "missing-client-auth",
        (FOLDER, "admin.crt", {"admin": {"usages": ("serverAuth",)}}),
        (FOLDER, "etcd-server.crt", {"etcd-server": {"usages": ("serverAuth",)}}),
        (MANIFESTS, f"{PKI}/etcd/peer.crt", {"etcd-peer": {"usages": ("serverAuth",)}}),
        (MANIFESTS, f"{PKI}/etcd/server.crt", {"etcd-server": {"usages": ("serverAuth",)}}),
        (MANIFESTS, f"{PKI}/apiserver-kubelet-client.crt", {"apiserver-kubelet-client": {"usages": ("serverAuth",)}}),
        (MANIFESTS, "etc/kubernetes/scheduler.conf", {"scheduler": {"usages": ("serverAuth",)}}),
        (UNITS, f"{HARD}/apiserver-kubelet-client.crt", {"apiserver-kubelet-client": {"usages": ("serverAuth",)}}),
    ),
    *cases(
        "wrong-cn",
        (FOLDER, "kube-scheduler.crt", {"kube-scheduler": {"subject": "CN=kube-scheduler"}}),
        (FOLDER, "kubelet-client-node01.crt", {"kubelet-client-node01": {"subject": "CN=node01/O=system:nodes"}}),
        (
            FOLDER,
            "kubelet-client-node01.crt",
            {"kubelet-client-node01": {"subject": "CN=system:node:NODE01/O=system:nodes"}},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/controller-manager.conf",
            {"controller-manager": {"subject": "CN=controller-manager"}},
        ),
        (MANIFESTS, ROTATED, {"kubelet": {"subject": "O=system:nodes/CN=system:node:ControlPlane01"}}),
        (MANIFESTS, f"{PKI}/front-proxy-client.crt", {"front-proxy-client": {"subject": "CN=aggregator"}}),
        (
            UNITS,
            ("var/lib/kube-proxy/kube-proxy.kubeconfig", f"{HARD}/kube-proxy.crt"),
            {"kube-proxy": {"subject": "CN=kube-proxy"}},
        ),
        (
            UNITS,
            "var/lib/kubernetes/kube-scheduler.kubeconfig",
            {},
            {"damage": lambda root, workshop: swap_user(root, workshop, "kube-scheduler", "CN=scheduler")},
        ),
    ),
    *cases(
        "wrong-organization",
        (FOLDER, "kubelet-client-node01.crt", {"kubelet-client-node01": {"subject": "CN=system:node:node01/O=nodes"}}),
        (FOLDER, "admin.crt", {"admin": {"subject": "CN=kube-admin/O=system:master"}}),
        (
            FOLDER,
            "apiserver-kubelet-client.crt",
            {"apiserver-kubelet-client": {"subject": "CN=kube-apiserver-kubelet-client"}},
        ),
        (MANIFESTS, ROTATED, {"kubelet": {"subject": f"CN=system:node:{kubeadm.HOST}"}}),
        (MANIFESTS, "etc/kubernetes/admin.conf", {"admin": {"subject": "CN=kubernetes-admin"}}),
        (
            UNITS,
            "var/lib/kubelet/kubelet.kubeconfig",
            {"node01": {"subject": "CN=system:node:node01"}},
        ),
    ),
    *cases(
        "group-in-ou",
        (FOLDER, "admin.crt", {"admin": {"subject": "CN=kube-admin/OU=system:masters"}}),
        (
            FOLDER,
            "kubelet-client-node01.crt",
            {"kubelet-client-node01": {"subject": "CN=system:node:node01/OU=system:nodes"}},
        ),
        (FOLDER, "jane.crt", {"jane": {"subject": "CN=jane/OU=system:basic-user"}}),
        (
            MANIFESTS,
            "etc/kubernetes/admin.conf",
            {"admin": {"subject": "CN=kubernetes-admin/OU=kubeadm:cluster-admins"}},
        ),
        (MANIFESTS, ROTATED, {"kubelet": {"subject": f"CN=system:node:{kubeadm.HOST}/OU=system:nodes"}}),
        (
            UNITS,
            f"{HARD}/apiserver-kubelet-client.crt",
            {"apiserver-kubelet-client": {"subject": "CN=kube-apiserver-kubelet-client/OU=system:masters"}},
        ),
    ),
    *cases(
        "key-mismatch",
        (FOLDER, "kube-apiserver.crt", {}, {"damage": copy("admin.key", "kube-apiserver.key")}),
        (FOLDER, "jane.crt", {}, {"damage": copy("admin.key", "jane.key")}),
        (
            MANIFESTS,
            f"{PKI}/apiserver.crt",
            {},
            {"damage": copy(f"{PKI}/front-proxy-client.key", f"{PKI}/apiserver.key")},
        ),
        (MANIFESTS, "etc/kubernetes/admin.conf", {}, {"damage": embed_key("etc/kubernetes/admin.conf", "sa")}),
        (FOLDER, "ca.crt", {}, {"damage": copy("admin.key", "ca.key")}),
        (MANIFESTS, f"{PKI}/etcd/ca.crt", {}, {"damage": other_key(f"{PKI}/etcd/ca.key")}),
        (
            UNITS,
            f"{HARD}/kube-apiserver.crt",
            {},
            {"damage": copy(f"{HARD}/etcd-server.key", f"{HARD}/kube-apiserver.key")},
        ),
        (
            UNITS,
            "etc/etcd/etcd-server.crt",
            {},
            {"damage": copy(f"{HARD}/kube-apiserver.key", "etc/etcd/etcd-server.key")},
        ),
    ),
    *cases(
        "weak-key",
        (FOLDER, "admin.crt", {"admin": {"key": "RSA-1024"}}),
        (FOLDER, "jane.crt", {"jane": {"key": "P-192"}}),
        (FOLDER, "ca.crt", {"ca": {"key": "RSA-1024"}}),
        (MANIFESTS, f"{PKI}/apiserver.crt", {"apiserver": {"key": "RSA-1024"}}),
        (MANIFESTS, f"{PKI}/ca.crt", {"ca": {"key": "RSA-1024"}}),
        (MANIFESTS, "etc/kubernetes/scheduler.conf", {"scheduler": {"key": "RSA-1024"}}),
        (MANIFESTS, ROTATED, {"kubelet": {"key": "RSA-1024"}}),
        (UNITS, f"{HARD}/kube-apiserver.crt", {"kube-apiserver": {"key": "RSA-1024"}}),
    ),
    *cases(
        "weak-signature",
        (FOLDER, "admin.crt", {}, {"damage": sha1("admin.crt", "admin")}),
        (FOLDER, "ca.crt", {}, {"damage": sha1("ca.crt", "ca")}),
        (MANIFESTS, f"{PKI}/apiserver.crt", {}, {"damage": sha1(f"{PKI}/apiserver.crt", "apiserver")}),
        (MANIFESTS, "etc/kubernetes/admin.conf", {}, {"damage": sha1("etc/kubernetes/admin.conf", "admin")}),
        (UNITS, f"{HARD}/kube-apiserver.crt", {}, {"damage": sha1(f"{HARD}/kube-apiserver.crt", "kube-apiserver")}),
    ),
    *cases(
        "version-1",
        (FOLDER, "jane.crt", {}, {"damage": without_extensions("jane.crt", "jane")}),
        (FOLDER, "ca.crt", {}, {"damage": without_extensions("ca.crt", "ca")}),
        (
            MANIFESTS,
            f"{PKI}/apiserver-kubelet-client.crt",
            {},
            {"damage": without_extensions(f"{PKI}/apiserver-kubelet-client.crt", "apiserver-kubelet-client")},
        ),
        (
            UNITS,
            f"{HARD}/apiserver-kubelet-client.crt",
            {},
            {"damage": without_extensions(f"{HARD}/apiserver-kubelet-client.crt", "apiserver-kubelet-client")},
        ),
    ),
    *cases(
        "key-permissions",
        (FOLDER, "ca.key", {}, {"damage": chmod("ca.key", 0o644)}),
        (FOLDER, "jane.key", {}, {"damage": chmod("jane.key", 0o640)}),
        (MANIFESTS, f"{PKI}/sa.key", {}, {"damage": chmod(f"{PKI}/sa.key", 0o644)}),
        (MANIFESTS, "etc/kubernetes/admin.conf", {}, {"damage": chmod("etc/kubernetes/admin.conf", 0o644)}),
        (MANIFESTS, ROTATED, {}, {"damage": chmod(ROTATED, 0o644)}),
        (UNITS, f"{HARD}/kube-apiserver.key", {}, {"damage": chmod(f"{HARD}/kube-apiserver.key", 0o604)}),
        (
            UNITS,
            "var/lib/kubernetes/admin.kubeconfig",
            {},
            {"damage": chmod("var/lib/kubernetes/admin.kubeconfig", 0o640)},
        ),
    ),
    *cases(
        "missing-file",
        (MANIFESTS, f"{PKI}/apiserver.crt", {}, {"damage": remove(f"{PKI}/apiserver.crt")}),
        (MANIFESTS, f"{PKI}/apiserver-etcd-client.key", {}, {"damage": remove(f"{PKI}/apiserver-etcd-client.key")}),
        (MANIFESTS, f"{PKI}/sa.pub", {}, {"damage": remove(f"{PKI}/sa.pub")}),
        (MANIFESTS, f"{PKI}/sa.key", {}, {"damage": remove(f"{PKI}/sa.key")}),
        (MANIFESTS, f"{PKI}/ca.crt", {}, {"damage": remove(f"{PKI}/ca.crt")}),
        (MANIFESTS, f"{PKI}/apiserver.crt", {}, {"damage": link(f"{PKI}/apiserver.crt", "/nowhere/apiserver.crt")}),
        (
            MANIFESTS,
            (f"{PKI}/apiserver.crt", f"{PKI}/apiserver.key"),
            {},
            {"damage": remove(f"{PKI}/apiserver.crt", f"{PKI}/apiserver.key")},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/manifests/kube-apiserver.yaml",
            {},
            {
                "damage": edit(
                    "etc/kubernetes/manifests/kube-apiserver.yaml",
                    "apiserver-kubelet-client.crt",
                    "apiserver-kublet-client.crt",
                )
            },
        ),
        (
            MANIFESTS,
            "etc/kubernetes/manifests/kube-apiserver.yaml",
            {},
            {"layout": {"options": {"kube-apiserver": {"--client-ca-file": f"/{PKI}/ca-custom.crt"}}}},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/manifests/etcd.yaml",
            {},
            {"layout": {"options": {"etcd": {"--cert-file": f"/{PKI}/etcd/server-certificate.crt"}}}},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/manifests/etcd.yaml",
            {},
            {"layout": {"options": {"etcd": {"--trusted-ca-file": f"/{PKI}/etcdd/ca.crt"}}}},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/manifests/kube-scheduler.yaml",
            {},
            {"layout": {"options": {"kube-scheduler": {"--kubeconfig": "/etc/kubernetes/scheduler.config"}}}},
        ),
        (
            MANIFESTS,
            "var/lib/kubelet/pki/kubelet-client-current.pem",
            {},
            {"damage": remove("var/lib/kubelet/pki/kubelet-client-current.pem")},
        ),
        (UNITS, f"{HARD}/kube-apiserver.crt", {}, {"damage": remove(f"{HARD}/kube-apiserver.crt")}),
        (UNITS, "etc/etcd/ca.crt", {}, {"damage": remove("etc/etcd/ca.crt")}),
        (
            UNITS,
            "etc/systemd/system/kube-apiserver.service",
            {},
            {"damage": edit("etc/systemd/system/kube-apiserver.service", "/kube-apiserver.key", "/kube-apiservr.key")},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/jane.conf",
            {},
            {
                "damage": conf(
                    "etc/kubernetes/jane.conf",
                    client_certificate="pki/apiserver-kublet-client.crt",
                    client_key="pki/apiserver-kubelet-client.key",
                )
            },
        ),
    ),
    *cases(
        "unreadable",
        (FOLDER, "kube-apiserver.crt", {"kube-apiserver": {"key": "secp256k1"}}),
        (MANIFESTS, f"{PKI}/apiserver.crt", {"apiserver": {"key": "brainpoolP256r1"}}),
        (UNITS, f"{HARD}/ca.crt", {"ca": {"key": "secp256k1"}}),
        (FOLDER, "admin.crt", {}, {"damage": cut("admin.crt")}),
        (FOLDER, "ca.crt", {}, {"damage": cut("ca.crt")}),
        (FOLDER, "kube-apiserver.crt", {}, {"damage": to_der("kube-apiserver.crt")}),
        (FOLDER, "kube-scheduler.key", {}, {"damage": overwrite("kube-scheduler.key", b"")}),
        (FOLDER, "admin.key", {}, {"damage": to_der("admin.key")}),
        *(
            (FOLDER, file, {}, {"damage": to_base64(file, twice=twice)})
            for file in ("jane.crt", "jane.key")
            for twice in (True, False)
        ),
        (FOLDER, "jane.crt", {}, {"damage": overwrite("jane.crt", bytes(range(256)))}),
        (MANIFESTS, f"{PKI}/apiserver.crt", {}, {"damage": overwrite(f"{PKI}/apiserver.crt", b"")}),
        (MANIFESTS, f"{PKI}/etcd/server.crt", {}, {"damage": cut(f"{PKI}/etcd/server.crt")}),
        (MANIFESTS, f"{PKI}/ca.crt", {}, {"damage": cut(f"{PKI}/ca.crt")}),
        (
            MANIFESTS,
            "etc/kubernetes/admin.conf",
            {},
            {"damage": embed("etc/kubernetes/admin.conf", "client-certificate-data", "not/base64!")},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/scheduler.conf",
            {},
            {"damage": embed("etc/kubernetes/scheduler.conf", "client-key-data", b"rubbish")},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/scheduler.conf",
            {},
            {"damage": embed("etc/kubernetes/scheduler.conf", "certificate-authority-data", b"rubbish")},
        ),
        (UNITS, f"{HARD}/kube-apiserver.crt", {}, {"damage": cut(f"{HARD}/kube-apiserver.crt")}),
        (UNITS, f"{HARD}/apiserver-kubelet-client.crt", {}, {"damage": to_der(f"{HARD}/apiserver-kubelet-client.crt")}),
    ),
    *cases(
        "self-signed-leaf",
        (FOLDER, "kube-apiserver.crt", {"kube-apiserver": {"issuer": None}}),
        (FOLDER, "admin.crt", {"admin": {"issuer": None}}),
        (MANIFESTS, f"{PKI}/apiserver.crt", {"apiserver": {"issuer": None}}),
        (MANIFESTS, "etc/kubernetes/admin.conf", {"admin": {"issuer": None}}),
        (UNITS, f"{HARD}/kube-apiserver.crt", {"kube-apiserver": {"issuer": None}}),
    ),
    *cases(
        "shared-key",
        (FOLDER, "kube-apiserver.crt", {"kube-apiserver": {"key": "one"}, "admin": {"key": "one"}}),
        (FOLDER, "jane.crt", {"jane": {"key": "one"}, "ca": {"key": "one"}}),
        (
            MANIFESTS,
            f"{PKI}/etcd/healthcheck-client.crt",
            {"apiserver-etcd-client": {"key": "one"}, "etcd-healthcheck-client": {"key": "one"}},
        ),
        (
            UNITS,
            f"{HARD}/kube-apiserver.crt",
            {"kube-apiserver": {"key": "one"}, "apiserver-kubelet-client": {"key": "one"}},
        ),
    ),
    *cases(
        "duplicate-serial",
        (FOLDER, "jane.crt", {"jane": {"serial": 77}, "admin": {"serial": 77, "begins": -2}}),
        (
            MANIFESTS,
            f"{PKI}/apiserver.crt",
            {"apiserver": {"serial": 1}, "apiserver-kubelet-client": {"serial": 1, "begins": -2}},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/scheduler.conf",
            {"scheduler": {"serial": 9}, "admin": {"serial": 9, "begins": -2}},
        ),
        (
            UNITS,
            f"{HARD}/kube-apiserver.crt",
            {"kube-apiserver": {"serial": 2}, "apiserver-kubelet-client": {"serial": 2, "begins": -2}},
        ),
    ),
    *cases(
        "powerful-user",
        (FOLDER, "jane.crt", {"jane": {"subject": "CN=jane/O=developers/O=system:masters"}}),
        (FOLDER, "kube-scheduler.crt", {"kube-scheduler": {"subject": "CN=system:kube-scheduler/O=system:masters"}}),
        (
            MANIFESTS,
            "etc/kubernetes/controller-manager.conf",
            {"controller-manager": {"subject": "CN=system:kube-controller-manager/O=system:masters"}},
        ),
        (
            UNITS,
            ("var/lib/kube-proxy/kube-proxy.kubeconfig", f"{HARD}/kube-proxy.crt"),
            {"kube-proxy": {"subject": "CN=system:kube-proxy/O=system:masters"}},
        ),
    ),
    *cases(
        "kubeconfig-server-not-in-san",
        (
            MANIFESTS,
            "etc/kubernetes/admin.conf",
            {},
            {"damage": edit("etc/kubernetes/admin.conf", kubeadm.SERVER, "https://203.0.113.7:6443")},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/kubelet.conf",
            {},
            {"damage": edit("etc/kubernetes/kubelet.conf", kubeadm.SERVER, "https://cluster.example:6443")},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/admin.conf",
            {},
            {
                "damage": edit(
                    "etc/kubernetes/admin.conf",
                    f"server: {kubeadm.SERVER}",
                    f"server: {kubeadm.SERVER}\n    tls-server-name: elsewhere",
                )
            },
        ),
        (
            UNITS,
            "var/lib/kube-proxy/kube-proxy.kubeconfig",
            {},
            {"layout": {"servers": {"kube-proxy": "https://192.168.56.99:6443"}}},
        ),
        (
            UNITS,
            "var/lib/kubelet/kubelet.kubeconfig",
            {},
            {"layout": {"servers": {"node01": "https://loadbalancer:6443"}}},
        ),
    ),
    *cases(
        "kubeconfig-wrong-ca",
        (
            MANIFESTS,
            "etc/kubernetes/admin.conf",
            {},
            {"damage": embed_authority("etc/kubernetes/admin.conf", "etcd-ca")},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/kubelet.conf",
            FOREIGN,
            {"damage": embed_authority("etc/kubernetes/kubelet.conf", "_other")},
        ),
        (
            UNITS,
            "var/lib/kubernetes/kube-scheduler.kubeconfig",
            yesterday("CN=KUBERNETES-CA/O=Kubernetes"),
            {"damage": embed_authority("var/lib/kubernetes/kube-scheduler.kubeconfig", "_other")},
        ),
    ),
    *cases(
        "service-cidr-mismatch",
        (
            MANIFESTS,
            f"{PKI}/apiserver.crt",
            {},
            {
                "layout": {
                    "options": {
                        "kube-apiserver": {"--service-cluster-ip-range": "10.100.0.0/16"},
                        "kube-controller-manager": {"--service-cluster-ip-range": "10.100.0.0/16"},
                    }
                }
            },
        ),
        (
            UNITS,
            f"{HARD}/kube-apiserver.crt",
            {},
            {"layout": {"options": {"kube-apiserver": {"--service-cluster-ip-range": "10.32.0.0/24"}}}},
        ),
        (
            MANIFESTS,
            f"{PKI}/apiserver.crt",
            {},
            {
                "layout": {
                    "options": {"kube-apiserver": {"--service-cluster-ip-range": "fd00:10:96::/112,10.96.0.0/16"}}
                }
            },
        ),
    ),
    *cases(
        "second-manifest",
        (MANIFESTS, "etc/kubernetes/manifests/kube-apiserver.yaml.bak", {}, {"damage": copied_manifest}),
        (UNITS, "etc/kubernetes/manifests/kube-scheduler.yaml~", {}, {"damage": second_scheduler}),
    ),
    *cases(
        "kubeconfig-invalid",
        (
            MANIFESTS,
            "etc/kubernetes/admin.conf",
            {},
            {"damage": insecure("etc/kubernetes/admin.conf", keeps_ca=True)},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/admin.conf",
            {},
            {"damage": edit("etc/kubernetes/admin.conf", "current-context: ", "current-context: x")},
        ),
        (
            UNITS,
            "var/lib/kubernetes/admin.kubeconfig",
            {},
            {"damage": insecure("var/lib/kubernetes/admin.kubeconfig", keeps_ca=True)},
        ),
    ),
    *cases(
        "kubeconfig-insecure",
        (MANIFESTS, "etc/kubernetes/admin.conf", {}, {"damage": insecure("etc/kubernetes/admin.conf")}),
        (
            UNITS,
            "var/lib/kubernetes/admin.kubeconfig",
            {},
            {"damage": insecure("var/lib/kubernetes/admin.kubeconfig")},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/admin.conf",
            {},
            {"damage": edit("etc/kubernetes/admin.conf", "server: https:", "server: http:")},
        ),
    ),
    *cases(
        "service-range-not-set",
        (
            MANIFESTS,
            "etc/kubernetes/manifests/kube-apiserver.yaml",
            {},
            {"damage": without_line("etc/kubernetes/manifests/kube-apiserver.yaml", "--service-cluster-ip-range")},
        ),
        (
            UNITS,
            "etc/systemd/system/kube-apiserver.service",
            {},
            {"damage": without_line("etc/systemd/system/kube-apiserver.service", "--service-cluster-ip-range")},
        ),
    ),
    *cases(
        "malformed-san",
        (FOLDER, "kube-apiserver.crt", {"kube-apiserver": {"names": (*FLAT, "DNS:lb.example.com.")}}),
        (MANIFESTS, f"{PKI}/apiserver.crt", {"apiserver": {"names": (*KUBERNETES, "DNS:a.example b.example")}}),
        (UNITS, f"{HARD}/kube-apiserver.crt", {"kube-apiserver": {"names": (*FLAT, "DNS:")}}),
    ),
    *cases(
        "missing-option",
        *(
            (
                MANIFESTS,
                f"etc/kubernetes/manifests/{component}.yaml",
                {},
                {"damage": without_line(f"etc/kubernetes/manifests/{component}.yaml", *options)},
            )
            for component, *options in (
                ("kube-apiserver", "--client-ca-file"),
                ("kube-apiserver", "--tls-private-key-file"),
                ("kube-apiserver", "--tls-cert-file"),
                ("kube-apiserver", "--tls-cert-file", "--tls-private-key-file"),
                ("kube-apiserver", "--etcd-cafile"),
                ("kube-apiserver", "--etcd-certfile", "--etcd-keyfile"),
                ("kube-apiserver", "--proxy-client-key-file"),
                ("kube-apiserver", "--kubelet-client-certificate", "--kubelet-client-key"),
                ("kube-controller-manager", "--cluster-signing-key-file"),
                ("etcd", "--key-file"),
                ("etcd", "- --trusted-ca-file"),
                ("etcd", "--peer-trusted-ca-file"),
            )
        ),
        (
            UNITS,
            "etc/systemd/system/kube-apiserver.service",
            {},
            {"damage": without_line("etc/systemd/system/kube-apiserver.service", "--client-ca-file")},
        ),
        (
            UNITS,
            "etc/systemd/system/etcd.service",
            {},
            {"damage": without_line("etc/systemd/system/etcd.service", "--peer-key-file")},
        ),
    ),
    *cases(
        "wrong-certificate-option",
        (
            MANIFESTS,
            "etc/kubernetes/manifests/kube-apiserver.yaml",
            {},
            named_pair("kube-apiserver", "--tls-cert-file", "--tls-private-key-file", "front-proxy-client"),
        ),
        (
            MANIFESTS,
            "etc/kubernetes/manifests/kube-apiserver.yaml",
            {},
            named_pair("kube-apiserver", "--tls-cert-file", "--tls-private-key-file", "ca"),
        ),
        (
            MANIFESTS,
            "etc/kubernetes/manifests/kube-apiserver.yaml",
            {},
            named_pair("kube-apiserver", "--etcd-certfile", "--etcd-keyfile", "apiserver-kubelet-client"),
        ),
        (
            MANIFESTS,
            "etc/kubernetes/manifests/kube-apiserver.yaml",
            {},
            named_pair(
                "kube-apiserver", "--proxy-client-cert-file", "--proxy-client-key-file", "apiserver-etcd-client"
            ),
        ),
        (
            MANIFESTS,
            "etc/kubernetes/manifests/kube-apiserver.yaml",
            {},
            {"layout": {"options": {"kube-apiserver": {"--kubelet-client-certificate": f"/{PKI}/apiserver.crt"}}}},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/manifests/kube-apiserver.yaml",
            {},
            named_pair("kube-apiserver", "--kubelet-client-certificate", "--kubelet-client-key", "apiserver"),
        ),
        (
            MANIFESTS,
            "etc/kubernetes/manifests/etcd.yaml",
            {},
            named_pair("etcd", "--peer-cert-file", "--peer-key-file", "etcd/healthcheck-client"),
        ),
        (
            MANIFESTS,
            "etc/kubernetes/manifests/kube-controller-manager.yaml",
            {},
            {"layout": {"options": {"kube-controller-manager": {"--kubeconfig": "/etc/kubernetes/scheduler.conf"}}}},
        ),
        (
            UNITS,
            "etc/systemd/system/kube-scheduler.service",
            {},
            {
                "damage": edit(
                    "etc/systemd/system/kube-scheduler.service", "kube-scheduler.kubeconfig", "admin.kubeconfig"
                )
            },
        ),
        (
            UNITS,
            "etc/systemd/system/kube-apiserver.service",
            {},
            named_pair("kube-apiserver", "--tls-cert-file", "--tls-private-key-file", "service-account", HARD),
        ),
    ),
    *cases(
        "wrong-ca-option",
        (
            MANIFESTS,
            "etc/kubernetes/manifests/kube-apiserver.yaml",
            {},
            {"layout": {"options": {"kube-apiserver": {"--client-ca-file": f"/{PKI}/apiserver.crt"}}}},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/manifests/kube-apiserver.yaml",
            {},
            {"layout": {"options": {"kube-apiserver": {"--client-ca-file": f"/{PKI}/etcd/ca.crt"}}}},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/manifests/kube-apiserver.yaml",
            {},
            {"layout": {"options": {"kube-apiserver": {"--etcd-cafile": f"/{PKI}/ca.crt"}}}},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/manifests/etcd.yaml",
            {},
            {"layout": {"options": {"etcd": {"--trusted-ca-file": f"/{PKI}/ca.crt"}}}},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/manifests/etcd.yaml",
            {},
            {"layout": {"options": {"etcd": {"--peer-trusted-ca-file": f"/{PKI}/ca.crt"}}}},
        ),
        (
            MANIFESTS,
            "etc/kubernetes/manifests/kube-controller-manager.yaml",
            {},
            {"layout": {"options": {"kube-controller-manager": {"--root-ca-file": f"/{PKI}/etcd/ca.crt"}}}},
        ),
        (
            UNITS,
            "etc/systemd/system/kube-apiserver.service",
            {"_etcd-ca": {"subject": "CN=etcd-ca", "issuer": None, "ca": True}, "etcd-server": {"issuer": "_etcd-ca"}},
            {"damage": etcd_with_its_own_ca},
        ),
        (
            MANIFESTS,
            "var/lib/kubelet/config.yaml",
            {},
            {"damage": edit("var/lib/kubelet/config.yaml", "pki/ca.crt", "pki/etcd/ca.crt")},
        ),
    ),
]
