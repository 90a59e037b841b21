"""kcert is interrupted at any moment: every certificate is whole or absent, no key is lost, a run completes it."""

from __future__ import annotations

import json
import os
import random
import signal
from typing import TYPE_CHECKING

import pytest

from tests import judge
from tests.refusals import snapshot, staged
from tests.running import Kcert, kill_group, wait_until
from tests.test_certificates import parts
from tests.test_faults import fake_openssl

if TYPE_CHECKING:
    import subprocess
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
    """What was to be moved stands in a journal: the next run moves the rest, and makes nothing anew."""
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


@pytest.mark.parametrize("quiet", [[], ["--quiet"]], ids=["lesson", "quiet"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "TERM"])
def test_an_interruption_stops_the_program_and_leaves_nothing_half(  # noqa: PLR0917 - fixtures
    own_pki: Callable[..., Pki], kcert: Kcert, number: int, status: int, quiet: list[str], tmp_path: Path
) -> None:
    own = own_pki("course")
    for path in own.folder.glob("*admin*"):
        path.unlink()
    before = snapshot(own.folder)
    with kcert.started("all", *quiet, "--openssl", _hanging(tmp_path)) as process:
        wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(encoding="ascii").strip())
        os.kill(process.pid, number)
        _, said = process.communicate(timeout=30)

    assert process.returncode == status
    assert b"Traceback" not in said
    assert snapshot(own.folder) == before
    assert staged(own.folder) == []
    openssl = int((tmp_path / "pid").read_text(encoding="ascii"))
    with pytest.raises(ProcessLookupError):
        os.kill(openssl, 0)
    kcert.done("all", "--quiet")
    assert (own.folder / "admin.crt").exists()


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
