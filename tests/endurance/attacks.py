"""Folders and names from other users, and little room: every command, with what never answers or leads elsewhere."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.endurance import whole
from tests.endurance.full_disk import fill, mounted
from tests.endurance.kills import harmed, lost
from tests.endurance.trial import Check, Part
from tests.hostile import BEGINNINGS, RAW, RUNS, commands_in, every_command_with, pasted, set_up
from tests.running import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.endurance.trial import LabBuilder
    from tests.running import Kcert

PRECIOUS = b"precious\n"


def _home_of(path: Path) -> Path:
    return next(parent for parent in path.parents if (parent / "mine").exists())


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(50 * 2**30)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        short = os.open(path.parent, os.O_RDONLY)  # the name of a socket has 108 bytes at most (unix(7))
        listener.bind(f"/proc/self/fd/{short}/{path.name}")
        os.close(short)


def _foreign(path: Path) -> None:
    path.write_bytes(b"planted\n")
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)


KINDS: dict[str, Callable[[Path], None]] = {
    "a FIFO": os.mkfifo,
    "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "a link to a file of mine": lambda path: path.symlink_to(_home_of(path) / "mine"),
    "a file of 50 GB": _sparse,
    "a folder": Path.mkdir,
    "a socket": _socket,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a file of another user": _foreign,
}


NAME = "pki-of-mine"
"""The name of what ``tests.hostile`` sets up, where the name is harmless."""


def _commands(ground: LabBuilder, times: int) -> list[tuple[str, ...]]:
    """Return every command, or as many as there are *times*."""
    commands = every_command_with(NAME)
    stride = -(-len(commands) // min(times, len(commands)))
    return commands[ground.seed % stride :: stride]


def planted(ground: LabBuilder, times: int) -> Iterator[Check]:
    """Each kind in the place of each file that a command opens: it ends, says why in words, and writes nowhere else."""
    commands = _commands(ground, times)
    each = max(1, times // len(commands))
    for number, command in enumerate(commands):
        with ground.trial("planted", number) as (trial, kcert, chance):
            trial.repeat = " ".join(command)
            _ready(ground, kcert, NAME)
            opened = _opened_by(kcert, command)
            stock = kcert.folder.with_name(f"{kcert.folder.name}-stock")
            shutil.copytree(kcert.folder, stock, symlinks=True)
            cases = list(itertools.product(KINDS, opened))
            chance.shuffle(cases)
            trial.cases = len(cases[:each])
            for kind, name in cases[:each]:
                shutil.rmtree(kcert.folder)
                shutil.copytree(stock, kcert.folder, symlinks=True)
                trial.wrong += (f"with {kind} as {name}: {what}" for what in _attacked(kcert, command, kind, name))
            shutil.rmtree(stock)
        yield trial


def _ready(ground: LabBuilder, kcert: Kcert, name: str) -> None:
    ground.copy("course", kcert.folder)
    set_up(kcert, name)
    shutil.copytree(REPOSITORY / "openssl_templates", kcert.folder / "templates")
    mine = kcert.folder / "mine"
    mine.write_bytes(PRECIOUS)
    mine.chmod(0o644)


def _opened_by(kcert: Kcert, command: tuple[str, ...]) -> list[Path]:
    """Return the files and folders below kcert's folder that *command* opens, by their paths from there."""
    _, said = harmed(kcert, "opens", 0, command)
    names = set(json.loads(said.rpartition("opened: ")[2]))
    there = (path.relative_to(kcert.folder) for path in sorted(kcert.folder.rglob("*")))
    return [path for path in there if path.name in names and path.name != "mine"]


def _attacked(kcert: Kcert, command: tuple[str, ...], kind: str, name: Path) -> Iterator[str]:
    """Run *command* with something of the *kind* in the place of the file *name*, and yield what is wrong."""
    path, mine = kcert.folder / name, kcert.folder / "mine"
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    KINDS[kind](path)
    try:
        ended = kcert(*command)
    except subprocess.TimeoutExpired:
        yield "it hangs"
        return
    if ended.status not in (0, 1, 2, 3) or "mistake" in ended.stderr or "Traceback" in ended.stderr:
        yield f"it ended with {ended.status}: {ended.stderr[-300:]}"
    if mine.read_bytes() != PRECIOUS or mine.stat().st_mode & 0o777 != 0o644:
        yield "what a link leads to was changed"


def names(ground: LabBuilder, times: int) -> Iterator[Check]:
    """Hostile names of folders and files through every command: what is printed to be pasted runs nothing of them."""
    every = ["a`touch CANARY`b", *(f"{beginning}{runs}" for runs in RUNS for beginning in BEGINNINGS)]
    for number in range(min(times, len(every))):
        with ground.trial("names", number) as (trial, kcert, _):
            name = every[(ground.seed + number * 7) % len(every)]
            _ready(ground, kcert, name)
            commands = every_command_with(name)
            printed = [kcert(*command) for command in commands]
            trial.cases = len(commands)
            for command, ended in zip(commands, printed, strict=True):
                said = ended.stdout + ended.stderr
                if "mistake" in ended.stderr or "Traceback" in ended.stderr:
                    trial.wrong.append(f"{command!a}: {ended.stderr[-300:]}")
                if RAW.search(said) and command[0] != "logs":  # the log's own program prints that
                    trial.wrong.append(f"{command!a} prints {RAW.search(said)!a}")
            found = [
                one for ended in printed for text in (ended.stdout, ended.stderr) for one in commands_in(text, name)
            ]
            ran = pasted(kcert.folder / "s", found)
            trial.wrong += (f"{name!a}: pasted, it runs the name: {one[:300]!a}" for one in ran)
        yield trial


def little_room(ground: LabBuilder, times: int) -> Iterator[Check]:
    """Every command on a tmpfs with room for 8 to 320 KiB more: it fails in words or succeeds, and costs no key."""
    commands = _commands(ground, times)
    each = max(1, times // len(commands))
    for number, command in enumerate(commands):
        with ground.trial("room", number) as (trial, kcert, chance):
            trial.repeat = " ".join(command)
            rooms = sorted(chance.sample(range(8, 324, 4), min(each, 79)))
            trial.cases = len(rooms)
            stock = kcert.folder.with_name(f"{kcert.folder.name}-stock")
            _ready(ground, kcert, NAME)
            shutil.copytree(kcert.folder, stock, symlinks=True)
            for room in rooms:
                with mounted(kcert.folder, ROOMY) as there:
                    if not there:
                        return
                    shutil.copytree(stock, kcert.folder, symlinks=True, dirs_exist_ok=True)
                    trial.wrong += (f"{room} KiB: {what}" for what in _squeezed(kcert, command, room))
            shutil.rmtree(stock)
        yield trial


ROOMY = 16 * 2**20


def _squeezed(kcert: Kcert, command: tuple[str, ...], room: int) -> Iterator[str]:
    folders = [kcert.folder / "pki", kcert.folder / NAME]
    before = {folder: whole.keys(folder) for folder in folders}
    ballast = kcert.folder / "ballast"
    fill(ballast, room // 4)
    ended = kcert(*command)
    ballast.unlink()
    if ended.status not in (0, 1, 2, 3) or "mistake" in ended.stderr or "Traceback" in ended.stderr:
        yield f"it ended with {ended.status}: {ended.stderr[-300:]}"
    again = kcert(*command)
    # No server answers a call, and there is no kubeconfig for kubectl, which is status 3.
    answers = (0, 1, 2, 3) if command[0] == "call" or "--kubeconfig" in command else (0, 1, 2)
    if again.status not in answers or "mistake" in again.stderr:
        yield f"with room it ended with {again.status}: {again.stderr[-300:]}"
    for folder in folders:
        yield from lost(folder, before[folder])
        verified = kcert("history", "--verify", "-d", folder)
        if verified.status != 0:
            yield f"the history of {folder.name}: {verified.stderr}"


PARTS = (
    Part("planted", "FIFOs, devices, links, owners in the place of each opened file", planted, 6000, 24),
    Part("names", "hostile names through every command, what is printed pasted", names, 79, 1),
    Part("room", "a tmpfs with 8 to 320 KiB for every command (root only)", little_room, 2000, 24),
)
