"""kcert is interrupted at any moment: every certificate is whole or absent, no key is lost, a run completes it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import pty
import random
import signal
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from kcert import store
from tests import judge
from tests.endurance.inside import in_process
from tests.endurance.kills import harmed
from tests.guarded import WITH_IT, copied, encrypted_pki
from tests.refusals import snapshot, staged
from tests.running import Kcert, kill_group, output, representatives, wait_until
from tests.test_certificates import parts
from tests.test_faults import fake_openssl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki

SEED = 20261124
GONE = ("pki/apiserver.crt", "pki/apiserver.key", "pki/etcd/server.crt", "admin.conf", "kubelet.conf", "pki/sa.pub")


def all_whole(folder: Path) -> None:
    """Every certificate that is there has its key, and was signed by its CA."""
    for path in [*folder.rglob("*.crt"), *folder.rglob("*.conf")]:
        name = path.relative_to(folder)
        if ".kcert" not in name.parts:
            certificate, key = parts(folder, str(name))
            assert judge.matches(key, certificate), name


def keys_of(folder: Path) -> dict[str, str]:
    """The keys that lie in a PKI folder."""
    return {name: content for name, content in snapshot(folder).items() if name.endswith((".key", ".conf"))}


def _entries(folder: Path) -> int:
    return sum(len(files) + len(folders) for _, folders, files in os.walk(folder))


def _wait_for(process: subprocess.Popen[bytes], folder: Path, entries: int) -> None:
    wait_until(lambda: process.poll() is not None or _entries(folder) >= entries)


@pytest.mark.thorough
@pytest.mark.parametrize("round_", range(5))
def test_a_kill_at_any_moment_leaves_nothing_half(own_pki: Callable[..., Pki], kcert: Kcert, round_: int) -> None:
    """Five kills in a row, each where chance has it; then a run completes what they left."""
    own = own_pki("kubeadm")
    chance = random.Random(SEED + round_)  # noqa: S311 - moments, not secrets
    for name in GONE:
        (own.folder / name).unlink()
    for _ in range(5):
        before = keys_of(own.folder)
        arguments = chance.choice([["--quiet"], ["--quiet", "--jobs", "4"], ["--no-explain"]])
        moment = chance.randint(0, 12)
        with kcert.started("all", *arguments) as process:
            # A moment is counted in what has come into kcert's own folder, not in seconds.
            began = _entries(own.folder / ".kcert")
            _wait_for(process, own.folder / ".kcert", began + moment)
            kill_group(process.pid)
            process.wait()
        all_whole(own.folder)
        after = keys_of(own.folder)
        assert {name: after.get(name) for name in before} == before

    kcert.done("all", "--quiet")

    all_whole(own.folder)
    assert staged(own.folder) == []
    assert all(line.endswith("current") for line in kcert.done("all", "--quiet").lines)
    assert kcert("history", "--verify").status == 0


def test_a_kill_between_checked_and_in_place_is_completed(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    """The files to move are in a journal: the next run moves the rest, and creates none again."""
    own = own_pki("course")
    staging = own.folder / ".kcert/staging/1-1"
    staging.mkdir(parents=True)
    contents = {name: (own.folder / name).read_bytes() for name in ("admin.csr", "admin.key", "admin.crt")}
    (staging / "publish.json").write_text(
        json.dumps({"backup": "2026-01-01T00-00-00.000000Z", "files": list(contents)}), encoding="utf-8"
    )
    for name in ("admin.key", "admin.crt"):  # the request was moved before the kill
        (own.folder / name).rename(staging / name)

    assert "kept  admin  current" in kcert.done("all", "--quiet").lines
    assert {name: (own.folder / name).read_bytes() for name in contents} == contents


@pytest.mark.parametrize("journal", ["", "{", "[]", '{"files": 3}', '{"files": ["../../x"], "backup": "b"}', "\xff"])
def test_a_journal_that_is_no_journal_does_no_harm(
    own_pki: Callable[..., Pki], kcert: Kcert, journal: str, tmp_path: Path
) -> None:
    own = own_pki("course")
    staging = own.folder / ".kcert/staging/1-1"
    staging.mkdir(parents=True)
    (staging / "publish.json").write_text(journal, encoding="latin-1")
    before = snapshot(own.folder)

    ended = kcert("all", "--quiet")

    assert (ended.status, ended.stderr) == (0, "")
    assert staged(own.folder) == []
    assert snapshot(own.folder) == before
    assert not (tmp_path.parent / "x").exists()


def _hanging(folder: Path) -> Path:
    """An openssl that says where it is, and then waits for ever, when it is to sign admin's certificate."""
    return fake_openssl(
        folder, f'case "$*" in *" -out admin.crt"*) echo $$ > {folder}/pid; exec tail -f /dev/null;; esac'
    )


@pytest.mark.parametrize("quiet", representatives([[], ["--quiet"]]), ids=["lesson", "quiet"])
@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.thorough),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.thorough),
    ],
    ids=["Ctrl-C", "TERM", "HUP"],
)
def test_an_interruption_stops_the_program_and_leaves_nothing_half(  # noqa: PLR0917 - fixtures
    own_pki: Callable[..., Pki], kcert: Kcert, number: int, status: int, quiet: list[str], tmp_path: Path
) -> None:
    own = own_pki("course")
    for path in own.folder.glob("*admin*"):
        path.unlink()
    before = snapshot(own.folder)
    with kcert.started("all", *quiet, "--openssl", _hanging(tmp_path)) as process:
        wait_until(lambda: _pid_of(tmp_path))
        os.kill(process.pid, number)
        _, said = process.communicate(timeout=30)

    assert process.returncode == status
    assert b"Traceback" not in said
    assert snapshot(own.folder) == before
    assert staged(own.folder) == []
    openssl = _pid_of(tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(openssl, 0)
    kcert.done("all", "--quiet")
    assert (own.folder / "admin.crt").exists()


@pytest.mark.thorough
def test_a_ctrl_c_that_python_drops_takes_effect_all_the_same(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course")
    (own.folder / "admin.crt").unlink()

    status, said = harmed(kcert, "unseen", 1, ("client", "admin", "--quiet"))

    assert (status, said.split()[:2]) == (130, ["kcert:", "Interrupted."])
    all_whole(own.folder)
    assert kcert.done("all", "--quiet").status == 0


@pytest.mark.thorough
def test_ctrl_c_while_a_certificate_is_shown_ends_openssl_too(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path
) -> None:
    own_pki("course")
    hanging = fake_openssl(
        tmp_path, f'if [ "$1" != version ]; then echo $$ > {tmp_path}/pid; exec tail -f /dev/null; fi'
    )
    with kcert.started("show", "pki/admin.crt", "--openssl", hanging) as process:
        wait_until(lambda: _pid_of(tmp_path))
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=30)

    assert process.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.kill(_pid_of(tmp_path), 0)


@pytest.mark.thorough
def test_a_terminal_that_is_closed_ends_it_and_leaves_nothing_half(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path
) -> None:
    own = own_pki("course")
    for path in own.folder.glob("*admin*"):
        path.unlink()
    before = snapshot(own.folder)
    outside, terminal = pty.openpty()
    process = subprocess.Popen(
        kcert.argv("all", "--openssl", _hanging(tmp_path)),
        cwd=kcert.folder,
        env=kcert.environment(),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - there are no threads here
    )
    with process:
        os.close(terminal)
        # What it prints is read, as a terminal does, until there is nothing more to be seen.
        os.set_blocking(outside, False)
        wait_until(lambda: _drained(outside) and _pid_of(tmp_path))
        os.close(outside)
        process.wait(timeout=30)

    assert process.returncode == 129
    assert snapshot(own.folder) == before
    assert staged(own.folder) == []
    wait_until(lambda: not _runs(_pid_of(tmp_path)))


def _pid_of(folder: Path) -> int:
    """Return the process that a fake openssl wrote into *folder*; 0 until it has."""
    path = folder / "pid"
    return int(path.read_text(encoding="ascii") or "0") if path.exists() else 0


def _drained(terminal: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        while os.read(terminal, 65536):
            pass
    return True


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_nohup_is_obeyed(own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path) -> None:
    own = own_pki("course")
    (own.folder / "admin.crt").unlink()
    slow = fake_openssl(tmp_path, f'case "$*" in *" -out admin.crt"*) echo $$ > {tmp_path}/pid; sleep 1;; esac')
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with kcert.started("all", "--openssl", slow) as process:
        signal.signal(signal.SIGHUP, before)
        wait_until((tmp_path / "pid").exists)
        os.kill(process.pid, signal.SIGHUP)
        _, said = process.communicate(timeout=60)

    assert (process.returncode, said) == (0, b"")
    assert (own.folder / "admin.crt").exists()


def test_a_clock_that_stands_still_costs_no_backup(
    own_pki: Callable[..., Pki], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = own_pki("course")
    monkeypatch.setattr(store, "backup_name", lambda: "2026-01-01T00-00-00.000000Z")
    keys = []
    for _ in range(3):
        keys.append((own.folder / "admin.key").read_bytes())
        ended = in_process(["renew", "admin", "--new-key", "--quiet"], tmp_path)
        assert (ended.status, ended.stderr) == (0, "")

    kept = [path.read_bytes() for path in (own.folder / ".kcert/backup").rglob("admin.key")]
    assert sorted(kept) == sorted(keys)


def test_a_draft_that_a_kill_left_goes_with_the_next_run(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path
) -> None:
    own_pki("course")
    nobody = tmp_path / ".mine.conf.kcert-99999999"
    somebody = tmp_path / f".mine.conf.kcert-{os.getpid()}"
    for draft in (nobody, somebody):
        draft.write_text("a key", encoding="utf-8")

    kcert.done("kubeconfig", "admin", "--output", "mine.conf")

    assert not nobody.exists()
    assert somebody.exists()


@pytest.mark.thorough
def test_a_second_kcert_waits_and_says_for_whom(own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path) -> None:
    own = own_pki("course")
    for path in own.folder.glob("*admin*"):
        path.unlink()
    with kcert.started("all", "--quiet", "--openssl", _hanging(tmp_path)) as first:
        wait_until((tmp_path / "pid").exists)
        with kcert.started("client", "--quiet") as second:
            assert second.stderr
            said = second.stderr.readline().decode()
            os.kill(first.pid, signal.SIGTERM)
            out, _ = second.communicate(timeout=60)

    assert f"kcert all (process {first.pid}" in said
    assert second.returncode == 0
    assert b"made  admin" in out
    all_whole(own.folder)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "written",
    representatives(
        [b'{"doing": "a", "pid": 1e999, "since": "x"}', b"", b"\xff\xfe", b"[" * 100_000], lambda text: text[:1] == b"{"
    ),
)
def test_whatever_the_lock_says_of_its_holder_a_second_kcert_waits(
    own_pki: Callable[..., Pki], kcert: Kcert, written: bytes
) -> None:
    own = own_pki("course")
    lock = own.folder / ".kcert/lock"
    lock.write_bytes(written)
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with kcert.started("client", "--quiet") as second:
            assert second.stderr
            said = second.stderr.readline().decode()
            fcntl.flock(held, fcntl.LOCK_UN)
            out, _ = second.communicate(timeout=60)

    assert "another kcert" in said
    assert second.returncode == 0
    assert b"kept  admin  current" in out


@pytest.mark.thorough
def test_what_a_kill_left_half_is_completed_before_a_passphrase_is_asked_for(
    shared: Path, kcert: Kcert, tmp_path: Path
) -> None:
    """The CA's key was moved, and its certificate not yet: a reader now sees two that do not match."""
    folder = copied(encrypted_pki(shared, "course"), tmp_path)
    staging = folder / ".kcert/staging/1-1"
    staging.mkdir(parents=True)
    (staging / "publish.json").write_text(json.dumps({"backup": "b", "files": ["ca.key", "ca.crt"]}), encoding="utf-8")
    (folder / "ca.crt").rename(staging / "ca.crt")
    (folder / "ca.crt").write_bytes((folder / "admin.crt").read_bytes())

    ended = kcert("renew", "admin", "--quiet", variables=WITH_IT)

    assert (ended.status, ended.stderr) == (0, "")
    assert staged(folder) == []
    certificate, key = parts(folder, "admin.crt")
    assert judge.matches(key, certificate)


def test_a_disk_that_fails_in_the_middle_of_a_move_leaves_it_to_the_next_kcert(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = own_pki("course")
    system = os.replace

    def failing(source: str, target: str, **folders: int) -> None:
        if target == "admin.crt":
            raise OSError(errno.EIO, os.strerror(errno.EIO), target)
        system(source, target, **folders)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing)
        ended = in_process(["renew", "admin", "--new-key", "--quiet"], tmp_path)
    said = " ".join(ended.stderr.split())
    assert ended.status == 3
    assert "The next kcert command that writes there completes this change." in said
    certificate, key = parts(own.folder, "admin.crt")
    assert not judge.matches(key, certificate)

    kcert.done("client", "admin", "--quiet")

    all_whole(own.folder)
    assert staged(own.folder) == []


def test_a_loss_of_power_finds_no_file_in_place_that_is_not_on_the_disk(
    own_pki: Callable[..., Pki], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = own_pki("kubeadm")
    flush, move = os.fsync, os.replace
    flushed: set[int] = set()
    moved: dict[str, bool] = {}

    def flushing(descriptor: int) -> None:
        flush(descriptor)
        flushed.add(os.fstat(descriptor).st_ino)

    def moving(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        moved[target] = os.stat(source, dir_fd=src_dir_fd).st_ino in flushed
        move(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", flushing)
    monkeypatch.setattr(os, "replace", moving)
    ended = in_process(["renew", "admin", "apiserver", "--new-key", "--quiet"], tmp_path)

    assert (ended.status, ended.stderr) == (0, "")
    assert {"admin.conf", "apiserver.key", "apiserver.crt", "publish.json"} <= set(moved)
    assert {name for name, is_flushed in moved.items() if not is_flushed} <= {
        *(f"{name}.csr" for name in ("admin", "apiserver")),
        *(f"openssl-{name}.cnf" for name in ("admin", "apiserver")),
    }
    assert {path.stat().st_ino for path in own.folder.glob(".kcert/history.*")} <= flushed


@pytest.mark.parametrize("code", [errno.EPERM, errno.EXDEV, errno.EMLINK], ids=["EPERM", "EXDEV", "EMLINK"])
def test_without_hard_links_a_backup_is_a_copy(
    own_pki: Callable[..., Pki], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    own = own_pki("course")
    before = {name: (own.folder / name) for name in ("admin.key", "admin.crt")}
    contents = {name: (path.read_bytes(), path.stat()) for name, path in before.items()}

    def refuse(source: str, *_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code), source)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", refuse)
        ended = in_process(["renew", "admin", "--new-key", "--quiet"], tmp_path)

    assert (ended.status, ended.stderr) == (0, "")
    for name, (content, status) in contents.items():
        (kept,) = (own.folder / ".kcert/backup").rglob(name)
        assert kept.read_bytes() == content
        assert (kept.stat().st_mode, kept.stat().st_mtime_ns) == (status.st_mode, status.st_mtime_ns)


def test_a_key_that_lies_elsewhere_is_not_replaced_by_a_plain_file(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path
) -> None:
    own = own_pki("course")
    safe = tmp_path / "safe.key"
    (own.folder / "ca.key").rename(safe)
    (own.folder / "ca.key").symlink_to(safe)
    before = snapshot(own.folder)

    ended = kcert("renew", "ca", "--new-key", "--quiet")

    assert ended.status == 2
    assert f"ca.key is a link to {safe}: the key is kept elsewhere" in " ".join(ended.stderr.split())
    assert snapshot(own.folder) == before
    assert kcert.done("renew", "admin", "--quiet").lines[0].startswith("renewed  admin")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_what_root_renews_stays_its_owner_s(own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path) -> None:
    own = own_pki("course")
    for path in own.folder.glob("etcd-server.*"):
        os.chown(path, 4711, 4712)
    config = tmp_path / "config"
    kcert.done("kubeconfig", "admin", "--output", str(config))
    os.chown(config, 4711, 4712)

    kcert.done("renew", "etcd-server", "--new-key", "--quiet")
    kcert.done("kubeconfig", "admin", "--context", "other", "--merge", str(config))

    replaced = [*own.folder.glob("etcd-server.*"), config]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in replaced} == {(4711, 4712)}
    assert config.stat().st_mode & 0o777 == 0o600
    assert (own.folder / "openssl-etcd-server.cnf").stat().st_uid == 0


LATE = """
import os, signal, sys, types

class Last:
    def __init__(self):
        self.kill, self.arguments = os.kill, (os.getpid(), signal.{signal})

    def __del__(self):
        self.kill(*self.arguments)

sys.modules["last"] = types.ModuleType("last")
sys.modules["last"].object = Last()
sys.argv = ["kcert", "version"]
from kcert.__main__ import main
main()
"""
"""kcert that gets a signal when the interpreter clears its modules, after it has taken the handlers away."""


@pytest.mark.parametrize("name", representatives(["SIGTERM", "SIGHUP"]))
def test_a_signal_after_the_end_does_not_change_the_status(name: str) -> None:
    ended = output([sys.executable, "-c", LATE.format(signal=name)])

    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout.startswith("kcert ")
