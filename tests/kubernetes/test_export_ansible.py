"""What Ansible gets: Ansible itself reads the inventory, and runs the play against folders that stand for hosts."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import sys
import tarfile
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.clusters import PROFILES
from tests.refusals import assert_refused, snapshot
from tests.running import Ended, Kcert, output, program, representatives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.clusters import Pki

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")

READERS = {
    ("course", "etc/kubernetes/pki/kube-apiserver.key"): ["kube-apiserver"],
    ("course", "etc/kubernetes/pki/ca.key"): ["kube-controller-manager"],
    ("course", "etc/kubernetes/pki/service-account.key"): ["kube-apiserver", "kube-controller-manager"],
    ("hardway", "var/lib/kubernetes/admin.kubeconfig"): [],
    ("hardway", "var/lib/kubernetes/kube-scheduler.kubeconfig"): ["kube-scheduler"],
    ("kubeadm", "etc/kubernetes/pki/sa.pub"): ["kube-apiserver"],
    ("kubeadm", "etc/kubernetes/super-admin.conf"): [],
    ("kubeadm", "etc/kubernetes/kubelet.conf"): ["kubelet"],
}
"""The components to restart for some of the files of a control-plane host."""


@pytest.fixture(scope="module")
def exported(pki: Callable[[str, str], Pki], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``exported("course")``: what Ansible gets for the large cluster."""
    done: dict[str, Path] = {}

    def made(profile: str) -> Path:
        if profile not in done:
            done[profile] = tmp_path_factory.mktemp("ansible") / profile
            Kcert(pki(profile, "large").home).done("export", "ansible", "--no-explain", "--output", done[profile])
        return done[profile]

    return made


def inventory(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "inventory.yaml").read_text(encoding="utf-8"))["all"]
    return found


def ansible(name: str) -> str:
    """A program of Ansible: from PATH, or from the environment that the tests run in."""
    return program(name, str(Path(sys.executable).with_name(name)))


# --- the files


@pytest.mark.parametrize("profile", representatives(PROFILES))
def test_the_inventory_lists_what_the_bundles_hold(exported: Callable[[str], Path], profile: str) -> None:
    folder = exported(profile)
    hosts = inventory(folder)["hosts"]

    assert sorted(f"{host}.tar.gz" for host in hosts) == sorted(one.name for one in (folder / "bundles").iterdir())
    for host, variables in hosts.items():
        with tarfile.open(folder / "bundles" / f"{host}.tar.gz") as tar:
            packed = {f"/{one.name}": f"{one.mode:04o}" for one in tar.getmembers() if "/" in one.name}
        listed = variables["kcert_files"]
        assert {one["path"]: one["mode"] for one in listed} == packed
        assert all(one["secret"] == (one["mode"] == "0600") for one in listed)
        assert all(set(one["readers"]) <= set(COMPONENTS) for one in listed)


@pytest.mark.parametrize(("profile", "path"), READERS)
def test_each_file_tells_who_reads_it(exported: Callable[[str], Path], profile: str, path: str) -> None:
    files = inventory(exported(profile))["hosts"]["cp1"]["kcert_files"]

    assert [one["readers"] for one in files if one["path"] == f"/{path}"] == [READERS[profile, path]]


def test_only_the_owner_can_read_the_bundles(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki()

    said = kcert.done("export", "ansible")
    again = kcert.done("export", "ansible", "--no-explain")

    folder = kcert.folder / "export" / "ansible"
    assert {stat.S_IMODE(one.stat().st_mode) for one in (folder / "bundles").iterdir()} == {0o600}
    for one in (folder.parent, folder, folder / "bundles"):
        assert stat.S_IMODE(one.stat().st_mode) == 0o700
    assert "-i export/ansible/inventory.yaml export/ansible/install.yaml --check" in said.stdout
    assert "After each renewal run `kcert export ansible` again" in " ".join(said.stdout.split())
    assert "cluster-signing-cert-file" not in said.stdout
    assert "(2 files, 2 as before)" in again.stdout
    assert not list(folder.rglob("*Z"))


def test_no_key_is_outside_the_bundles(exported: Callable[[str], Path]) -> None:
    folder = exported("kubeadm")

    for path in folder.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert "PRIVATE KEY" not in text
        assert not re.search(r"[A-Za-z0-9+/]{60}", text), path


# --- Ansible's own word


@dataclass(frozen=True)
class Ansible:
    """Ansible, run on this machine against a folder for each host, with stand-ins for systemctl and crictl."""

    home: Path
    export: Path
    temporary: Path

    @property
    def commands(self) -> list[str]:
        """Return what the stand-ins were asked to change since this was asked last."""
        log = self.home / "log"
        said = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [line for line in said if re.match(r"systemctl restart|crictl stop", line)]

    def host(self, name: str) -> Path:
        """The folder that stands for the root of a host."""
        return self.home / "hosts" / name

    def run(self, name: str, *arguments: str | Path) -> Ended:
        """Run one of its programs to the end."""
        variables = {
            "HOME": str(self.home),
            "PATH": f"{self.home}:{os.environ['PATH']}",
            "TMPDIR": str(self.temporary),
            "LOG": str(self.home / "log"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",  # the same modules, but no file of their own for each of them
        }
        return output([ansible(name), "-i", self.export / "inventory.yaml", *arguments], self.home, **variables)

    def play(self, *arguments: str, play: Path | None = None) -> Ended:
        """Run the play, or another."""
        told = {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
            "ansible_remote_tmp": str(self.temporary),
            "kcert_root": f"{self.home}/hosts/{{{{ inventory_hostname }}}}",
            "kcert_owner": os.getuid(),
            "kcert_group": os.getgid(),
            "kcert_ports": {},
        }
        file = play or self.export / "install.yaml"
        return self.run("ansible-playbook", file, "--extra-vars", json.dumps(told), *arguments)

    def recap(self, ended: Ended) -> dict[str, dict[str, int]]:
        """The last lines: for each host how many tasks were ok, changed, failed."""
        lines = ended.stdout.partition("PLAY RECAP")[2].splitlines()
        rows = (line.split(" : ") for line in lines if " : " in line)
        return {
            host.strip(): {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", counts)}
            for host, counts in rows
        }


CONFUSING = """\
profile: hardway
key: {algorithm: ecdsa, curve: P-256}
control_plane: [{name: cp, ip: 10.0.0.1}]
etcd: [{name: etcd, ip: 10.0.0.2}, {name: nodes, ip: 10.0.0.3}]
nodes: [{name: etcd-host, ip: 10.0.0.4}, {name: all, ip: 10.0.0.5}]
"""

SYSTEMCTL = """\
#!/bin/sh
echo "systemctl $*" >> "$LOG"
case "$*" in
    "is-active --quiet kubelet" | "is-active --quiet kube-proxy") exit 0 ;;
    is-active*) exit 3 ;;
    show*) printf 'LoadState=loaded\\nActiveState=active\\nSubState=running\\n' ;;
esac
"""

CRICTL = """\
#!/bin/sh
echo "crictl $*" >> "$LOG"
case "$*" in "ps --name ^etcd$ --state Running --quiet") echo 0123abc ;; esac
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder with a short name: Ansible puts a socket there, whose path may have a hundred characters."""
    with tempfile.TemporaryDirectory(prefix="kcert-") as name:
        yield Path(name)


@pytest.fixture
def machine(exported: Callable[[str], Path], tmp_path: Path, temporary: Path) -> Ansible:
    """Ansible with the export of the large cluster, where etcd is a static pod, kubelet and kube-proxy are services."""
    ansible("ansible-playbook")
    export = tmp_path / "export"
    shutil.copytree(exported("course"), export)
    for name, text in (("systemctl", SYSTEMCTL), ("crictl", CRICTL)):
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    return Ansible(tmp_path, export, temporary)


@pytest.mark.thorough
def test_ansible_reads_the_inventory(machine: Ansible) -> None:
    ended = machine.run("ansible-inventory", "--list")

    assert ended.status == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["control_plane"]["hosts"] == ["cp1", "cp2", "cp3.example.com"]
    assert found["etcd"]["hosts"] == ["etcd1", "etcd2", "etcd3"]
    assert found["nodes"]["hosts"] == ["node01", "node02", "node03.example.com"]
    addresses = {host: found["_meta"]["hostvars"][host]["ansible_host"] for host in ("cp1", "etcd3", "node02")}
    assert addresses == {"cp1": "192.168.56.11", "etcd3": "fd00:56::43", "node02": "192.168.56.22"}
    assert found["_meta"]["hostvars"]["cp1"]["kcert_ports"]["kube-apiserver"] == 8443


@pytest.mark.thorough
def test_a_host_that_is_called_like_a_group_is_not_confused_with_it(kcert: Kcert, temporary: Path) -> None:
    ansible("ansible-playbook")
    (kcert.folder / "kcert.yaml").write_text(CONFUSING, encoding="utf-8")
    kcert.done("all", "--quiet")
    kcert.done("export", "ansible", "--no-explain")
    machine = Ansible(kcert.folder, kcert.folder / "export" / "ansible", temporary)

    ended = machine.run("ansible-playbook", machine.export / "install.yaml", "--list-hosts")

    assert ended.status == 0, ended.stderr
    assert "same name" not in ended.stderr
    first, second = ended.stdout.split("play #")[1:]
    assert sorted(re.findall(r"^      (\S+)$", first, re.MULTILINE)) == ["cp", "etcd-host-host", "nodes-host"]
    assert sorted(re.findall(r"^      (\S+)$", second, re.MULTILINE)) == ["all-host", "etcd-host"]
    assert inventory(machine.export)["hosts"]["etcd-host-host"]["kcert_bundle"] == "etcd.tar.gz"


@pytest.mark.thorough
def test_ansible_installs_a_bundle_once(machine: Ansible) -> None:
    """Only what reads a changed file is restarted: kube-proxy's was there. The second run changes nothing."""
    with tarfile.open(machine.export / "bundles" / "node01.tar.gz") as tar:
        kubeconfig = tar.extractfile("etc/kubernetes/kube-proxy.kubeconfig")
        assert kubeconfig is not None
        there = machine.host("node01") / "etc/kubernetes/kube-proxy.kubeconfig"
        there.parent.mkdir(parents=True)
        there.write_bytes(kubeconfig.read())
        there.chmod(0o600)

    ended = machine.play("--limit", "node01", "-vv")
    assert ended.status == 0, ended.stdout
    assert_installed(machine, "node01")
    assert_tells_no_key(machine.host("node01") / "etc/kubernetes/pki/node01.key", ended)
    assert machine.commands == ["systemctl restart kubelet"]
    assert list(machine.temporary.glob("kcert.*")) == []

    ended = machine.play("--limit", "node01")
    assert ended.status == 0, ended.stdout
    assert machine.recap(ended)["node01"]["changed"] == 0
    assert machine.commands == []


@pytest.mark.thorough
def test_a_static_pod_is_started_anew_by_stopping_its_container(machine: Ansible) -> None:
    play = machine.export / "one.yaml"
    tasks = [
        {"ansible.builtin.include_tasks": "tasks/restart.yaml", "vars": {"kcert_component": name}}
        for name in ("etcd", "kube-scheduler")
    ]
    play.write_text(yaml.safe_dump([{"hosts": "etcd2", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")

    ended = machine.play(play=play)

    assert ended.status == 0, ended.stdout
    assert machine.commands == ["crictl stop --timeout 30 0123abc"]
    assert "kube-scheduler reads files that have changed, and runs here neither as a service nor" in ended.stdout
    assert "etcd reads files that have changed" not in ended.stdout


@pytest.mark.thorough
def test_a_check_of_ansible_changes_nothing(machine: Ansible) -> None:
    ended = machine.play("--limit", "node01", "--check")

    assert ended.status == 0, ended.stdout
    assert machine.recap(ended)["node01"]["failed"] == 0
    assert not machine.host("node01").exists()
    assert machine.commands == []


@pytest.mark.thorough
def test_a_bundle_that_does_not_fit_the_inventory_is_refused_before_anything_changes(
    own_pki: Callable[..., Pki], kcert: Kcert, machine: Ansible
) -> None:
    """While the CA is changed over a host of the control plane gets a file more: the inventory of before lacks it."""
    own_pki()
    kcert.done("export", "ansible", "--no-explain")
    folder = kcert.folder / "export" / "ansible"
    kcert.done("renew", "ca", "--new-key", "--quiet")
    kcert.done("bundle", "--certificates-only", "--no-explain", "--output", folder / "bundles")
    machine = replace(machine, export=folder)

    ended = machine.play("--limit", "controlplane01")

    assert ended.status != 0
    said = " ".join(ended.stdout.split())
    assert "controlplane01.tar.gz does not hold the files that the inventory lists, so nothing was changed" in said
    assert "Only in the bundle: /etc/kubernetes/pki/ca-new.crt. Only in the inventory: none." in said
    assert machine.recap(ended)["controlplane01"]["changed"] == 0
    assert not machine.host("controlplane01").exists()
    assert machine.commands == []
    assert list(machine.temporary.glob("kcert.*")) == []


@pytest.mark.thorough
def test_an_export_after_each_step_of_a_change_over_fits_itself_and_keeps_what_was_edited(
    own_pki: Callable[..., Pki], kcert: Kcert
) -> None:
    own_pki()
    folder = kcert.folder / "export" / "ansible"
    kcert.done("export", "ansible", "--no-explain")
    edited = (folder / "inventory.yaml").read_text(encoding="utf-8") + "# by hand\n"
    (folder / "inventory.yaml").write_text(edited, encoding="utf-8")
    (folder / "group_vars").mkdir()
    (folder / "group_vars" / "all.yaml").write_text("ansible_user: me\n", encoding="utf-8")
    new = "/etc/kubernetes/pki/ca-new.crt"

    for step, changing in ((("ca", "--new-key"), True), (("--all",), True), (("ca", "--finish"), False)):
        kcert.done("renew", *step, "--quiet")
        said = " ".join(kcert.done("export", "ansible", "--no-explain").stdout.split())
        listed = [one["path"] for one in inventory(folder)["hosts"]["controlplane01"]["kcert_files"]]
        with tarfile.open(folder / "bundles" / "controlplane01.tar.gz") as tar:
            assert sorted(listed) == sorted(f"/{name}" for name in tar.getnames() if "/" in name)
        assert (new in listed) is changing
        assert (f"--cluster-signing-cert-file has to be {new} before the playbook restarts it" in said) is changing

    assert edited in [one.read_text(encoding="utf-8") for one in folder.glob("inventory.yaml.*")]
    assert (folder / "group_vars" / "all.yaml").read_text(encoding="utf-8") == "ansible_user: me\n"


def assert_installed(machine: Ansible, host: str) -> None:
    """Every file in the bundle of *host* is at its path, with its mode, and no other file."""
    root = machine.host(host)
    found = {
        str(path.relative_to(root)): (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
        for path in root.rglob("*")
        if path.is_file()
    }
    meant = {}
    with tarfile.open(machine.export / "bundles" / f"{host}.tar.gz") as tar:
        for member in tar.getmembers():
            inside = tar.extractfile(member)
            assert inside is not None
            meant[member.name] = (member.mode, inside.read())
    del meant["INSTALL.md"], meant["install.sh"]
    assert found == meant


def assert_tells_no_key(key: Path, ended: Ended) -> None:
    """Nothing of *key* is in what was printed."""
    lines = [line for line in key.read_text(encoding="utf-8").splitlines() if len(line) > 40]
    assert len(lines) > 2
    assert not any(line in ended.stdout + ended.stderr for line in lines)


# --- what is refused


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--output", "-"), 2, "several files. Specify a folder"),
        (("--output", "kcert.yaml"), 2, "kcert.yaml is not a folder"),
        (("--output", "kcert.yaml", "--dry-run"), 2, "kcert.yaml is not a folder"),
        (("--output", "kcert.yaml/x"), 3, "kcert.yaml/x cannot be created"),
        (("--output", "a\nb"), 2, "not a path that kcert writes to"),
        (("--namespace", "x"), 2, "No such option"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(
    own_pki: Callable[..., Pki], kcert: Kcert, arguments: tuple[str, ...], status: int, said: str
) -> None:
    made = own_pki()
    before = snapshot(made.home)

    assert_refused(kcert("export", "ansible", *arguments), status, said)

    assert snapshot(made.home) == before


def test_what_is_missing_is_named_with_the_command_that_makes_it(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    (made.folder / "node01.crt").unlink()
    before = snapshot(made.home)

    assert_refused(kcert("export", "ansible"), 2, "node01.crt is not in pki: `kcert kubelet` creates it")

    assert snapshot(made.home) == before
