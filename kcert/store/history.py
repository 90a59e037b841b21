"""The history of a PKI folder, and what the folder remembers: for what it was made, and what was asked for.

``.kcert/history.jsonl`` has one line a command, each chained to the one before.

A line holds time (ISO 8601, UTC), argv, folder, status, seconds, files (name to SHA-256, or to null for a
file with a key), and ``previous``: the SHA-256 of the line before, its newline included. ``step`` is what the command
is for; ``prepared`` is what kcert itself did before it, with the files and the bash lines that do the same. What kcert
did itself after the last command of a certificate has a line of its own, without argv. The number of lines and the hash
of the last are in ``history.head``, so that lines missing or added at the end show as well. While a line is being
written, the head has its hash too, so that after a kill either state is right, and no third.

Nothing of it is secret: who can write to both files can write another history. Against that there is a hash that is
kept elsewhere (``--since``), or signed (``kcert.issue.history_signature``).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from kcert.errors import InputError, KcertError, VerdictError
from kcert.files import (
    LARGEST_HISTORY,
    foreign_owner,
    is_writable_by_others,
    read_descriptor,
    read_optional,
    read_regular,
)
from kcert.openssl.pem import pem_blocks
from kcert.shell import Outcome
from kcert.store.directory import Directory

BEGINNING = hashlib.sha256(b"").hexdigest()
"""The hash that the first line has in place of that of the line before it."""

_LONGEST_HEAD = 4096
_HEAD_LENGTH = 12 + 2 * (1 + 64)
_RECORD = b'{"time": "'
_LOST = b"\0"
"""The byte that a loss of power leaves in place of a line. ``verify`` reports it until the next record is written."""

MOST_READINGS = 1000
"""The number of times that both files are read before kcert concludes that the writer is another program."""


@dataclass(frozen=True)
class Prepared:
    """A step that kcert did itself, before a command: its name, the files it made, and bash lines that do the same.

    ``reads`` are the files that these lines need.
    """

    step: str
    files: tuple[str, ...]
    reads: tuple[str, ...]
    script: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """One line of the history; ``files`` are relative to ``folder``, a None hash means that it holds a key."""

    time: str
    argv: tuple[str, ...]
    folder: str
    status: int
    seconds: float
    files: dict[str, str | None]
    step: str = ""
    prepared: tuple[Prepared, ...] = ()


class History:
    """The history in the folder *own*, open for appending while the folder's lock is held.

    To open it deletes a half-written line.
    """

    def __init__(self, own: Directory) -> None:
        self.path, self.head = own.path / "history.jsonl", own.path / "history.head"
        self._last, self._lines = BEGINNING, 0
        self._file = own.open_own(self.path.name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._head_file = own.open_own(self.head.name, os.O_RDWR | os.O_CREAT)
        content = read_descriptor(os.dup(self._file), self.path, LARGEST_HISTORY)
        whole = content[: content.rfind(b"\n") + 1]
        if _is_half_a_record(content[len(whole) :].rstrip(_LOST)):
            os.ftruncate(self._file, len(whole))
        hashes = [BEGINNING, *(_hash(line) for line in whole.splitlines(keepends=True))]
        written = os.pread(self._head_file, _LONGEST_HEAD, 0)
        if not content and not written:
            self._write_head()
            return
        head = _Head.read(written) or _Head(0, BEGINNING)
        self._lines, self._last = head.lines, head.last
        # A history that does not end as its head says was changed: what follows is chained to the head, so that the
        # change keeps showing.
        if head.fits(hashes):
            self._lines, self._last = len(hashes) - 1, hashes[-1]
            self._write_head()

    def close(self) -> None:
        """Let go of the files, which no loss of power can take apart from now on."""
        for descriptor in (self._file, self._head_file):
            os.fsync(descriptor)
        os.close(self._file)
        os.close(self._head_file)

    def append(
        self,
        outcome: Outcome | None,
        folder: Path,
        files: Mapping[str, str | None],
        step: str = "",
        prepared: Iterable[Prepared] = (),
    ) -> None:
        """Add the command that ended as *outcome* (None: there is none), with the SHA-256 of the *files* it made."""
        started = outcome.started if outcome else datetime.now(timezone.utc)
        entry = Entry(
            time=started.isoformat("T", "milliseconds").replace("+00:00", "Z"),
            argv=outcome.command.argv if outcome else (),
            folder=str(folder.absolute()),
            status=outcome.status if outcome else 0,
            seconds=round(outcome.seconds, 4) if outcome else 0.0,
            files=dict(files),
            step=step,
            prepared=tuple(prepared),
        )
        line = json.dumps({**asdict(entry), "previous": self._last}).encode() + b"\n"
        self._write_head(_hash(line))
        written = os.write(self._file, line)
        if written < len(line):  # the disk is full: half a line is not a line
            os.ftruncate(self._file, os.fstat(self._file).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._last = _hash(line)
        self._lines += 1
        self._write_head()

    def _write_head(self, coming: str = "") -> None:
        """Write where the history ends, and the hash of the line that is *coming*.

        Always of the same length, and in one piece over the one before: never half of it.
        """
        text = f"{self._lines:012} {self._last} {coming}"
        head = f"{text:{_HEAD_LENGTH}}\n".encode("ascii")
        before = os.pread(self._head_file, len(head), 0)
        written = os.pwrite(self._head_file, head, 0)
        if written < len(head):  # a limit of size was reached: put back what was there
            os.pwrite(self._head_file, before[:written], 0)
            os.ftruncate(self._head_file, len(before))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.head))


@dataclass(frozen=True)
class _Head:
    """The content of history.head: the number of lines, the hash of the last, and of one that was being written."""

    lines: int
    last: str
    coming: str = ""

    @classmethod
    def read(cls, written: bytes) -> _Head | None:
        """Parse the file; None if it is not one that kcert wrote."""
        match = re.fullmatch(rb"(\d{1,12}) ([0-9a-f]{64})(?: ([0-9a-f]{64}))?\s*", written)
        return cls(int(match[1]), match[2].decode(), (match[3] or b"").decode()) if match else None

    def fits(self, hashes: Sequence[str]) -> bool:
        """True if the lines with these *hashes*, the first that of no line, are those that were written."""
        return hashes[self.lines :] == [self.last] or bool(
            self.coming and hashes[self.lines :] == [self.last, self.coming]
        )


def entries(own: Path) -> tuple[Entry, ...]:
    """The lines of the history in the folder *own*, oldest first; none if nothing was run yet.

    Raises VerdictError for a line that is not the record of a command.
    """
    *lines, last = _lines(own) or [b""]
    return tuple(entry for entry, _ in _parsed(own, [*lines, last.rstrip(_LOST)]))


def verify(own: Path, since: str = BEGINNING) -> tuple[int, int]:
    """Follow the chain from its first line to its head; the number of lines in it, and how many end with *since*.

    The line of that hash (or the beginning) has to be in it, which proves that all up to it is as it was when the
    hash was printed. Raises VerdictError, which names the first line that was changed, or says that lines are
    missing.
    """
    hashes = _verified(own)
    if since not in hashes:
        raise VerdictError(
            f"{own / 'history.jsonl'}: no record has the hash {since}. The record was changed or deleted, or the hash "
            "belongs to another history."
        )
    return len(hashes) - 1, hashes.index(since)


def head(own: Path) -> str:
    """Return the hash of the last line, which covers the whole history; raises VerdictError where that was changed."""
    return _verified(own)[-1]


def _verified(own: Path) -> list[str]:
    """Return the hash of each line of an unchanged history, after that of no line."""
    hashes = [BEGINNING]
    lines, head = _at_one_moment(own)
    for count, (_, previous) in enumerate(_parsed(own, lines), 1):
        if previous != hashes[-1]:
            blamed = f"line {count - 1} was changed after it was written, or " if count > 1 else ""
            raise VerdictError(
                f"{own / 'history.jsonl'}: {blamed}a record before line {count} was deleted or inserted."
            )
        hashes.append(_hash(lines[count - 1]))
    _check_head(own, head, hashes)
    return hashes


def foreign(root: Path, own: Path, entries: Iterable[Entry]) -> str:
    """Return why another user could have written *entries*, the history of *root* in *own*; empty if they are ours."""
    here = {str(root.absolute()), str(root.resolve())}
    if there := next((entry.folder for entry in entries if entry.folder not in here), ""):
        return f"The commands were recorded in {there}, so the folder was moved or copied."
    for path in (root, own, own / "history.jsonl"):
        if path.exists() and (owner := foreign_owner(path)):
            return f"{path} belongs to {owner}."
        if path.exists() and is_writable_by_others(path.stat()):
            return f"Others can write to {path}."
    return ""


def unexplained(root: Path, own: Path) -> tuple[Path, ...]:
    """The files below *root* with a certificate that no command in the history in *own* made."""
    hashes = {digest for entry in entries(own) for digest in entry.files.values() if digest}
    paths = (path for suffix in ("*.crt", "*.pem") for path in root.rglob(suffix))
    others = []
    for path in paths:
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        with contextlib.suppress(OSError):
            # Each certificate as openssl writes it.
            pems = (block.pem for block in pem_blocks(read_regular(path)) if block.is_certificate)
            if any(_hash(pem.encode()) not in hashes for pem in pems):
                others.append(path)
    return tuple(sorted(others))


def _at_one_moment(own: Path) -> tuple[list[bytes], bytes]:
    """The lines, and the head that belongs to them: another kcert may be at work, and write between two readings."""
    head = _head(own)
    for _ in range(MOST_READINGS):
        lines, before = _lines(own), head
        head = _head(own)
        if head == before:
            break
    return lines, head


def _head(own: Path) -> bytes:
    try:
        return read_regular(own / "history.head", _LONGEST_HEAD)
    except FileNotFoundError:
        return b""
    except PermissionError as error:
        raise InputError(f"{own / 'history.head'} cannot be read: {error.strerror}.") from None
    except OSError:
        raise VerdictError(f"{own / 'history.head'}, which says how long the history is, was changed.") from None


def _check_head(own: Path, written: bytes, hashes: list[str]) -> None:
    path, count = own / "history.jsonl", len(hashes) - 1
    if not written and not count:
        return
    head = _Head.read(written)
    if head is None:
        what = "was changed" if written else "is missing"
        raise VerdictError(f"{own / 'history.head'}, which says how long the history is, {what}.")
    if head.fits(hashes):
        return
    if head.lines > count:
        raise VerdictError(
            f"{path}: {head.lines} commands were recorded, but only {count} are present; the last ones are missing."
        )
    changed = head.lines + 1 if hashes[head.lines] == head.last else max(head.lines, 1)
    raise VerdictError(f"{path}: line {changed} was changed after it was written.")


def _lines(own: Path) -> list[bytes]:
    return (read_optional(own / "history.jsonl", LARGEST_HISTORY) or b"").splitlines(keepends=True)


def _parsed(own: Path, lines: Sequence[bytes]) -> Iterator[tuple[Entry, str]]:
    """Yield each record, and the hash that it has of the line before."""
    path = own / "history.jsonl"
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            entry, previous = _entry(record), str(record["previous"])
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            if number == len(lines) and _is_half_a_record(line):
                return  # a kill in the middle of writing it: it never was a record
            raise VerdictError(f"{path}: line {number} is not the record of a command: it was changed.") from None
        yield entry, previous


def _entry(record: dict[str, Any]) -> Entry:
    return Entry(
        time=str(record["time"]),
        argv=tuple(map(str, record["argv"])),
        folder=str(record["folder"]),
        status=int(record["status"]),
        seconds=float(record["seconds"]),
        files={str(name): digest for name, digest in record["files"].items()},
        step=str(record.get("step", "")),
        prepared=tuple(
            Prepared(str(own["step"]), *(tuple(map(str, own[name])) for name in ("files", "reads", "script")))
            for own in record.get("prepared", ())
        ),
    )


def _is_half_a_record(tail: bytes) -> bool:
    """True for what a kill leaves of a line: its beginning. Anything else was put there."""
    return not tail.endswith(b"\n") and (tail.startswith(_RECORD) or _RECORD.startswith(tail))


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


MEMORY = "remembered.json"


@dataclass(frozen=True)
class Memory:
    """``example`` is True if the folder was made for the built-in example.

    ``requests`` holds, by the name of a certificate, what was asked for on the command line: cn, sans, key and days,
    as the options have them. Who reads them checks them (``kcert.issue.adopt.remembered``).
    """

    example: bool = False
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)


def recall(own: Path) -> Memory:
    """Return what the folder with kcert's own files *own* remembers; nothing if that is not kcert's own word."""
    with contextlib.suppress(OSError, ValueError, KcertError, TypeError, AttributeError, RecursionError):
        with Directory.open(own.parent) as folder, folder.own_child(own.name) as directory:
            memory = json.loads(directory.read(MEMORY))
        requests = {
            str(name): dict(request) for name, request in memory["requests"].items() if isinstance(request, dict)
        }
        return Memory(memory["example"] is True, requests)
    return Memory()
