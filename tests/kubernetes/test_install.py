"""What kcert writes for a host besides certificates: it installs, systemd and shellcheck accept it, and etcd starts."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kcert import lessons
from tests import judge
from tests.clusters import BOOK, FIXED, made_once
from tests.kubernetes import accepted
from tests.refusals import assert_refused
from tests.running import Kcert, output, program, representatives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.clusters import Pki

BOOTSTRAP = """\
profile: {profile}
nodes: [{{name: node01, ip: 192.0.2.21}}, {{name: node02, ip: 192.0.2.22, bootstrap: true}}]
control_plane: [{{name: cp1, ip: 192.0.2.11}}]
key: {{algorithm: ecdsa}}
"""
BUNDLED = ("course", "hardway", "kubeadm", "kelsey")


def unpack(archive: Path, folder: Path) -> None:
    assert output([program("tar"), "-xzpf", archive, "-C", folder]).status == 0


def make_bundles(home: Path, text: str) -> None:
    """Make the cluster *text*, with a token and an encryption config, and unpack all bundles."""
    (home / "kcert.yaml").write_text(text, encoding="utf-8")
    kcert = Kcert(home)
    kcert.done("all", "--quiet")
    kcert.done("encryption-config", "--no-explain")
    kcert.done("bootstrap", "--no-explain")
    kcert.done("bundle", "--no-explain")
    for archive in (home / "bundles").iterdir():
        folder = home / "unpacked" / archive.name.removesuffix(".tar.gz")
        folder.mkdir(parents=True)
        unpack(archive, folder)


@pytest.fixture(scope="session")
def unpacked(shared: Path) -> Callable[[str], Path]:
    """``unpacked("hardway")``: the folder with what is in each host's bundle, made once; for looking at only."""

    def made(profile: str) -> Path:
        text = BOOK.format(profile="kelsey") if profile == "kelsey" else BOOTSTRAP.format(profile=profile)
        text = text.replace("{algorithm: rsa, bits: 2048}", "{algorithm: ecdsa}")
        return made_once(shared, f"install-{profile}", lambda home: make_bundles(home, text)) / "unpacked"

    return made


def tree(root: Path) -> dict[str, tuple[bytes, int]]:
    """Content and mode of every file below *root*, by path, without the backups."""
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mode & 0o777)
        for path in root.rglob("*")
        if path.is_file() and "backups" not in path.parts
    }


@pytest.mark.parametrize("profile", representatives(BUNDLED))
def test_install_sh_installs_and_changes_nothing_the_second_time(
    unpacked: Callable[[str], Path], profile: str, tmp_path: Path
) -> None:
    for bundle in sorted(unpacked(profile).iterdir()):
        root = tmp_path / bundle.name
        meant = {name: file for name, file in tree(bundle).items() if name.startswith(("etc/", "var/"))}

        first = output(["sh", bundle / "install.sh", root])
        once = tree(root)
        again = output(["sh", bundle / "install.sh", root])

        assert (first.status, again.status, first.stderr, again.stderr) == (0, 0, "", "")
        assert once == meant == tree(root)
        assert first.stdout.count("installed  ") == again.stdout.count("unchanged  ") == len(meant)
        assert not list(root.rglob("backups"))


@pytest.mark.thorough
def test_install_sh_keeps_what_it_replaces(unpacked: Callable[[str], Path], tmp_path: Path) -> None:
    bundle = unpacked("hardway") / "cp1"
    key, link = tmp_path / "etc/etcd/etcd-server.key", tmp_path / "etc/etcd/ca.crt"
    key.parent.mkdir(parents=True)
    key.write_text("old", encoding="utf-8")
    (tmp_path / "elsewhere").write_text("mine", encoding="utf-8")
    link.symlink_to(tmp_path / "elsewhere")

    said = output(["sh", bundle / "install.sh", tmp_path]).stdout

    (backup,) = (tmp_path / "var/backups/kcert").iterdir()
    assert (backup / "etc/etcd/etcd-server.key").read_text(encoding="utf-8") == "old"
    assert (backup.stat().st_mode & 0o777, backup.parent.stat().st_mode & 0o777) == (0o700, 0o700)
    assert (tmp_path / "elsewhere").read_text(encoding="utf-8") == "mine", "a link is not written through"
    assert key.read_bytes() == (bundle / "etc/etcd/etcd-server.key").read_bytes()
    assert said.count("backed up  ") == 2


@pytest.mark.parametrize("arguments", [(), ("",), ("first", "second")])
def test_install_sh_does_not_take_a_lost_folder_for_this_machine(
    unpacked: Callable[[str], Path], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    script = tmp_path / "install.sh"
    script.write_text((unpacked("kelsey") / "node-0/install.sh").read_text(encoding="utf-8"), encoding="utf-8")

    ended = output(["sh", script, *arguments], folder=tmp_path, ROOT=str(tmp_path))

    assert (ended.status, ended.stdout) == (2, "")
    assert ended.stderr.startswith("Usage: ./install.sh [ROOT]\nInstalls the ")


@pytest.mark.parametrize("link", ["var", "var/backups"])
def test_install_sh_follows_no_link_out_of_the_root_folder(
    unpacked: Callable[[str], Path], tmp_path: Path, link: str
) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    old = root / "etc/systemd/system/kubelet.service"
    old.parent.mkdir(parents=True)
    old.write_text("old", encoding="utf-8")
    (root / link).parent.mkdir(exist_ok=True)
    outside.mkdir()
    (root / link).symlink_to(outside)

    ended = output(["sh", unpacked("kelsey") / "node-0/install.sh", root])

    assert ended.status == 1
    assert ended.stderr == f"install.sh: {root / link} is a link to a folder outside {root}\n"
    assert (old.read_text(encoding="utf-8"), list(outside.iterdir())) == ("old", [])


@pytest.mark.thorough
@pytest.mark.skipif(not shutil.which("shellcheck"), reason="there is no shellcheck here")
def test_shellcheck_finds_nothing_in_install_sh(unpacked: Callable[[str], Path]) -> None:
    scripts = [script for profile in BUNDLED for script in unpacked(profile).glob("*/install.sh")]

    assert len(scripts) >= 11
    assert output(["shellcheck", *scripts]).stdout == ""


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze here")
@pytest.mark.parametrize("profile", representatives(BUNDLED, lambda profile: profile == "kubeadm"))
def test_systemd_accepts_the_units(unpacked: Callable[[str], Path], profile: str, tmp_path: Path) -> None:
    for bundle in unpacked(profile).iterdir():
        units = sorted((bundle / "etc/systemd/system").glob("*.service"))
        for unit in units:
            text = unit.read_text(encoding="utf-8")
            (tmp_path / unit.name).write_text(text.replace("/usr/local/bin/", f"{tmp_path}/"), encoding="utf-8")
            (tmp_path / unit.stem).write_text("#!/bin/sh\n", encoding="utf-8")
            (tmp_path / unit.stem).chmod(0o755)
        for unit in units:
            said = output(["systemd-analyze", "verify", "--man=no", tmp_path / unit.name])
            own = [line for line in said.stderr.splitlines() if str(tmp_path) in line or unit.name in line]
            assert own == [], unit


@pytest.mark.parametrize("profile", ["course", "hardway", "kubeadm"])
def test_a_node_that_bootstraps_has_no_certificate_and_no_secret_of_the_control_plane(
    unpacked: Callable[[str], Path], profile: str
) -> None:
    node = tree(unpacked(profile) / "node02")
    control = tree(unpacked(profile) / "cp1")
    other = tree(unpacked(profile) / "node01")

    configuration = next(content for name, (content, _) in node.items() if b"KubeletConfiguration" in content)
    settings = yaml.safe_load(configuration)
    assert settings["serverTLSBootstrap"] is settings["rotateCertificates"] is True
    assert "tlsCertFile" not in settings
    carried = [name for name, (content, mode) in node.items() if b"token:" in content and mode == 0o600]
    assert len(carried) == 1
    assert "bootstrap" in carried[0]
    assert not any("node02" in name for name in node if name.endswith((".crt", ".key", ".conf")))
    assert any(name.endswith("encryption-config.yaml") and mode == 0o600 for name, (_, mode) in control.items())
    assert not any("encryption-config" in name or "bootstrap-token" in name for name in (*node, *other))
    assert {"manifests/bootstrap-token.yaml", "manifests/bootstrap-rbac.yaml"} <= control.keys()
    assert control["manifests/bootstrap-token.yaml"][1] == 0o600


@pytest.mark.parametrize("command", ["kubelet", "kubeconfig", "renew"])
def test_a_node_that_bootstraps_is_told_apart(unpacked: Callable[[str], Path], command: str) -> None:
    refused = Kcert(unpacked("hardway").parent)(command, "node02")

    assert_refused(refused, 2, "'node02': the node bootstraps", "`kcert bootstrap` creates the token")


def test_the_api_server_of_the_book_may_ask_kubelets_only_once_it_is_bound(unpacked: Callable[[str], Path]) -> None:
    manifests = unpacked("kelsey") / "server/manifests"
    said = (unpacked("kelsey") / "server/INSTALL.md").read_text(encoding="utf-8")

    binding = yaml.safe_load((manifests / "kube-apiserver-to-kubelet.yaml").read_text(encoding="utf-8"))
    assert binding["subjects"] == [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "kubernetes"}]
    assert binding["roleRef"]["name"] == "system:kubelet-api-admin"
    assert "kubectl apply -f manifests/kube-apiserver-to-kubelet.yaml" in said
    assert "## Known issues" in said


def test_the_book_is_followed_until_it_is_to_be_fixed(kcert: Kcert) -> None:
    def flags(component: str, *arguments: str) -> str:
        return kcert.done("flags", component, "--format", "flags", *arguments).stdout

    (kcert.folder / "kcert.yaml").write_text(BOOK.format(profile="kelsey"), encoding="utf-8")
    book = flags("kube-apiserver") + flags("etcd")
    (kcert.folder / "kcert.yaml").write_text(FIXED.format(profile="kelsey"), encoding="utf-8")
    fixed = flags("kube-apiserver") + flags("etcd")

    assert "--etcd-servers=http://127.0.0.1:2379" in book
    assert "--kubelet-client-certificate=/var/lib/kubernetes/kube-api-server.crt" in book
    assert "--service-cluster-ip-range" not in book
    assert "--cert-file" not in book
    assert "--service-cluster-ip-range=10.32.0.0/24" in fixed
    assert "--etcd-servers=https://192.168.56.10:2379" in fixed
    assert "--cert-file=/etc/etcd/etcd-server.crt" in fixed
    assert "--kubelet-client-certificate=/var/lib/kubernetes/apiserver-kubelet-client.crt" in fixed


# --- three members of etcd, from the command lines of their units


MEMBERS = {"m1": "127.0.0.41", "m2": "127.0.0.42", "m3": "127.0.0.43"}
THREE = f"""\
profile: hardway
control_plane: [{{name: cp1, ip: 192.0.2.11}}]
nodes: []
etcd: [{", ".join(f"{{name: {name}, ip: {address}}}" for name, address in MEMBERS.items())}]
key: {{algorithm: ecdsa}}
"""


def command_line(unit: str, root: Path) -> list[str]:
    """What ExecStart of *unit* starts, with all its paths below *root*, and without what only a host of its own has."""
    (start,) = re.findall(r"^ExecStart=((?:.*\\\n)*.*)", unit, re.MULTILINE)
    words = shlex.split(start.replace("\\\n", " "))
    assert words[0] == "/usr/local/bin/etcd"
    moved = [re.sub(r"=/(etc|var)/", rf"={root}/\1/", word) for word in words[1:]]
    # Each member listens on its host's loopback address too: here they share one.
    return ["etcd", *(word.replace(",https://127.0.0.1:2379", "") for word in moved)]


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "kcert.yaml").write_text(THREE, encoding="utf-8")
    kcert = Kcert(tmp_path)
    kcert.done("all", "--quiet")
    kcert.done("bundle", "--no-explain", *MEMBERS)
    running = []
    for name in MEMBERS:
        root = tmp_path / name
        root.mkdir()
        unpack(tmp_path / "bundles" / f"{name}.tar.gz", root)
        argv = command_line((root / "etc/systemd/system/etcd.service").read_text(encoding="utf-8"), root)
        (root / "var/lib").mkdir(parents=True, exist_ok=True)
        with (tmp_path / f"{name}.log").open("wb") as log:
            running.append(subprocess.Popen(argv, stdout=log, stderr=log, cwd=root))
    yield tmp_path
    for process in running:
        process.terminate()
    for process in running:
        process.wait(30)


@pytest.mark.thorough
@pytest.mark.skipif(not shutil.which("etcd") or not shutil.which("etcdctl"), reason="there is no etcd here")
def test_three_members_boot_from_their_units(members: Path) -> None:
    pki = members / "pki"
    files = [f"--cacert={pki}/ca.crt", f"--cert={pki}/etcd-server.crt", f"--key={pki}/etcd-server.key"]
    everyone = ",".join(f"https://{address}:2379" for address in MEMBERS.values())

    said = output(
        [
            "etcdctl",
            *files,
            f"--endpoints={everyone}",
            "--dial-timeout=60s",
            "--command-timeout=90s",
            "endpoint",
            "status",
            "--write-out=json",
        ],
        ETCDCTL_API="3",
    )
    logs = "\n".join(path.read_text(encoding="utf-8", errors="replace")[-2000:] for path in members.glob("*.log"))
    assert said.status == 0, said.stderr + logs
    found = json.loads(said.stdout)
    assert len(found) == 3
    assert len({one["Status"]["header"]["cluster_id"] for one in found}) == 1
    put = output(
        ["etcdctl", *files, f"--endpoints=https://{MEMBERS['m1']}:2379", "--command-timeout=60s", "put", "a", "b"],
        ETCDCTL_API="3",
    )
    assert put.status == 0, put.stderr + logs


# --- bootstrap tokens, and encryption at rest


def everything_said(home: Path, *outputs: str) -> str:
    """Return what was shown, and what is in the history."""
    return "".join(outputs) + (home / "pki/.kcert/history.jsonl").read_text(encoding="utf-8")


def test_a_token_is_a_secret_that_is_written_and_never_shown(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki().folder / "bootstrap"

    first = kcert.done("bootstrap")
    token = yaml.safe_load((folder / "bootstrap-token.yaml").read_text(encoding="utf-8"))
    again = kcert.done("bootstrap", "--no-explain")
    kept = yaml.safe_load((folder / "bootstrap-token.yaml").read_text(encoding="utf-8"))
    kcert.done("bootstrap", "--new-token", "--ttl", "2h", "--no-explain")
    new = yaml.safe_load((folder / "bootstrap-token.yaml").read_text(encoding="utf-8"))

    data = token["stringData"]
    assert (token["type"], token["metadata"]["namespace"]) == ("bootstrap.kubernetes.io/token", "kube-system")
    assert token["metadata"]["name"] == f"bootstrap-token-{data['token-id']}"
    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", f"{data['token-id']}.{data['token-secret']}")
    assert data["usage-bootstrap-authentication"] == data["usage-bootstrap-signing"] == "true"
    assert data["auth-extra-groups"].startswith("system:bootstrappers:")
    assert data["token-secret"] not in everything_said(kcert.folder, first.stdout, again.stdout, first.stderr)
    assert kept == token
    assert new["stringData"]["token-secret"] != data["token-secret"]
    kubeconfig = yaml.safe_load((folder / "bootstrap.kubeconfig").read_text(encoding="utf-8"))
    fresh = new["stringData"]
    assert kubeconfig["users"][0]["user"] == {"token": f"{fresh['token-id']}.{fresh['token-secret']}"}
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {"bootstrap-token.yaml": 0o600, "bootstrap.kubeconfig": 0o600, "bootstrap-rbac.yaml": 0o644}


@pytest.mark.thorough
@pytest.mark.skipif(not shutil.which("kubectl"), reason="there is no kubectl here")
def test_kubectl_makes_the_same_bindings(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki().folder / "bootstrap"
    said = kcert.done("bootstrap").stdout
    commands = re.findall(r"^ *(kubectl create clusterrolebinding (?:.*\\\n)*.*)$", said, re.MULTILINE)

    made = [
        output([program("bash"), "-c", f"{command} --dry-run=client -o yaml"], kcert.folder).stdout
        for command in commands
    ]

    def said_by(binding: dict[str, Any]) -> tuple[Any, ...]:
        return binding["metadata"]["name"], binding["roleRef"], binding["subjects"]

    documents = yaml.safe_load_all((folder / "bootstrap-rbac.yaml").read_text(encoding="utf-8"))
    assert len(commands) == 3
    assert [said_by(yaml.safe_load(text)) for text in made] == [said_by(one) for one in documents]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--ttl", "soon"), "--ttl 'soon'"),
        (("--ttl", "5m"), "expected 600 seconds or more"),
        (("--dir", "nowhere"), "`kcert ca --dir nowhere` creates it"),
    ],
)
def test_bootstrap_refuses(own_pki: Callable[..., Pki], kcert: Kcert, arguments: tuple[str, ...], words: str) -> None:
    own_pki()

    assert_refused(kcert("bootstrap", *arguments), 2, words)


def test_a_damaged_token_is_named_and_replaced_when_asked(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    path = own_pki().folder / "bootstrap/bootstrap-token.yaml"
    kcert.done("bootstrap", "--no-explain")
    path.write_text("stringData: {token-id: 7}\n", encoding="utf-8")

    assert_refused(kcert("bootstrap"), 2, "bootstrap-token.yaml", "--new-token")
    kcert.done("bootstrap", "--new-token", "--no-explain")
    assert "token-secret" in path.read_text(encoding="utf-8")


def keys_of(home: Path) -> dict[str, str]:
    """The keys of the encryption config, by name, in their order."""
    content = yaml.safe_load((home / "pki/encryption-config.yaml").read_text(encoding="utf-8"))
    (provider, identity) = content["resources"][0]["providers"]
    assert identity == {"identity": {}}
    return {key["name"]: key["secret"] for value in provider.values() for key in value["keys"]}


@pytest.mark.thorough
def test_a_key_is_rotated_in_the_right_order(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    home = own_pki().home
    assert_refused(kcert("encryption-config", "--rotate"), 2, "does not exist")
    said = [kcert.done("encryption-config").stdout, kcert.done("encryption-config", "--no-explain").stdout]
    first = keys_of(home)
    assert_refused(kcert("encryption-config", "--finish"), 2, "no rotation is in progress")
    said.append(kcert.done("encryption-config", "--rotate").stdout)
    added = keys_of(home)
    assert_refused(kcert("encryption-config", "--finish"), 2, "key1 still encrypts")
    said.append(kcert.done("encryption-config", "--rotate").stdout)
    swapped = keys_of(home)
    assert_refused(kcert("encryption-config", "--rotate"), 2, "--finish")
    said.append(kcert.done("encryption-config", "--finish").stdout)

    assert [list(first), list(added), list(swapped), list(keys_of(home))] == [
        ["key1"],
        ["key1", "key2"],
        ["key2", "key1"],
        ["key2"],
    ]
    assert (home / "pki/encryption-config.yaml").stat().st_mode & 0o777 == 0o600
    assert not [secret for secret in added.values() if secret in everything_said(home, *said)]
    document = yaml.safe_load((home / "pki/encryption-config.yaml").read_text(encoding="utf-8"))
    assert accepted.unknown_fields(document, accepted.OLDEST) == []
    assert "kubectl get secrets --all-namespaces -o json | kubectl replace -f -" in said[3]


@pytest.mark.parametrize(
    ("right", "wrong", "found"),
    [
        ("v1", "v1beta1", "no type (['apiserver.config.k8s.io', 'v1beta1'], 'EncryptionConfiguration')"),
        ("providers", "provider", ".resources[0].provider"),
        ("aescbc", "aesCBC", ".resources[0].providers[0].aesCBC"),
        ("secret:", "key:", ".resources[0].providers[0].aescbc.keys[0].key"),
        ("identity: {}", "identity: [none]", ".resources[0].providers[1].identity"),
        ("[secrets]", "secrets", ".resources[0].resources"),
    ],
)
def test_a_field_that_no_api_server_knows_is_found(right: str, wrong: str, found: str) -> None:
    text = """\
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources: [{resources: [secrets], providers: [{aescbc: {keys: [{name: key1, secret: YQ==}]}}, {identity: {}}]}]
"""
    assert accepted.unknown_fields(yaml.safe_load(text), accepted.OLDEST) == []
    assert accepted.unknown_fields(yaml.safe_load(text.replace(right, wrong)), accepted.OLDEST) == [found]


def files_of(home: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def by_hand(kcert: Kcert, *command: str) -> str:
    """Run the script that *command* prints with --dry-run, which itself changes nothing; return the script."""
    before = files_of(kcert.folder)
    script = kcert.done(*command, "--dry-run").stdout
    assert files_of(kcert.folder) == before
    ended = output([program("bash"), "-c", script], kcert.folder)
    assert (ended.status, ended.stdout, ended.stderr) == (0, "", "")
    return script


def test_the_script_of_bootstrap_writes_the_same_files(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki().folder / "bootstrap"

    first = by_hand(kcert, "bootstrap")
    made = yaml.safe_load((folder / "bootstrap-token.yaml").read_text(encoding="utf-8"))["stringData"]
    quiet = kcert.done("bootstrap", "-q")
    again = by_hand(kcert, "bootstrap")

    names = ("bootstrap-token.yaml", "bootstrap-rbac.yaml", "bootstrap.kubeconfig")
    assert quiet.stdout == "".join(f"bootstrap/{name}  current\n" for name in names)
    kept = yaml.safe_load((folder / "bootstrap-token.yaml").read_text(encoding="utf-8"))["stringData"]
    assert kept == made, "the second script keeps the token"
    assert kcert.done("bootstrap", "-q").stdout == quiet.stdout
    assert made["token-secret"] not in first + again + quiet.stdout
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict(
        zip(names, (0o600, 0o644, 0o600), strict=True)
    )


@pytest.mark.thorough
def test_the_scripts_of_a_rotation_keep_each_key(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    home = own_pki().home

    scripts, steps = "", []
    for options in ((), ("--rotate",), ("--rotate",), ("--finish",)):
        scripts += by_hand(kcert, "encryption-config", *options)
        steps.append(keys_of(home))
        said = kcert.done("encryption-config", "-q").stdout
        assert said == f"encryption-config.yaml  kept  {' '.join(steps[-1])}\n"

    first, added, swapped, last = steps
    assert [list(step) for step in steps] == [["key1"], ["key1", "key2"], ["key2", "key1"], ["key2"]]
    assert added == swapped == first | last
    assert not [secret for secret in added.values() if secret in scripts]
    assert (home / "pki/encryption-config.yaml").stat().st_mode & 0o777 == 0o600
    assert_refused(kcert("encryption-config", "-n", "--finish"), 2, "no rotation is in progress")


def test_a_script_does_not_write_an_empty_key(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    """The file means the same when it is laid out in another way; then the script cannot find the key, and stops."""
    path = own_pki().folder / "encryption-config.yaml"
    kcert.done("encryption-config", "-q")
    path.write_text(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8"))), encoding="utf-8")
    before = path.read_bytes()

    script = kcert.done("encryption-config", "--rotate", "-n").stdout

    ended = output([program("bash"), "-c", script], kcert.folder)
    assert ended.status != 0
    assert "key1: is not in encryption-config.yaml" in ended.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize("command", ["bootstrap", "encryption-config"])
def test_quiet_and_dry_run_exclude_each_other(own_pki: Callable[..., Pki], kcert: Kcert, command: str) -> None:
    own_pki()

    assert_refused(kcert(command, "-q", "-n"), 2, "--dry-run cannot be combined with --quiet")


@pytest.mark.parametrize("provider", ["aescbc", "secretbox"])
def test_the_api_server_is_given_the_file_once_it_is_there(
    own_pki: Callable[..., Pki], kcert: Kcert, provider: str
) -> None:
    own_pki("kubeadm")
    before = kcert.done("flags", "kube-apiserver", "--format", "manifest").stdout
    kcert.done("encryption-config", "--provider", provider, "--no-explain")
    pod = yaml.safe_load(kcert.done("flags", "kube-apiserver", "--format", "manifest").stdout)

    assert "encryption" not in before
    path = "/etc/kubernetes/encryption-config.yaml"
    (container,) = pod["spec"]["containers"]
    assert f"--encryption-provider-config={path}" in container["command"]
    assert [mount["readOnly"] for mount in container["volumeMounts"] if mount["mountPath"] == path] == [True]
    assert [volume["hostPath"]["type"] for volume in pod["spec"]["volumes"] if volume["hostPath"]["path"] == path] == [
        "File"
    ]


def test_a_foreign_encryption_config_is_left_alone(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    path = own_pki().folder / "encryption-config.yaml"
    path.write_text("resources: [{providers: [{kms: {}}]}]\n", encoding="utf-8")

    assert_refused(kcert("encryption-config"), 2, "as kcert writes it")
    assert "kms" in path.read_text(encoding="utf-8")


# --- the schemas of Kubernetes


@pytest.mark.thorough
@pytest.mark.parametrize("release", ["1.25", pytest.param("1.31", marks=pytest.mark.thorough), "1.37"])
def test_static_pods_and_objects_fit_the_schemas(unpacked: Callable[[str], Path], release: str) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    home = unpacked("kubeadm").parent
    objects = [
        document
        for path in (home / "unpacked/cp1/manifests").iterdir()
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]
    for component in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        text = Kcert(home).done("flags", component, "--format", "manifest", "--kubernetes-version", release).stdout
        objects.append(yaml.safe_load(text))

    for name in ("bootstrap-token.yaml", "bootstrap-rbac.yaml"):
        objects += yaml.safe_load_all((home / "pki/bootstrap" / name).read_text(encoding="utf-8"))

    assert {one["kind"] for one in objects} == {"Pod", "Secret", "ClusterRoleBinding"}
    for one in objects:
        validator.validate(one, release, strict=True)


def test_a_request_fits_the_schema(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    folder = own_pki().folder
    kcert.done("csr", "new", "jane", "--group", "developers", "-q")
    kcert.done("csr", "manifest", "jane", "--expires", "24h", "-q")

    document = yaml.safe_load((folder / "jane-csr.yaml").read_text(encoding="utf-8"))

    assert document["kind"] == "CertificateSigningRequest"
    for release in ("1.25", "1.37"):
        validator.validate(document, release, strict=True)


# --- the book's own commands


@pytest.mark.thorough
def test_the_books_own_commands_make_the_same_certificate(pki: Callable[[str, str], Pki], tmp_path: Path) -> None:
    """The lesson shows a ca.conf and three commands of the book, before kcert's three."""
    section = lessons.lesson("hard-way-kelsey").sections["One certificate, both ways"]
    lines = [line.removeprefix("    ") for line in section.splitlines() if line.startswith("    ") or not line]
    commands = [line for line in lines if line.startswith("openssl ")]
    conf = "\n".join(lines[: lines.index(commands[0])])
    own = pki("kelsey", "book").folder
    for name in ("ca.crt", "ca.key", "openssl-node-0.cnf"):
        shutil.copy(own / name, tmp_path)
    (tmp_path / "ca.conf").write_text(conf[conf.index("[req]") :], encoding="utf-8")
    assert len(commands) == 6

    made = []
    for three in (commands[:3], commands[3:]):
        for command in three:
            said = output([program("bash"), "-ec", command.replace(" 4096", " 2048")], tmp_path)
            if "Unknown option" in said.stderr:
                pytest.skip("-section and -copy_extensions need OpenSSL 3")
            assert said.status == 0, said.stderr
        made.append(judge.judged(judge.load(tmp_path / "node-0.crt")))
    made.append(judge.judged(judge.load(own / "node-0.crt")))

    seen = {(one.subject, one.names, one.basic, one.usages, frozenset(one.purposes), one.days) for one in made}
    assert len(seen) == 1
