"""The fields of a certificate, key, request or kubeconfig with their meaning, and openssl's own output."""

from __future__ import annotations

import re

from rich.text import Text

from kcert import lessons
from kcert.quoting import format_command
from kcert.scan.fields import Description, Field, Part
from kcert.ui import print_json
from kcert.ui.console import (
    INDENT,
    MOST_WIDTH,
    block,
    clean,
    clean_line,
    command_line,
    heading,
    say,
    screen,
)

MEANINGS = "reading-a-certificate"
"""The lesson whose sections say what each field means."""

TEXT = "openssl-text"
"""The lesson whose sections say what each line of ``openssl x509 -text`` means."""

COLUMN, WIDEST = 56, 130
"""The columns at which notes beside openssl's text begin and end."""

LONGEST = 2000  # characters of one value on the screen: a certificate may have ten thousand names


def show(description: Description, *, text: bool, explain: bool) -> None:
    """Print all of it; *text* adds openssl's own output, *explain* the meaning of each field."""
    if explain:
        lessons.check_own()
    for number, part in enumerate(description.parts):
        if number:
            screen().print()
        _part(part, text=text, explain=explain)
    if description.left_out:
        screen().print()
        say(f"{description.left_out:,} more certificates are in {description.what}. List all with:")
        command_line(("kcert", "inventory", description.what))


def as_json(description: Description, *, explain: bool) -> None:
    """Print all of it as JSON; *explain* adds the meaning of each field."""
    parts = [
        {
            "title": part.title,
            "commands": [command.by_hand or format_command(command.argv) for command in part.commands],
            "fields": [
                {
                    "name": field.name,
                    "value": field.value,
                    "meaning": _meaning(field) if explain and field.meaning else None,
                }
                for field in part.fields
            ],
        }
        for part in description.parts
    ]
    content = {
        "what": description.what,
        "parts": parts,
        "left_out": description.left_out,
        "fault": description.fault,
    }
    print_json(content)


def _part(part: Part, *, text: bool, explain: bool) -> None:
    heading(clean_line(part.title))
    screen().print()
    for command in part.commands:
        if command.by_hand:
            block([clean_line(command.by_hand)], "command")
        else:
            command_line(command.argv)
        if text and explain and command.succeeded:
            _annotated(clean(command.output))
        elif text or not command.succeeded:
            block(clean(command.output).splitlines(), "said")
    if part.commands:
        screen().print()
    explained: set[str] = set()
    width = min(screen().width, MOST_WIDTH)
    for field in part.fields:
        value = clean_line(field.value)
        if len(value) > LONGEST:
            value = f"{value[:LONGEST]} … ({len(value) - LONGEST} characters more; --text prints all)"
        _wrapped(Text.assemble((f"{field.name}: ", "heading"), value), width)
        if explain and field.meaning and field.meaning not in explained:
            explained.add(field.meaning)
            _wrapped(Text(_meaning(field)), width - len(INDENT), INDENT)


def _annotated(output: str) -> None:
    """Print what openssl said, with the meaning of each line beside it, or below on a narrow screen."""
    notes = dict(lessons.lesson(TEXT).sections)
    console = screen()
    width = min(console.width, WIDEST)
    for line in output.splitlines():
        whole = f"{INDENT}{line}".rstrip()
        note = _note(line, notes)
        beside = f"{whole:<{COLUMN}}  # {note}"
        if not note:
            block([line], "said")
        elif len(beside) <= width:
            console.print(Text.assemble((whole.ljust(COLUMN), "said"), (f"  # {note}", "code")), soft_wrap=True)
        else:
            block([line], "said")
            indent = INDENT + " " * (len(line) - len(line.lstrip())) + "# "
            _wrapped(Text(note, style="code"), max(width - len(indent), 20), indent)


def _note(line: str, notes: dict[str, str]) -> str:
    """Return the meaning of a line, once for each heading: *notes* loses those that are used."""
    label = re.sub(r"^RSA (?=Public-Key)", "", line.strip().partition(":")[0].strip())
    values = [value.strip() for value in line.strip().split(",")]
    meanings = [notes.pop(heading) for heading in (label, *values) if heading in notes]
    if line.rstrip().endswith(": critical"):
        meanings += [notes.pop("critical")] if "critical" in notes else []
    return "; ".join(" ".join(note.split()) for note in meanings)


def _wrapped(text: Text, width: int, indent: str = "") -> None:
    for line in text.wrap(screen(), width):
        line.rstrip()
        screen().print(Text(indent) + line)


def _meaning(field: Field) -> str:
    words = {name: clean_line(word) for name, word in field.words.items()}
    return lessons.section(MEANINGS, field.meaning or "", **words)
