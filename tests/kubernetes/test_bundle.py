"""Bundles: each host gets just what it needs, with the modes said, and no worker ever a CA's key."""

from __future__ import annotations

import base64
import re
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest
import yaml

from tests import starting
from tests.clusters import PROFILES, SMALL
from tests.refusals import assert_refused, snapshot
from tests.running import Kcert, output, program, representatives

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki

CONTENTS = {
    ("course", "cp1"): """
        etc/kubernetes/kube-controller-manager.kubeconfig etc/kubernetes/kube-scheduler.kubeconfig
        etc/kubernetes/pki/apiserver-etcd-client.crt etc/kubernetes/pki/apiserver-etcd-client.key
        etc/kubernetes/pki/apiserver-kubelet-client.crt etc/kubernetes/pki/apiserver-kubelet-client.key
        etc/kubernetes/pki/ca.crt etc/kubernetes/pki/ca.key
        etc/kubernetes/pki/kube-apiserver.crt etc/kubernetes/pki/kube-apiserver.key
        etc/kubernetes/pki/service-account.crt etc/kubernetes/pki/service-account.key""",
    ("course", "etcd2"): """
        etc/kubernetes/pki/ca.crt etc/kubernetes/pki/etcd-server.crt etc/kubernetes/pki/etcd-server.key
        etc/kubernetes/pki/etcd-peer-etcd2.crt etc/kubernetes/pki/etcd-peer-etcd2.key""",
    ("course", "node01"): """
        etc/kubernetes/pki/ca.crt etc/kubernetes/pki/node01.crt etc/kubernetes/pki/node01.key
        etc/kubernetes/kubelet.kubeconfig etc/kubernetes/kube-proxy.kubeconfig""",
    ("hardway", "cp1"): """
        var/lib/kubernetes/admin.kubeconfig
        var/lib/kubernetes/kube-controller-manager.kubeconfig var/lib/kubernetes/kube-scheduler.kubeconfig
        var/lib/kubernetes/pki/apiserver-kubelet-client.crt var/lib/kubernetes/pki/apiserver-kubelet-client.key
        var/lib/kubernetes/pki/ca.crt var/lib/kubernetes/pki/ca.key
        var/lib/kubernetes/pki/etcd-server.crt var/lib/kubernetes/pki/etcd-server.key
        var/lib/kubernetes/pki/kube-apiserver.crt var/lib/kubernetes/pki/kube-apiserver.key
        var/lib/kubernetes/pki/service-account.crt var/lib/kubernetes/pki/service-account.key""",
    ("hardway", "etcd2"): "etc/etcd/ca.crt etc/etcd/etcd-server.crt etc/etcd/etcd-server.key",
    ("hardway", "node01"): """
        var/lib/kubernetes/pki/ca.crt var/lib/kubernetes/pki/node01.crt var/lib/kubernetes/pki/node01.key
        var/lib/kubelet/kubelet.kubeconfig var/lib/kube-proxy/kube-proxy.kubeconfig""",
    ("kubeadm", "cp1"): """
        etc/kubernetes/admin.conf etc/kubernetes/super-admin.conf etc/kubernetes/controller-manager.conf
        etc/kubernetes/scheduler.conf etc/kubernetes/kubelet.conf
        etc/kubernetes/pki/apiserver.crt etc/kubernetes/pki/apiserver.key
        etc/kubernetes/pki/apiserver-etcd-client.crt etc/kubernetes/pki/apiserver-etcd-client.key
        etc/kubernetes/pki/apiserver-kubelet-client.crt etc/kubernetes/pki/apiserver-kubelet-client.key
        etc/kubernetes/pki/ca.crt etc/kubernetes/pki/ca.key etc/kubernetes/pki/etcd/ca.crt
        etc/kubernetes/pki/front-proxy-ca.crt etc/kubernetes/pki/front-proxy-ca.key
        etc/kubernetes/pki/front-proxy-client.crt etc/kubernetes/pki/front-proxy-client.key
        etc/kubernetes/pki/sa.key etc/kubernetes/pki/sa.pub""",
    ("kubeadm", "cp2"): """
        etc/kubernetes/admin.conf etc/kubernetes/controller-manager.conf
        etc/kubernetes/scheduler.conf etc/kubernetes/kubelet.conf
        etc/kubernetes/pki/apiserver.crt etc/kubernetes/pki/apiserver.key
        etc/kubernetes/pki/apiserver-etcd-client.crt etc/kubernetes/pki/apiserver-etcd-client.key
        etc/kubernetes/pki/apiserver-kubelet-client.crt etc/kubernetes/pki/apiserver-kubelet-client.key
        etc/kubernetes/pki/ca.crt etc/kubernetes/pki/ca.key etc/kubernetes/pki/etcd/ca.crt
        etc/kubernetes/pki/front-proxy-ca.crt etc/kubernetes/pki/front-proxy-ca.key
        etc/kubernetes/pki/front-proxy-client.crt etc/kubernetes/pki/front-proxy-client.key
        etc/kubernetes/pki/sa.key etc/kubernetes/pki/sa.pub""",
    ("kubeadm", "etcd2"): """
        etc/kubernetes/pki/etcd/ca.crt etc/kubernetes/pki/etcd/server.crt etc/kubernetes/pki/etcd/server.key
        etc/kubernetes/pki/etcd/peer.crt etc/kubernetes/pki/etcd/peer.key
        etc/kubernetes/pki/etcd/healthcheck-client.crt etc/kubernetes/pki/etcd/healthcheck-client.key""",
    ("kubeadm", "node01"): "etc/kubernetes/kubelet.conf etc/kubernetes/pki/ca.crt",
}
"""The certificates, keys and kubeconfigs that some hosts of the large cluster get."""

GENERATED = {
    ("course", "cp1"): "kube-apiserver.service kube-controller-manager.service kube-scheduler.service",
    ("course", "etcd2"): "etcd.service",
    ("course", "node01"): """kubelet.service kube-proxy.service
        var/lib/kubelet/config.yaml var/lib/kube-proxy/config.yaml""",
    ("hardway", "cp1"): "kube-apiserver.service kube-controller-manager.service kube-scheduler.service",
    ("hardway", "etcd2"): "etcd.service",
    ("hardway", "node01"): """kubelet.service kube-proxy.service
        var/lib/kubelet/kubelet-config.yaml var/lib/kube-proxy/kube-proxy-config.yaml""",
    ("kubeadm", "cp1"): """kube-apiserver.yaml kube-controller-manager.yaml kube-scheduler.yaml kubelet.service
        var/lib/kubelet/config.yaml manifests/cluster-admins.yaml""",
    ("kubeadm", "cp2"): """kube-apiserver.yaml kube-controller-manager.yaml kube-scheduler.yaml kubelet.service
        var/lib/kubelet/config.yaml""",
    ("kubeadm", "etcd2"): "etcd.service",
    ("kubeadm", "node01"): "kubelet.service var/lib/kubelet/config.yaml",
}
"""And what kcert writes besides: units, static pods, configuration, objects to apply."""

OF_THE_ARCHIVE = ("INSTALL.md", "install.sh")


def generated(profile: str, host: str) -> list[str]:
    folders = {".service": "etc/systemd/system/", ".yaml": "etc/kubernetes/manifests/"}
    return [
        name if "/" in name else folders[name[name.rindex(".") :]] + name for name in GENERATED[profile, host].split()
    ]


def installed_files(folder: Path) -> dict[str, Path]:
    """The files of an unpacked bundle that go to the host."""
    found = files(folder)
    return {name: found[name] for name in found if name not in OF_THE_ARCHIVE and not name.startswith("manifests/")}


HOSTS = ("cp1", "cp2", "cp3.example.com", "etcd1", "etcd2", "etcd3", "node01", "node02", "node03.example.com")


@pytest.fixture(scope="module")
def packed(pki: Callable[[str, str], Pki], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``packed("course")``: a folder with the bundles of the large cluster, each unpacked as well."""
    done: dict[str, Path] = {}

    def made(profile: str) -> Path:
        if profile not in done:
            folder = done[profile] = tmp_path_factory.mktemp(f"bundles-{profile}")
            Kcert(pki(profile, "large").home).done("bundle", "--no-explain", "--output", folder)
            for archive in folder.glob("*.tar.gz"):
                place = folder / archive.name.removesuffix(".tar.gz")
                place.mkdir()
                assert output([program("tar"), "-xzpf", archive, "-C", place]).status == 0
        return done[profile]

    return made


def files(folder: Path) -> dict[str, Path]:
    """Every file below *folder*, by its path there."""
    return {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}


def keys_in(path: Path) -> list[bytes]:
    """Every private key in a file, also in a kubeconfig, as the base64 of its PEM block."""
    content = path.read_bytes()
    if path.suffix in (".conf", ".kubeconfig"):
        content = base64.b64decode(yaml.safe_load(content)["users"][0]["user"]["client-key-data"])
    found = re.findall(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)-----END", content, re.DOTALL)
    return [b"".join(one.split()) for one in found]


@pytest.mark.parametrize(("profile", "host"), CONTENTS)
def test_a_host_gets_what_it_needs_and_nothing_else(packed: Callable[[str], Path], profile: str, host: str) -> None:
    found = files(packed(profile) / host)

    assert sorted(found) == sorted([*CONTENTS[profile, host].split(), *generated(profile, host), *OF_THE_ARCHIVE])


@pytest.mark.parametrize("profile", PROFILES)
def test_no_worker_and_no_member_of_etcd_has_a_cas_key(
    packed: Callable[[str], Path], pki: Callable[[str, str], Pki], profile: str
) -> None:
    """By content, whatever the files are called."""
    authorities = {key for path in pki(profile, "large").folder.rglob("*ca.key") for key in keys_in(path)}
    assert len(authorities) == (3 if profile == "kubeadm" else 1)

    for host in HOSTS:
        held = {key for path in files(packed(profile) / host).values() for key in keys_in(path)}
        assert bool(held & authorities) == host.startswith("cp"), host


@pytest.mark.parametrize("profile", PROFILES)
def test_no_host_has_the_key_of_another_node(packed: Callable[[str], Path], profile: str) -> None:
    own = {host: {key for path in files(packed(profile) / host).values() for key in keys_in(path)} for host in HOSTS}
    nodes = [host for host in HOSTS if host.startswith("node")]

    for node in nodes:
        shared = set[bytes]().union(*(own[other] & own[node] for other in HOSTS if other != node))
        assert len(own[node]) > len(shared)
        assert len(shared) == (0 if profile == "kubeadm" else 1)  # kube-proxy's, which is the same on every node


@pytest.mark.parametrize("profile", PROFILES)
def test_everything_has_the_mode_and_the_owner_that_is_said(packed: Callable[[str], Path], profile: str) -> None:
    for archive in packed(profile).glob("*.tar.gz"):
        assert stat.S_IMODE(archive.stat().st_mode) == 0o600
        with tarfile.open(archive) as tar:
            members = tar.getmembers()
            text = tar.extractfile("INSTALL.md")
            assert text is not None
            said = text.read().decode()
        for member in members:
            secret = member.name.endswith((".key", ".conf", ".kubeconfig"))
            mode = 0o600 if secret else 0o755 if member.name == "install.sh" else 0o644
            assert (member.mode, member.uid, member.gid, member.uname) == (mode, 0, 0, "root")
            assert member.isfile()
            if member.name.startswith("manifests/"):
                assert f"kubectl apply -f {member.name}" in said
            elif member.name not in OF_THE_ARCHIVE:
                assert f"| `/{member.name}` | {member.mode:04o} | " in said


def test_the_ca_certificate_is_in_every_bundle(packed: Callable[[str], Path], pki: Callable[[str, str], Pki]) -> None:
    for profile in PROFILES:
        authorities = {path.read_bytes() for path in pki(profile, "large").folder.rglob("*ca.crt")}
        for host in HOSTS:
            held = {path.read_bytes() for path in files(packed(profile) / host).values()}
            assert held & authorities, (profile, host)


def test_the_same_input_makes_the_same_bytes(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    kcert.done("bundle")
    first = {path.name: path.read_bytes() for path in (made.home / "bundles").iterdir()}
    for path in (made.home / "bundles").iterdir():
        path.unlink()
    kcert.done("bundle", "--no-explain")
    again = kcert.done("bundle", "--no-explain").stdout

    assert {path.name: path.read_bytes() for path in (made.home / "bundles").iterdir()} == first
    assert sorted(first) == ["controlplane01.tar.gz", "node01.tar.gz"]
    assert again.count("(unchanged)") == 2


def test_the_commands_in_install_md_install(packed: Callable[[str], Path], tmp_path: Path) -> None:
    """Typed as they are; only the root folder is another, and the owner is the user who runs the test."""
    for host in ("cp1", "node01"):
        folder, root = packed("hardway") / host, tmp_path / host
        root.mkdir()
        text = (folder / "INSTALL.md").read_text(encoding="utf-8")
        commands = [line.strip() for line in text.splitlines() if line.startswith("    sudo install")]
        here = f'sudo() {{ shift; install "$1" "${{@:6:3}}" "{root}$9"; }}\n'

        ended = output([program("bash"), "-e"], folder, here + "\n".join(commands))

        assert ended.status == 0, ended.stderr
        installed, meant = files(root), installed_files(folder)
        assert {name: path.read_bytes() for name, path in installed.items()} == {
            name: path.read_bytes() for name, path in meant.items()
        }
        assert {name: path.stat().st_mode for name, path in installed.items()} == {
            name: path.stat().st_mode for name, path in meant.items()
        }


SSH = """\
#!/usr/bin/env bash
host=${1#root@}
chown() { :; }
eval "${2// \\// $ROOT/$host/}"
"""

SCP = """\
#!/usr/bin/env bash
target=${@: -1}
host=${target%%:*}
cp "${@:1:$#-1}" "$ROOT/${host#root@}${target#*:}"
"""


@pytest.mark.thorough
@pytest.mark.parametrize("profile", representatives(PROFILES))
def test_scp_brings_the_same_files(
    pki: Callable[[str, str], Pki], packed: Callable[[str], Path], profile: str, tmp_path: Path
) -> None:
    """With an ssh and an scp that reach folders of this machine instead of hosts."""
    made = pki(profile, "large").copied_to(tmp_path)
    commands = Kcert(made.home).done("bundle", "--scp").stdout
    tools, root = tmp_path / "tools", tmp_path / "hosts"
    tools.mkdir()
    for name, text in (("ssh", SSH), ("scp", SCP)):
        (tools / name).write_text(text, encoding="utf-8")
        (tools / name).chmod(0o755)
    variables = {**Kcert(made.home).environment(), "ROOT": str(root)}
    (tools / "kcert").symlink_to(starting.program())
    variables["PATH"] = f"{tools}:{variables['PATH']}"

    ended = output([program("bash"), "-e"], made.home, commands, **variables)

    assert ended.status == 0, ended.stderr
    for host in HOSTS:
        meant = installed_files(packed(profile) / host)
        brought = files(root / host)
        assert {name: path.read_bytes() for name, path in brought.items()} == {
            name: path.read_bytes() for name, path in meant.items()
        }
        assert {name: path.stat().st_mode for name, path in brought.items()} == {
            name: path.stat().st_mode for name, path in meant.items()
        }


@pytest.mark.thorough
def test_the_script_of_a_dry_run_writes_the_same_archives_and_exports(
    own_pki: Callable[..., Pki], kcert: Kcert
) -> None:
    home = own_pki("hardway").home
    variables = kcert.environment()
    (tools := home / "tools").mkdir()
    (tools / "kcert").symlink_to(starting.program())
    variables["PATH"] = f"{tools}:{variables['PATH']}"
    commands = (("bundle",), ("export", "ansible"), ("export", "cert-manager"))
    scripts = [kcert.done(*words, "--dry-run").stdout for words in commands]
    assert not (home / "bundles").exists()
    assert not (home / "export").exists()

    for text in scripts:
        assert not re.search(r"^[A-Za-z0-9+/]{64}$|(key|KEY)[^$]*: [A-Za-z0-9+/]{64}", text, re.MULTILINE), "a key"
        ended = output([program("bash"), "-s"], home, text, **variables)
        assert ended.status == 0, ended.stderr
    by_hand = {path: _told(path) for path in (*home.glob("bundles/*"), *home.glob("export/**/*")) if path.is_file()}
    for path in by_hand:
        path.unlink()
    for words in commands:
        kcert.done(*words, "--quiet")

    assert len(by_hand) == 9
    assert by_hand == {path: _told(path) for path in by_hand}


def _told(path: Path) -> object:
    """The mode and content of a file; of an archive those of its members, in any order."""
    if path.suffix != ".gz":
        return path.stat().st_mode, path.read_text(encoding="utf-8")
    with tarfile.open(path) as archive:
        members = {
            member.name: (member.mode, member.uname, member.uid, archive.extractfile(member).read())  # type: ignore[union-attr]
            for member in archive
        }
    return path.stat().st_mode, members


def test_a_bundle_is_for_the_release_that_is_asked_for(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki("kubeadm")

    def packed(*options: str) -> tuple[str, str]:
        kcert.done("bundle", "node01", "--no-explain", *options)
        with tarfile.open(kcert.folder / "bundles/node01.tar.gz") as tar:
            unit, text = (tar.extractfile(name) for name in ("etc/systemd/system/kubelet.service", "INSTALL.md"))
            assert unit
            assert text
            return unit.read().decode(), text.read().decode()

    new, old = packed(), packed("--kubernetes-version", "1.23.4")

    assert ("--container-runtime=remote" in new[0], "--container-runtime=remote" in old[0]) == (False, True)
    assert "Kubernetes 1.23.4." in old[1]
    scp = kcert.done("bundle", "node01", "--scp", "--kubernetes-version", "1.23.4").stdout
    assert scp.count("--kubernetes-version 1.23.4") == scp.count("kcert flags ") > 0
    assert "compare them with its release notes" in " ".join(
        kcert.done("bundle", "node01", "--kubernetes-version", "1.99").stderr.split()
    )
    assert_refused(kcert("bundle", "--kubernetes-version", "new"), 2, "'new' is invalid")


def test_a_folder_with_a_colon_is_no_host_to_scp(own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path) -> None:
    own_pki().folder.rename(tmp_path / "lab:1")

    commands = kcert.done("bundle", "node01", "--scp", "--dir", "lab:1").lines

    assert "kcert kubeconfig kube-proxy kubelet-client-node01 --dir lab:1" in commands
    copied = [word for line in commands if line.startswith("scp") for word in line.split() if "lab:1/" in word]
    assert "./lab:1/ca.crt" in copied
    assert all(word.startswith("./lab:1/") for word in copied)


@pytest.mark.parametrize(
    ("link", "arguments"),
    [
        ("bundles", ("bundle", "node01")),
        ("bundles/node01.tar.gz", ("bundle", "node01")),
        ("out/node01.tar.gz", ("bundle", "node01", "--output", "out")),
        ("out/admin.kubeconfig", ("kubeconfig", "admin", "--output", "out")),
        ("export", ("export", "cert-manager")),
        ("export/cert-manager.yaml", ("export", "cert-manager")),
        ("out/cert-manager.yaml", ("export", "cert-manager", "--output", "out")),
        ("export/ansible/bundles", ("export", "ansible")),
        ("out/inventory.yaml", ("export", "ansible", "--output", "out")),
    ],
)
def test_a_link_under_a_name_that_kcert_chose_is_not_followed(
    own_pki: Callable[..., Pki], kcert: Kcert, link: str, arguments: tuple[str, ...]
) -> None:
    made = own_pki()
    planted, elsewhere = made.home / link, made.home / "elsewhere"
    (made.home / "out").mkdir()
    planted.parent.mkdir(parents=True, exist_ok=True)
    if planted.suffix:
        elsewhere.write_text("somebody's", encoding="utf-8")
    else:
        elsewhere.mkdir()
    planted.symlink_to(elsewhere)
    before = snapshot(made.home)

    ended = kcert(*arguments)

    assert_refused(ended, 2, f"{link} is a symbolic link, which kcert never creates there")
    assert snapshot(made.home) == before


def test_a_link_that_the_user_named_is_his_own(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    (made.home / "named").symlink_to("archive")

    kcert.done("bundle", "node01", "--output", "named")

    assert (made.home / "archive").read_bytes().startswith(b"\x1f\x8b")
    assert (made.home / "named").is_symlink()


def test_into_a_pipe_no_line_of_the_table_ends_in_blanks(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki()

    lines = kcert.done("bundle", "node01").lines

    assert any(line.startswith("/etc/kubernetes/pki/node01.key") for line in lines)
    assert [line for line in lines if line != line.rstrip()] == []


def test_a_kubeconfig_that_is_there_is_packed_as_it_is(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki("hardway")
    own = ("--no-embed", "--path-prefix", "/var/lib/kubernetes/pki")
    kcert.done("kubeconfig", "kube-proxy", *own, "--server", "https://lb.example.com:6443")

    kcert.done("bundle", "node01", "--output", "node01.tgz")

    with tarfile.open(kcert.folder / "node01.tgz") as tar:
        names = tar.getnames()
        inside = tar.extractfile("var/lib/kube-proxy/kube-proxy.kubeconfig")
        assert inside is not None
        assert inside.read() == (kcert.folder / "pki" / "kube-proxy.kubeconfig").read_bytes()
    assert "var/lib/kubernetes/pki/kube-proxy.key" in names


def test_a_kubeconfig_that_names_other_paths_is_refused(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki("hardway")
    kcert.done("kubeconfig", "kube-proxy", "--no-embed")

    ended = kcert("bundle", "node01")

    assert ended.status == 2
    assert "--path-prefix /var/lib/kubernetes/pki" in " ".join(ended.stderr.split())
    assert not (kcert.folder / "bundles").exists()


@pytest.mark.parametrize("path", ["5", "[ca.crt]", "{ca: crt}", "~"])
def test_a_kubeconfig_whose_path_is_not_text_is_refused(own_pki: Callable[..., Pki], kcert: Kcert, path: str) -> None:
    made = own_pki("hardway")
    kcert.done("kubeconfig", "kube-proxy", "--no-embed", "--path-prefix", "/var/lib/kubernetes/pki")
    file = made.folder / "kube-proxy.kubeconfig"
    text = re.sub("certificate-authority: .*", f"certificate-authority: {path}", file.read_text(encoding="utf-8"))
    file.write_text(text, encoding="utf-8")

    assert_refused(kcert("bundle", "node01"), 2, "kube-proxy.kubeconfig is not a kubeconfig that can be used")


def test_a_kubeconfig_of_yesterdays_certificate_is_refused(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    kcert.done("kubeconfig", "kube-proxy")
    for ending in ("crt", "key"):
        (made.folder / f"kube-proxy.{ending}").unlink()
    kcert.done("client", "kube-proxy", "--quiet")

    ended = kcert("bundle", "node01")

    assert ended.status == 2
    assert "`kcert kubeconfig kube-proxy` renews it" in " ".join(ended.stderr.split())


def test_a_node_that_was_given_the_cas_key_gets_no_bundle(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    """A node has a certificate for the CA's own key: by its name it looks right."""
    made = own_pki("hardway")
    (made.folder / "node01.crt").unlink()
    (made.folder / "node01.key").write_bytes((made.folder / "ca.key").read_bytes())
    kcert.done("kubelet", "node01", "--quiet")

    ended = kcert("bundle", "node01")

    assert ended.status == 2
    said = " ".join(ended.stderr.split())
    assert "contains the key of a CA, which node01 must not get: `kcert renew node01 --new-key` generates" in said
    assert kcert("bundle", "controlplane01").status == 0
    kcert.done("renew", "node01", "--new-key", "--quiet")
    assert "bundles/node01.tar.gz" in kcert.done("bundle", "node01", "--no-explain").stdout


def test_without_the_cas_key_workers_are_packed_all_the_same(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    """It may lie somewhere safer; the control plane is told that it cannot sign requests then."""
    made = own_pki()
    (made.folder / "ca.key").unlink()

    worker = kcert.done("bundle", "node01", "--no-explain")
    control_plane = kcert.done("bundle", "controlplane01")

    assert "bundles/node01.tar.gz" in worker.stdout
    assert worker.stderr == ""
    said = " ".join(control_plane.stderr.split())
    assert "ca.key does not exist. So kube-controller-manager gets no --cluster-signing options" in said
    assert kcert("flags", "etcd", "--format", "flags").stderr == ""
    assert "-> admin.kubeconfig" in kcert.done("kubeconfig", "admin").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("node1",), "did you mean node01"),
        (("nowhere",), "There are: controlplane01, node01"),
        (("node01", "--scp", "--output", "x"), "--scp cannot be combined with --output"),
        (("node01", "--dry-run", "--quiet"), "--dry-run cannot be combined with --quiet"),
        (("node01", "--dry-run", "--output", "-"), "--dry-run cannot be combined with --output -"),
        (("--output", "one.tar.gz"), "2 archives do not fit into one file"),
        (("--output", "-"), "specify one host"),
        (("node01", "--output", "no/such/one.tar.gz"), "there is no folder no/such"),
        (("node01", "--output", "/dev/full"), "/dev/full is not a regular file"),
    ],
)
def test_bad_input_is_refused_with_words(
    own_pki: Callable[..., Pki], kcert: Kcert, arguments: tuple[str, ...], words: str
) -> None:
    made = own_pki()
    before = sorted(made.home.rglob("*"))

    ended = kcert("bundle", *arguments)

    assert ended.status == 2
    assert words in " ".join(ended.stderr.split())
    assert sorted(made.home.rglob("*")) == before


def test_what_is_missing_is_named_with_the_command_that_makes_it(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    (made.folder / "node01.crt").unlink()

    ended = kcert("bundle", "node01")

    assert ended.status == 2
    assert "node01.crt is not in pki: `kcert kubelet` creates it" in " ".join(ended.stderr.split())
    assert not (made.home / "bundles").exists()


@pytest.mark.parametrize("how", representatives(["re-encoded", "kept elsewhere", "decrypted"]))
def test_a_cas_key_in_any_form_goes_to_no_node(kcert: Kcert, tmp_path: Path, how: str) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"), encoding="utf-8")
    secret = {"KCERT_CA_PASSPHRASE": "correct horse"}
    apart = ["--ca-dir", "stick"] if how == "kept elsewhere" else []
    kcert.done("all", "-q", *apart, *(["--encrypt-ca-key"] if how == "decrypted" else []), variables=secret)
    ca_key = tmp_path / ("stick" if apart else "pki") / "ca.key"
    copy = output(["openssl", "pkey", "-in", ca_key, "-passin", "pass:correct horse"]).stdout
    (tmp_path / "pki/kubelet-client-node01.key").write_text(copy, encoding="ascii")
    kcert.done("renew", "kubelet-client-node01", "-q", *apart, variables=secret)

    ended = kcert("bundle", "node01")

    assert_refused(ended, 2, "contains the key of a CA, which node01 must not get", "kubelet-client-node01 --new-key")
    assert not (tmp_path / "bundles").exists()
