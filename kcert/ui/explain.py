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
    say,
    say_apart,
    screen,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence
    from pathlib import Path

    from markdown_it.token import Token

    from kcert.lessons import Lesson
    from kcert.ui.report import Target

Chapters = dict[str, tuple["Lesson", ...]]
"""Every lesson by chapter, both in the order in which they are best read."""

_BOOK = "The certificates of a Kubernetes cluster"
_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_ERRORS = "How it fails"
"""The section with error messages as programs print them."""
_PROGRAMS = ("openssl", "kcert", "kubectl", "kubeadm")
_BULLET = re.compile(r"(- |\d+\. )")


def show_topics(chapters: Chapters, form: str, target: Target | None) -> None:
    """List the topics by chapter."""

    def draw() -> None:
        width = max(len(lesson.topic) for members in chapters.values() for lesson in members)
        for chapter, members in chapters.items():
            heading(chapter)
            for lesson in members:
                first, *rest = _beside(lesson.title, width + 2)
                line = Text(f"{lesson.topic:{width}}", style="code")
                screen().print(line.append(f"  {first}", style="default"), soft_wrap=True)
                for more in rest:
                    screen().print(Text(f"{'':{width}}  {more}"), soft_wrap=True)
            screen().print()
        say("`kcert explain TOPIC` shows a lesson. Begin with `kcert explain tls-in-one-page`.")

    _present(form, target, draw, lambda: _topics(chapters, "Lessons", "##"), lambda: _page_of_topics(chapters))


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

    _print(draw, target)


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


def show(chosen: Sequence[Lesson], form: str, target: Target | None) -> None:
    """Show lessons one after the other."""
    _present(
        form,
        target,
        lambda: _lessons(chosen),
        lambda: "\n".join(line for lesson in chosen for line in _markdown(lesson, "#")),
        lambda: _page_of(chosen),
    )


def show_course(chapters: Chapters, form: str, target: Target | None) -> None:
    """Show every lesson, chapter by chapter."""
    every = [lesson for members in chapters.values() for lesson in members]
    _present(
        form,
        target,
        lambda: _lessons(every),
        lambda: "\n".join(_markdown_book(chapters)),
        lambda: _page_of_book(chapters),
    )


def _present(
    form: str,
    target: Target | None,
    draw: Callable[[], None],
    markdown: Callable[[], str],
    page: Callable[[], str],
) -> None:
    if form == "text":
        _print(draw, target)
    else:
        _write(page() if form == "html" else f"{markdown()}\n", target)


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


def _print(draw: Callable[[], None], target: Target | None) -> None:
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

    yield from (f"{mark} {lesson.title}", "", linked(lesson.opening))
    for name, text in lesson.sections.items():
        yield from ("", f"{mark}# {name}", "", linked(text))


def _topics(chapters: Chapters, title: str, mark: str) -> str:
    lines = [f"# {title}"]
    for chapter, members in chapters.items():
        lines += ["", f"{mark} {chapter}", "", *(f"- `{lesson.topic}`: {lesson.title}" for lesson in members)]
    return "\n".join(lines)


def _markdown_book(chapters: Chapters) -> Iterator[str]:
    names = {lesson.topic: lesson.title for members in chapters.values() for lesson in members}
    yield f"# {_BOOK}"
    for chapter, members in chapters.items():
        yield from ("", f"# {chapter}")
        for lesson in members:
            yield from ("", f'<a id="{lesson.topic}"></a>', "", *_markdown(lesson, "##", names))


def _page(title: str, *body: str) -> str:
    from kcert.ui.report import page  # few lessons are read in a browser

    return page(title, "course", "\n".join(body))


def _page_of_topics(chapters: Chapters) -> str:
    from kcert.ui.report import html_of

    return _page(_BOOK, html_of(_topics(chapters, _BOOK, "###"), {}))


def _page_of(chosen: Sequence[Lesson]) -> str:
    """Return lessons alone; what they refer to elsewhere is not a link."""
    names = {lesson.topic for lesson in chosen}
    return _page(", ".join(lesson.title for lesson in chosen), *(_article(lesson, names) for lesson in chosen))


def _page_of_book(chapters: Chapters) -> str:
    """Return every lesson, behind a table of contents.

    Numbers lead to a lesson on paper, where no link can be followed, and page numbers are the printer's.
    """
    from kcert.ui.report import html_of, literal

    contents, body = list[str](), list[str]()
    names = {lesson.topic for members in chapters.values() for lesson in members}
    for number, (chapter, members) in enumerate(chapters.items(), 1):
        contents += ["", f"#### {number}. {chapter}", ""]
        body.append(f"<h2>{number}. {escape(chapter)}</h2>")
        for position, lesson in enumerate(members, 1):
            contents.append(f"- {number}.{position} [{literal(lesson.title)}](#{lesson.topic})")
            body.append(_article(lesson, names, f"{number}.{position} "))
    return _page(_BOOK, f"<h1>{_BOOK}</h1>", "<nav>", html_of("\n".join(contents), {}), "</nav>", *body)


_ADDRESS = re.compile(r"https?://[^\s<>()]+[^\s<>().,;:]")
_BREAKABLE = re.compile(r"\S{0,60}[-/]\S{0,60}")
"""A word that browsers would break behind a dash: whole as long as it fits on a page."""


def _article(lesson: Lesson, names: Container[str], number: str = "") -> str:
    """Return a lesson in which a topic in *names* becomes a link to its lesson, and an address one to its page."""
    from kcert.ui.report import html_of

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


def _write(text: str, target: Target | None) -> None:
    if target is None:
        sys.stdout.write(text)
        return
    from kcert.ui.report import write_report

    chapters = lessons.by_chapter()
    titles = (lesson.title for members in chapters.values() for lesson in members)
    written = write_report(target, text.encode(), frozenset(("Lessons", _BOOK, *chapters, *titles)))
    say(f"Wrote {target.path}.{f' The previous file is {written.backup}.' if written.backup else ''}")
