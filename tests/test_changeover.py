"""A CA is renewed, with the same key and with a new one, and no client is rejected meanwhile."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests import judge
from tests.running import Kcert, after_reading, free_port, kill_group, output, program, representatives, wait_until
from tests.test_certificates import conf
from tests.test_handshakes import Side, client, server, shake_hands
from tests.test_renew import files_of, recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.clusters import Pki

API_SERVER = "kubernetes.default"


class Snapshot:
    """The files of a PKI folder as they are now, as they would lie on some host that got them."""

    def __init__(self, pki: Path, scratch: Path) -> None:
        self.folder = scratch
        shutil.copytree(pki, scratch, ignore=shutil.ignore_patterns(".kcert"))
        self.ca = scratch / "ca.crt"

    def side(self, name: str) -> Side:
        """Certificate and key of *name*, to be shown in a handshake."""
        return Side(self.folder, f"{name}.crt", self.folder)


def talk(serving: Snapshot, dialling: Snapshot) -> bytes:
    """Connect as the administrator with the files of *dialling* to an API server with *serving*; both verify."""
    there = server(serving.side("kube-apiserver"), serving.ca)
    here = client(dialling.ca, dialling.side("admin"))
    return shake_hands(there, here, API_SERVER)


@pytest.fixture
def snapshot(own_pki: Callable[..., Pki], tmp_path: Path) -> Callable[[str], Snapshot]:
    """``snapshot("before")``: the PKI folder of this test as it is now."""
    folder = own_pki("course").folder

    def taken(name: str) -> Snapshot:
        return Snapshot(folder, tmp_path / f"snapshot-{name}")

    return taken


@pytest.mark.thorough
def test_with_the_same_key_old_and_new_files_go_together(snapshot: Callable[[str], Snapshot], kcert: Kcert) -> None:
    before = snapshot("before")
    kcert.done("renew", "ca", "--days", "4000")
    after = snapshot("after")
    kcert.done("renew", "--all", "--quiet")
    later = snapshot("later")

    assert judge.judged(judge.load(after.ca)).days == pytest.approx(4000)
    for serving in (before, after, later):
        for dialling in (before, after, later):
            assert talk(serving, dialling) == b"a word"


def test_with_a_new_key_each_stage_goes_with_the_one_before_and_the_one_after(
    snapshot: Callable[[str], Snapshot], kcert: Kcert
) -> None:
    stages = [snapshot("before")]
    for number, arguments in enumerate((("ca", "--new-key"), ("--all",), ("ca", "--finish"))):
        for _ in range(2):  # each can be repeated
            kcert.done("renew", *arguments, "--quiet")
        stages.append(snapshot(f"stage-{number}"))

    for number, serving in enumerate(stages):
        for other, dialling in enumerate(stages):
            if abs(number - other) <= 1:
                assert talk(serving, dialling) == b"a word", (number, other)
    with pytest.raises(Exception, match=r"(?i)verify|unknown ca|certificate"):
        talk(stages[3], stages[0])


@pytest.mark.thorough
def test_during_the_change_over_the_plan_tells_which_leaves_are_left(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder
    leaves = len([line for line in kcert.done("plan", "--wide").lines[1:] if line.split()[2] != "ca"])
    kcert.done("renew", "ca", "--new-key", "--quiet")

    assert (folder / "ca.crt").read_text(encoding="ascii").count("BEGIN CERTIFICATE") == 2
    stale = [line for line in kcert.done("plan").lines[1:] if line.startswith("stale")]
    assert len(stale) == leaves
    assert "the outgoing CA signed it" in kcert.done("all").stdout.replace("\n", " ")
    too_early = kcert("renew", "ca", "--finish")
    assert too_early.status == 2
    assert "certificates signed by the outgoing CA are still in use: admin" in " ".join(too_early.stderr.split())
    again = kcert("renew", "ca")
    assert again.status == 2
    assert "a CA rotation is under way" in " ".join(again.stderr.split())

    kcert.done("renew", "--all", "--quiet")
    assert all(line.startswith("current") for line in kcert.done("plan").lines[1:])
    kcert.done("renew", "ca", "--finish", "--quiet")
    assert (folder / "ca.crt").read_text(encoding="ascii").count("BEGIN CERTIFICATE") == 1
    assert not (folder / "ca-new.crt").exists()
    assert judge.matches((folder / "ca.key").read_bytes(), judge.load(folder / "ca.crt"))


@pytest.mark.thorough
@pytest.mark.parametrize("profile", representatives(["kubeadm", "course"]))
def test_the_hosts_can_be_given_what_each_stage_made(own_pki: Callable[..., Pki], kcert: Kcert, profile: str) -> None:
    """Both CAs go out while the leaves are still the old one's; who signs with one CA alone gets the new one alone."""
    own = own_pki(profile)
    place, folder = "etc/kubernetes/pki", own.folder / ("pki" if profile == "kubeadm" else "")
    (own.home / "out").mkdir()

    def packed() -> dict[str, bytes]:
        kcert.done("bundle", "controlplane01", "--no-explain", "--output", "out")
        with tarfile.open(own.home / "out/controlplane01.tar.gz") as tar:
            return {one.name: (tar.extractfile(one) or io.BytesIO()).read() for one in tar.getmembers()}

    def signs_with() -> str:
        flags = kcert.done("flags", "kube-controller-manager", "--format", "flags").stdout
        (found,) = re.findall(r"--cluster-signing-cert-file=(\S+)", flags)
        return str(found)

    for stage in (["ca", "--new-key"], ["--all"]):
        kcert.done("renew", *stage, "--quiet")
        brought = packed()
        assert brought[f"{place}/ca.crt"].count(b"BEGIN CERTIFICATE") == 2
        assert brought[f"{place}/ca-new.crt"] == (folder / "ca-new.crt").read_bytes()
        assert brought[f"{place}/ca-new.crt"].count(b"BEGIN CERTIFICATE") == 1
        assert signs_with() == f"/{place}/ca-new.crt"
        assert judge.matches(brought[f"{place}/ca.key"], judge.load(folder / "ca-new.crt"))
    kcert.done("renew", "ca", "--finish", "--quiet")
    assert f"{place}/ca-new.crt" not in packed()
    assert signs_with() == f"/{place}/ca.crt"


@pytest.mark.thorough
@pytest.mark.parametrize("name", representatives(["ca", "etcd-ca", "front-proxy-ca"]))
def test_each_of_kubeadms_cas_changes_over_by_itself(own_pki: Callable[..., Pki], kcert: Kcert, name: str) -> None:
    folder = own_pki("kubeadm").folder
    file = {"ca": "pki/ca.crt", "etcd-ca": "pki/etcd/ca.crt", "front-proxy-ca": "pki/front-proxy-ca.crt"}[name]
    others = {path: content for path, content in files_of(folder).items() if path.endswith("ca.crt") and path != file}

    kcert.done("renew", name, "--new-key", "--quiet")
    both = (folder / file).read_text(encoding="ascii")
    trusted = conf(folder / "admin.conf")["ca"]
    kcert.done("renew", "--all", "--quiet")
    kcert.done("renew", name, "--finish", "--quiet")

    assert both.count("BEGIN CERTIFICATE") == 2
    if name == "ca":
        assert trusted == both
    assert conf(folder / "admin.conf")["ca"] == (folder / "pki/ca.crt").read_text(encoding="ascii")
    assert {path: files_of(folder)[path] for path in others} == others
    assert all(line.startswith("current") for line in kcert.done("plan").lines[1:])


def test_a_kill_at_the_end_of_a_change_over_is_made_good_by_the_next_run(
    own_pki: Callable[..., Pki], kcert: Kcert
) -> None:
    """What is written down to be put away is put away, with a copy of it in the backup."""
    folder = own_pki("course").folder
    kcert.done("renew", "ca", "--new-key", "--quiet")
    alone = (folder / "ca-new.crt").read_bytes()
    staging = folder / ".kcert/staging/1-1"
    staging.mkdir(parents=True)
    (staging / "ca.crt").write_bytes(alone)
    journal = {"backup": "of-the-kill", "files": ["ca.crt"], "retires": ["ca-new.crt"]}
    (staging / "publish.json").write_text(json.dumps(journal), encoding="utf-8")

    kcert.done("all", "--quiet")

    assert (folder / "ca.crt").read_bytes() == alone
    assert not (folder / "ca-new.crt").exists()
    assert (folder / ".kcert/backup/of-the-kill/ca-new.crt").read_bytes() == alone
    assert (folder / ".kcert/backup/of-the-kill/ca.crt").read_bytes().count(b"BEGIN") == 2


@pytest.mark.thorough
def test_the_history_tells_the_story_and_its_script_repeats_it(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path
) -> None:
    own_pki("course")
    already = len(recorded(kcert))

    for arguments in (("ca", "--new-key"), ("admin",), ("--all",), ("ca", "--finish")):
        kcert.done("renew", *arguments, "--quiet")

    story = recorded(kcert)[already:]
    assert story[0].startswith("openssl ecparam")
    assert "-signkey ca.key -out ca-new.crt" in story[2]
    assert story[4] == "openssl x509 -x509toreq -in admin.crt -signkey admin.key -out admin.csr"
    assert story[-2] == "openssl x509 -in ca-new.crt -out ca.crt"
    assert "is unchanged" in kcert.done("history", "--verify").stdout
    script = kcert.done("history", "--format", "sh").stdout
    again = output(["bash", "-s", "again"], tmp_path, stdin=after_reading(script))
    assert again.status == 0, again.stderr
    assert {path.name for path in (tmp_path / "again").glob("*.old")} == set()
    assert output(["openssl", "verify", "-CAfile", "ca.crt", "admin.crt"], tmp_path / "again").status == 0


MEMBERS = {"etcd1": "127.0.0.1", "etcd2": "127.0.0.2", "etcd3": "127.0.0.3"}

CONFIG = """\
profile: course
etcd:
  - {name: etcd1, ip: 127.0.0.1}
  - {name: etcd2, ip: 127.0.0.2}
  - {name: etcd3, ip: 127.0.0.3}
key: {algorithm: ecdsa}
"""


@dataclass
class Cluster:
    """Three members of etcd, each with files of its own in ``hosts/NAME``, as on hosts of their own."""

    home: Path
    ports: dict[str, tuple[int, int]]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def pki(self) -> Path:
        """The PKI folder."""
        return self.home / "pki"

    def client_url(self, name: str) -> str:
        """Return where a member serves clients."""
        return f"https://{MEMBERS[name]}:{self.ports[name][0]}"

    def peer_url(self, name: str) -> str:
        """Return where it serves the others."""
        return f"https://{MEMBERS[name]}:{self.ports[name][1]}"

    def bring(self, name: str) -> None:
        """Copy what the PKI folder has for a member to its host."""
        host = self.home / "hosts" / name
        host.mkdir(parents=True, exist_ok=True)
        for stem in ("etcd-server", f"etcd-peer-{name}"):
            for end in ("crt", "key"):
                shutil.copy(self.pki / f"{stem}.{end}", host)
        shutil.copy(self.pki / "ca.crt", host)

    def start(self, name: str) -> None:
        """Start a member with the files of its host."""
        host = self.home / "hosts" / name
        with (self.home / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [
                    *(program("etcd"), "--name", name, "--data-dir", str(self.home / name)),
                    *("--listen-client-urls", self.client_url(name), "--advertise-client-urls", self.client_url(name)),
                    *("--listen-peer-urls", self.peer_url(name), "--initial-advertise-peer-urls", self.peer_url(name)),
                    *("--initial-cluster", ",".join(f"{one}={self.peer_url(one)}" for one in MEMBERS)),
                    *("--heartbeat-interval", "50", "--election-timeout", "500"),
                    *("--cert-file", f"{host}/etcd-server.crt", "--key-file", f"{host}/etcd-server.key"),
                    *("--trusted-ca-file", f"{host}/ca.crt", "--client-cert-auth"),
                    *("--peer-cert-file", f"{host}/etcd-peer-{name}.crt", "--peer-key-file"),
                    *(f"{host}/etcd-peer-{name}.key", "--peer-trusted-ca-file", f"{host}/ca.crt"),
                    "--peer-client-cert-auth",
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self, name: str) -> None:
        """End a member as systemd would."""
        process = self.running.pop(name)
        process.terminate()
        process.wait(30)

    def stop_all(self) -> None:
        """End whatever runs."""
        for process in self.running.values():
            kill_group(process.pid)
            process.wait()

    def writes(self, shows: Path, *names: str) -> bool:
        """Return whether a client with the files of the folder *shows* can write through one of the members."""
        urls = ",".join(self.client_url(name) for name in names or MEMBERS)
        ended = output(
            [
                *(program("etcdctl"), "--endpoints", urls, "--cacert", shows / "ca.crt"),
                *("--cert", shows / "apiserver-etcd-client.crt", "--key", shows / "apiserver-etcd-client.key"),
                *("--dial-timeout", "2s", "--command-timeout", "3s", "put", "/registry/kcert", "is here"),
            ],
            None,
            "",
            ETCDCTL_API="3",
        )
        return ended.stdout == "OK\n"

    def wait_for(self, shows: Path, *names: str) -> None:
        """Wait until a client with the files of *shows* can write through *names*."""
        what = f"{', '.join(names)} to serve {shows}"
        wait_until(lambda: self.writes(shows, *names), 60, what, self.home.glob("*.log"))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster that runs, and serves."""
    (tmp_path / "kcert.yaml").write_text(CONFIG, encoding="utf-8")
    Kcert(tmp_path).done("all", "--quiet")
    made = Cluster(tmp_path, {name: (free_port(), free_port()) for name in MEMBERS})
    with contextlib.ExitStack() as stack:
        stack.callback(made.stop_all)
        for name in MEMBERS:
            made.bring(name)
            made.start(name)
        for name in MEMBERS:
            made.wait_for(made.pki, name)
        yield made


def keep(pki: Path, folder: Path) -> Path:
    """The API server's files for etcd as they are now."""
    folder.mkdir()
    for name in ("ca.crt", "apiserver-etcd-client.crt", "apiserver-etcd-client.key"):
        shutil.copy(pki / name, folder)
    return folder


def roll(cluster: Cluster, *clients: Path) -> None:
    """Bring the new files to one member after the other; meanwhile the other two serve every client."""
    for name in MEMBERS:
        others = [one for one in MEMBERS if one != name]
        cluster.bring(name)
        cluster.stop(name)
        for one in clients:
            cluster.wait_for(one, *others)
        cluster.start(name)
        for one in clients:
            cluster.wait_for(one, name)


@pytest.mark.thorough
def test_etcd_serves_its_clients_while_its_ca_is_changed_over(cluster: Cluster, kcert: Kcert) -> None:
    first = keep(cluster.pki, cluster.home / "client-before")

    kcert.done("renew", "ca", "--new-key", "--quiet")
    trusting = keep(cluster.pki, cluster.home / "client-trusting-both")
    roll(cluster, first, trusting)

    kcert.done("renew", "--all", "--quiet")
    second = keep(cluster.pki, cluster.home / "client-with-new-leaf")
    roll(cluster, trusting, second)

    kcert.done("renew", "ca", "--finish", "--quiet")
    last = keep(cluster.pki, cluster.home / "client-after")
    roll(cluster, second, last)

    assert not cluster.writes(first)


# --- what is told


@pytest.mark.thorough
def test_whoever_has_a_kubeconfig_is_named_before_the_leaves_change(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course", "large")
    kcert.done("kubeconfig", "admin", "jane", "kube-scheduler", "--no-explain")

    changed = kcert.done("renew", "ca", "--new-key", "--no-explain")
    said = " ".join(changed.stdout.split())

    assert (
        "Give these kubeconfigs, which contain the new CA, to their owners: admin.kubeconfig, jane.kubeconfig." in said
    )
    assert "restart the pods that connect to the API server" in said
    leaf = kcert.done("renew", "jane", "--no-explain")
    assert leaf.stdout.count("to their owners") == 1
    assert "    kcert kubeconfig NAME --merge ~/.kube/config --replace" in changed.lines
    assert "    kcert kubeconfig jane --merge ~/.kube/config --replace" in leaf.lines
    assert "--merge" not in kcert.done("renew", "kube-scheduler", "--no-explain").stdout
    assert (own.folder / "jane.kubeconfig").exists()


@pytest.mark.thorough
def test_who_cannot_sign_is_not_told_what_to_sign_with(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki("course")
    secret = {"KCERT_CA_PASSPHRASE": "a long passphrase"}
    told = "--cluster-signing-cert-file"

    locked = kcert.done("renew", "ca", "--new-key", "--encrypt-ca-key", "--no-explain", variables=secret).stdout
    assert told not in locked
    kcert.done("renew", "--all", "--quiet", variables=secret)
    assert told not in kcert.done("renew", "ca", "--finish", "--no-explain", variables=secret).stdout


@pytest.mark.thorough
def test_with_all_the_key_that_signs_tokens_stays(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder
    before = {name: (folder / name).read_bytes() for name in ("service-account.key", "admin.key")}

    said = " ".join(kcert.done("renew", "--all", "--new-key", "--no-explain").stdout.split())

    assert "The key is kept, because it signs tokens; `kcert renew service-account --new-key` replaces it." in said
    assert (folder / "service-account.key").read_bytes() == before["service-account.key"]
    assert (folder / "admin.key").read_bytes() != before["admin.key"]
    named = " ".join(kcert.done("renew", "service-account", "--new-key", "--no-explain").stdout.split())
    assert "Tokens that the old key signed are rejected" in named
    assert (folder / "service-account.key").read_bytes() != before["service-account.key"]


@pytest.mark.parametrize(("profile", "joins"), [("course", False), ("kubeadm", True)])
def test_where_the_cluster_itself_holds_its_ca_is_told(
    own_pki: Callable[..., Pki], kcert: Kcert, profile: str, joins: bool
) -> None:
    own_pki(profile)

    said = " ".join(kcert.done("renew", "ca", "--new-key").stdout.split())

    assert "the caBundle of webhooks and APIServices whose certificates it signed" in said
    assert "kube-controller-manager updates kube-root-ca.crt in each namespace, and ca.crt in token Secrets" in said
    assert ("cluster-info in kube-public, from which `kubeadm join` takes it" in said) is joins
