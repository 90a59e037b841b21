"""What a PKI folder remembers beside its files: what it was made for, and what was asked for on the command line."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kcert.errors import KcertError
from kcert.quoting import quote
from kcert.store.directory import Directory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = "remembered.json"

_MODE = 0o600
_OPTIONS = {"cn": "--cn", "groups": "--group", "sans": "--san", "key": "--key", "days": "--days"}


@dataclass(frozen=True)
class Memory:
    """``example`` is True where the folder was made for the built-in example.

    ``requests`` holds, by the name of a certificate, what was asked for on the command line: groups, cn, sans, key
    and days, as the options have them.
    """

    example: bool = False
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)

    def text(self) -> str:
        """Return the file's content."""
        return json.dumps({"example": self.example, "requests": self.requests}, indent=2) + "\n"


def recall(own: Path) -> Memory:
    """Return what the folder with kcert's own files *own* remembers; nothing where that is not kcert's own word."""
    with contextlib.suppress(OSError, ValueError, KcertError, TypeError, AttributeError, RecursionError):
        with Directory.open(own.parent) as folder, folder.own_child(own.name) as directory:
            memory = json.loads(directory.read(NAME))
        requests = {
            str(name): dict(request) for name, request in memory["requests"].items() if isinstance(request, dict)
        }
        return Memory(memory["example"] is True, requests)
    return Memory()


def command_options(request: Mapping[str, Any]) -> list[str]:
    """Return the options of the command line that a remembered *request* came from."""
    words: list[str] = []
    for name, option in _OPTIONS.items():
        value = request.get(name)
        for each in value if isinstance(value, list) else [value] if value is not None else []:
            words += [option, quote(str(each[-1] if isinstance(each, list) else each))]
    return words


def remember(own: Directory, memory: Memory) -> None:
    """Write *memory* into kcert's own folder."""
    draft = f"{NAME}.draft"
    own.unlink(draft)
    own.write(draft, memory.text().encode("utf-8"), _MODE)
    own.move(draft, own, NAME)
