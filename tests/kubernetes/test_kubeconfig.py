"""Kubeconfigs: real kubectl reads them, and over mutual TLS the API server knows who shows which."""

from __future__ import annotations

import base64
import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.clusters import PROFILES
from tests.running import Kcert, output, program, representatives

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki
    from tests.kubernetes.api_server import ApiServer

MASTERS, NODES = "system:masters", "system:nodes"
SCHEDULER, MANAGER = "system:kube-scheduler", "system:kube-controller-manager"

CALLERS = {
    "course": {
        "admin.kubeconfig": ("kube-admin", [MASTERS]),
        "kube-scheduler.kubeconfig": (SCHEDULER, [SCHEDULER]),
        "kube-controller-manager.kubeconfig": (MANAGER, [MANAGER]),
        "kube-proxy.kubeconfig": ("system:kube-proxy", ["system:node-proxier"]),
        "kubelet-client-node01.kubeconfig": ("system:node:node01", [NODES]),
        "jane.kubeconfig": ("jane", ["developers", "team:blue"]),
        "ci-deployer.kubeconfig": ("ci:deployer", []),
    },
    "hardway": {
        "admin.kubeconfig": ("admin", [MASTERS]),
        "kube-scheduler.kubeconfig": (SCHEDULER, [SCHEDULER]),
        "kube-controller-manager.kubeconfig": (MANAGER, [MANAGER]),
        "kube-proxy.kubeconfig": ("system:kube-proxy", ["system:node-proxier"]),
        "node01.kubeconfig": ("system:node:node01", [NODES]),
        "jane.kubeconfig": ("jane", ["developers", "team:blue"]),
        "ci-deployer.kubeconfig": ("ci:deployer", []),
    },
    "kubeadm": {
        "admin.conf": ("kubernetes-admin", ["kubeadm:cluster-admins"]),
        "super-admin.conf": ("kubernetes-super-admin", [MASTERS]),
        "hosts/cp1/scheduler.conf": (SCHEDULER, []),
        "hosts/cp2/controller-manager.conf": (MANAGER, []),
        "hosts/cp2/kubelet.conf": ("system:node:cp2", [NODES]),
        "hosts/node01/kubelet.conf": ("system:node:node01", [NODES]),
        "jane.conf": ("jane", ["developers", "team:blue"]),
        "ci-deployer.conf": ("ci:deployer", []),
    },
}
"""Whom the API server sees, by the name of the kubeconfig's file."""

THE_FOUR = ("set-cluster", "set-credentials", "set-context", "use-context")


def kubectl(*arguments: str | Path, kubeconfig: Path) -> Any:
    """Run kubectl with a kubeconfig, and nothing of the developer's own."""
    return output([program("kubectl"), *arguments], KUBECONFIG=str(kubeconfig), HOME=str(kubeconfig.parent))


def read(path: Path) -> Any:
    """A kubeconfig as PyYAML reads it."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def server_of(path: Path) -> str:
    """The server that a kubeconfig talks to."""
    return str(read(path)["clusters"][0]["cluster"]["server"])


@pytest.mark.thorough
@pytest.mark.parametrize("profile", representatives(PROFILES))
def test_the_api_server_knows_everybody_by_their_kubeconfig(
    pki: Callable[[str, str], Pki], api: Callable[[str, str], ApiServer], profile: str, tmp_path: Path
) -> None:
    made = pki(profile, "large")
    Kcert(made.home).done("kubeconfig", "--server", api(profile, "large").url, "--output", tmp_path)

    for file, (user, groups) in CALLERS[profile].items():
        said = kubectl("auth", "whoami", "--output", "json", kubeconfig=tmp_path / file)
        assert said.status == 0, (file, said.stderr)
        info = json.loads(said.stdout)["status"]["userInfo"]
        assert info["username"] == user
        assert info["groups"] == [*groups, "system:authenticated"]


@pytest.mark.thorough
def test_kubectl_lists_what_it_finds_in_each(pki: Callable[[str, str], Pki], tmp_path: Path) -> None:
    made = pki("course", "large")
    Kcert(made.home).done("kubeconfig", "--output", tmp_path)

    for file, (user, _) in CALLERS["course"].items():
        listed = kubectl("config", "get-contexts", "--no-headers", kubeconfig=tmp_path / file).stdout.split()
        name = "ci:deployer" if file.startswith("ci-") else file.rpartition(".")[0]
        assert listed[:4] == ["*", f"{name}@prod-eu", "prod-eu", user]
        viewed = kubectl("config", "view", "--output", "json", kubeconfig=tmp_path / file).stdout
        assert json.loads(viewed)["users"][0]["user"]["client-key-data"] == "DATA+OMITTED"


def test_the_small_api_server_lets_nobody_do_anything_else(
    pki: Callable[[str, str], Pki], api: Callable[[str, str], ApiServer], tmp_path: Path
) -> None:
    """Otherwise the tests above would prove less than they say."""
    running = api("course", "small")
    Kcert(pki("course", "small").home).done("kubeconfig", "admin", "--server", running.url, "-o", tmp_path / "config")

    said = kubectl("get", "--raw", "/api/v1/secrets", kubeconfig=tmp_path / "config")

    assert said.status != 0
    assert "Forbidden" in said.stderr


def test_a_kubeconfig_of_another_cluster_is_refused(
    pki: Callable[[str, str], Pki], api: Callable[[str, str], ApiServer], tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger"
    Kcert(pki("hardway", "small").home).done(
        *("kubeconfig", "admin", "--server", api("course", "small").url, "--output", stranger)
    )

    said = kubectl("auth", "whoami", kubeconfig=stranger)

    assert said.status != 0
    assert "certificate signed by unknown authority" in said.stderr


@pytest.mark.parametrize(
    ("profile", "form"),
    [
        ("hardway", "--no-embed"),
        pytest.param("course", "--embed", marks=pytest.mark.thorough),
        pytest.param("course", "--no-embed", marks=pytest.mark.thorough),
        pytest.param("hardway", "--embed", marks=pytest.mark.thorough),
    ],
)
def test_kcert_and_kubectl_make_the_same(own_pki: Callable[..., Pki], kcert: Kcert, profile: str, form: str) -> None:
    made = own_pki(profile)
    names = [path.name for path in made.folder.glob("*.key") if path.stem in ("admin", "kube-scheduler", "kube-proxy")]
    files = [made.folder / f"{name.removesuffix('.key')}.kubeconfig" for name in names]
    kcert.done("kubeconfig", "admin", "kube-scheduler", "kube-proxy", form)
    by_kcert = [kubectl("config", "view", "--raw", kubeconfig=file).stdout for file in files]
    texts = [file.read_text(encoding="utf-8") for file in files]
    for file in files:
        file.unlink()

    shown = kcert.done("kubeconfig", "admin", "kube-scheduler", "kube-proxy", form, "--via", "kubectl").stdout

    assert [kubectl("config", "view", "--raw", kubeconfig=file).stdout for file in files] == by_kcert
    assert [yaml.safe_load(text) for text in texts] == [read(file) for file in files]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3
    for word in THE_FOUR:
        assert shown.count(f"kubectl config {word} ") == 3


@pytest.mark.thorough
def test_with_a_prefix_both_name_the_same_paths(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    program("kubectl")
    made = own_pki("hardway")
    wish = ("kubeconfig", "kube-scheduler", "--no-embed", "--path-prefix", "/var/lib/kubernetes/pki")
    kcert.done(*wish)
    file = made.folder / "kube-scheduler.kubeconfig"
    by_kcert = read(file)
    file.unlink()
    kcert.done(*wish, "--via", "kubectl")

    assert read(file) == by_kcert
    assert by_kcert["clusters"][0]["cluster"]["certificate-authority"] == "/var/lib/kubernetes/pki/ca.crt"
    assert by_kcert["users"][0]["user"] == {
        "client-certificate": "/var/lib/kubernetes/pki/kube-scheduler.crt",
        "client-key": "/var/lib/kubernetes/pki/kube-scheduler.key",
    }


@pytest.mark.thorough
def test_in_kubeadm_kubectl_makes_the_conf_that_kcert_all_made(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    program("kubectl")
    made = own_pki("kubeadm")
    conf = made.folder / "admin.conf"
    before = read(conf)
    kept = kcert.done("kubeconfig", "admin", "--no-explain").stdout
    broken = {**before, "current-context": "elsewhere"}
    conf.write_text(yaml.safe_dump(broken), encoding="utf-8")

    kcert.done("kubeconfig", "admin", "--via", "kubectl")

    assert "unchanged" in kept
    assert read(conf) == before
    assert not list(made.folder.glob("admin.key"))


def test_the_commands_on_the_screen_make_the_file(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    """What is shown is what runs: the lines are taken from the screen and typed into bash."""
    bash = program("bash")
    program("kubectl")
    made = own_pki()
    shown = kcert.done("kubeconfig", "kubelet-client-node01").stdout
    file = made.folder / "kubelet-client-node01.kubeconfig"
    by_kcert = read(file)
    file.unlink()
    typed = [line for line in shown.splitlines() if line.startswith("    ") and "->" not in line]

    ended = output([bash, "-e"], made.home, "\n".join(typed))

    assert ended.status == 0, ended.stderr
    assert read(file) == by_kcert


@pytest.mark.thorough
def test_in_kubeadm_the_commands_on_the_screen_make_the_conf_and_leave_no_loose_key(
    own_pki: Callable[..., Pki], kcert: Kcert
) -> None:
    program("kubectl")
    made = own_pki("kubeadm")
    file = made.folder / "hosts/node01/kubelet.conf"
    shown = kcert.done("kubeconfig", "kubelet-node01").stdout
    typed = [line for line in shown.splitlines() if line.startswith("    ") and "->" not in line]
    before, names = read(file), {path.name for path in made.folder.rglob("*.key")}
    # The last of them deletes the extracted files: their mode is looked at before.
    modes = f"stat -c %a {file.with_suffix('.key')}"

    ended = output([program("bash"), "-e"], made.home, "\n".join([*typed[:-1], modes, typed[-1]]))

    assert ended.status == 0, ended.stderr
    assert ended.lines[-1] == "600"
    assert read(file) == before
    assert {path.name for path in made.folder.rglob("*.key")} == names


def test_each_profile_has_its_own_servers(pki: Callable[[str, str], Pki], tmp_path: Path) -> None:
    beside, balancer = "https://127.0.0.1:6443", "https://192.168.56.30:8443"
    expected = {
        ("course", "admin.kubeconfig"): balancer,
        ("course", "kube-scheduler.kubeconfig"): balancer,
        ("course", "kubelet-client-node01.kubeconfig"): balancer,
        ("hardway", "admin.kubeconfig"): beside,
        ("hardway", "kube-controller-manager.kubeconfig"): beside,
        ("hardway", "kube-scheduler.kubeconfig"): beside,
        ("hardway", "kube-proxy.kubeconfig"): balancer,
        ("hardway", "node01.kubeconfig"): balancer,
        ("hardway", "jane.kubeconfig"): balancer,
        ("kubeadm", "admin.conf"): balancer,
    }
    for profile in PROFILES:
        (tmp_path / profile).mkdir()
        Kcert(pki(profile, "large").home).done("kubeconfig", "--output", tmp_path / profile)

    assert {key: server_of(tmp_path.joinpath(*key)) for key in expected} == expected


def test_what_is_there_and_equal_is_left_alone(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    kcert.done("kubeconfig", "admin")
    file = made.folder / "admin.kubeconfig"
    before = file.stat()

    said = kcert.done("kubeconfig", "admin").stdout

    assert "unchanged" in said
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert stat.S_IMODE(before.st_mode) == 0o600


def test_what_is_there_and_differs_goes_to_the_backup(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    file = made.folder / "admin.kubeconfig"
    file.write_text("somebody's own\n", encoding="utf-8")

    said = kcert.done("kubeconfig", "admin").stdout

    assert "backup" in said
    kept = list((made.folder / ".kcert" / "backup").glob("*/admin.kubeconfig"))
    assert [path.read_text(encoding="utf-8") for path in kept] == ["somebody's own\n"]
    assert server_of(file) == "https://127.0.0.1:6443"


def test_a_user_who_is_not_in_the_file_but_has_a_certificate(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    kcert.done("client", "bob", "--group", "ops", "--quiet")

    kcert.done("kubeconfig", "bob")

    found = read(made.folder / "bob.kubeconfig")
    shown = base64.b64decode(found["users"][0]["user"]["client-certificate-data"])
    assert shown == (made.folder / "bob.crt").read_bytes()
    assert found["contexts"] == [{"name": "bob@kubernetes", "context": {"cluster": "kubernetes", "user": "bob"}}]


def test_short_names_and_a_server_without_a_scheme_are_understood(
    pki: Callable[[str, str], Pki], tmp_path: Path
) -> None:
    """`kubelet` is every node's kubelet, and HOST:PORT is https."""
    made = pki("course", "large")
    (tmp_path / "out").mkdir()

    for name in ("kubelet", "scheduler"):
        Kcert(made.home).done("kubeconfig", name, "--server", "lb.example.com:8443", "--output", tmp_path / "out")

    users = {read(path)["users"][0]["name"] for path in (tmp_path / "out").iterdir()}
    nodes = ("node01", "node02", "node03.example.com")
    assert users == {*(f"system:node:{node}" for node in nodes), "system:kube-scheduler"}
    for path in (tmp_path / "out").iterdir():
        assert read(path)["clusters"][0]["cluster"]["server"] == "https://lb.example.com:8443"


@pytest.mark.parametrize("profile", representatives(["kubeadm", "course"]))
def test_the_script_of_a_dry_run_makes_the_same_with_kubectl(
    own_pki: Callable[..., Pki], kcert: Kcert, profile: str
) -> None:
    program("kubectl")
    made = own_pki(profile)
    kcert.done("kubeconfig", "admin", "--quiet")
    name = "admin.conf" if profile == "kubeadm" else "admin.kubeconfig"
    before = read(made.folder / name)

    ended = output(["bash", "-c", kcert.done("kubeconfig", "admin", "--dry-run").stdout], made.home)

    assert ended.status == 0, ended.stderr
    after = read(made.folder / name)
    assert {key: after[key] for key in before if key != "preferences"} == {
        key: before[key] for key in before if key != "preferences"
    }
    assert (made.folder / name).stat().st_mode & 0o777 == 0o600


def test_quietly_it_is_a_line_for_each(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()

    assert kcert.done("kubeconfig", "admin", "-q").stdout == "admin  admin.kubeconfig  written\n"
    assert kcert.done("kubeconfig", "admin", "-q").stdout == "admin  admin.kubeconfig  current\n"
    (made.folder / "admin.kubeconfig").write_text("old")
    assert kcert.done("kubeconfig", "admin", "-q").stdout == "admin  admin.kubeconfig  replaced\n"
    merged = kcert.done("kubeconfig", "admin", "-q", "--merge", "config").stdout
    assert merged == "admin  config  written\n"
    assert kcert.done("kubeconfig", "admin", "-q", "--output", "x.conf").stdout == "admin  x.conf  written\n"


def test_on_the_screen_is_the_file_and_nothing_else(pki: Callable[[str, str], Pki]) -> None:
    said = Kcert(pki("course", "small").home).done("kubeconfig", "admin", "--output", "-", "--context", "lab").stdout

    found = yaml.safe_load(said)
    assert found["current-context"] == "lab"
    assert found["users"][0]["name"] == "kube-admin"


def test_a_kubeconfig_elsewhere_names_absolute_paths(pki: Callable[[str, str], Pki], tmp_path: Path) -> None:
    made = pki("course", "small")
    Kcert(made.home).done("kubeconfig", "admin", "--no-embed", "--output", tmp_path / "config")

    user = read(tmp_path / "config")["users"][0]["user"]
    assert user["client-key"] == str(made.folder / "admin.key")


def test_a_kubeconfig_elsewhere_is_for_its_owner_alone_and_costs_nothing(
    pki: Callable[[str, str], Pki], tmp_path: Path
) -> None:
    kcert, config, folder = Kcert(pki("course", "small").home), tmp_path / "config", tmp_path / "folder"
    config.write_text("somebody's own\n", encoding="utf-8")
    config.chmod(0o644)
    folder.mkdir()

    said = kcert.done("kubeconfig", "admin", "--output", config).stdout
    kcert.done("kubeconfig", "--output", folder)

    made = [config, *folder.iterdir()]
    assert len(made) == 6  # one, and all five
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}
    (copy,) = tmp_path.glob("config.*")
    assert copy.read_text(encoding="utf-8") == "somebody's own\n"
    assert copy.name in "".join(said.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nobody",), ["'nobody' has no certificate", "kcert client nobody"]),
        (("admn",), ["did you mean admin"]),
        (("ca",), ["ca is not a client of the API server. The clients are: admin, "]),
        (("admin", "--server", "http://127.0.0.1"), ["https:// is expected"]),
        (("admin", "--server", "https://127.0.0.1:70000"), ["70000 is not a TCP port"]),
        (("admin", "--server", "https://a b"), ["--server"]),
        (("admin", "--context", "no/slash"), ["--context 'no/slash'"]),
        (("admin", "--path-prefix", "/x"), ["--no-embed"]),
        (("admin", "--no-embed", "--path-prefix", "a\nb"), ["--path-prefix 'a\\nb'"]),
        (("admin", "--output", "a", "--merge", "b"), ["--output cannot be combined with --merge"]),
        (("admin", "kube-proxy", "--output", "one-file"), ["2 kubeconfigs do not fit into one file"]),
        (("--output", "-"), ["specify one of them"]),
        (("admin", "--output", "no/such/folder/config"), ["there is no folder no/such/folder"]),
        (("admin", "--output", "/dev/null"), ["/dev/null is not a regular file"]),
        (("admin", "--merge", "pki"), ["pki is a folder"]),
        (("kube-apiserver",), ["kube-apiserver is not a client of the API server. The clients are: admin, "]),
        (("admin", "--via", "kubectl", "--output", "x"), ["--via kubectl cannot be combined with"]),
    ],
)
def test_bad_input_is_refused_with_words(
    own_pki: Callable[..., Pki], kcert: Kcert, arguments: tuple[str, ...], words: list[str]
) -> None:
    made = own_pki()
    before = sorted(made.home.rglob("*"))

    ended = kcert("kubeconfig", *arguments)

    assert ended.status == 2
    assert [word for word in words if word not in " ".join(ended.stderr.split())] == []
    assert sorted(made.home.rglob("*")) == before


def test_in_kubeadm_a_conf_talks_to_what_kcert_yaml_says(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki("kubeadm")
    conf = made.folder / "admin.conf"
    before = conf.read_bytes()
    conf.write_bytes(before.replace(b"127.0.0.1:6443", b"192.0.2.1:6443"))

    refused = kcert("kubeconfig", "admin", "--server", "https://192.0.2.1:6443")
    unlinked = kcert("kubeconfig", "admin", "--no-embed")
    kcert.done("kubeconfig", "admin")

    assert (refused.status, refused.stdout, unlinked.status) == (2, "", 2)
    assert "admin.conf has the value in kcert.yaml" in " ".join(refused.stderr.split())
    assert conf.read_bytes() == before
    assert list((made.folder / ".kcert" / "backup").glob("*/admin.conf"))


def test_a_missing_certificate_names_the_command_that_makes_it(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    (made.folder / "admin.crt").unlink()

    ended = kcert("kubeconfig", "admin")

    assert ended.status == 2
    assert "admin.crt is not in pki: `kcert client admin` creates it" in " ".join(ended.stderr.split())
    assert not (made.folder / "admin.kubeconfig").exists()


def test_a_stale_certificate_names_the_command_that_renews_it(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    for ending in ("crt", "key"):
        (made.folder / f"admin.{ending}").write_bytes((made.folder / f"kube-proxy.{ending}").read_bytes())

    ended = kcert("kubeconfig", "admin")

    assert ended.status == 2
    assert "admin.crt is stale" in ended.stderr
    assert "`kcert renew admin --stale` renews it" in " ".join(ended.stderr.split())
    # Without --stale it would be renewed as it is: still not admin's.
    kcert.done("renew", "admin", "--stale", "--quiet")
    assert "admin.kubeconfig" in kcert.done("kubeconfig", "admin", "--no-explain").stdout


@pytest.mark.parametrize("command", [["kubeconfig", "admin"], ["bundle", "controlplane01"]], ids=" ".join)
def test_a_fifo_in_the_place_of_a_kubeconfig_is_not_waited_for(
    own_pki: Callable[..., Pki], kcert: Kcert, command: list[str]
) -> None:
    made = own_pki("hardway")
    os.mkfifo(made.folder / "admin.kubeconfig")

    ended = kcert(*command)

    assert ended.status in (2, 3)
    assert "admin.kubeconfig cannot be read: it is not a regular file" in " ".join(ended.stderr.split())


def test_a_ca_with_a_key_in_its_file_is_not_handed_out(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    ca = made.folder / "ca.crt"
    ca.write_bytes(ca.read_bytes() + (made.folder / "ca.key").read_bytes())

    ended = kcert("kubeconfig", "admin")

    assert ended.status == 2
    assert "ca.crt also contains a private key" in " ".join(ended.stderr.split())
    assert not (made.folder / "admin.kubeconfig").exists()


def test_without_kubectl_via_kubectl_says_what_to_do(own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path) -> None:
    own_pki()
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "openssl").symlink_to(program("openssl"))

    ended = kcert("kubeconfig", "admin", "--via", "kubectl", variables={"PATH": str(tools)})

    assert ended.status == 3
    assert "kubectl is not installed" in ended.stderr
    assert "Without --via kubectl," in " ".join(ended.stderr.split())


def test_a_folder_that_may_not_be_written_is_the_machines_fault(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path
) -> None:
    own_pki()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    ended = kcert("kubeconfig", "admin", "--output", "loop")

    assert ended.status == 3
    assert "loop cannot be written" in ended.stderr
