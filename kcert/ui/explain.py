"""The lessons on the screen, as Markdown, and as a page: self-contained, for a browser or a printer."""

from __future__ import annotations

import re
import sys
import textwrap
from html import escape
from typing import TYPE_CHECKING

from rich.text import Text

from kcert import lessons
from kcert.ui.console import (
    INDENT,
    MOST_WIDTH,
    block,
    clean_line,
    command_line,
    fitted,
    heading,
    paged,
    say,
    say_apart,
    screen,
)
from kcert.ui.report import BOOK, html_of, literal, page

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence
    from pathlib import Path

    from markdown_it.token import Token

    from kcert.lessons import Lesson

Chapters = dict[str, tuple["Lesson", ...]]
"""Every lesson by chapter, both in the order in which they are best read."""

_TOPIC = re.compile(r"`([a-z-]+)`")
_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_ERRORS = "How it fails"
"""The section with error messages as programs print them."""
_PROGRAMS = ("openssl", "kcert", "kubectl", "kubeadm")
_BULLET = re.compile(r"(- |\d+\. )")


def show_topics(chapters: Chapters, form: str) -> None:
    """List the topics by chapter."""

    def draw() -> None:
        width = max(len(lesson.topic) for members in chapters.values() for lesson in members)
        room = max(screen().width - width - 2, 20) if screen().is_terminal else 1000
        for chapter, members in chapters.items():
            heading(chapter)
            for lesson in members:
                topic = Text(f"{lesson.topic:{width}}  ", style="code")
                for part in textwrap.wrap(lesson.title, room, break_on_hyphens=False):
                    screen().print(topic + Text(part), soft_wrap=True)
                    topic = Text(" " * len(topic))
            screen().print()
        say("`kcert explain TOPIC` shows a lesson. Begin with `kcert explain tls-in-one-page`.")

    def page_of_topics() -> str:
        return _page(BOOK, html_of(_topics(chapters, BOOK, "###"), {}))

    _present(form, draw, lambda: _topics(chapters, "Lessons", "##"), page_of_topics)


def show_found(words: str, results: Sequence[Lesson], form: str) -> None:
    """List the lessons that contain *words*, with the sentence in which the first of them occurs."""
    if form != "text":
        show(results, form)
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

    paged(draw)


_MOST_FOUND = 10


def _sentence(lesson: Lesson, word: str) -> str:
    """Return the first sentence of *lesson* with *word* in it; its first sentence if only a command has it."""
    parts = (lesson.opening, *lesson.sections.values())
    prose = " ".join(lines[0] for part in parts for kind, lines in blocks(part) if kind == "prose")
    sentences = re.split(r"(?<=[.?!]) |(?<=:) (?=[A-Z`])", " ".join(prose.split()))
    return next((sentence for sentence in sentences if word.casefold() in sentence.casefold()), sentences[0])


def show_exported(folder: Path, count: int) -> None:
    """Say where the lessons were written, and how kcert is made to use them."""
    say_apart(
        f"Wrote {count} files into {clean_line(str(folder))}. Edit them; files that you delete come from kcert again."
    )
    command_line(("export", f"KCERT_LESSONS={folder}"))


def show(chosen: Sequence[Lesson], form: str) -> None:
    """Show lessons one after the other."""

    def page_of_lessons() -> str:
        names = {lesson.topic for lesson in chosen}  # what they refer to elsewhere is not a link
        return _page(", ".join(lesson.title for lesson in chosen), *(_article(lesson, names) for lesson in chosen))

    _present(
        form,
        lambda: _lessons(chosen),
        lambda: "\n".join(line for lesson in chosen for line in _markdown(lesson, "#")),
        page_of_lessons,
    )


def show_course(chapters: Chapters, form: str) -> None:
    """Show every lesson, chapter by chapter."""
    every = [lesson for members in chapters.values() for lesson in members]
    _present(
        form, lambda: _lessons(every), lambda: "\n".join(_markdown_book(chapters)), lambda: _page_of_book(chapters)
    )


def _present(form: str, draw: Callable[[], None], markdown: Callable[[], str], html: Callable[[], str]) -> None:
    if form == "text":
        paged(draw)
    else:
        sys.stdout.write(html() if form == "html" else f"{markdown()}\n")


def blocks(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the blocks of a lesson's Markdown, each ``code``, ``item`` (of a list) or ``prose``, and its lines.

    An indented block may have empty lines in it.
    """
    code: list[str] = []
    for part in re.split(r"\n{2,}", text.strip("\n")):
        lines = part.split("\n")
        if lines[0].startswith(INDENT):
            code += ["", *lines] if code else lines
            continue
        if code:
            yield "code", tuple(line.removeprefix(INDENT) for line in code)
            code = []
        if _PICTURE.fullmatch(part):
            continue  # a page alone shows it
        if _BULLET.match(lines[0]):
            for item in re.split(r"\n(?=- |\d+\. )", part):
                yield "item", (item,)
        else:
            yield "prose", (part,)
    if code:
        yield "code", tuple(line.removeprefix(INDENT) for line in code)


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
    for kind, lines in blocks(text):
        if before and not before == kind == "item":
            screen().print()
        before = kind
        if kind == "code":
            _code(lines, section)
        else:
            bullet = lines[0].partition(" ")[0] + " " if kind == "item" else ""
            say(lines[0].removeprefix(bullet), bullet=bullet, markdown=True)


def _code(lines: Sequence[str], section: str) -> None:
    """Lines to be copied: a long command is broken as documentation does it, an error message between words."""
    width = min(screen().width, MOST_WIDTH) - len(INDENT)
    for line in lines:
        first = line.partition(" ")[0]
        if (section == "Command" and first[:1] != "#") or (section != _ERRORS and first in _PROGRAMS):
            block(fitted([line], width), "command")
        else:
            block([line], "said" if section == _ERRORS else "default")


def _markdown(lesson: Lesson, mark: str, names: Container[str] = ()) -> Iterator[str]:
    """A lesson with its headings as deep as *mark*; backticked topics in *names* become links."""

    def linked(text: str) -> str:
        lines = _PICTURE.sub("", text).lstrip("\n").split("\n")
        return "\n".join(line if line.startswith(INDENT) else _TOPIC.sub(link, line) for line in lines)

    def link(match: re.Match[str]) -> str:
        return f"[{match[0]}](#{match[1]})" if match[1] in names else match[0]

    yield from (f"{mark} {lesson.title}", "", linked(lesson.opening))
    for name, text in lesson.sections.items():
        yield from ("", f"{mark}# {name}", "", linked(text))


def _topics(chapters: Chapters, title: str, mark: str) -> str:
    lines = [f"# {title}"]
    for chapter, members in chapters.items():
        lines += ["", f"{mark} {chapter}", "", *(f"- `{lesson.topic}`: {lesson.title}" for lesson in members)]
    return "\n".join(lines)


def _markdown_book(chapters: Chapters) -> Iterator[str]:
    names = {lesson.topic for members in chapters.values() for lesson in members}
    yield f"# {BOOK}"
    for chapter, members in chapters.items():
        yield from ("", f"# {chapter}")
        for lesson in members:
            yield from ("", f'<a id="{lesson.topic}"></a>', "", *_markdown(lesson, "##", names))


def _page(title: str, *body: str) -> str:
    return page(title, "course", "\n".join(body))


def _page_of_book(chapters: Chapters) -> str:
    """Return every lesson, behind a table of contents.

    Numbers lead to a lesson on paper, where no link can be followed, and page numbers are the printer's.
    """
    contents, body = list[str](), list[str]()
    names = {lesson.topic for members in chapters.values() for lesson in members}
    for number, (chapter, members) in enumerate(chapters.items(), 1):
        contents += ["", f"#### {number}. {chapter}", ""]
        body.append(f"<h2>{number}. {escape(chapter)}</h2>")
        for position, lesson in enumerate(members, 1):
            contents.append(f"- {number}.{position} [{literal(lesson.title)}](#{lesson.topic})")
            body.append(_article(lesson, names, f"{number}.{position} "))
    return _page(BOOK, f"<h1>{BOOK}</h1>", "<nav>", html_of("\n".join(contents), {}), "</nav>", *body)


_ADDRESS = re.compile(r"https?://[^\s<>()]+[^\s<>().,;:]")
_BREAKABLE = re.compile(r"\S{0,60}[-/]\S{0,60}")
"""A word that browsers would break behind a dash: whole as long as it fits on a page."""


def _article(lesson: Lesson, names: Container[str], number: str = "") -> str:
    """Return a lesson in which a topic in *names* becomes a link to its lesson, and an address one to its page."""

    def code(token: Token) -> str:
        word = escape(token.content)
        linked = word in names and word != lesson.topic
        return f'<a href="#{word}"><code>{word}</code></a>' if linked else f"<code>{word}</code>"

    def text(token: Token) -> str:
        return _ADDRESS.sub(r'<a href="\g<0>">\g<0></a>', escape(token.content))

    def lines(token: Token) -> str:
        shown = escape(token.content).splitlines()
        whole = (_BREAKABLE.sub(r'<span class="word">\g<0></span>', line) for line in shown)
        drawn = "".join(f'<span class="line">{line}\n</span>' for line in whole)
        return f"<pre><code>{drawn}</code></pre>\n"

    def picture(token: Token) -> str:
        return f"<figure>{lessons.picture(str(token.attrs['src']))}</figure>"

    rules = {"code_inline": code, "text": text, "code_block": lines, "fence": lines, "image": picture}
    topic = f'<span class="topic">kcert explain {lesson.topic}</span>'
    title = f'<h3 id="{lesson.topic}">{number}{escape(lesson.title)} {topic}</h3>'
    sections = "".join(f"\n\n#### {name}\n\n{text}" for name, text in lesson.sections.items())
    return f"<article>\n{title}\n{html_of(lesson.opening + sections, rules)}\n</article>"
