"""The screen: one palette, what may be written to a terminal, and one function for each thing that is printed."""

from __future__ import annotations

import os
import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import accumulate
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text
from rich.theme import Theme

from kcert import shell
from kcert.errors import ProgramError
from kcert.quoting import INVISIBLE, format_command
from kcert.shell import Command

PIPE_WIDTH = 80
"""Columns of prose in a pipe or a file, whatever terminal it is started from: output stays the same."""

MOST_WIDTH = 100
"""Prose and commands are not drawn wider than this: longer lines are hard to read."""

INDENT = "    "

PALETTE = Theme(
    {
        "heading": "bold",
        "command": "bold green",
        "said": "default",
        "file": "cyan",
        "config": "default",
        "code": "cyan",
        "good": "green",
        "notice": "yellow",
        "bad": "bold red",
        "quiet": "dim",
    }
)


@cache
def screen() -> Console:
    """Standard output."""
    return _screen(stderr=False)


@cache
def error_screen() -> Console:
    """Standard error."""
    return _screen(stderr=True)


def _screen(*, stderr: bool) -> Console:
    console = Console(theme=PALETTE, stderr=stderr, highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def clean(text: str) -> str:
    """Return *text* of foreign origin with its control characters made visible, so that none reaches the terminal.

    Line feed and tab stay. The characters that turn the direction of writing go too, and those without a width: they
    can make a name look like another. A byte of a file name that is not text is shown as what it is.
    """
    return INVISIBLE.sub(_visible, text.replace("\r\n", "\n"))


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds a byte that is not UTF-8 (surrogateescape)
        return f"\\x{code - 0xDC00:02x}"
    return match[0].encode("unicode_escape").decode("ascii")


def clean_line(text: str) -> str:
    """Return *text* as ``clean`` does, and on one line."""
    return clean(text).replace("\n", "\\n").replace("\t", "\\t")


def say(
    text: str = "", style: str = "", *, to: Console | None = None, bullet: str | Text = "", markdown: bool = False
) -> None:
    """Print a paragraph, wrapped at the width of the screen, with its lines aligned behind a *bullet*.

    Text in backticks is code: where there is colour, the colour says so, elsewhere the backticks. Paths
    and values may hold anything, also where the user wrote them. In *markdown*, two asterisks make text bold as well.
    """
    console = to or screen()
    paragraph = clean(" ".join(text.split() if markdown else text.strip().split("\n")))
    has_colour = console.color_system is not None and not console.no_color  # not in a pipe, nor with NO_COLOR
    line, words, end = Text(style=style), "", 0
    for mark in (_MARKS if markdown else _CODE).finditer(paragraph):
        is_code = mark[0].startswith("`")
        shown = (mark[0][1:-1] if has_colour else mark[0]) if is_code else mark[0][2:-2]
        line.append(paragraph[end : mark.start()]).append(shown, style="code" if is_code else "bold")
        words += paragraph[end : mark.start()] + (shown.replace(" ", _JOINT) if is_code else shown)
        end = mark.end()
    line.append(paragraph[end:])
    words += paragraph[end:]
    width = min(console.width, MOST_WIDTH) - len(bullet)
    wrapped = _wrapped(words, width)
    bullets = [bullet, *[" " * len(bullet)] * len(wrapped)]
    if not console.is_terminal:
        console.file.writelines(f"{before}{part}\n" for before, part in zip(bullets, wrapped, strict=False))
        return
    # rich would break what is longer than a line; the terminal goes on below it, and copies it as one.
    ends = list(accumulate(len(part) + 1 for part in wrapped))[:-1]
    for before, part in zip(bullets, line.divide(ends), strict=False):
        part.rstrip()
        console.print(Text.assemble(before, part), soft_wrap=True)


def say_apart(text: str, style: str = "") -> None:
    """Print a paragraph, and an empty line below it."""
    say(text, style)
    screen().print()


def say_paragraphs(text: str, most: int | None = None) -> None:
    """Print the first *most* paragraphs of *text*, with an empty line below each."""
    for paragraph in text.split("\n\n")[:most]:
        say_apart(paragraph)


def say_commands(text: str, *commands: tuple[str, ...]) -> None:
    """Print a paragraph and the commands that it introduces, with an empty line below both."""
    say_apart(text)
    for argv in commands:
        command_line(argv)
    screen().print()


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: 1 file, 2 files."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def first_few(names: Sequence[object], most: int) -> str:
    """Return the first *most* of *names* in a line, and how many more there are."""
    shown = ", ".join(clean_line(str(name)) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def abridged(text: str, width: int) -> str:
    """Return a list with commas in at most *width* columns: the first parts, and how many more there are.

    Of a first part that is longer, its beginning is left.
    """
    parts = re.split(r"(?<=[,;]) ", text)
    left = ""
    for kept in range(len(parts), 0, -1):
        left = f" +{len(parts) - kept} more" if kept < len(parts) else ""
        if len(shown := " ".join(parts[:kept]).rstrip(",;") + left) <= width:
            return shown
    return f"{parts[0][: max(width - 1 - len(left), 1)]}…{left}"


_CODE = re.compile(r"`[^`]*`")
_MARKS = re.compile(r"`[^`]+`|\*\*[^*]+\*\*")
_JOINT = "\0"
"""A placeholder for a blank at which no line is broken; ``clean`` lets none through."""


def _wrapped(paragraph: str, width: int) -> list[str]:
    """Return *paragraph* in lines of *width*; a word that is longer, or a command to be copied, is never broken."""
    lines = [""]
    for word in paragraph.split(" "):
        if not lines[-1] or cell_len(f"{lines[-1]} {word}".replace(_JOINT, " ")) <= width:
            lines[-1] += f" {word}" if lines[-1] else word
        else:
            lines.append(word)
    return [line.replace(_JOINT, " ") for line in lines]


def heading(text: str) -> None:
    """Print a heading, and a line of the same width below it."""
    console, text = screen(), clean_line(text)
    console.print(Text(text, style="heading"))
    console.print(Text("-" * min(len(text), console.width), style="quiet"))


def command_line(argv: tuple[str, ...]) -> None:
    """Print a command as one logical line that can be copied whole, broken with `` \\`` where it is long."""
    console = screen()
    width = min(console.width, MOST_WIDTH) - len(INDENT)
    block(format_command(argv, width).splitlines(), "command")


Row = tuple[str | Text, ...]


def in_columns(rows: Sequence[Row], widest: int = 10_000) -> str:
    """Return a line for each of *rows*, for programs: nothing is wrapped.

    A column is filled up to its longest cell, or to *widest* characters.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [min(widest, max(map(len, column))) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells)
    return "".join(f"{line}\n" for line in lines)


def draw(rows: Sequence[Row], whole: int = 1) -> None:
    """Print a table; on a terminal cells are folded, but for those of the first *whole* columns."""
    if not screen().is_terminal:
        screen().file.write(in_columns(rows))
        return
    from rich.table import Table  # in a pipe there is none

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="heading")
    for number, heading in enumerate(rows[0]):
        table.add_column(heading, overflow="fold", no_wrap=number < whole)
    for row in rows[1:]:
        table.add_row(*row)
    screen().print(table)


def block(lines: Iterable[str], style: str = "", prefix: str = "") -> None:
    """Print lines as they are, indented and never cut.

    On a terminal, long commands and their comments are broken where bash reads them the same, and what a program said
    (the style "said") between words.
    """
    console = screen()
    if not console.is_terminal:
        console.file.writelines(f"{INDENT}{prefix}{line}".rstrip() + "\n" for line in lines)
        return
    width = min(console.width, MOST_WIDTH) - len(INDENT) - len(prefix)
    if style == "command":
        lines = fitted(list(lines), width)
    elif style == "said":
        lines = [part for line in lines for part in _between_words(line, width)]
    for line in lines:
        is_comment = style == "command" and line.lstrip().startswith("#")
        whole = f"{INDENT}{prefix}{line}".rstrip()
        console.print(Text(whole, style="said" if is_comment else style), soft_wrap=True)


_WHOLE_WORDS: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


def _between_words(line: str, width: int) -> list[str]:
    return textwrap.wrap(line, width, subsequent_indent="  ", **_WHOLE_WORDS) if len(line) > width else [line]


def comment(text: str, width: int = MOST_WIDTH, indent: str = "") -> list[str]:
    """Return *text* as lines of comment, for bash."""
    prefix = f"{indent}# "
    words = clean(" ".join(text.split()))
    return textwrap.wrap(words, width, initial_indent=prefix, subsequent_indent=prefix, **_WHOLE_WORDS)


_WORD = re.compile(r"""(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|\$\([^()]*\)|[^\s'"\\])+""")
_OPERATOR = re.compile(r"-|\d?[<>]|[|&;]")


def fitted(lines: list[str], width: int) -> list[str]:
    """Return lines of bash, none of them wider than *width* if it can be broken: it stays the same for bash."""
    commands = [line.partition("   # ")[0] for line in lines if not line.lstrip().startswith("#")]
    if any("<<" in line or line.count("'") % 2 or line.count('"') % 2 for line in commands):
        return lines  # a text of several lines, in which a new line would be content
    shown: list[str] = []
    for line in _joined(lines):
        command, has_comment, comment = line.partition("   # ")
        if len(line) > width and has_comment and command.strip():
            indent = " " * (len(line) - len(line.lstrip()))
            shown += [*_broken_line(f"{indent}# {comment}", width), *_broken_line(command, width)]
        else:
            shown += _broken_line(line, width)
    return shown


def _joined(lines: list[str]) -> list[str]:
    """Return *lines*, with each command that continues in the next line joined to one."""
    joined: list[str] = []
    for line in lines:
        if joined and joined[-1].endswith(" \\"):
            joined[-1] = joined[-1].removesuffix("\\") + line.lstrip()
        else:
            joined.append(line)
    return joined


def _broken_line(line: str, width: int) -> list[str]:
    """Return a comment as several, or a command broken with `` \\`` before options and operators."""
    if len(line) <= width:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()))
    if line.lstrip().startswith("#"):
        return comment(line.lstrip("# "), width, indent)
    body = line.strip()
    words = _WORD.findall(body)
    if " ".join(words) != body or any(word.startswith("#") for word in words):
        return [line]
    broken_lines = [indent + words[0]]
    pieces: list[str] = []
    for word in words[1:]:
        if not pieces or _OPERATOR.match(word) or len(pieces[-1]) + len(word) > width - 2 * len(INDENT):
            pieces.append(word)
        else:
            pieces[-1] += f" {word}"
    for piece in pieces:
        if len(broken_lines[-1]) + 1 + len(piece) + len(" \\") <= width:
            broken_lines[-1] += f" {piece}"
        else:
            broken_lines[-1] += " \\"
            broken_lines.append(f"{indent}{INDENT}{piece}")
    return broken_lines


def show_file(path: object, remark: str = "") -> None:
    """Print the path of a file that a command made, with a *remark* behind it."""
    block([f"-> {clean_line(str(path))}{remark}"], "file")


def show_output(text: str, style: str = "said") -> None:
    """Print what a program printed, each line behind a bar."""
    block(clean(text).splitlines(), style, "| ")


def paged(draw: Callable[[], None]) -> None:
    """Draw on the screen; through the pager if the terminal has too few lines."""
    console = screen()
    if not console.is_terminal:
        draw()
        return
    with console.capture() as capture:
        draw()
    text = capture.get()
    if text.count("\n") < console.height or not sys.stdin.isatty() or not _run_pager(text):
        sys.stdout.write(text)


def _run_pager(text: str) -> bool:
    """Show *text* in the user's pager, or in less; False if there is none that starts."""
    argv = shlex.split(os.environ.get("PAGER", "")) or ["less", "-R"]
    if argv[0] == "less" and "LESS" not in os.environ and "-R" not in argv:
        argv.append("-R")
    if not shell.find(argv[0]):
        return False
    try:
        shell.exec_interactive(Command(tuple(argv)), text.encode())
    except ProgramError:
        return False
    return True
