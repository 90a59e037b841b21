"""kcert is killed: where chance has it, and at each moment at which it touches the disk or starts a program."""

from __future__ import annotations

import contextlib
import functools
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kcert.errors import INTERRUPTED
from tests.endurance import whole
from tests.endurance.trial import Check, LabBuilder, Part
from tests.running import LONGEST, Kcert, kill_group, wait_until

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

    from tests.endurance.trial import LabBuilder

GONE = ("pki/apiserver.crt", "pki/apiserver.key", "pki/etcd/server.crt", "admin.conf", "kubelet.conf", "pki/sa.pub")


@dataclass(frozen=True)
class Scenario:
    """What is going on when the kill comes.

    ``goes`` are files of the profile's PKI that are deleted first (all of it: ``*``); ``command`` is what is
    killed, ``complete`` what completes it.
    """

    profile: str
    goes: tuple[str, ...]
    command: tuple[str, ...]
    complete: tuple[tuple[str, ...], ...]

    def set_up(self, ground: LabBuilder, home: Path) -> Path:
        """The PKI folder as the command finds it."""
        folder = ground.copy(self.profile, home)
        if "*" in self.goes:
            subprocess.run(["rm", "-rf", folder], check=True)
        else:
            for name in self.goes:
                (folder / name).unlink()
        return folder


ALL = (("all", "--quiet"),)
RENEWALS = (
    ("renew", "admin", "kube-apiserver"),
    ("renew", "admin", "kube-apiserver", "node01", "--new-key"),
    ("renew", "--all"),
    ("renew", "ca"),
    ("renew", "ca", "--new-key"),
)


def _all(chance: random.Random) -> Scenario:
    how = chance.choice((("--quiet",), ("--quiet", "--jobs", "4"), ("--no-explain",)))
    profile, goes = chance.choice((("kubeadm", GONE), ("kubeadm", ("*",)), ("course", ("*",))))
    return Scenario(profile, goes, ("all", *how), ALL)


def _renew(chance: random.Random) -> Scenario:
    command = chance.choice(RENEWALS)
    how = chance.choice((("--quiet",), ("--quiet", "--jobs", "4"), ("--no-explain",)))
    # Run again, a CA rotation that had started continues where it was.
    return Scenario("course", (), (*command, *how), ((*command, "--quiet"), ("renew", "--all", "--quiet")))


def _kubeconfig(chance: random.Random) -> Scenario:
    how = chance.choice(((), ("--no-explain",), ("--no-embed",)))
    return Scenario("course", (), ("kubeconfig", *how), (("kubeconfig", "--no-explain"), *ALL))


SCENES = {"all": _all, "renew": _renew, "kubeconfig": _kubeconfig}


def at_random(ground: LabBuilder, times: int) -> Iterator[Check]:
    """SIGKILL at a random moment of `all`, `renew` and `kubeconfig` in turn, then a run that completes it.

    The moment is a share of the time that the same command takes unharmed. At times the programs that kcert
    started die with it, at times they live on and write where the next run begins.
    """
    takes: dict[Scenario, float] = {}
    for number in range(times):
        with ground.trial("kills", number) as (trial, kcert, chance):
            scene = tuple(SCENES.values())[(ground.seed + number) % len(SCENES)](chance)
            if scene not in takes:
                takes[scene] = _unharmed(ground, scene)
            folder = scene.set_up(ground, kcert.folder)
            before = whole.keys(folder)
            moment, group = takes[scene] * chance.uniform(0.1, 1.1), chance.random() < 0.5
            trial.repeat += f" ({' '.join(scene.command)}, killed after {moment:.3f} s)"
            with kcert.started(*scene.command) as process:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.communicate(timeout=moment)
                if group:
                    kill_group(process.pid)
                process.kill()
                process.wait()
                trial.wrong += lost(folder, before)
                # What kcert had started lives on here, while the next run begins.
                trial.wrong += whole.completed(kcert, folder, before, *scene.complete)
        yield trial


def _unharmed(ground: LabBuilder, scene: Scenario) -> float:
    """Seconds that the command of *scene* takes when it is not disturbed."""
    with ground.trial("kills", 0) as (_, other, _):
        scene.set_up(ground, other.folder)
        clock = time.perf_counter()
        other(*scene.command)
        return time.perf_counter() - clock


AT_EACH_STEP = (
    Scenario("kubeadm", GONE, ("all", "--quiet"), ALL),
    Scenario("course", ("admin.crt", "admin.key"), ("client", "admin"), ALL),
    Scenario("course", (), ("renew", "admin", "node01", "--new-key", "-q"), (("renew", "admin", "--new-key", "-q"),)),
    Scenario(
        "course", (), ("renew", "ca", "--new-key", "-q"), (("renew", "ca", "--new-key", "-q"), ("renew", "--all", "-q"))
    ),
    Scenario("course", (), ("kubeconfig", "admin", "node01"), (("kubeconfig", "--no-explain"),)),
    Scenario("course", (), ("kubeconfig", "admin", "-o", "mine.conf"), (("kubeconfig", "admin", "-o", "mine.conf"),)),
)


def killed(ground: LabBuilder, times: int) -> Iterator[Check]:
    """SIGKILL before each thing that kcert does to the disk and each program that it starts."""

    def after(folder: Path, before: set[bytes], status: int, _: str) -> Iterator[str]:
        if status != -signal.SIGKILL:
            yield f"it ended with {status} rather than by the signal"
        yield from lost(folder, before)

    return at_each_step(ground, times, "kill", after)


def interrupted(ground: LabBuilder, times: int) -> Iterator[Check]:
    """Ctrl-C where a file takes its place: what belongs together is in place as a whole, at once."""

    def after(folder: Path, before: set[bytes], status: int, said: str) -> Iterator[str]:
        if status != INTERRUPTED or "Interrupted." not in said:
            yield f"it ended with {status}: {said}"
        yield from lost(folder, before)
        yield from whole.wrongs(folder)

    return at_each_step(ground, times, "interrupt", after)


def signaled(ground: LabBuilder, times: int) -> Iterator[Check]:
    """Ctrl-C, SIGTERM and SIGHUP at a random moment of a command whose openssl answers, or in every other trial never.

    kcert ends with the status of the signal, says nothing of its insides, and leaves no program behind.
    """
    scene = Scenario("course", ("admin.crt", "admin.key"), ("client", "admin"), ALL)
    takes = _unharmed(ground, scene)
    for number in range(times):
        with ground.trial("signals", number) as (trial, kcert, chance):
            folder = scene.set_up(ground, kcert.folder)
            before = whole.keys(folder)
            openssl = kcert.folder / "openssl"
            hangs = 'case "$*" in *" -out admin.crt"*) exec tail -f /dev/null;; esac' if chance.random() < 0.5 else ""
            openssl.write_text(f'#!/bin/sh\n{hangs}\nexec openssl "$@"\n', encoding="ascii")
            openssl.chmod(0o755)
            how = chance.choice(((), ("--quiet",), ("--quiet", "--jobs", "4")))
            kind, moment = chance.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP)), takes * chance.random() ** 2
            trial.repeat += f" ({' '.join(how)}, {kind.name} after {moment:.3f} s{', openssl hangs' if hangs else ''})"
            with kcert.started(*scene.command, *how, "--openssl", openssl) as process:
                wait_until(functools.partial(_catches, process.pid, signal.SIGHUP))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.communicate(timeout=moment)
                process.send_signal(kind)
                try:
                    _, said = process.communicate(timeout=LONGEST)
                except subprocess.TimeoutExpired:
                    trial.wrong.append(f"it did not end within {LONGEST:g} seconds")
                    continue
            if process.returncode not in {128 + kind, 0} or any(word in said for word in (b"Traceback", b"ignored")):
                trial.wrong.append(f"it ended with {process.returncode}: {said.decode()}")
            trial.wrong += (f"{name} was left behind" for name in _working_in(kcert.folder))
            trial.wrong += lost(folder, before)
            trial.wrong += whole.completed(kcert, folder, before, *scene.complete)
        yield trial


def _catches(process: int, number: signal.Signals) -> bool:
    """Return True if *process* has a handler for a signal (proc(5)); before that it cannot clear up."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text("ascii").splitlines())
    return bool(int(fields["SigCgt"], 16) >> (number - 1) & 1)


def _working_in(folder: Path) -> Iterator[str]:
    """The programs that run in *folder* or below."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(folder):
                yield (process / "comm").read_text(encoding="utf-8").strip()


def lost(folder: Path, before: set[bytes]) -> Iterator[str]:
    """Yield whether a key that was there *before* is gone."""
    if before - whole.keys(folder):
        yield "a key is lost before the completing run"


def at_each_step(
    ground: LabBuilder, times: int, how: str, after: Callable[[Path, set[bytes], int, str], Iterator[str]]
) -> Iterator[Check]:
    """Harm kcert as *how* says at each step of each command, and complete it; *times* of them, if there are more.

    *after* says what is wrong right after the harm: from the PKI folder, its keys before, exit status, standard error.
    """
    for scene in AT_EACH_STEP:
        steps = steps_of(ground, how, scene)
        stride = max(1, len(AT_EACH_STEP) * steps // times)
        for step in range(1 + ground.seed % stride, steps + 1, stride):
            with ground.trial(how, 0) as (trial, kcert, _):
                trial.repeat = f"{' '.join(scene.command)}, {how} at step {step} of {steps}"
                folder = scene.set_up(ground, kcert.folder)
                before = whole.keys(folder)
                trial.wrong += after(folder, before, *harmed(kcert, how, step, scene.command))
                trial.wrong += whole.completed(kcert, folder, before, *scene.complete)
            yield trial


def steps_of(ground: LabBuilder, how: str, scene: Scenario) -> int:
    """Return how many steps the command of *scene* has at which it can come to harm."""
    with ground.trial("steps", 0) as (_, kcert, _):
        scene.set_up(ground, kcert.folder)
        return int(harmed(kcert, how, 0, scene.command)[1].rsplit("steps: ", 1)[1])


def harmed(kcert: Kcert, how: str, step: int, command: tuple[str, ...]) -> tuple[int, str]:
    """Run *command* in a kcert that ``tests.endurance.harm`` harms; its exit status and standard error."""
    ended = subprocess.run(
        [sys.executable, "-B", "-m", "tests.endurance.harm", how, str(step), *command],
        cwd=kcert.folder,
        env=kcert.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=LONGEST,
        check=False,
    )
    return ended.returncode, ended.stderr.decode(errors="replace")


PARTS = (
    Part("kills", "SIGKILL at a random moment of all, renew, kubeconfig", at_random, 300, 3),
    Part("signals", "SIGINT, SIGTERM, SIGHUP at a random moment of client", signaled, 500, 6),
    Part("killsteps", "SIGKILL before each write, rename, program of six commands", killed, 10_000, 4),
    Part("interrupts", "Ctrl-C at each rename of six commands", interrupted, 10_000, 6),
)
