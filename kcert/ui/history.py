"""The history of a PKI folder as a table, script or JSON; and commands as a document, with reasons and configs."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from datetime import datetime, timezone
from functools import cache
from pathlib import Path, PurePosixPath

from kcert import lessons
from kcert.certificates import Certificate
from kcert.errors import VerdictError
from kcert.issue.context import Context, IssuancePlan, Reporter, Result, Work
from kcert.issue.steps import Step
from kcert.quoting import format_command, quote
from kcert.store.history import Entry, Prepared
from kcert.ui import print_json, print_lines
from kcert.ui.console import MOST_WIDTH, block, clean, clean_line, counted, first_few, paged, say, screen
from kcert.ui.quiet import passphrase_asked
from kcert.ui.report import code, document, fenced, literal

MOST_NAMED = 10
"""Certificates that are named one by one."""

_UNREAD = "delete_this_line_after_reading"
"""A variable that is never set, so that a script with foreign commands ends before the first of them."""

_READING = ("-in", "-key", "-signkey", "-CA", "-CAkey", "-config", "-extfile")
"""openssl's options for files that it reads."""


def show(root: Path, entries: Sequence[Entry], form: str, specs: Sequence[Certificate] = (), foreign: str = "") -> None:
    """Print the history in the form asked for; *specs* are the certificates whose chapters a document has.

    A script stops at its beginning if its commands may be *foreign*, which says why.
    """
    if form in {"text", "table"}:
        paged(lambda: _table(root, entries))
    elif form == "json":
        print_json([asdict(entry) for entry in entries])
    elif form == "sh":
        print_lines(_script(root, entries, foreign))
    else:
        title = f"What was run in {root}"
        text = "\n".join([f"# {literal(title)}", *_chapters(entries, specs), ""])
        sys.stdout.write(document(clean_line(title), text) if form == "html" else text)


def verified(root: Path, count: int, signed: int, unexplained: Sequence[Path]) -> None:
    """Say that the chain holds, how much of it is signed, and which certificates no record explains.

    Raises VerdictError if there are certificates and no record at all.
    """
    if unexplained and not count:
        raise VerdictError(
            f"{root} contains certificates ({first_few(unexplained, MOST_NAMED)}) but no record of any command: the "
            "history was deleted, or another program created them."
        )
    by = f" The first {signed} are signed by the CA's key." if signed else ""
    say(f"The history of {counted(count, 'record')} is unchanged: every record matches the one before it.{by}", "good")
    if unexplained:
        names = first_few(unexplained, MOST_NAMED)
        say(f"Not in the history: {names}. Another program created them, or they were signed elsewhere.")


def signed(digest: str) -> None:
    """Say what was signed."""
    say(f"The history up to {digest} is signed: `kcert history --verify` checks it.", "good")


def _table(root: Path, entries: Sequence[Entry]) -> None:
    if not entries:
        say(f"Nothing was run in {root} yet.")
        return
    for entry in entries:
        status = "" if entry.status == 0 else f"   failed with status {entry.status}"
        how = f"{entry.seconds:.2f} s{status}" if entry.argv else f"kcert itself: {_title(entry.step) or 'a file'}"
        say(f"{_local(entry.time)}   {how}", "quiet" if entry.status == 0 else "bad")
        width = min(screen().width, MOST_WIDTH) - 4
        block(_command(entry.argv, width).splitlines() if entry.argv else (), "command")
        block([f"-> {', '.join(map(clean_line, entry.files))}"] if entry.files else [], "file")
    screen().print()
    failed, commands = sum(entry.status != 0 for entry in entries), sum(bool(entry.argv) for entry in entries)
    say(f"{commands} commands in {root}{f', {failed} of them failed' if failed else ''}.")


@cache
def _title(step: str) -> str:
    """Return the title of the lesson on *step*; empty if there is none."""
    topic = f"step-{step}"
    return lessons.lesson(topic).title if topic in lessons.topics() else ""


def _script(root: Path, entries: Sequence[Entry], foreign: str) -> Iterator[str]:
    """Yield the commands again, for a new folder: in the old one they would replace keys."""
    yield "#!/usr/bin/env bash"
    yield f"# What kcert ran in {clean_line(str(root))}, to be repeated in another folder: bash THIS FOLDER"
    yield "set -euo pipefail"
    if foreign:
        yield f"# {clean_line(foreign)} Someone else could have written any command here."
        yield "# Read all of it, then delete the next line."
        yield f': "${{{_UNREAD}:?read this script first: someone else could have written it}}"'
    yield "umask 077"
    yield from passphrase_asked(entry.argv for entry in entries if entry.status == 0)
    yield "folder=${1:?specify a new folder to repeat this in}"
    yield 'mkdir "$folder"'
    yield 'cd "$folder"'
    made: set[str] = set()
    for entry in entries:
        failed = f", failed with status {entry.status}" if entry.status else ""
        yield ""
        yield f"# {clean_line(entry.time)}, {entry.seconds:.2f} s{failed}"
        prepared = _repeatable(entry, made)
        comes = {name for own in prepared for name in own.files}
        if entry.status or (why := _not_repeatable(entry, made | comes)):
            if not entry.status:
                yield f"# {why}"
            yield from (f"# {part}" for part in _command(entry.argv).splitlines())
            continue
        made |= {*comes, *entry.files}
        folders = sorted({str(Path(name).parent) for name in (*comes, *entry.files)} - {"."})
        if folders:
            yield f"mkdir -p {' '.join(quote(folder) for folder in folders)}"
        yield from (clean(line) for own in prepared for line in own.script)
        if entry.argv:
            yield _command(entry.argv)
        if "-CAcreateserial" in entry.argv and "-CA" in entry.argv[:-1]:
            ca = entry.argv[entry.argv.index("-CA") + 1]
            yield f"rm -f {quote(str(Path(ca).with_suffix('.srl')))}"


def _repeatable(entry: Entry, made: AbstractSet[str]) -> list[Prepared]:
    """Return what of the preparation a script can repeat that has *made* these files."""
    repeatable: list[Prepared] = []
    there = set(made)
    for own in entry.prepared:
        reads_known = all(name in there or PurePosixPath(name).is_absolute() for name in own.reads)
        if own.script and reads_known and not _outside(own.files):
            repeatable.append(own)
            there |= set(own.files)
    return repeatable


def _not_repeatable(entry: Entry, made: AbstractSet[str]) -> str:
    """Return why a script that has *made* these files cannot do it again; empty if it can."""
    if entry.step == "sign-history":
        return "This signed the history itself: `kcert history --sign` does it again."
    if entry.step == "issue":
        return "The request and its config came from a manifest: `kcert csr sign` does it again."
    if outside := _outside([*entry.files, *(name for own in entry.prepared for name in own.files)]):
        return f"{clean_line(outside[0])} is outside the folder, so this cannot be repeated."
    if not entry.argv and not {name for own in entry.prepared for name in own.files} <= made:
        return "This needs files that were not created here, so it cannot be repeated."
    if entry.argv[1:2] == ("verify",):
        reads = [word for word in entry.argv[2:] if not word.startswith("-")]
    else:
        reads = [value for option, value in itertools.pairwise(entry.argv) if option in _READING]
    missing = [name for name in reads if name not in made and not PurePosixPath(name).is_absolute()]
    return f"{clean_line(missing[0])} was not created here, so this cannot be repeated." if missing else ""


def _outside(names: Iterable[str]) -> list[str]:
    """Return the *names* that lead out of the folder: kcert records none, so the history was changed."""
    return [name for name in names if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]


def _chapters(entries: Sequence[Entry], specs: Sequence[Certificate]) -> Iterator[str]:
    """Yield the commands by certificate, with reasons, and each openssl.cnf before the command that first uses it."""
    owners = {str(path): spec for spec in specs for path in spec.files.kept}
    once = lessons.Once()
    current, shown = None, set[Prepared]()
    for entry in entries:
        spec = next((owners[name] for name in entry.files if name in owners), None)
        if spec is not None and spec is not current:
            current = spec
            yield from _chapter(spec, once)
        title = _title(entry.step)
        for own in entry.prepared:
            if own.step == "settings" and own not in shown:
                shown.add(own)
                yield from _item(title=literal(", ".join(own.files)), config="\n".join(own.script[1:-1]))
        yield from _item(
            entry.argv,
            title="" if entry.argv else title,
            note=f"{literal(_local(entry.time))}, {entry.seconds:.2f} s{', **failed**' if entry.status else ''}:",
            reason=once(lessons.reason(spec.role if spec else "", entry.step)) if current and title else "",
            files=entry.files,
        )


def _local(time: str) -> str:
    """Return a time of the record as the clock on the wall shows it; what is not a time stays as it is."""
    try:
        moment = datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return clean_line(time)
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


class Document(Reporter):
    """Prints what is issued as a Markdown document, when all of it is in place."""

    def __init__(self, *, explain: bool) -> None:
        self._once = lessons.Once() if explain else lambda _words: ""
        self._chapters: dict[str, list[str]] = {}
        self._title = ""

    def on_plan(self, ctx: Context, work: Work) -> None:
        """Begin the document."""
        self._title = f"The certificates of {literal(ctx.cluster.name)}" if ctx.cluster.name else "Certificates"
        self._kept = [status.certificate.name for status in work.kept]

    def on_step(self, step: Step, plan: IssuancePlan | None) -> None:
        """Add a step before it runs."""
        assert plan
        spec = plan.certificate
        if spec.name not in self._chapters:
            self._chapters[spec.name] = _chapter(spec, self._once)
        self._chapters[spec.name] += _item(
            step.argv,
            title=lessons.lesson(f"step-{step.action}").title,
            reason=self._once(lessons.reason(plan.role_of(step), step.action)),
            config="\n".join(step.preview),
            files={str(path): None if step.secret else "" for path in step.makes},
        )

    def on_end(self, result: Result | None, /) -> None:
        """Print the document; after a failure, what was done before it."""
        print_lines([f"# {self._title}", *(line for chapter in self._chapters.values() for line in chapter)])
        if result and self._kept:
            sys.stdout.write(f"\nKept, because they exist: {', '.join(self._kept)}.\n")


def _chapter(spec: Certificate, once: Callable[[str], str]) -> list[str]:
    why = once(lessons.why(spec.role))
    return ["", f"## {spec.name}: {lessons.lesson(spec.role).title}", *(["", why] if why else [])]


def _item(  # noqa: PLR0917 - named by all callers
    argv: tuple[str, ...] = (),
    title: str = "",
    note: str = "",
    reason: str = "",
    config: str = "",
    files: Mapping[str, str | None] | None = None,
) -> Iterator[str]:
    """Yield a command, or (without *argv*) a config file, in Markdown.

    *note* says when it ran; *files* are the files made, each with its SHA-256 (None: a private key, "": unknown).
    """
    for line in (f"### {title}" if title else "", note, reason):
        if line:
            yield from ("", line)
    if config:
        yield from fenced(clean(config), "ini")
    if argv:
        yield from fenced(_command(argv), "bash")
    if files:
        yield ""
    for name, digest in (files or {}).items():
        known = f" SHA-256 {literal(str(digest))}" if digest else ""
        yield f"- {code(name)}{' (a private key)' if digest is None else known}"


def _command(argv: tuple[str, ...], width: int = MOST_WIDTH) -> str:
    """Return a command to copy, broken if it is long."""
    return "\n".join(clean_line(line) for line in format_command(argv, width).split("\n"))
