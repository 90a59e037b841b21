"""Commands as a document to hand out: Markdown or a page, by certificate, with reasons and the openssl.cnf files."""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kcert import lessons
from kcert.certificates import Certificate
from kcert.issue.context import Context, IssuancePlan, Reporter, Result, Work
from kcert.issue.steps import Step
from kcert.quoting import format_command
from kcert.ui import print_lines
from kcert.ui.console import clean, clean_line
from kcert.ui.report import page

WIDTH = 100


@dataclass(frozen=True)
class Item:
    """A command, or (without ``argv``) a config file, with its reason.

    ``files`` are the files made, each with its SHA-256 (None: a private key, "": unknown); ``note`` says when it ran.
    """

    argv: tuple[str, ...] = ()
    title: str = ""
    reason: str = ""
    config: str = ""
    files: Mapping[str, str | None] = field(default_factory=dict)
    note: str = ""
    failed: bool = False


@dataclass
class Section:
    """A certificate with its commands."""

    title: str = ""
    why: str = ""
    items: list[Item] = field(default_factory=list)


class Reasons:
    """The reasons of certificates and steps, each shown once."""

    def __init__(self, *, explain: bool = True) -> None:
        self._explain = explain
        self._told: set[str] = set()

    def section(self, spec: Certificate) -> Section:
        """Return an empty section for *spec*."""
        return Section(f"{spec.name}: {lessons.lesson(spec.role).title}", self._once(lessons.why(spec.role)))

    def step(self, role: str, action: str) -> str:
        """Return the reason of a step; empty if it was shown before."""
        return self._once(lessons.reason(role, action))

    def _once(self, words: str) -> str:
        if not self._explain or words in self._told:
            return ""
        self._told.add(words)
        return words


class Document(Reporter):
    """Prints what is issued as a Markdown document, when all of it is in place."""

    def __init__(self, *, explain: bool) -> None:
        self._reasons = Reasons(explain=explain)
        self._sections: dict[str, Section] = {}
        self._title = ""

    def on_plan(self, ctx: Context, work: Work) -> None:
        """Begin the document."""
        self._title = f"The certificates of {ctx.cluster.name}" if ctx.cluster.name else "Certificates"
        self._kept = [status.certificate.name for status in work.kept]

    def on_step(self, step: Step, plan: IssuancePlan | None) -> None:
        """Add a step before it runs."""
        assert plan
        spec = plan.certificate
        if spec.name not in self._sections:
            self._sections[spec.name] = self._reasons.section(spec)
        self._sections[spec.name].items.append(
            Item(
                argv=step.argv,
                title=lessons.lesson(f"step-{step.action}").title,
                reason=self._reasons.step(plan.role_of(step), step.action),
                config="\n".join(step.preview),
                files={str(path): None if step.secret else "" for path in step.makes},
            )
        )

    def on_end(self, result: Result | None, /) -> None:
        """Print the document; after a failure, what was done before it."""
        print_lines(markdown(self._title, list(self._sections.values())))
        if result and self._kept:
            sys.stdout.write(f"\nKept, because they exist: {', '.join(self._kept)}.\n")


def markdown(title: str, sections: Sequence[Section]) -> Iterator[str]:
    """Yield the lines of a Markdown document."""
    yield f"# {clean_line(title)}"
    for section in sections:
        if section.title:
            yield from ("", f"## {section.title}")
        if section.why:
            yield from ("", section.why)
        for item in section.items:
            yield from _markdown_item(item)


def _markdown_item(item: Item) -> Iterator[str]:
    if item.title:
        yield from ("", f"### {item.title}")
    if item.note:
        yield from ("", f"{clean_line(item.note)}{', **failed**' if item.failed else ''}:")
    if item.reason:
        yield from ("", item.reason)
    if item.config:
        yield from (
            "",
            "```ini",
            *(f" {line}" if line.startswith("```") else line for line in _lines(item.config)),
            "```",
        )
    if item.argv:
        yield from ("", "```bash", command(item.argv), "```")
    if item.files:
        yield ""
        yield from (f"- `{clean_line(name)}`{_digest(digest, '{}')}" for name, digest in item.files.items())


def _lines(config: str) -> list[str]:
    return clean(config).splitlines()


def _digest(digest: str | None, form: str) -> str:
    if digest is None:
        return " (a private key)"
    return f" SHA-256 {form.format(html.escape(clean_line(str(digest))))}" if digest else ""


def command(argv: tuple[str, ...], width: int = WIDTH) -> str:
    """Return a command to copy, broken if it is long."""
    return "\n".join(clean_line(line) for line in format_command(argv, width).split("\n"))


def web_page(title: str, sections: Sequence[Section]) -> str:
    """Return the document as a page."""
    body = [f"<h1>{_escaped(title)}</h1>"]
    for section in sections:
        body += [f"<h2>{_escaped(section.title)}</h2>"] if section.title else []
        body += [f"<p>{_prose(section.why)}</p>"] if section.why else []
        for item in section.items:
            body += _page_item(item)
    return page(clean_line(title), "document", "\n".join(body))


def _page_item(item: Item) -> Iterator[str]:
    if item.title:
        yield f"<h3>{html.escape(item.title)}</h3>"
    if item.note:
        yield f"<p><time>{_escaped(item.note)}</time>{', failed' if item.failed else ''}</p>"
    if item.reason:
        yield f"<p>{_prose(item.reason)}</p>"
    if item.config:
        yield f"<pre class=config>{html.escape(clean(item.config))}</pre>"
    if item.argv:
        yield f"<pre{' class=failed' if item.failed else ''}>{html.escape(command(item.argv))}</pre>"
    if item.files:
        names = (
            f"<li><code>{_escaped(name)}</code>{_digest(digest, '<code>{}</code>')}</li>"
            for name, digest in item.files.items()
        )
        yield f"<ul>{''.join(names)}</ul>"


def _prose(text: str) -> str:
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _escaped(text: str) -> str:
    return html.escape(clean_line(text))
