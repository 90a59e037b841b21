"""The commands that are off while a sealed exam is running, because they would solve a task."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from kcert.errors import InputError, ProgramError
from kcert.files import read_regular
from kcert.practice import OWN_FOLDER
from kcert.practice.seal import FILE, marker_file


def running() -> Path | None:
    """Return the folder of the sealed exam that this user is taking; None if there is none."""
    marker = marker_file()
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / OWN_FOLDER / FILE).exists() and (deadline := _deadline(folder)) and _is_ahead(deadline):
            return folder
    if marker is None:
        return None
    try:
        content: Any = json.loads(read_regular(marker))
        folder, deadline = Path(content["folder"]), str(content["deadline"])
        return folder if _is_ahead(deadline) and (folder / OWN_FOLDER / FILE).exists() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _deadline(folder: Path) -> str | None:
    from kcert.practice import exam, state  # many modules, which few commands need

    with suppress(InputError, ProgramError):
        if started := exam.load(folder):
            return None if started.kept else started.deadline
        return state.load(folder).deadline
    return None


def _is_ahead(deadline: str) -> bool:
    moment = datetime.fromisoformat(deadline)
    return moment.tzinfo is not None and moment > datetime.now(timezone.utc)


def refuse_if_running(command: str) -> None:
    """Raise InputError for *command* while this user is taking a sealed exam."""
    if folder := running():
        raise InputError(
            f"`kcert {command}` is off while the sealed exam in {folder} is running: solve its tasks with openssl."
            " `kcert practice exam --finish` ends the exam."
        )
