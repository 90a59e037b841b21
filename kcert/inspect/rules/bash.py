"""Words and files as bash takes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kcert.shell import quote

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_ENDS_VALUE = re.compile(r"([/+\\])")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def word(text: str | Path) -> str:
    """One argument, whatever is in it: what cannot be printed is written as bash's ``$'\\x1b'``."""
    text = str(text)
    if not _UNPRINTABLE.search(text):
        return quote(text)
    plain = text.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + _UNPRINTABLE.sub(lambda found: "".join(f"\\x{byte:02x}" for byte in found[0].encode()), plain) + "'"


def subject(parts: Iterable[tuple[str, str]]) -> str:
    """A name for ``-subj``, in which ``/`` and ``+`` would end a value."""
    escaped = [(kind, _ENDS_VALUE.sub(r"\\\1", value)) for kind, value in parts]
    return word("".join(f"/{kind}={value}" for kind, value in escaped) or "/")


def lines(texts: Iterable[str]) -> str:
    """A file of these lines, as a process substitution; a line in double quotes is for bash to complete."""
    quoted = (text if text.startswith('"') else f"'{text}'" for text in texts)
    return "<(printf '%s\\n' " + " \\\n      ".join(quoted) + ")"


def replaced(path: str, command: str) -> str:
    """Run *command*, which prints a new file, and put it into place only if it succeeded."""
    return f"{command} > {path}.new &&\n  mv {path}.new {path}"


def line_set(number: int, value: str) -> str:
    """sed's command that gives the YAML field on a line another value; *value* is what bash makes of it."""
    return f'-e "{number}s|: .*|: {value}|"'
