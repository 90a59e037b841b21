"""The lessons on the screen, as Markdown, and (with ``kcert.ui.course``) as a page."""

from __future__ import annotations

import re
import sys
import textwrap
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from kcert import lessons
from kcert.ui.console import (
    INDENT,
    MOST_WIDTH,
    between_words,
    clean_line,
    command_line,
    fitted,
    has_colour,
    heading,
    say,
    say_apart,
    screen,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from kcert.lessons import Lesson
    from kcert.ui.report import Target

Chapters = dict[str, tuple["Lesson", ...]]
"""Every lesson by chapter, both in the order in which they are best read."""

_BOOK = "The certificates of a Kubernetes cluster"
_MARK = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*")
_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_ERRORS = "How it fails"
"""The section with error messages as programs print them."""
_PROGRAMS = ("openssl", "kcert", "kubectl", "kubeadm")
_BULLET = re.compile(r"(- |\d+\. )")


def show_topics(chapters: Chapters, form: str, target: Target | None) -> None:
    """List the topics by chapter."""
    listed = [(chapter, [(lesson.topic, lesson.title) for lesson in members]) for chapter, members in chapters.items()]
    if form == "html":
        from kcert.ui import course

        _write(course.contents(chapters), target)
        return
    if form == "markdown":
        parts = ["# Lessons"]
        for chapter, members in listed:
            parts += [f"\n## {chapter}\n", *(f"- `{topic}`: {title}" for topic, title in members)]
        _write("\n".join(parts) + "\n", target)
        return

    def draw() -> None:
        width = max(len(lesson.topic) for members in chapters.values() for lesson in members)
        for chapter, members in listed:
            heading(chapter)
            for topic, title in members:
                first, *rest = _beside(title, width + 2)
                line = Text(f"{topic:{width}}", style="code")
                screen().print(line.append(f"  {first}", style="default"), soft_wrap=True)
                for more in rest:
                    screen().print(Text(f"{'':{width}}  {more}"), soft_wrap=True)
            screen().print()
        say("`kcert explain TOPIC` shows a lesson. Begin with `kcert explain tls-in-one-page`.")

    _draw(draw, target)


def _beside(title: str, left: int) -> list[str]:
    """A title in the lines that it takes right of column *left* of a terminal; in a pipe it stays whole."""
    if not screen().is_terminal:
        return [title]
    return textwrap.wrap(title, max(screen().width - left, 20), break_on_hyphens=False)


def show_found(words: str, results: Sequence[Lesson], form: str, target: Target | None) -> None:
    """List the lessons that contain *words*, with the sentence in which the first of them occurs."""
    if form != "text":
        show(results, form, target)
        return

    def draw() -> None:
        say(f"{len(results)} lesson{'s contain' if len(results) > 1 else ' contains'} {clean_line(words)!a}:")
        for lesson in results[:_MOST_FOUND]:
            screen().print()
            say(f"`{lesson.topic}`  {lesson.title}")
            say(_sentence(lesson, words.split(maxsplit=1)[0]))
        screen().print()
        more = len(results) - _MOST_FOUND
        say(f"{f'And {more} more. ' if more > 0 else ''}`kcert explain TOPIC` shows one.")

    _draw(draw, target)


_MOST_FOUND = 10


def _sentence(lesson: Lesson, word: str) -> str:
    """Return the first sentence of *lesson* with *word* in it; its first sentence if only a command has it."""
    parts = (lesson.opening, *lesson.sections.values())
    prose = " ".join(block.lines[0] for part in parts for block in blocks(part) if block.kind == "prose")
    sentences = re.split(r"(?<=[.?!]) |(?<=:) (?=[A-Z`])", " ".join(prose.split()))
    return next((sentence for sentence in sentences if word.casefold() in sentence.casefold()), sentences[0])


def show_exported(folder: Path, count: int) -> None:
    """Say where the lessons were written, and how kcert is made to use them."""
    say_apart(
        f"Wrote {count} files into {clean_line(str(folder))}. Edit them; files that you delete come from kcert again."
    )
    command_line(("export", f"KCERT_LESSONS={folder}"))


def show(chosen: Sequence[Lesson], form: str, target: Target | None) -> None:
    """Show lessons one after the other."""
    if form == "html":
        from kcert.ui import course

        _write(course.some(chosen), target)
    elif form == "markdown":
        _write("\n".join(line for lesson in chosen for line in _markdown(lesson, "#")) + "\n", target)
    else:
        _draw(lambda: _lessons(chosen), target)


def show_course(chapters: Chapters, form: str, target: Target | None) -> None:
    """Show every lesson, chapter by chapter."""
    if form == "html":
        from kcert.ui import course

        _write(course.book(chapters), target)
    elif form == "markdown":
        _write("\n".join(_markdown_book(chapters)) + "\n", target)
    else:
        _draw(lambda: _lessons([lesson for members in chapters.values() for lesson in members]), target)


class Block(NamedTuple):
    """A piece of a lesson: ``code`` (its lines), ``item`` of a list, or ``prose``."""

    kind: str
    lines: tuple[str, ...]


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a lesson's Markdown, in order; an indented block may have empty lines in it."""
    code: list[str] = []
    for part in re.split(r"\n{2,}", text.strip("\n")):
        lines = part.split("\n")
        if lines[0].startswith(INDENT):
            code += ["", *lines] if code else lines
            continue
        if code:
            yield Block("code", tuple(line.removeprefix(INDENT) for line in code))
            code = []
        if _PICTURE.fullmatch(part):
            continue  # a page alone shows it
        if _BULLET.match(lines[0]):
            for item in re.split(r"\n(?=- |\d+\. )", part):
                yield Block("item", (item,))
        else:
            yield Block("prose", (part,))
    if code:
        yield Block("code", tuple(line.removeprefix(INDENT) for line in code))


def _lessons(chosen: Sequence[Lesson]) -> None:
    for number, lesson in enumerate(chosen):
        if number:
            screen().print()
            screen().print()
        heading(lesson.title)
        passage(lesson.opening)
        for name, text in lesson.sections.items():
            screen().print()
            heading(name)
            passage(text, name)


def passage(text: str, section: str = "") -> None:
    """Draw Markdown as lessons have it; under the heading Command, long commands are broken between options."""
    before = ""
    for block in blocks(text):
        if before and not before == block.kind == "item":
            screen().print()
        before = block.kind
        if block.kind == "code":
            _code(block.lines, section)
        elif block.kind == "item":
            bullet, _, words = block.lines[0].partition(" ")
            _prose(words, f"{bullet} ")
        else:
            _prose(block.lines[0], "")


def _prose(words: str, bullet: str) -> None:
    """A paragraph, wrapped, with the text after a bullet aligned under its first word."""
    console = screen()
    coloured = has_colour(console)
    text, blanks = Text(), set[int]()  # the blanks at which no line is broken: those of commands
    rest = " ".join(words.split())
    at = 0
    for match in _MARK.finditer(rest):
        text.append(rest[at : match.start()])
        code, strong = match.groups()
        begin = len(text)
        text.append(strong or (code if coloured else f"`{code}`"), style="bold" if strong else "code")
        blanks |= {at for at in range(begin, len(text)) if code and text.plain[at] == " "}
        at = match.end()
    text.append(rest[at:])
    for number, line in enumerate(_wrapped(text, blanks, min(console.width, MOST_WIDTH) - len(bullet))):
        console.print(Text(bullet if number == 0 else " " * len(bullet)).append_text(line), soft_wrap=True)


def _wrapped(text: Text, blanks: set[int], width: int) -> Iterator[Text]:
    """The lines of a paragraph; a word longer than a line (an address) stays whole, so that it can be copied."""
    held = "".join("_" if at in blanks else letter for at, letter in enumerate(text.plain))
    plain = textwrap.wrap(held, width, break_long_words=False, break_on_hyphens=False)
    ends = accumulate(len(line) + 1 for line in plain[:-1])
    for line in text.divide(ends):
        line.rstrip()
        yield line


def _code(lines: Sequence[str], section: str) -> None:
    """Lines to be copied: a long command is broken as documentation does it, an error message between words."""
    console = screen()
    width = min(console.width, MOST_WIDTH) - len(INDENT)
    for line in lines:
        first = line.partition(" ")[0]
        if (section == "Command" and first[:1] != "#") or (section != _ERRORS and first in _PROGRAMS):
            parts, style = fitted([line], width), "command"
        else:
            is_text = section == _ERRORS and console.is_terminal
            parts, style = between_words(line, width) if is_text else [line], "default"
        for part in parts:
            console.print(Text(f"{INDENT}{part}".rstrip(), style=style), soft_wrap=True)


def _draw(draw: Callable[[], None], target: Target | None) -> None:
    """Draw on the screen, through a pager if it is too small; or into a file, plain."""
    if target is None:
        from kcert.ui.console import paged

        paged(draw)
        return
    with screen().capture() as capture:
        draw()
    _write(re.sub(r"\x1b\[[0-9;]*m", "", capture.get()), target)


def _markdown(lesson: Lesson, mark: str, names: Mapping[str, str] | None = None) -> Iterator[str]:
    """A lesson with its headings as deep as *mark*; backticked topics in *names* become links."""

    def linked(text: str) -> str:
        text = _PICTURE.sub("", text).lstrip("\n")
        return "\n".join(
            line
            if line.startswith(INDENT) or not names
            else re.sub(
                r"`([a-z-]+)`",
                lambda match: f"[{match[0]}](#{match[1]})" if match[1] in names else match[0],
                line,
            )
            for line in text.split("\n")
        )

    yield f"{mark} {lesson.title}"
    yield ""
    yield linked(lesson.opening)
    for name, text in lesson.sections.items():
        yield ""
        yield f"{mark}# {name}"
        yield ""
        yield linked(text)


def _markdown_book(chapters: Chapters) -> Iterator[str]:
    names = {lesson.topic: lesson.title for members in chapters.values() for lesson in members}
    yield f"# {_BOOK}"
    for chapter, members in chapters.items():
        yield ""
        yield f"# {chapter}"
        for lesson in members:
            yield ""
            yield f'<a id="{lesson.topic}"></a>'
            yield ""
            yield from _markdown(lesson, "##", names)


def _write(text: str, target: Target | None) -> None:
    if target is None:
        sys.stdout.write(text)
        return
    from kcert.ui.report import write_report

    written = write_report(target, text.encode(), _first_lines())
    say(f"Wrote {target.path}.{f' The previous file is {written.backup}.' if written.backup else ''}")


def _first_lines() -> frozenset[str]:
    """Return the first lines that files with lessons have."""
    chapters = lessons.by_chapter()
    titles = (lesson.title for members in chapters.values() for lesson in members)
    return frozenset(("Lessons", _BOOK, *chapters, *titles))
