"""One thing shown: the command, what openssl said where that was asked for, the fields and what they mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.text import Text

from kcert import lessons
from kcert.quoting import quote
from kcert.ui.console import INDENT, MOST_WIDTH, block, clean, clean_line, command_line, heading, say, screen

if TYPE_CHECKING:
    from kcert.scan.showing import Description, Field, Part

MEANINGS = "reading-a-certificate"
"""The lesson whose sections say what each field means."""

LONGEST = 2000  # characters of one value on the screen: a certificate may have ten thousand names
_BLANK = re.compile(r"\{(\w+)\}")


def show(exhibit: Description, *, text: bool, explain: bool) -> None:
    """Print all of it; *text* adds openssl's own output, *explain* the meaning of each field."""
    for number, part in enumerate(exhibit.parts):
        if number:
            screen().print()
        _part(part, text=text, explain=explain)
    if exhibit.left:
        screen().print()
        say(f"{exhibit.left} more certificates are in it: `kcert inventory {quote(exhibit.what)}` lists all of them.")


def _part(part: Part, *, text: bool, explain: bool) -> None:
    heading(clean_line(part.title))
    screen().print()
    for ran in part.ran:
        if ran.by_hand:
            block([clean_line(ran.by_hand)], "command")
        else:
            command_line(ran.argv)
        if text or not ran.succeeded:
            block(clean(ran.said).splitlines(), "said")
    if part.ran:
        screen().print()
    said: set[str] = set()
    for fact in part.facts:
        _fact(fact, explain=explain and fact.meaning not in said)
        said |= {fact.meaning} if fact.meaning else set()


def _fact(fact: Field, *, explain: bool) -> None:
    value = clean_line(fact.value)
    if len(value) > LONGEST:
        value = f"{value[:LONGEST]} … ({len(value) - LONGEST} characters more; --text prints all)"
    width = min(screen().width, MOST_WIDTH)
    _wrapped(Text.assemble((f"{fact.name}: ", "heading"), value), width)
    if explain and fact.meaning:
        _wrapped(Text(_meaning(fact), style="quiet"), width - len(INDENT), INDENT)


def _wrapped(text: Text, width: int, indent: str = "") -> None:
    for line in text.wrap(screen(), width):
        line.rstrip()
        screen().print(Text(indent) + line)


def _meaning(fact: Field) -> str:
    words = " ".join(lessons.lesson(MEANINGS).sections[fact.meaning or ""].split())
    return _BLANK.sub(lambda found: clean_line(fact.words.get(found[1], found[0])), words)
