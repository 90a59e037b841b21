"""An intermediate CA under a root: who trusts which, and that everything else goes on as ever."""

from __future__ import annotations

import base64
import json
import re
import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from tests import judge
from tests.clusters import PROFILES, SMALL, Pki, made_once
from tests.guarded import AUTHORITIES, WITH_IT, copied, opens
from tests.refusals import assert_refused, snapshot
from tests.running import Kcert, after_reading, output, program, representatives

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def rooted(shared: Path) -> Callable[[str], Pki]:
    """``rooted("course")``: a PKI whose CAs a root in the folder ``safe`` has signed, for looking at only."""

    def made(profile: str) -> Pki:
        def make(home: Path) -> None:
            (home / "kcert.yaml").write_text(SMALL.format(profile=profile), encoding="utf-8")
            Kcert(home).done("all", "--quiet", "--root-dir", "safe")

        return Pki(made_once(shared, f"rooted-{profile}", make), profile, "small")

    return made


@pytest.fixture
def own(rooted: Callable[[str], Pki], tmp_path: Path) -> Path:
    """A PKI folder of one's own, with ``safe`` beside it."""
    return copied(rooted("course"), tmp_path)


def verified(folder: Path, *arguments: str) -> str:
    """Return what `openssl verify` says."""
    ended = output(["openssl", "verify", "-no-CApath", *arguments], folder, SSL_CERT_FILE="/dev/null")
    return ended.stdout + ended.stderr


@pytest.mark.thorough
@pytest.mark.parametrize("profile", representatives(PROFILES))
def test_the_root_signs_cas_and_they_sign_no_further_ca(rooted: Callable[[str], Pki], profile: str) -> None:
    made = rooted(profile)
    root = judge.load(made.home / "safe/root.crt")

    root.verify_directly_issued_by(root)
    for name in AUTHORITIES[profile]:
        authority = judge.load(made.folder / f"{name}.crt")
        authority.verify_directly_issued_by(root)
        constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical
        assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
        assert judge.judged(authority).authority_key_id == judge.judged(root).subject_key_id
        assert authority.not_valid_after_utc <= root.not_valid_after_utc
    assert not list(made.folder.rglob("root.key"))


@pytest.mark.parametrize("profile", representatives(PROFILES))
def test_plan_check_and_inventory_find_nothing_wrong(rooted: Callable[[str], Pki], kcert: Kcert, profile: str) -> None:
    made = rooted(profile)

    plan = kcert.done("plan", "--dir", made.folder, "--config", made.config).lines[1:]
    assert {line.split()[0] for line in plan} == {"current"}
    assert kcert.done("check", made.folder).stdout.endswith("no problems found.\n")
    assert "Kubernetes-Root-CA" in kcert.done("inventory", made.folder, "--format", "tree").stdout


def test_the_chain_is_for_openssl_and_the_ca_alone_for_go(rooted: Callable[[str], Pki]) -> None:
    folder = rooted("course").folder

    assert verified(folder, "-CAfile", "ca-chain.crt", "kube-apiserver.crt") == "kube-apiserver.crt: OK\n"
    assert verified(folder, "-partial_chain", "-CAfile", "ca.crt", "kube-apiserver.crt") == "kube-apiserver.crt: OK\n"
    # As the lesson quotes it.
    assert "unable to get issuer certificate" in verified(folder, "-CAfile", "ca.crt", "kube-apiserver.crt")
    assert (folder / "ca.crt").read_bytes().count(b"BEGIN CERTIFICATE") == 1


def test_pythons_ssl_shakes_hands_by_the_chain(rooted: Callable[[str], Pki]) -> None:
    folder = rooted("course").folder
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "kube-apiserver.crt", folder / "kube-apiserver.key")
    client = ssl.create_default_context(cafile=str(folder / "ca-chain.crt"))

    assert _handshake(client, server, "kubernetes.default.svc")


def _handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> bool:
    """Let the two talk through memory until both are content."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    # Each has its turn in every round, whatever the other said.
    return any([_goes_on(end) for end in ends] == [True, True] for _ in range(10))


def _goes_on(end: ssl.SSLObject) -> bool:
    """Return whether one end has finished; a fault of its own is raised."""
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


@pytest.mark.thorough
def test_etcd_trusts_its_ca_alone_and_no_sibling_under_the_same_root(rooted: Callable[[str], Pki]) -> None:
    """Were the root among etcd's client CAs, every client of the cluster would be a client of etcd."""
    folder = rooted("kubeadm").folder / "pki"
    chained = folder / "apiserver-kubelet-client.crt"

    said = verified(folder, "-partial_chain", "-CAfile", "etcd/ca.crt", "-untrusted", "ca.crt", chained.name)
    assert "unable to get" in said
    with_the_root = verified(folder, "-CAfile", "etcd/ca-chain.crt", "-untrusted", "ca.crt", chained.name)
    assert with_the_root == f"{chained.name}: OK\n"


@pytest.mark.thorough
def test_no_component_is_given_the_root_to_know_clients_by(rooted: Callable[[str], Pki], kcert: Kcert) -> None:
    made = rooted("kubeadm")
    where = ("--dir", made.folder, "--config", made.config, "--format", "flags")

    said = "".join(
        kcert.done("flags", one, *where).stdout for one in ("etcd", "kube-apiserver", "kube-controller-manager")
    )

    chained = [line for line in said.splitlines() if "chain" in line]
    assert chained == ["--root-ca-file=/etc/kubernetes/pki/ca-chain.crt"]
    assert "--cluster-signing-cert-file=/etc/kubernetes/pki/ca.crt" in said


def test_a_bundle_has_the_chain_for_the_pods(own: Path, kcert: Kcert) -> None:
    kcert.done("bundle", "controlplane01", "--no-explain")

    listed = output(["tar", "-tzf", "bundles/controlplane01.tar.gz"], own.parent).lines
    assert {"etc/kubernetes/pki/ca.crt", "etc/kubernetes/pki/ca-chain.crt"} <= set(listed)
    assert not [name for name in listed if "root" in name]


def test_curl_accepts_the_ca_alone(own: Path, kcert: Kcert) -> None:
    """`kcert call` gives curl ca.crt; curl takes an intermediate CA for an anchor (since 7.68)."""
    curl = program("curl")
    argv = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", "kube-apiserver.crt"]
    argv += ["-key", "kube-apiserver.key", "-www", "-naccept", "1"]
    with subprocess.Popen(argv, cwd=own, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout
        port = next(line.rsplit(":", 1)[1].strip() for line in server.stdout if line.startswith("ACCEPT "))
        ended = output([curl, "--silent", "--cacert", "ca.crt", f"https://localhost:{port}/"], own)
        server.kill()
    assert ended.status == 0, ended.stderr
    assert kcert.folder == own.parent


@pytest.mark.thorough
def test_leaves_are_renewed_without_the_root_and_the_ca_only_with_it(own: Path, kcert: Kcert) -> None:
    (own.parent / "safe").rename(own.parent / "away")
    kcert.done("renew", "--all", "--quiet")
    before = snapshot(own)

    refused = kcert("renew", "ca")
    assert_refused(refused, 2, "ca.crt was signed by 'CN=Kubernetes-Root-CA'", "--root-dir")
    assert snapshot(own) == before

    (own.parent / "away").rename(own.parent / "safe")
    old = judge.load(own / "ca.crt")
    kcert.done("renew", "ca", "--quiet", "--root-dir", "safe")
    new = judge.load(own / "ca.crt")
    assert new.public_key() == old.public_key()
    assert new.serial_number != old.serial_number
    assert (own / "ca-chain.crt").read_bytes() == (own / "ca.crt").read_bytes() + (own / "root.crt").read_bytes()
    assert kcert.done("check", "pki").stdout.endswith("no problems found.\n")


@pytest.mark.parametrize("command", [("renew", "ca"), ("all",)])
def test_no_second_root_is_made_where_the_first_is_not_mounted(
    own: Path, kcert: Kcert, command: tuple[str, ...]
) -> None:
    before = snapshot(own)

    assert_refused(
        kcert(*command, "--root-dir", "away"), 2, "--root-dir away: no such folder", "check that it is mounted"
    )
    assert not (own.parent / "away").exists()
    assert snapshot(own) == before


@pytest.mark.thorough
def test_a_change_over_ends_with_one_ca_and_a_chain_that_fits(own: Path, kcert: Kcert, tmp_path: Path) -> None:
    kcert.done("renew", "ca", "--new-key", "--quiet", "--root-dir", "safe")
    last = kcert.done("history", "--format", "json").stdout
    proof = [record["argv"] for record in json.loads(last) if record["argv"]][-1]
    kcert.done("renew", "--all", "--quiet")
    kcert.done("renew", "ca", "--finish", "--quiet")

    judge.load(own / "ca.crt").verify_directly_issued_by(judge.load(own.parent / "safe/root.crt"))
    assert verified(own, "-CAfile", "ca-chain.crt", "admin.crt") == "admin.crt: OK\n"
    assert kcert.done("check", "pki").stdout.endswith("no problems found.\n")
    # A quiet run also verifies all certificates with the old and the new CA, and the script of it all can be repeated.
    assert proof[:5] == ["openssl", "verify", "-partial_chain", "-CAfile", "ca.crt"]
    assert {"ca-new.crt", "admin.crt", "kube-apiserver.crt"} <= set(proof)
    script = kcert.done("history", "--format", "sh").stdout
    again = output(["bash", "-s", "again"], tmp_path, stdin=after_reading(script))
    assert again.status == 0, again.stderr


def test_a_ca_that_is_there_is_put_under_a_root_by_renewing_it(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki("course")

    ended = kcert("ca", "--root-dir", "safe")

    assert_refused(ended, 2, "pki/ca.crt exists already and is self-signed", "`kcert renew ca --root-dir safe`")
    assert not (kcert.folder / "safe").exists()


@pytest.mark.thorough
def test_a_ca_that_signed_itself_comes_under_a_root_with_its_leaves(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder

    kcert.done("renew", "ca", "--quiet", "--root-dir", "safe")

    assert verified(folder, "-CAfile", "ca-chain.crt", "admin.crt") == "admin.crt: OK\n"
    assert kcert.done("check", "pki").stdout.endswith("no problems found.\n")


def test_a_ca_lives_no_longer_than_its_root(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course") + "days: {ca: 40, leaf: 10}\n")
    kcert.done("ca", "--quiet", "--root-dir", "safe")
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course") + "days: {ca: 400, leaf: 10}\n")

    kcert.done("ca", "--quiet", "--root-dir", "safe", "--dir", "second")

    assert judge.judged(judge.load(tmp_path / "safe/root.crt")).days == pytest.approx(80)
    assert judge.judged(judge.load(tmp_path / "second/ca.crt")).days == pytest.approx(80, abs=1)
    roots = [(tmp_path / folder / "root.crt").read_bytes() for folder in ("safe", "pki", "second")]
    assert roots[0] == roots[1] == roots[2]


def test_a_folder_that_is_the_pki_folder_is_refused(kcert: Kcert, tmp_path: Path) -> None:
    assert_refused(kcert("all", "--root-dir", "pki"), 2, "--root-dir pki is the PKI folder itself")
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_somebody_elses_root_signs_what_the_lesson_says(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="kubeadm"))
    self_signed = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=Example/CN=Example Root"]
    output([*self_signed, "-days", "4000", "-keyout", "root.key", "-out", "root.crt"], tmp_path)
    said = kcert.done("ca", "--csr-only", "--encrypt-ca-key", "--no-explain", variables=WITH_IT).stdout
    lines = [line.split() for line in re.sub(r" *\\\n *", " ", said).splitlines() if line.startswith("    ")]
    by_hand = [line for line in lines if line[:3] == ["openssl", "x509", "-req"]]
    fetches = [line for line in lines if line[:3] == ["kcert", "csr", "fetch"]]

    assert "-passin" not in {word for command in by_hand for word in command}  # of their key nothing is known here
    for command, (_, *fetch, _file) in zip(by_hand, fetches, strict=True):
        there = tmp_path / fetch[2]
        there.mkdir()
        request = next((tmp_path / "pki").rglob(f"requests/{AUTHORITY_FILES[fetch[2]]}.csr"))
        for path in (request, request.with_name(f"openssl-{request.stem}.cnf"), *tmp_path.glob("root.*")):
            shutil.copy(path, there)
        assert output(command, there).status == 0
        made = there / command[command.index("-out") + 1]
        made.write_bytes(made.read_bytes() + (there / "root.crt").read_bytes())
        kcert.done(*fetch, made)
    kcert.done("all", "--quiet", variables=WITH_IT)

    assert len(fetches) == 3
    assert kcert.done("check", "pki").stdout.endswith("no problems found.\n")
    for ca, leaf in (("ca", "apiserver.crt"), ("etcd/ca", "etcd/server.crt")):
        assert verified(tmp_path / "pki/pki", "-CAfile", f"{ca}-chain.crt", leaf) == f"{leaf}: OK\n"
    assert opens(tmp_path / "pki/pki/ca.key")


AUTHORITY_FILES = {"ca": "pki/ca", "front-proxy-ca": "pki/front-proxy-ca", "etcd-ca": "pki/etcd/ca"}


@pytest.mark.thorough
def test_while_the_cas_request_is_out_nothing_is_signed_over_its_head(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"))
    said = kcert.done("ca", "--csr-only", "--no-explain").stdout
    before = snapshot(tmp_path / "pki")

    for command in (
        ("all",),
        ("all", "--quiet"),
        ("all", "--dry-run"),
        ("ca",),
        ("client", "admin"),
        ("renew", "ca"),
        ("renew", "admin"),
    ):
        refused = kcert(*command)
        assert_refused(
            refused, 2, "pki/ca.csr has to be signed by another CA first", "`kcert csr fetch ca --file ca.crt`"
        )
        assert "`rm pki/ca.csr`" in " ".join(refused.stderr.split())
        assert snapshot(tmp_path / "pki") == before

    assert "rm pki/ca.csr" in " ".join(said.split())
    key = (tmp_path / "pki/ca.key").read_bytes()
    (tmp_path / "pki/ca.csr").unlink()
    kcert.done("ca", "--quiet")
    made = judge.load(tmp_path / "pki/ca.crt")
    made.verify_directly_issued_by(made)
    assert (tmp_path / "pki/ca.key").read_bytes() == key


def test_a_root_of_ones_own_may_sign_the_request_that_is_out(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"))
    kcert.done("ca", "--csr-only", "--quiet")

    kcert.done("ca", "--quiet", "--root-dir", "safe")

    made, root = judge.load(tmp_path / "pki/ca.crt"), judge.load(tmp_path / "safe/root.crt")
    made.verify_directly_issued_by(root)
    assert made.issuer == root.subject


def test_a_certificate_that_is_no_ca_is_not_taken_for_one(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder
    leaf = ["openssl", "x509", "-req", "-in", "ca.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
    assert output([*leaf, "-days", "9", "-out", "../leaf.crt"], folder).status == 0
    before = (folder / "ca.crt").read_bytes()

    assert_refused(kcert("csr", "fetch", "ca", "--file", "leaf.crt"), 2, "it is not a CA (no CA:TRUE)")
    assert (folder / "ca.crt").read_bytes() == before


def test_a_lost_certificate_of_the_ca_is_no_request_that_is_out(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course")
    old = judge.load(own.folder / "ca.crt")
    (own.folder / "ca.crt").unlink()

    assert "made  ca" in kcert.done("all", "--quiet").stdout

    new = judge.load(own.folder / "ca.crt")
    assert new.public_key() == old.public_key()
    assert verified(own.folder, "-CAfile", "ca.crt", "admin.crt") == "admin.crt: OK\n"


# --- a CA that is in use, and whose root is not here


def signed_there(kcert: Kcert, home: Path, said: str) -> Path:
    """The CA's new certificate, made of its request by the line of *said*, in a folder that has the root; its path."""
    lines = [line.split() for line in re.sub(r" *\\\n *", " ", said).splitlines() if line.startswith("    ")]
    (command,) = (line for line in lines if line[:3] == ["openssl", "x509", "-req"])
    there = home / "away"
    for name in ("ca.csr", "openssl-ca.cnf"):
        shutil.copy(next((home / "pki").rglob(name)), there)
    ended = output(command, there)
    assert ended.status == 0, ended.stderr
    assert kcert.folder == home
    return there / command[command.index("-out") + 1]


@pytest.mark.thorough
@pytest.mark.parametrize("profile", ["course", "kubeadm"])
def test_a_ca_in_use_asks_the_root_that_is_elsewhere(
    rooted: Callable[[str], Pki], kcert: Kcert, tmp_path: Path, profile: str
) -> None:
    folder = copied(rooted(profile), tmp_path)
    crt = folder / f"{AUTHORITIES[profile][0]}.crt"
    (tmp_path / "safe").rename(tmp_path / "away")
    old = judge.load(crt)
    before = snapshot(folder)

    assert_refused(
        kcert("renew", "ca"), 2, "only that CA can sign it again", "`kcert renew ca --csr-only` creates a request"
    )
    said = kcert.done("renew", "ca", "--csr-only", "--days", "900", "--no-explain").stdout
    asked = {name for name, what in snapshot(folder).items() if before.get(name) != what}
    assert {name.rsplit("/")[-1] for name in asked} <= {"ca.csr", "openssl-ca.cnf"}
    answer = signed_there(kcert, tmp_path, said)
    fetched = kcert.done("csr", "fetch", "ca", "--file", answer).stdout
    again = kcert.done("csr", "fetch", "ca", "--file", answer).stdout

    assert "The new CA certificate has the same key" in fetched
    assert "already is this certificate and is not changed" in " ".join(again.split())
    new, root = judge.load(crt), judge.load(tmp_path / "away/root.crt")
    new.verify_directly_issued_by(root)
    assert new.public_key() == old.public_key()
    assert new.subject == old.subject
    assert judge.judged(new).days == pytest.approx(900)
    assert judge.judged(new).subject_key_id == judge.judged(old).subject_key_id
    assert crt.with_name("ca-chain.crt").read_bytes() == crt.read_bytes() + (tmp_path / "away/root.crt").read_bytes()
    token = base64.b64encode(crt.read_bytes())
    for path in folder.glob("*.conf"):
        assert path.read_bytes().count(token) == 1
        assert path.stat().st_mode & 0o777 == 0o600
    assert kcert.done("check", folder).stdout.endswith("no problems found.\n")


def test_an_answer_that_calls_the_key_otherwise_is_not_taken_in(own: Path, kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "safe").rename(tmp_path / "away")
    said = kcert.done("renew", "ca", "--csr-only", "--no-explain").stdout
    settings = (own / "openssl-ca.cnf").read_text()
    (own / "openssl-ca.cnf").write_text(re.sub(r"(subjectKeyIdentifier *=).*", r"\1 0102030405", settings))
    made = signed_there(kcert, tmp_path, said)
    before = snapshot(own)

    assert_refused(kcert("csr", "fetch", "ca", "--file", made), 2, "has another subjectKeyIdentifier than")
    assert snapshot(own) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("admin",), "admin is not a CA"),
        (("ca", "--new-key"), "--new-key"),
        (("--all",), "needs the name of a CA"),
        (("ca", "--root-dir", "safe"), "--root-dir"),
    ],
)
def test_only_a_ca_asks_and_only_for_what_it_is(own: Path, kcert: Kcert, arguments: tuple[str, ...], said: str) -> None:
    before = snapshot(own)

    assert_refused(kcert("renew", *arguments, "--csr-only"), 2, "--csr-only", said)
    assert snapshot(own) == before


def test_a_ca_that_signed_itself_asks_nobody(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    before = snapshot(own_pki("course").folder)

    assert_refused(kcert("renew", "ca", "--csr-only"), 2, "ca is self-signed", "`kcert renew ca` renews it")
    assert snapshot(kcert.folder / "pki") == before


def test_without_its_key_a_ca_cannot_ask(own: Path, kcert: Kcert) -> None:
    (own / "ca.key").unlink()
    (own / "ca.csr").unlink(missing_ok=True)

    assert_refused(kcert("renew", "ca", "--csr-only"), 2, "pki/ca.key does not exist")
    assert not (own / "ca.csr").exists()


def test_a_script_makes_the_same_request(own: Path, kcert: Kcert) -> None:
    (own / "ca.csr").unlink(missing_ok=True)
    script = kcert.done("renew", "ca", "--csr-only", "--dry-run", "--no-explain").stdout

    assert output(["bash"], kcert.folder, stdin=script).status == 0
    asked = x509.load_pem_x509_csr((own / "ca.csr").read_bytes())
    assert (asked.subject, asked.public_key()) == (
        judge.load(own / "ca.crt").subject,
        judge.load(own / "ca.crt").public_key(),
    )


# --- a CA of another name than kcert.yaml's


def test_what_a_ca_of_another_name_is_offered_works(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder
    again = ["openssl", "req", "-x509", "-key", "ca.key", "-subj", "/CN=Another CA", "-days", "900", "-out", "ca.crt"]
    assert output(again, folder).status == 0

    said = " ".join(kcert.done("ca").stdout.split())

    assert "`kcert renew ca --new-key --stale` would rotate the cluster to another CA" in said
    assert "`kcert renew ca --stale`" not in said
    assert "(kcert renew ca --new-key --stale)" in kcert.done("ca", "--quiet").stdout
    kcert.done("renew", "ca", "--new-key", "--stale", "--quiet")
    assert "Kubernetes" in judge.load(folder / "ca-new.crt").subject.rfc4514_string()
