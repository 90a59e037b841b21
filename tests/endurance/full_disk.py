"""The disk fills up: a real one of a few pages, files that may not grow, and no room from any one step on."""

from __future__ import annotations

import contextlib
import resource
import subprocess
from typing import TYPE_CHECKING

from kcert.store import Workspace
from tests.endurance import whole
from tests.endurance.kills import AT_EACH_STEP, at_each_step, lost
from tests.endurance.trial import Check, Part
from tests.running import output

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.endurance.trial import LabBuilder

PAGE = 4096
DISK = 800 * 1024
"""Bytes: more than the scenes' folders need, with what is made in them."""

MOST_PAGES = 80
"""More room than any of the scenes needs."""


LARGEST = 2400
"""Bytes: the largest file that the scenes write, but for the history."""


def disk(ground: LabBuilder, times: int) -> Iterator[Check]:
    """A tmpfs with room for so many pages more, from none until it is enough; nothing where none may be mounted."""
    for number, scene in enumerate(AT_EACH_STEP):
        few = times < len(AT_EACH_STEP) * MOST_PAGES
        for pages in [(ground.seed + 7 * number) % 20] if few else range(MOST_PAGES):
            with ground.trial("disk", 0) as (trial, kcert, _):
                trial.repeat = f"{' '.join(scene.command)} with {pages} pages of room"
                with mounted(kcert.folder) as there:
                    if not there:
                        return
                    folder = scene.set_up(ground, kcert.folder)
                    before = whole.keys(folder)
                    ballast = kcert.folder / "ballast"
                    fill(ballast, pages)
                    ended = kcert(*scene.command)
                    ballast.unlink()
                    trial.wrong += _after(folder, before, ended.status, ended.stderr)
                    trial.wrong += whole.completed(kcert, folder, before, *scene.complete)
            yield trial
            if ended.status == 0:
                break


def files(ground: LabBuilder, times: int) -> Iterator[Check]:
    """No file may grow beyond 0, 16, 32 … bytes: writing stops in kcert, or in openssl."""
    for scene in AT_EACH_STEP:
        stride = max(16, LARGEST * len(AT_EACH_STEP) // times)
        for size in range(ground.seed % stride, LARGEST, stride):
            with ground.trial("files", 0) as (trial, kcert, _):
                trial.repeat = f"{' '.join(scene.command)}, no file beyond {size} bytes"
                folder = scene.set_up(ground, kcert.folder)
                before = whole.keys(folder)

                def limited(size: int = size) -> None:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

                ended = kcert(*scene.command, preexec=limited)
                trial.wrong += _after(folder, before, ended.status, ended.stderr)
                trial.wrong += whole.completed(kcert, folder, before, *scene.complete)
            yield trial


def steps(ground: LabBuilder, times: int) -> Iterator[Check]:
    """From one step on, each in turn, the disk takes nothing more of kcert itself."""
    return at_each_step(ground, times, "full", _after)


def _after(folder: Path, before: set[bytes], status: int, said: str) -> Iterator[str]:
    """Yield what is wrong right after the failure, before anything completes it."""
    if status not in (0, 3):
        yield f"it ended with {status}: {said}"
    if status == 3 and not said.strip():
        yield "it ended without a word"
    if "Traceback" in said or "itself made a mistake" in said:
        yield said
    if folder.exists():
        yield from lost(folder, before)
        if Workspace.is_unfinished(folder):
            if "is completed by the next kcert" not in " ".join(said.split()):
                yield f"it says nothing of what is left to be moved: {said}"
        else:
            yield from whole.wrongs(folder)
        yield from whole.unverified(folder)


def fill(ballast: Path, pages: int) -> None:
    """Fill the disk of the file *ballast* up to *pages* pages."""
    block = b"x" * PAGE
    with ballast.open("wb", buffering=0) as file:
        written = 0
        with contextlib.suppress(OSError):
            while file.write(block) == PAGE:
                written += PAGE
    with ballast.open("r+b") as file:
        file.truncate(max(written - pages * PAGE, 0))


@contextlib.contextmanager
def mounted(folder: Path, size: int = DISK) -> Iterator[bool]:
    """Mount a tmpfs of *size* bytes on *folder* until the block ends; False where none can be mounted."""
    mounted = output(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder]).status == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", folder], check=True)


PARTS = (
    Part("disk", "a tmpfs that fills up, page by page (root only)", disk, 6 * MOST_PAGES, 6),
    Part("files", "RLIMIT_FSIZE: no file grows beyond 0, 20, 40 … bytes", files, 720, 6),
    Part("fullsteps", "ENOSPC from each step of kcert on", steps, 10_000, 4),
)
