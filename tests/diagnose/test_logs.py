"""`kcert logs`: which command prints a component's log, and what happens where it cannot."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kcert import logs, shell
from kcert.clusters import KINDS
from kcert.errors import InputError, ProgramError
from kcert.logs import LogRequest, Machine, locate

if TYPE_CHECKING:
    from pytest_subprocess import FakeProcess

GET_PODS = (
    "kubectl get pods -n kube-system -l component={} -o "
    "custom-columns=NAME:.metadata.name,NODE:.spec.nodeName --no-headers --request-timeout=5s"
)
REFUSED = "The connection to the server 192.168.56.30:6443 was refused - did you specify the right host or port?\n"
CONTAINER = "4c" * 32


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A host on which nothing is installed yet, and a user with a kubeconfig."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    return Machine(tmp_path, "controlplane01")


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The programs that are on PATH."""
    here: set[str] = set()
    monkeypatch.setattr(logs, "find", lambda name: f"/usr/bin/{name}" if name in here else None)
    return here


def add_unit(machine: Machine, name: str) -> None:
    path = machine.root / "etc/systemd/system" / f"{name}.service"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def add_manifest(machine: Machine, name: str) -> None:
    path = machine.root / "etc/kubernetes/manifests" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def format_command(wanted: LogRequest, machine: Machine) -> str:
    return " ".join(locate(wanted, machine).command.argv)


# --- the hard way


@pytest.mark.parametrize("name", ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"])
def test_a_unit_logs_to_the_journal(machine: Machine, name: str) -> None:
    add_unit(machine, name)
    assert format_command(LogRequest(name), machine) == f"journalctl -u {name} -l --no-pager"


def test_the_kubelet_is_a_unit_everywhere(machine: Machine) -> None:
    add_manifest(machine, "kube-apiserver")
    assert format_command(LogRequest("kubelet"), machine) == "journalctl -u kubelet -l --no-pager"


def test_the_journal_followed_and_from_when(machine: Machine) -> None:
    found = locate(LogRequest("kubelet", follow=True, since="1h30m"), machine)
    assert found.command.argv == ("journalctl", "-u", "kubelet", "-l", "--no-pager", "--since", "1h30m ago", "-f")


# --- kubeadm


def test_a_static_pod_is_asked_of_the_api_server(machine: Machine, fp: FakeProcess) -> None:
    add_manifest(machine, "etcd")
    fp.register(GET_PODS.format("etcd").split(), stdout="etcd-controlplane01   controlplane01\n")
    assert format_command(LogRequest("etcd"), machine) == "kubectl logs -n kube-system etcd-controlplane01"


def test_of_several_pods_this_hosts_own(machine: Machine, fp: FakeProcess) -> None:
    add_manifest(machine, "etcd")
    fp.register(GET_PODS.format("etcd").split(), stdout="etcd-a   a\netcd-controlplane01   controlplane01\n")
    found = locate(LogRequest("etcd", since="1d24h30s", follow=True), machine)
    assert found.command.argv == ("kubectl", "logs", "-n", "kube-system", "etcd-controlplane01", "--since=48h30s", "-f")
    assert "this host's of 2 pods" in found.why


def test_kube_proxy_is_a_daemon_set(machine: Machine, fp: FakeProcess) -> None:
    command = GET_PODS.replace("component={}", "k8s-app=kube-proxy").split()
    fp.register(command, stdout="kube-proxy-x7k2p   node01\n")
    assert format_command(LogRequest("kube-proxy"), machine) == "kubectl logs -n kube-system kube-proxy-x7k2p"


def test_kubeadms_kubeconfig_is_used_where_the_user_has_none(
    machine: Machine, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setattr(Path, "home", lambda: machine.root / "home")
    add_manifest(machine, "etcd")
    admin = machine.root / "etc/kubernetes/admin.conf"
    admin.touch()
    fp.register(["kubectl", "--kubeconfig", str(admin), *GET_PODS.format("etcd").split()[1:]], stdout="etcd-a a\n")
    assert format_command(LogRequest("etcd"), machine).startswith(f"kubectl --kubeconfig {admin} logs ")


def test_what_kubectl_prints_is_not_believed_to_be_a_name(machine: Machine, fp: FakeProcess) -> None:
    fp.register(GET_PODS.format("etcd").split(), stdout="--kubeconfig=/tmp/evil x\n\x1b[31m\n")
    with pytest.raises(ProgramError, match="finds no pod with the label component=etcd"):
        locate(LogRequest("etcd", via="kubectl"), machine)


# --- the API server is down


def test_crictl_when_the_api_server_is_down(machine: Machine, fp: FakeProcess, programs: set[str]) -> None:
    add_manifest(machine, "kube-apiserver")
    programs.add("crictl")
    fp.register(GET_PODS.format("kube-apiserver").split(), stderr=REFUSED, returncode=1)
    fp.register(["crictl", "ps", "-a", "--name", "^kube-apiserver$", "-q"], stdout=f"{CONTAINER}\n{'ab' * 32}\n")
    found = locate(LogRequest("kube-apiserver", since="10m"), machine)
    assert found.command.argv == ("crictl", "logs", "--since=10m", CONTAINER)
    assert "the API server does not answer" in found.why


def test_docker_on_old_clusters(machine: Machine, fp: FakeProcess, programs: set[str]) -> None:
    add_manifest(machine, "kube-apiserver")
    programs.add("docker")
    fp.register(GET_PODS.format("kube-apiserver").split(), stderr=REFUSED, returncode=1)
    fp.register(
        ["docker", "ps", "-a", "--filter", "name=^k8s_kube-apiserver_", "--format", "{{.ID}}"], stdout="4c5d6e7f8a9b\n"
    )
    assert format_command(LogRequest("kube-apiserver", follow=True), machine) == "docker logs -f 4c5d6e7f8a9b"


def test_no_kubectl_at_all(
    machine: Machine, fp: FakeProcess, programs: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    add_manifest(machine, "etcd")
    programs.add("crictl")
    fp.pass_command(GET_PODS.format("etcd").split())
    fp.register(["crictl", "ps", "-a", "--name", "^etcd$", "-q"], stdout=f"{CONTAINER}\n")
    assert format_command(LogRequest("etcd"), machine) == f"crictl logs {CONTAINER}"


def test_a_container_that_was_never_started_sends_to_the_kubelets_log(
    machine: Machine, fp: FakeProcess, programs: set[str]
) -> None:
    add_manifest(machine, "etcd")
    programs.add("crictl")
    fp.register(GET_PODS.format("etcd").split(), stderr=REFUSED, returncode=1)
    fp.register(["crictl", "ps", "-a", "--name", "^etcd$", "-q"], stdout="")
    with pytest.raises(ProgramError, match=r"never started etcd\. `kcert logs kubelet` says why"):
        locate(LogRequest("etcd"), machine)


def test_crictl_that_may_not_ask(machine: Machine, fp: FakeProcess) -> None:
    fp.register(
        ["crictl", "ps", "-a", "--name", "^etcd$", "-q"],
        stderr='time="x" level=fatal msg="validate service connection: permission denied\x1b[31m"\n',
        returncode=1,
    )
    with pytest.raises(ProgramError, match=r"`crictl ps` failed: .*permission denied") as raised:
        locate(LogRequest("etcd", via="crictl"), machine)
    assert "\x1b" not in str(raised.value)


def test_nothing_that_could_print_it(machine: Machine, fp: FakeProcess, programs: set[str]) -> None:
    assert not programs
    add_manifest(machine, "etcd")
    fp.register(GET_PODS.format("etcd").split(), stderr=REFUSED, returncode=1)
    with pytest.raises(ProgramError, match=r"/var/log/pods/kube-system_etcd-\*"):
        locate(LogRequest("etcd"), machine)


def test_a_component_that_is_not_here(machine: Machine, fp: FakeProcess, programs: set[str]) -> None:
    programs.add("docker")
    fp.register(GET_PODS.format("etcd").split(), stderr=REFUSED, returncode=1)
    with pytest.raises(InputError, match="neither a systemd unit nor a static pod on this machine"):
        locate(LogRequest("etcd"), machine)


# --- what was asked for


def test_via_is_obeyed_whatever_is_installed(machine: Machine, fp: FakeProcess) -> None:
    add_unit(machine, "etcd")
    fp.register(["crictl", "ps", "-a", "--name", "^etcd$", "-q"], stdout=f"{CONTAINER}\n")
    assert format_command(LogRequest("etcd", via="crictl"), machine) == f"crictl logs {CONTAINER}"


def test_kubectl_has_no_log_of_the_kubelet(machine: Machine) -> None:
    with pytest.raises(InputError, match="use --via journalctl"):
        locate(LogRequest("kubelet", via="kubectl"), machine)


@pytest.mark.parametrize(
    ("name", "near"),
    [("kube-apisrever", "kube-apiserver"), ("apiserver", "kube-apiserver"), ("etdc", "etcd"), ("Kubelet", "kubelet")],
)
def test_a_wrong_component_is_answered_with_the_near_ones(name: str, near: str) -> None:
    with pytest.raises(InputError, match=f"did you mean .*{near}"):
        logs.component(name)


@pytest.mark.parametrize("name", ["-f", "--since=1h", "etcd; rm", "", "etcd\n", "../etcd", "\x1b[31m"])
def test_a_component_is_never_an_option(name: str) -> None:
    with pytest.raises(InputError) as raised:
        logs.component(name)
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize("since", ["30s", "10m", "1h", "2d", "1h30m", "1w"])
def test_times_that_are_understood(since: str) -> None:
    assert logs.back(since) == since


@pytest.mark.parametrize("since", ["", "1", "h", "yesterday", "-1h", "--follow", "1h ago", "30m1h", "101y", "\u0661h"])
def test_times_that_are_not(since: str) -> None:
    with pytest.raises(InputError, match=r"--since .* is (?:not a duration: write 30d|more than)"):
        logs.back(since)


# --- running it


def test_the_log_is_handed_over(fp: FakeProcess) -> None:
    fp.register(["journalctl", "-u", "etcd"], returncode=0)
    logs.show(shell.Command(("journalctl", "-u", "etcd")))
    assert fp.call_count(["journalctl", "-u", "etcd"]) == 1


def test_a_log_command_that_fails(fp: FakeProcess) -> None:
    fp.register(["journalctl", "-u", "etcd"], returncode=1)
    with pytest.raises(ProgramError, match="journalctl ended with status 1"):
        logs.show(shell.Command(("journalctl", "-u", "etcd")))


def test_a_log_is_read_piece_by_piece(fp: FakeProcess) -> None:
    fp.register(["journalctl"], stdout=["one", "two"])
    assert list(logs.read_lines(shell.Command(("journalctl",)))) == [b"one\n", b"two\n"]


def test_a_log_that_breaks_off(fp: FakeProcess) -> None:
    fp.register(["journalctl"], stdout=["one"], returncode=2)
    with pytest.raises(ProgramError, match="status 2"):
        list(logs.read_lines(shell.Command(("journalctl",))))


def test_a_program_whose_reader_leaves_is_ended() -> None:
    began: list[int] = []

    def leave() -> None:
        with shell.stream(shell.Command(("bash", "-c", "echo $$; exec yes"))) as running:
            assert running.stdout
            began.append(int(running.stdout.readline()))
            raise KeyError

    with pytest.raises(KeyError):
        leave()
    with pytest.raises(ProcessLookupError):
        os.kill(began[0], 0)


def test_a_log_program_that_is_missing() -> None:
    with (
        pytest.raises(ProgramError, match="no-such-program is not installed"),
        shell.stream(shell.Command(("no-such-program",))),
    ):
        pass


@pytest.mark.parametrize(
    ("kind", "units", "component", "argv"),
    [
        ("k3s", ("k3s",), "kube-apiserver", "journalctl -u k3s -l --no-pager"),
        ("k3s", ("k3s-agent",), "kubelet", "journalctl -u k3s-agent -l --no-pager"),
        ("rke2", ("rke2-server",), "kubelet", "journalctl -u rke2-server -l --no-pager"),
        ("k0s", ("k0scontroller",), "etcd", "journalctl -u k0scontroller -l --no-pager"),
        (
            "microk8s",
            ("snap.microk8s.daemon-kubelite",),
            "kube-scheduler",
            "journalctl -u snap.microk8s.daemon-kubelite -l --no-pager",
        ),
        ("rke1", (), "kube-controller-manager", "docker logs kube-controller-manager"),
        ("kops", (), "kube-apiserver", "tail -n +1 -- /var/log/kube-apiserver.log"),
    ],
)
def test_a_kind_of_cluster_logs_where_its_table_says(
    kind: str, units: tuple[str, ...], component: str, argv: str, tmp_path: Path
) -> None:
    mark = next(mark for mark in KINDS[kind].marks if not mark.startswith("~"))
    (tmp_path / mark.lstrip("/")).mkdir(parents=True)
    for unit in units:
        path = tmp_path / "etc/systemd/system" / f"{unit}.service"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("[Service]\n")
    source = locate(LogRequest(component), Machine(tmp_path, "n1"))
    assert " ".join(source.command.argv) == argv
    assert KINDS[kind].title in source.why
