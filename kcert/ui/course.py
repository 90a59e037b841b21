"""The lessons as one page: self-contained, for a browser or a printer, with links that resolve."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from kcert import lessons
from kcert.ui.report import page

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

    from markdown_it.token import Token

    from kcert.lessons import Lesson
    from kcert.ui.explain import Chapters

TITLE = "The certificates of a Kubernetes cluster"

_ADDRESS = re.compile(r"https?://[^\s<>()]+[^\s<>().,;:]")


def book(chapters: Chapters) -> str:
    """Every lesson, behind a table of contents."""
    return page(TITLE, "course", "\n".join(_book(chapters)))


def _book(chapters: Chapters) -> Iterator[str]:
    names = {lesson.topic for members in chapters.values() for lesson in members}
    yield f"<h1>{TITLE}</h1>"
    yield from _contents(chapters)
    for number, (chapter, members) in enumerate(chapters.items(), 1):
        yield f"<h2>{number}. {html.escape(chapter)}</h2>"
        for position, lesson in enumerate(members, 1):
            yield from _lesson(lesson, names, f"{number}.{position} ")


def some(chosen: Sequence[Lesson]) -> str:
    """Some lessons alone; what they refer to elsewhere is not a link."""
    names = {lesson.topic for lesson in chosen}
    body = (line for lesson in chosen for line in _lesson(lesson, names))
    return page(", ".join(lesson.title for lesson in chosen), "course", "\n".join(body))


def contents(chapters: Chapters) -> str:
    """The list of topics alone."""
    return page(TITLE, "course", "\n".join(_topics(chapters)))


def _topics(chapters: Chapters) -> Iterator[str]:
    yield f"<h1>{TITLE}</h1>"
    for chapter, members in chapters.items():
        yield f"<h3>{html.escape(chapter)}</h3>"
        yield from _listed((f"<code>{lesson.topic}</code>: {html.escape(lesson.title)}") for lesson in members)


def _contents(chapters: Chapters) -> Iterator[str]:
    """Numbers lead to a lesson on paper, where no link can be followed, and page numbers are the printer's."""
    yield "<nav>"
    for number, (chapter, members) in enumerate(chapters.items(), 1):
        yield f"<h4>{number}. {html.escape(chapter)}</h4>"
        yield from _listed(
            f'{number}.{position} <a href="#{lesson.topic}">{html.escape(lesson.title)}</a>'
            for position, lesson in enumerate(members, 1)
        )
    yield "</nav>"


def _listed(items: Iterable[str]) -> Iterator[str]:
    yield "<ul>"
    for item in items:
        yield f"<li>{item}</li>"
    yield "</ul>"


def _lesson(lesson: Lesson, names: Container[str], number: str = "") -> Iterator[str]:
    render = _renderer(names, lesson.topic)
    yield "<article>"
    yield (
        f'<h3 id="{lesson.topic}">{number}{html.escape(lesson.title)} '
        f'<span class="topic">kcert explain {lesson.topic}</span></h3>'
    )
    yield render(lesson.opening)
    for name, text in lesson.sections.items():
        yield f"<h4>{html.escape(name)}</h4>"
        yield render(text)
    yield "</article>"


def _renderer(names: Container[str], own: str) -> Callable[[str], str]:
    """Markdown to HTML: a backticked topic becomes a link to its lesson, an address a link to its page."""
    from markdown_it import MarkdownIt

    def code(_renderer: object, tokens: Sequence[Token], at: int, _options: object, _env: object) -> str:
        word = html.escape(tokens[at].content)
        linked = word in names and word != own
        return f'<a href="#{word}"><code>{word}</code></a>' if linked else f"<code>{word}</code>"

    def text(_renderer: object, tokens: Sequence[Token], at: int, _options: object, _env: object) -> str:
        return _ADDRESS.sub(lambda match: f'<a href="{match[0]}">{match[0]}</a>', html.escape(tokens[at].content))

    def block(_renderer: object, tokens: Sequence[Token], at: int, _options: object, _env: object) -> str:
        lines = "".join(f'<span class="line">{_whole_words(line)}\n</span>' for line in tokens[at].content.splitlines())
        return f"<pre><code>{lines}</code></pre>\n"

    def picture(_renderer: object, tokens: Sequence[Token], at: int, _options: object, _env: object) -> str:
        return f"<figure>{lessons.picture(str(tokens[at].attrs['src']))}</figure>"

    markdown = MarkdownIt("commonmark", {"html": False})
    markdown.add_render_rule("code_block", block)
    markdown.add_render_rule("fence", block)
    markdown.add_render_rule("code_inline", code)
    markdown.add_render_rule("text", text)
    markdown.add_render_rule("image", picture)

    def render(words: str) -> str:
        return str(markdown.render(words)).strip()

    return render


def _whole_words(line: str) -> str:
    """A line of code whose words stay whole where it is folded: browsers would break an option behind its dash."""
    return _BREAKABLE.sub(lambda match: f'<span class="word">{match[0]}</span>', html.escape(line))


_BREAKABLE = re.compile(r"\S{0,60}[-/]\S{0,60}")
"""As long as it fits on a page; what is longer has to be broken somewhere."""
