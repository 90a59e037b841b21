"""The history: what was run in a PKI folder, as a table, a script, Markdown, a page, or JSON."""

from __future__ import annotations

import itertools
import sys
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from kcert.certificates import new_ca_only_path
from kcert.errors import KcertError, VerdictError
from kcert.issue.steps import here_document
from kcert.quoting import quote
from kcert.store.directory import Directory
from kcert.ui import print_json
from kcert.ui.console import block, clean, clean_line, first_few, paged, say, screen
from kcert.ui.handout import WIDTH, Item, Reasons, Section, command, markdown, web_page
from kcert.ui.quiet import passphrase_asked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from kcert.certificates import Certificate
    from kcert.store.history import Entry

MOST_NAMED = 10
"""Certificates that are named one by one."""

_READING = ("-in", "-key", "-signkey", "-CA", "-CAkey")
"""openssl's options for files with keys, requests and certificates."""


def show(root: Path, entries: Sequence[Entry], form: str, specs: Sequence[Certificate] = ()) -> None:
    """Print the history in the form asked for; *specs* are the certificates whose chapters a document has."""
    if form in {"text", "table"}:
        paged(lambda: _table(root, entries))
    elif form == "json":
        print_json([vars(entry) | {"argv": list(entry.argv)} for entry in entries])
    elif form == "sh":
        sys.stdout.write("\n".join(_script(root, entries)) + "\n")
    else:
        title, sections = f"What was run in {root}", _sections(root, entries, specs)
        document = web_page(title, sections) if form == "html" else "\n".join([*markdown(title, sections), ""])
        sys.stdout.write(document)


def verified(root: Path, count: int, unexplained: Sequence[Path], *, signed: bool) -> None:
    """Say that the chain holds, and which certificates no record explains.

    Raises VerdictError if there are certificates and no record at all.
    """
    if unexplained and not count:
        raise VerdictError(
            f"{root} contains certificates ({first_few(unexplained, MOST_NAMED)}) but no record of any command: the "
            "record was deleted, "
            "or another program made them."
        )
    by = ", and signed by the CA's key" if signed else ""
    say(f"The record of {count} commands is unchanged{by}: every line matches the line before it.", "good")
    if unexplained:
        names = first_few(unexplained, MOST_NAMED)
        say(f"Not in the history: {names}. Another program made them, or they were signed elsewhere.")


def print_head(digest: str) -> None:
    """Print the hash alone, for a script to keep."""
    sys.stdout.write(f"{digest}\n")


def signed(digest: str) -> None:
    """Say what was signed."""
    say(f"The history up to {digest} is signed: `kcert history --verify` checks it.", "good")


def _table(root: Path, entries: Sequence[Entry]) -> None:
    if not entries:
        say(f"Nothing was run in {root} yet.")
        return
    for entry in entries:
        status = "" if entry.status == 0 else f"   failed with status {entry.status}"
        say(f"{_local(entry.time)}   {entry.seconds:.2f} s{status}", "quiet" if entry.status == 0 else "bad")
        width = min(screen().width, WIDTH) - 4
        block(command(entry.argv, width).splitlines(), "command")
        block([f"-> {', '.join(map(clean_line, entry.files))}"] if entry.files else [], "file")
    screen().print()
    failed = sum(entry.status != 0 for entry in entries)
    say(
        f"{len(entries)} commands in {root}, {failed} of them failed."
        if failed
        else f"{len(entries)} commands in {root}."
    )


def _script(root: Path, entries: Sequence[Entry]) -> Iterator[str]:
    """Yield the commands again, for a new folder: in the old one they would replace keys."""
    yield "#!/usr/bin/env bash"
    yield f"# What kcert ran in {clean_line(str(root))}, to be repeated in another folder: bash THIS FOLDER"
    yield "set -euo pipefail"
    yield "umask 077"
    yield from passphrase_asked(entry.argv for entry in entries if entry.status == 0)
    yield "folder=${1:?specify a new folder to repeat this in}"
    yield 'mkdir "$folder"'
    yield 'cd "$folder"'
    written: set[str] = set()
    made: set[str] = set()
    for entry in entries:
        failed = f", failed with status {entry.status}" if entry.status else ""
        yield ""
        yield f"# {clean_line(entry.time)}, {entry.seconds:.2f} s{failed}"
        if entry.status or (why := _not_repeatable(entry, made)):
            if not entry.status:
                yield f"# {why}"
            yield "\n".join(f"# {part}" for part in command(entry.argv).splitlines())
            continue
        yield from _brought(entry, made)
        yield from _both_authorities(entry)
        made.update(entry.files)
        for name in _settings(entry):
            if name not in written:
                written.add(name)
                yield from _settings_file(root, name)
        folders = sorted({str(Path(name).parent) for name in entry.files} - {"."})
        if folders:
            yield f"mkdir -p {' '.join(quote(folder) for folder in folders)}"
        yield command(entry.argv)
        if serial := _serial(entry):
            yield f"rm -f {quote(serial)}"


def _not_repeatable(entry: Entry, made: AbstractSet[str]) -> str:
    """Return why a script whose commands have *made* these files cannot repeat *entry*; empty if it can."""
    if entry.argv[1:2] == ("dgst",):
        return "This signed the history itself: `kcert history --sign` does it again."
    if entry.argv[1:2] == ("ca",):
        return "Request and settings were those of a manifest: `kcert csr sign` does it again."
    comes = {crt for crt, _ in _apart(entry)}
    missing = [name for name in _reads(entry) if name not in made | comes and not PurePosixPath(name).is_absolute()]
    return f"{clean_line(missing[0])} was not made here, so this cannot be repeated." if missing else ""


def _reads(entry: Entry) -> Iterator[str]:
    """The keys, requests and certificates that a command reads."""
    if entry.argv[1:2] == ("verify",):
        yield from (word for word in entry.argv[2:] if not word.startswith("-"))
    else:
        yield from (value for option, value in itertools.pairwise(entry.argv) if option in _READING)


def _apart(entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield the certificate of a CA whose key is outside the PKI folder, and the file that it was copied from."""
    options = dict(itertools.pairwise(entry.argv))
    key = PurePosixPath(options.get("-CAkey", ""))
    if key.is_absolute():
        yield options["-CA"], str(key.with_suffix(".crt"))


def _brought(entry: Entry, made: set[str]) -> Iterator[str]:
    """kcert copies the certificate of such a CA without a command."""
    for crt, source in _apart(entry):
        if crt not in made:
            made.add(crt)
            yield f"cp {quote(source)} {quote(crt)}"


def _both_authorities(entry: Entry) -> Iterator[str]:
    """Yield the commands for what kcert does itself in a CA rotation: put the new CA and the old one into one file."""
    if entry.argv[1:2] != ("verify",) or "-CAfile" not in entry.argv[:-1]:
        return
    both = PurePosixPath(entry.argv[entry.argv.index("-CAfile") + 1])
    alone = new_ca_only_path(both)
    if str(alone) in entry.argv:
        old = quote(f"{both}.old")
        yield f"mv {quote(str(both))} {old}"
        yield f"cat {quote(str(alone))} {old} > {quote(str(both))}"
        yield f"rm {old}"


def _settings(entry: Entry) -> Iterator[str]:
    """The openssl.cnf files that a command reads."""
    for option, value in itertools.pairwise(entry.argv):
        if option in ("-config", "-extfile"):
            yield value


def _serial(entry: Entry) -> str | None:
    if "-CAcreateserial" not in entry.argv or "-CA" not in entry.argv[:-1]:
        return None
    return str(Path(entry.argv[entry.argv.index("-CA") + 1]).with_suffix(".srl"))


def _settings_file(root: Path, name: str) -> Iterator[str]:
    text = _settings_text(root, PurePosixPath(name))
    if text is None:
        yield f"# {clean_line(name)} does not exist any more: put it here before you continue."
        return
    if str(Path(name).parent) != ".":
        yield f"mkdir -p {quote(str(Path(name).parent))}"
    yield from here_document(name, clean(text))


def _settings_text(root: Path, name: PurePosixPath) -> str | None:
    """Return an openssl.cnf of the PKI folder; None for anything else, such as a link to a key."""
    if name.is_absolute() or ".." in name.parts:
        return None
    try:
        with Directory.open(root) as folder, folder.parent_of(name) as parent:
            text = parent.read(name.name).decode("utf-8") if parent else None
    except (OSError, KcertError, UnicodeDecodeError):
        return None
    return None if text is None or "-----BEGIN" in text else text


_ACTIONS = {
    "genrsa": "key",
    "ecparam": "key",
    "genpkey": "key",
    "req": "request",
    "x509": "signature",
    "verify": "verify",
}
"""The step that a subcommand of openssl is."""


def _sections(root: Path, entries: Sequence[Entry], specs: Sequence[Certificate]) -> list[Section]:
    """Return the commands by certificate, with reasons, and each openssl.cnf before the command that first uses it."""
    owners = {str(path): spec for spec in specs for path in spec.files.kept}
    reasons = Reasons()
    sections = [Section()]
    current, written = None, set[str]()
    for entry in entries:
        spec = next((owners[name] for name in entry.files if name in owners), None)
        if spec is not None and spec is not current:
            current = spec
            sections.append(reasons.section(spec))
        action = _ACTIONS.get(entry.argv[1] if len(entry.argv) > 1 else "", "")
        if action == "signature" and "-signkey" in entry.argv:
            action = "self-signature"
        for name in _settings(entry):
            if name not in written and (text := _settings_text(root, PurePosixPath(name))):
                written.add(name)
                sections[-1].items.append(Item(title=name, config=text))
        sections[-1].items.append(
            Item(
                argv=entry.argv,
                reason=reasons.step(spec.role if spec else "", action) if action and current else "",
                files=entry.files,
                note=f"{_local(entry.time)}, {entry.seconds:.2f} s",
                failed=bool(entry.status),
            )
        )
    return [section for section in sections if section.items]


def _local(time: str) -> str:
    """Return a time of the record as the clock on the wall shows it; what is not a time stays as it is."""
    try:
        moment = datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return clean_line(time)
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
