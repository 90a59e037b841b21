"""What goes wrong around kcert: openssl, the disk, the folder, the CA. A clear error, and nothing is lost."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from kcert import shell
from kcert.errors import TooSlowError
from tests import judge
from tests.refusals import assert_refused, snapshot, staged
from tests.running import Kcert, output, representatives, wait_until, without_privileges

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki

REAL = shutil.which("openssl") or "openssl"


def fake_openssl(folder: Path, body: str) -> Path:
    """A program that behaves as *body*, a shell script, has it; ``$OPENSSL`` is the real one."""
    path = folder / "bin" / "openssl"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\nOPENSSL={REAL}\n{body}\nexec $OPENSSL "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path


VERSION = 'if [ "$1" = version ]; then echo "{}"; exit 0; fi'

UNFIT = {
    "LibreSSL": (VERSION.format("LibreSSL 3.3.6"), "LibreSSL"),
    "OpenSSL 1.0.2": (VERSION.format("OpenSSL 1.0.2u  20 Dec 2019"), "1.1.1"),
    "OpenSSL 1.1.0": (VERSION.format("OpenSSL 1.1.0l  10 Sep 2019"), "1.1.1"),
    "something else": (VERSION.format("BoringSSL"), "not OpenSSL"),
    "nothing to say": (VERSION.format(""), "not OpenSSL"),
    "an escape": (VERSION.format(r"\033[31mOpenSSL"), "not OpenSSL"),
    "an error at once": ("exit 1", "failed with status 1"),
    "a program that cannot run": ("exit 127", "127"),
}


@pytest.mark.parametrize("quiet", [[], ["--quiet"]], ids=["lesson", "quiet"])
@pytest.mark.parametrize("what", UNFIT)
def test_an_openssl_that_will_not_do_is_refused_before_anything_is_made(
    kcert: Kcert, what: str, quiet: list[str], tmp_path: Path
) -> None:
    body, said = UNFIT[what]
    ended = kcert("all", *quiet, "--openssl", fake_openssl(tmp_path, body))

    assert_refused(ended, 3, said)
    assert not (tmp_path / "pki").exists()


@pytest.mark.parametrize("name", ["no-such-openssl", "/no/such/openssl", "bin", "bin/text"])
def test_no_openssl_is_said_with_how_to_get_one(kcert: Kcert, name: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "text").write_text("no program", encoding="utf-8")

    assert_refused(kcert("all", "--openssl", name), 3, "is not installed", "apt install openssl")
    assert not (tmp_path / "pki").exists()


def test_without_any_openssl_in_path(kcert: Kcert, tmp_path: Path) -> None:
    assert_refused(kcert("all", "-q", variables={"PATH": str(tmp_path)}), 3, "openssl is not installed")
    doctor = kcert("doctor", variables={"PATH": str(tmp_path), "COLUMNS": "80"})
    assert_refused(doctor, 1, "openssl")
    assert "missing" in doctor.stdout


@pytest.mark.thorough
def test_what_the_doctor_says_to_work_without_openssl_does(kcert: Kcert, own_pki: Callable[..., Pki]) -> None:
    own_pki("course")
    without = {"PATH": "/nowhere"}

    said = " ".join(kcert("doctor", variables=without).stderr.split())

    assert "Without it only init, plan, flags, explain, history, diagnose and doctor work." in said
    assert "new.yaml describes" in kcert.done("init", "--config", "new.yaml", variables=without).stdout
    assert "certificate" in kcert.done("explain", "ca", variables=without).stdout
    assert "pki" in kcert.done("history", variables=without).stdout
    assert (
        "expired"
        in kcert("diagnose", stdin="x509: certificate has expired or is not yet valid", variables=without).stdout
    )
    assert "admin" in kcert.done("plan", variables=without).stdout
    assert_refused(kcert("renew", "admin", variables=without), 3, "openssl is not installed")


def test_the_doctor_ends_a_sentence_once(kcert: Kcert, tmp_path: Path) -> None:
    broken = fake_openssl(tmp_path, "")
    broken.write_bytes(b"\x7fELF no program")

    said = kcert("doctor", "--openssl", broken).stderr

    assert "Exec format error. Without it" in " ".join(said.split())


@pytest.mark.thorough
def test_the_doctor_names_what_steers_openssl(kcert: Kcert) -> None:
    said = kcert.done("doctor", variables={"OPENSSL_CONF": "/a\x1b.cnf", "OPENSSL_MODULES": ""}).stdout

    told = " ".join(said.split())
    assert r"OPENSSL_CONF is set ($'/a\x1b.cnf'): openssl reads this config file" in told
    assert "OPENSSL_MODULES is set (''): openssl loads its providers" in told
    assert "OPENSSL_" not in kcert.done("doctor").stdout


UNABLE = {
    "is killed": ('if [ "$1" != version ]; then kill -9 $$; fi', "was ended by signal 9 (Killed)"),
    "fails": (
        "[ $1 = version ] || { printf 'no \\033library' >&2; exit 127; }",
        r"for a valid certificate: no \x1blibrary",
    ),
    "is killed behind a shell": ('if [ "$1" != version ]; then exit 137; fi', "failed with status 137"),
}


@pytest.mark.parametrize("what", UNABLE)
def test_an_openssl_that_cannot_read_says_nothing_of_certificates(
    kcert: Kcert, own_pki: Callable[..., Pki], what: str, tmp_path: Path
) -> None:
    own_pki("course")
    body, said = UNABLE[what]
    openssl = fake_openssl(tmp_path, body)

    for command in (("check", "pki"), ("renew", "admin", "--quiet")):
        ended = kcert(*command, "--openssl", openssl)
        assert_refused(ended, 3, said)
        assert ended.stdout == "", command


def test_an_openssl_that_is_killed_at_the_signatures_says_nothing_of_them(
    kcert: Kcert, own_pki: Callable[..., Pki], tmp_path: Path
) -> None:
    own_pki("course")
    killed = fake_openssl(tmp_path, 'if [ "$1" = verify ]; then kill -9 $$; fi')

    assert_refused(kcert("check", "pki", "--openssl", killed), 3, "verify was ended by signal 9 (Killed)")


FAILING = {
    "fails at the key": ('case "$*" in *" -out admin.key"*) echo "no luck"; exit 1;; esac', "no luck"),
    "fails at the request": ('case "$*" in *" -out admin.csr"*) exit 3;; esac', "status 3"),
    "fails at the signature": ('case "$*" in *" -out admin.crt"*) exit 1;; esac', "failed"),
    "fails at the check": (
        'case "$*" in *verify*admin.crt*) echo "admin.crt: verification failed"; exit 2;; esac',
        "verif",
    ),
    "is killed": ('case "$*" in *" -out admin.crt"*) kill -9 $$;; esac', "signal 9"),
    "makes no key": ('case "$*" in *" -out admin.key"*) exit 0;; esac', "did not create admin.key"),
    "makes an empty key": (
        'case "$*" in *" -out admin.key"*) : > admin.key; exit 0;; esac',
        "did not create admin.key",
    ),
    "makes half a key": (
        'case "$*" in *" -out admin.key"*) $OPENSSL "$@"; head -c 90 admin.key > x; mv x admin.key; exit 0;; esac',
        "admin",
    ),
    "makes no certificate": ('case "$*" in *" -out admin.crt"*) exit 0;; esac', "did not create admin.crt"),
    "makes half a certificate": (
        'case "$*" in *" -out admin.crt"*) $OPENSSL "$@"; head -c 300 admin.crt > x; mv x admin.crt; exit 0;; esac',
        "admin",
    ),
    "makes another certificate": (
        'case "$*" in *" -out admin.crt"*) cat ca.crt > admin.crt; exit 0;; *verify*) exit 0;; esac',
        "admin.crt",
    ),
    "prints escapes": (r"""case "$*" in *" -out admin.key"*) printf '\033[2J\007evil'; exit 9;; esac""", "evil"),
}


@pytest.mark.parametrize(
    ("what", "quiet"),
    [
        *representatives(
            [(what, ["--quiet"]) for what in FAILING], lambda case: case[0].partition(" ")[0], spread=True
        ),
        ("prints escapes", []),
        ("makes half a key", ["--jobs", "3"]),
        *(
            pytest.param(what, quiet, marks=pytest.mark.thorough)
            for what, quiet in (
                *((what, []) for what in ("fails at the key", "fails at the signature", "is killed")),
                ("fails at the key", ["--jobs", "3"]),
            )
        ),
    ],
)
def test_an_openssl_that_fails_half_way_costs_nothing(
    own_pki: Callable[..., Pki], kcert: Kcert, what: str, quiet: list[str], tmp_path: Path
) -> None:
    own = own_pki("course")
    for path in own.folder.glob("*admin*"):
        path.unlink()
    before = snapshot(own.folder)
    body, said = FAILING[what]

    ended = kcert("all", *quiet, "--openssl", fake_openssl(tmp_path, body))

    assert_refused(ended, 3, said)
    assert "\x1b" not in ended.stdout
    if what == "fails at the key":
        assert "-> admin.key" not in ended.stdout  # there is none
    assert snapshot(own.folder) == before
    assert staged(own.folder) == []
    assert kcert("history", "--verify").status == 0
    kcert.done("all", "--quiet")
    assert judge.load(own.folder / "admin.crt")


@pytest.mark.parametrize("quiet", [[], ["--quiet"]], ids=["lesson", "quiet"])
def test_an_openssl_that_hangs_is_stopped(
    own_pki: Callable[..., Pki], kcert: Kcert, quiet: list[str], tmp_path: Path
) -> None:
    own = own_pki("course")
    for path in own.folder.glob("*admin*"):
        path.unlink()
    before = snapshot(own.folder)
    hangs = fake_openssl(
        tmp_path, f'case "$*" in *" -out admin.key"*) echo $$ > {tmp_path}/pid; exec tail -f /dev/null;; esac'
    )

    ended = kcert("all", *quiet, "--openssl", hangs, variables={"KCERT_TIMEOUT": "0.5"})

    assert_refused(ended, 3, "within 0.5 seconds", "KCERT_TIMEOUT")
    assert snapshot(own.folder) == before
    assert staged(own.folder) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text(encoding="ascii")), 0)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "arguments",
    representatives([("renew", "kube-apiserver", "--quiet"), ("all",), ("all", "--quiet")]),
    ids=["renewal", "lesson", "quiet"],
)
def test_what_an_openssl_that_hangs_has_started_is_stopped_with_it(
    own_pki: Callable[..., Pki], kcert: Kcert, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    (own_pki("course").folder / "admin.csr").unlink()
    (tmp_path / "pki" / "admin.crt").unlink()
    hangs = f'if [ "$1" != version ]; then sleep 60 & echo $! > {tmp_path}/child; wait; fi'

    limit = {"KCERT_TIMEOUT": "0.5"}
    with kcert.started(*arguments, "--openssl", fake_openssl(tmp_path, hangs), variables=limit) as process:
        _, said = process.communicate(timeout=30)
        child = int((tmp_path / "child").read_text(encoding="ascii"))
        wait_until(lambda: not _runs(child), 5, "what openssl had started")

    assert process.returncode == 3
    assert b"within 0.5 seconds" in said


@pytest.mark.parametrize("asks", [True, False])
def test_only_a_program_that_may_ask_keeps_the_terminal(asks: bool) -> None:
    said = shell.read(shell.Command((sys.executable, "-c", "import os; print(os.getsid(0))"), asks=asks)).stdout

    assert (int(said) == os.getsid(0)) == asks


def test_a_long_input_reaches_a_program_that_reads_late() -> None:
    text = b"x" * 1_000_000
    late = "import sys, time; time.sleep(0.3); sys.stdout.buffer.write(sys.stdin.buffer.read())"

    assert shell.read(shell.Command((sys.executable, "-c", late), limit=30), text).stdout == text


def test_an_input_may_be_left_unread() -> None:
    assert shell.read(shell.Command(("true",)), b"x" * 1_000_000).succeeded


def test_a_program_that_closes_its_outputs_and_goes_on_is_stopped() -> None:
    with pytest.raises(TooSlowError):
        shell.read(shell.Command(("sh", "-c", "exec >&- 2>&-; sleep 60"), limit=0.3))


def _runs(process: int) -> bool:
    """True for a process that is neither gone nor a zombie."""
    return output(["ps", "-o", "stat=", "-p", str(process)]).stdout.strip() not in ("", "Z", "Zs")


@pytest.mark.parametrize("limit", representatives(["", "abc", "-1", "0", "nan", "inf", "1e400"]))
def test_a_limit_that_is_no_number_of_seconds_does_no_harm(kcert: Kcert, limit: str, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text("key: {algorithm: ecdsa}\n", encoding="utf-8")
    ended = kcert("ca", variables={"KCERT_TIMEOUT": limit})

    assert (ended.status, ended.stderr) == (0, "")
    assert (tmp_path / "pki/ca.crt").exists()


@pytest.mark.parametrize("command", ["all", "ca", "plan", "history"])
def test_a_pki_folder_that_is_a_file_is_refused(kcert: Kcert, command: str, tmp_path: Path) -> None:
    (tmp_path / "pki").write_text("mine", encoding="utf-8")

    assert_refused(kcert(command), 2, "pki")
    assert (tmp_path / "pki").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("quiet", [[], ["--quiet"]], ids=["lesson", "quiet"])
def test_a_folder_that_takes_no_files_is_refused(kcert: Kcert, quiet: list[str]) -> None:
    assert_refused(kcert("all", *quiet, "--dir", "/proc/kcert"), 3, "/proc/kcert")


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux can root give its privileges up like this")
def test_a_folder_without_permission_is_refused(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course")
    (own.folder / "admin.crt").unlink()
    before = snapshot(own.folder)

    (own.folder / ".kcert").chmod(0o500)
    ended = kcert("all", "--quiet", preexec=without_privileges)
    (own.folder / ".kcert").chmod(0o700)

    assert_refused(ended, 3, "ermission denied")
    assert snapshot(own.folder) == before


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux can root give its privileges up like this")
@pytest.mark.parametrize("arguments", [("csr", "new", "zed"), ("client", "zed")], ids=["request", "certificate"])
def test_nothing_is_said_to_be_made_in_a_folder_that_takes_no_files(
    own_pki: Callable[..., Pki], kcert: Kcert, arguments: tuple[str, ...]
) -> None:
    own = own_pki("course")

    own.folder.chmod(0o500)
    ended = kcert(*arguments, preexec=without_privileges)
    own.folder.chmod(0o700)

    assert_refused(ended, 3, "pki: Permission denied", "Existing files are unchanged")
    assert "->" not in ended.stdout
    assert not (own.folder / "zed.key").exists()


@pytest.mark.parametrize(
    ("size", "quiet"),
    [
        (500, []),
        *(
            pytest.param(size, ["--quiet"], marks=pytest.mark.thorough)
            for size in (0, 1, 100, 230, 300, 500, 700, 900, 1200, 3000)
        ),
        pytest.param(100, [], marks=pytest.mark.thorough),
    ],
)
def test_a_disk_that_is_full_costs_nothing(
    own_pki: Callable[..., Pki], kcert: Kcert, size: int, quiet: list[str]
) -> None:
    """No file may grow beyond *size* bytes: writing stops at another step with each."""
    own = own_pki("kubeadm")
    for name in ("pki/apiserver.crt", "pki/apiserver.key", "admin.conf", "scheduler.conf"):
        (own.folder / name).unlink()
    before = snapshot(own.folder)

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    ended = kcert("all", *quiet, preexec=full)

    assert_refused(ended, 3)
    after = snapshot(own.folder)
    assert set(before) <= set(after)
    for name, was in before.items():
        if name.endswith((".crt", ".key", ".conf")):
            assert after[name] == was
    assert staged(own.folder) == []
    kcert.done("all", "--quiet")
    assert kcert("history", "--verify").status == 0
    assert all("current" in line for line in kcert.done("all", "--quiet").lines)


@pytest.mark.thorough
def test_a_small_disk_that_fills_up_costs_nothing(kcert: Kcert, tmp_path: Path) -> None:
    """The real thing, where it may be mounted: a disk of a few pages."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = output(["mount", "-t", "tmpfs", "-o", "size=160k", "none", disk])
    if mounted.status != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        (tmp_path / "kcert.yaml").write_text("key: {algorithm: ecdsa}\n", encoding="utf-8")

        ended = kcert("all", "--quiet", "--dir", disk / "pki")

        assert_refused(ended, 3)
        for crt in (disk / "pki").glob("*.crt"):
            assert judge.matches(crt.with_suffix(".key").read_bytes(), judge.load(crt))
        assert output(["mount", "-o", "remount,size=4m", disk]).status == 0
        kcert.done("all", "--quiet", "--dir", disk / "pki")
        assert kcert("history", "--verify", "--dir", disk / "pki").status == 0
    finally:
        output(["umount", disk])


def _encrypted(key: Path) -> bytes:
    command = ["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:secret"]
    return subprocess.run([str(word) for word in command], capture_output=True, check=True).stdout


AUTHORITY: dict[str, tuple[dict[str, Callable[[Path, Path], bytes | None]], tuple[str, ...]]] = {
    "key missing": ({"ca.key": lambda _own, _other: None}, ("ca.key", "does not exist")),
    "key of another": (
        {"ca.key": lambda _own, other: (other / "ca.key").read_bytes()},
        ("ca.key is not the key of ca.crt",),
    ),
    "key encrypted": (
        {"ca.key": lambda own, _other: _encrypted(own / "ca.key")},
        # Without -out the key would be on the screen.
        ("ca.key is encrypted", "KCERT_CA_PASSPHRASE", "--ca-passphrase-file FILE"),
    ),
    "key cut short": (
        {"ca.key": lambda own, _other: (own / "ca.key").read_bytes()[:100]},
        ("ca.key is not a usable key",),
    ),
    "key empty": ({"ca.key": lambda _own, _other: b""}, ("ca.key", "no private key")),
    "key that is a certificate": (
        {"ca.key": lambda own, _other: (own / "ca.crt").read_bytes()},
        ("ca.key", "no private key"),
    ),
    "certificate cut short": (
        {"ca.crt": lambda own, _other: (own / "ca.crt").read_bytes()[:200]},
        ("ca.crt", "not a certificate"),
    ),
    "certificate of a leaf": (
        {
            "ca.crt": lambda own, _other: (own / "kube-proxy.crt").read_bytes(),
            "ca.key": lambda own, _other: (own / "kube-proxy.key").read_bytes(),
        },
        ("ca.crt", "not the certificate of a CA"),
    ),
}
"""What is put into the place of which file (None: nothing), and what has to be said of it."""


@pytest.mark.parametrize("command", [["all", "--quiet"], ["client", "admin"]], ids=" ".join)
@pytest.mark.parametrize("what", AUTHORITY)
def test_a_ca_that_cannot_sign_is_refused_before_anything_is_made(
    own_pki: Callable[..., Pki], pki: Callable[..., Pki], kcert: Kcert, what: str, command: list[str]
) -> None:
    own = own_pki("course")
    (own.folder / "admin.crt").unlink()
    spoiled, said = AUTHORITY[what]
    for name, content in spoiled.items():
        instead = content(own.folder, pki("hardway", "small").folder)
        if instead is None:
            (own.folder / name).unlink()
        else:
            (own.folder / name).write_bytes(instead)
    before = snapshot(own.folder)

    assert_refused(kcert(*command), 2, *said)
    assert snapshot(own.folder) == before
    assert staged(own.folder) == []


def test_a_ca_key_that_cannot_be_read_is_the_machines_fault(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course")
    for gone in ("admin.crt", "ca.key"):
        (own.folder / gone).unlink()
    (own.folder / "ca.key").mkdir()
    before = snapshot(own.folder)

    assert_refused(kcert("all", "--dry-run"), 3, "ca.key cannot be read")
    assert_refused(kcert("all", "--quiet"), 3, "ca.key cannot be read")
    assert snapshot(own.folder) == before


LEAF_KEYS: dict[str, Callable[[Path], bytes]] = {
    "cut short": lambda key: key.read_bytes()[:100],
    "empty": lambda _: b"",
    "no key": lambda _: b"hello\n",
    "encrypted": _encrypted,
}


@pytest.mark.parametrize("what", LEAF_KEYS)
def test_a_key_that_is_no_key_is_left_where_it_is(own_pki: Callable[..., Pki], kcert: Kcert, what: str) -> None:
    own = own_pki("course")
    key = own.folder / "admin.key"
    key.write_bytes(LEAF_KEYS[what](key))
    (own.folder / "admin.crt").unlink()
    before = snapshot(own.folder)

    assert_refused(kcert("all", "--quiet"), 2, "admin.key")
    assert snapshot(own.folder) == before


def test_a_key_without_its_certificate_is_kept_and_certified(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course")
    key = (own.folder / "admin.key").read_bytes()
    for name in ("admin.crt", "admin.csr", "openssl-admin.cnf"):
        (own.folder / name).unlink()

    said = kcert.done("client", "admin").stdout

    assert "admin.key exists already" in said
    assert "genrsa" not in said
    assert "ecparam" not in said
    assert (own.folder / "admin.key").read_bytes() == key
    assert judge.matches(key, judge.load(own.folder / "admin.crt"))


def test_what_is_replaced_goes_into_the_backup(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course")
    (own.folder / "admin.csr").write_text("a request of mine\n", encoding="utf-8")
    (own.folder / "admin.crt").unlink()

    kcert.done("client", "admin", "--quiet")

    kept = [path.read_text(encoding="utf-8") for path in (own.folder / ".kcert/backup").rglob("admin.csr")]
    assert kept == ["a request of mine\n"]
    assert x509.load_pem_x509_csr((own.folder / "admin.csr").read_bytes()).is_signature_valid


def test_links_out_of_the_folder_are_not_followed_by_what_is_written(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path
) -> None:
    own = own_pki("course")
    precious = tmp_path / "precious"
    precious.write_text("not kcert's", encoding="utf-8")
    for name in ("admin.csr", "openssl-admin.cnf"):
        (own.folder / name).unlink()
        (own.folder / name).symlink_to(precious)
    (own.folder / "admin.crt").unlink()

    kcert.done("client", "admin", "--quiet")

    assert precious.read_text(encoding="utf-8") == "not kcert's"
    assert not (own.folder / "admin.csr").is_symlink()
