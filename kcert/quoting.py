"""Commands as a person types them in bash: the one place where an argument is quoted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}-{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17))
    + "]"
)
"""Characters that a terminal acts upon, does not show (Default_Ignorable_Code_Point) or shows elsewhere."""

SCRIPT_HEAD = ("#!/usr/bin/env bash", "set -euo pipefail", "umask 077")
"""The first lines of a printed bash script: it ends at the first failure, and what it makes is its owner's alone."""

WIDTH = 100
"""Columns of a command in a script, or in a fix."""

_SAFE = re.compile(r"[A-Za-z0-9@%+=:,./_-]+")
_SUBJECT = re.compile(r"/[^\"$`\\!]*=[^\"$`\\!]*")


class Raw(str):
    """A word that bash has to expand, as ``<(…)`` or ``"$(…)"``: what made it has quoted the parts of others in it."""

    __slots__ = ()


def quote(argument: str) -> str:
    """One argument as a person would type it in bash; a ``Raw`` one is left alone.

    A subject (``/CN=kube-admin/O=system:masters``) is in double quotes, as in all documentation. What a
    terminal would act upon becomes bash's ``$'\\x1b'``: still the same argument, and harmless on a screen. So does a
    backtick, which would end the quotation of a command in a sentence.
    """
    if isinstance(argument, Raw):
        return argument
    if not argument.isprintable() or "`" in argument or INVISIBLE.search(argument):
        return f"$'{''.join(map(_escaped, argument))}'"
    if _SUBJECT.fullmatch(argument):
        return f'"{argument}"'
    if _SAFE.fullmatch(argument):
        return argument
    return shlex.quote(argument)


def in_sentence(value: str) -> str:
    """*value* for a sentence, in which a backtick would begin or end a command: then it is quoted as in one."""
    return quote(value) if "`" in value else value


def _escaped(character: str) -> str:
    """One character inside bash's ``$'…'``: byte by byte, because ``\\U`` depends on the locale of who runs it."""
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable() and character != "`" and not INVISIBLE.match(character):
        return character
    try:
        octets = character.encode("utf-8", "surrogateescape")  # the very bytes of a file's name
    except UnicodeEncodeError:  # no file can have such a name, but JSON can
        octets = character.encode("utf-8", "replace")
    return "".join(f"\\x{octet:02x}" for octet in octets)


def folder_argument(folder: Path) -> str:
    """*folder* as an argument that no program takes for an option."""
    name = str(folder)
    return f"./{name}" if name.startswith("-") else name


def here_document(target: str, text: str, variables: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the bash lines that write *text* into *target*, a path that is quoted already.

    Each of *variables* that is in the text is replaced by its expression of bash; everything else is literal.
    """
    if variables:
        text = re.sub(r"[\\$`]", r"\\\g<0>", text)
        for placeholder, expression in variables.items():
            text = text.replace(placeholder, expression)
    end = "EOF"
    while end in text.splitlines():
        end += "_"
    return (f"cat > {target} <<{end}" if variables else f"cat > {target} <<'{end}'", text.removesuffix("\n"), end)


def format_command(argv: tuple[str, ...], width: int = 0) -> str:
    """The command line that *argv* is, ready to be pasted into bash.

    With a *width* (columns), a longer line is broken with `` \\`` before an option, as documentation does.
    """
    words = [quote(word) for word in argv]
    line = " ".join(words)
    if not width or len(line) <= width:
        return line
    # An option stays with its value: the break comes before the next option.
    groups: list[str] = []
    for word in words:
        stays = groups and not (word.startswith("-") and len(word) > 1)
        # Only a list of files may go on in another line; 7 is for the indentation, a blank and " \\".
        if stays and (" " not in groups[-1] or len(groups[-1]) + len(word) + 7 <= width):
            groups[-1] += f" {word}"
        else:
            groups.append(word)
    lines = [groups[0]]
    for group in groups[1:]:
        if len(lines[-1]) + 1 + len(group) + 2 <= width:
            lines[-1] += f" {group}"
        else:
            lines.append(f"    {group}")
    return " \\\n".join(lines)
