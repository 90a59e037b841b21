"""Words and files as bash takes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kcert.quoting import quote

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_ENDS_VALUE = re.compile(r"([/+\\])")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def word(text: str | Path) -> str:
    """One argument, whatever is in it: what cannot be printed is written as bash's ``$'\\x1b'``.

    A path that no program takes for an option; a text is taken as it is.
    """
    text = str(text) if isinstance(text, str) or not str(text).startswith("-") else f"./{text}"
    if not _UNPRINTABLE.search(text):
        return quote(text)
    plain = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{_UNPRINTABLE.sub(_escaped, plain)}'"


def _escaped(found: re.Match[str]) -> str:
    try:
        octets = found[0].encode("utf-8", "surrogateescape")  # the very bytes of a file's name
    except UnicodeEncodeError:  # no file can have such a name
        octets = found[0].encode("utf-8", "replace")
    return "".join(f"\\x{octet:02x}" for octet in octets)


def subject(parts: Iterable[tuple[str, str]]) -> str:
    """A name for ``-subj``, in which ``/`` and ``+`` would end a value."""
    escaped = [(kind, _ENDS_VALUE.sub(r"\\\1", value)) for kind, value in parts]
    return word("".join(f"/{kind}={value}" for kind, value in escaped) or "/")


def lines(texts: Iterable[str]) -> str:
    """A file of these lines, as a process substitution; a line in double quotes is for bash to complete."""
    quoted = (text if text.startswith('"') else f"'{text}'" for text in texts)
    return "<(printf '%s\\n' " + " \\\n      ".join(quoted) + ")"


def one_after_the_other(commands: Iterable[str]) -> str:
    """Commands of which each needs what those before it did; nothing runs after one that failed."""
    return " &&\n".join(command for command in commands if command)


def with_block(number: int, new: str, file: str) -> str:
    """The command that prints a PEM file with the one in *new* for its certificate *number* (counted from 1)."""
    begin = f'/-----BEGIN CERTIFICATE-----/ {{inside = ++n == {number}; if (inside) printf "%s", new}}'
    return f"awk 'NR == FNR {{new = new $0 \"\\n\"; next}} {begin} !inside; {_END}' {new} {file}"


def block_of(number: int, file: str) -> str:
    """The command that prints certificate *number* (counted from 1) of a PEM file."""
    return _blocks(f"== {number}", file)


def rest_of_blocks(file: str = "") -> str:
    """The command that prints the certificates of a PEM file (or of what it reads) but for the first."""
    return _blocks("> 1", file)


def _blocks(which: str, file: str) -> str:
    return f"awk '/-----BEGIN CERTIFICATE-----/ {{inside = ++n {which}}} inside; {_END}' {file}".rstrip()


_END = "/-----END CERTIFICATE-----/ {inside = 0}"
"""The last rule of each: what stands between two blocks belongs to none."""


def field_decoded(number: int, file: str) -> str:
    """The command that prints what the base64 of a YAML field on a line says; the field may stand in quotes."""
    return f"sed -n '{number}s/.*: *//p' {file} | tr -d \"\\\"'\" | openssl base64 -d -A"


def line_set(number: int, value: str) -> str:
    """sed's command that gives the YAML field on a line another value; *value* is what bash makes of it."""
    return f'-e "{number}s|: .*|: {value}|"'


def line_filled(number: int, command: str, file: str) -> str:
    """The commands that give the YAML field on a line of *file* what *command* prints; without that, it stays."""
    return f'data="$({command})" && [ -n "$data" ] &&\n  sed -i {line_set(number, "$data")} {file}'
