"""Twenty kcert at once in one folder."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.endurance import whole
from tests.endurance.kills import GONE
from tests.endurance.trial import Check, Part
from tests.running import LONGEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.endurance.trial import LabBuilder

AT_ONCE = 20
MAKING: tuple[tuple[str, ...], ...] = (("all", "--quiet"), ("all", "--quiet", "--jobs", "4"), ("all", "--no-explain"))
ANYTHING = (
    *MAKING,
    ("client", "--quiet"),
    ("renew", "admin", "--quiet"),
    ("renew", "admin", "kube-apiserver", "--new-key", "--quiet"),
    ("plan",),
    ("history",),
    ("history", "--verify"),
)
TOO_EARLY = b"does not exist, so it cannot be renewed"
"""The message of `renew` if it is faster than every run that would create the deleted file."""


def at_once(ground: LabBuilder, times: int) -> Iterator[Check]:
    """Twenty commands start at the same moment, in an empty folder or in one where something is missing."""
    for number in range(times):
        with ground.trial("crowd", number) as (trial, kcert, chance):
            folder = ground.copy("kubeadm", kcert.folder)
            if (ground.seed + number) % 2:
                subprocess.run(["rm", "-rf", folder], check=True)
                commands = [chance.choice(MAKING) for _ in range(AT_ONCE)]
            else:
                for name in GONE:
                    (folder / name).unlink()
                commands = [chance.choice(ANYTHING) for _ in range(AT_ONCE)]
            before = whole.keys(folder)
            started = [
                subprocess.Popen(
                    kcert.argv(*command),
                    cwd=kcert.folder,
                    env=kcert.environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
                for command in commands
            ]
            for command, process in zip(commands, started, strict=True):
                _, said = process.communicate(timeout=LONGEST)
                came_first = command[0] == "renew" and process.returncode == 2 and TOO_EARLY in said
                if (process.returncode != 0 and not came_first) or b"Traceback" in said:
                    trial.wrong.append(f"{' '.join(command)} ended with {process.returncode}: {said.decode()}")
            trial.wrong += whole.completed(kcert, folder, before)
        yield trial


PARTS = (Part("crowd", "20 kcert at once in one folder", at_once, 50, 1),)
