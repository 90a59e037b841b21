"""A kubeconfig is changed by one program at a time, kubectl among them."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
import yaml

from kcert.errors import MachineError
from kcert.kubernetes import merging
from kcert.kubernetes.merging import locked
from tests.running import Kcert, output, program, without_privileges

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki

EMPTY = "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A kubeconfig with nothing in it."""
    path = tmp_path / "config"
    path.write_text(EMPTY, encoding="utf-8")
    return path


def unheard(lock: Path, holder: str) -> None:
    pytest.fail(f"waited for {lock} of {holder}")


@pytest.mark.thorough
def test_of_several_at_once_none_loses_what_another_added(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    config, lock = made.home / "config", made.home / "config.lock"
    config.write_text(EMPTY, encoding="utf-8")
    lock.touch(mode=0)
    with ExitStack() as all_of_them:
        running = [
            all_of_them.enter_context(kcert.started("kubeconfig", "admin", "--merge", "config", "--context", f"c{one}"))
            for one in range(4)
        ]
        said = []
        for process in running:  # each has come as far as the lock
            assert process.stderr
            said.append(process.stderr.readline().decode())
        assert config.read_text(encoding="utf-8") == EMPTY
        lock.unlink()
        ended = [process.wait(timeout=60) for process in running]

    assert ended == [0] * 4
    assert all("config.lock is there: kubectl or another program is changing" in line for line in said), said
    contexts = yaml.safe_load(config.read_text(encoding="utf-8"))["contexts"]
    assert {one["name"] for one in contexts} == {"c0", "c1", "c2", "c3"}
    assert not lock.exists()


def test_kubectl_keeps_away_while_it_is_held(config: Path) -> None:
    kubectl = program("kubectl")
    argv = [kubectl, "config", "set-cluster", "x", "--server=https://192.0.2.1"]

    with locked(config, unheard):
        held = output(argv, KUBECONFIG=str(config))
    free = output(argv, KUBECONFIG=str(config))

    assert (held.status, "config.lock: file exists" in held.stderr) == (1, True)
    assert free.status == 0


def test_a_link_and_what_it_leads_to_are_both_locked(config: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    link = tmp_path / "home" / "link"
    link.symlink_to(config)

    with locked(link, unheard):
        there = {path.name for path in tmp_path.rglob("*.lock")}
        modes = {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*.lock")}

    assert (there, modes) == ({"link.lock", "config.lock"}, {0o600})
    assert not list(tmp_path.rglob("*.lock"))


def test_a_lock_that_stays_is_named_with_its_age_and_left_alone(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "PATIENCE", 0.0)
    lock = tmp_path / "config.lock"
    lock.write_text("kcert, process 4711\n", encoding="utf-8")
    os.utime(lock, (time.time() - 3 * 3600 - 5,) * 2)
    link = tmp_path / "a link"
    link.symlink_to(config)

    for path in (config, link):
        with pytest.raises(MachineError) as refused, locked(path, unheard):
            pytest.fail("it was held twice")

        said = str(refused.value)
        assert re.search(r"config\.lock says that kcert \(process 4711\) is changing it, .* for 3 hours", said)
        assert f"`rm -f {lock}`" in said
    assert [path.name for path in tmp_path.glob("*.lock")] == ["config.lock"]


def test_of_two_locks_both_are_had_or_none(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "PATIENCE", 0.0)
    link = tmp_path / "link"
    link.symlink_to(config)
    (tmp_path / "link.lock").touch()

    with pytest.raises(MachineError, match=r"link\.lock says that kubectl or another program"), locked(link, unheard):
        pytest.fail("it was held twice")

    assert not (tmp_path / "config.lock").exists()


def test_where_the_block_fails_the_lock_goes(config: Path, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(config, unheard):
        raise ZeroDivisionError

    assert not (tmp_path / "config.lock").exists()


def test_ctrl_c_waits_until_the_file_is_whole(config: Path, tmp_path: Path) -> None:
    def changed() -> None:
        with locked(config, unheard):
            os.kill(os.getpid(), signal.SIGINT)
            config.write_text("whole", encoding="utf-8")

    with pytest.raises(KeyboardInterrupt):
        changed()

    assert config.read_text(encoding="utf-8") == "whole"
    assert not (tmp_path / "config.lock").exists()


@pytest.mark.thorough
def test_where_no_lock_can_be_made_nothing_is_changed(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    shut = made.home / "shut"
    shut.mkdir()
    (shut / "config").write_text(EMPTY, encoding="utf-8")
    shut.chmod(0o500)

    ended = kcert("kubeconfig", "admin", "--merge", "shut/config", preexec=without_privileges)

    assert ended.status == 3
    assert "shut/config cannot be locked" in " ".join(ended.stderr.split())
    assert (shut / "config").read_text(encoding="utf-8") == EMPTY
