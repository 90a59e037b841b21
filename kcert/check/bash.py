"""Quoting of words and files for bash."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

from kcert.quoting import quote

_ENDS_VALUE = re.compile(r"([/+\\])")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def word(text: str | Path) -> str:
    """Quote one argument, whatever it contains: unprintable characters are written as bash's ``$'\\x1b'``.

    A path that begins with a hyphen gets ``./`` in front, so that no program takes it for an option.
    """
    text = str(text) if isinstance(text, str) or not str(text).startswith("-") else f"./{text}"
    if not _UNPRINTABLE.search(text):
        return quote(text)
    plain = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{_UNPRINTABLE.sub(_escaped, plain)}'"


def _escaped(match: re.Match[str]) -> str:
    try:
        octets = match[0].encode("utf-8", "surrogateescape")  # the very bytes of a file's name
    except UnicodeEncodeError:  # no file can have such a name
        octets = match[0].encode("utf-8", "replace")
    return "".join(f"\\x{octet:02x}" for octet in octets)


_NUL = re.compile(r"\$'(?:[^'\\]|\\.)*?\\x00")
_CUT_OFF = (
    "# A name in the certificate contains a NUL character. Arguments end at a NUL, so the command would give the new "
    "certificate\n# another name. Request a new certificate for a name without it."
)


def without_nul(commands: str) -> str:
    """Return *commands*, or a comment in their place if an argument contains a NUL, at which it would be cut off."""
    return _CUT_OFF if _NUL.search(commands) else commands


def subject(parts: Iterable[tuple[str, str]]) -> str:
    """Return the argument of ``-subj``: ``/``, ``+`` and backslashes in values are escaped."""
    escaped = [(kind, _ENDS_VALUE.sub(r"\\\1", value)) for kind, value in parts]
    return word("".join(f"/{kind}={value}" for kind, value in escaped) or "/")


def printed(texts: Iterable[str]) -> str:
    """Return the command that prints these lines, wherever it is pasted; bash expands a line in double quotes.

    A here-document would not do: its last line has to begin in the first column.
    """
    quoted = (text if text.startswith('"') else word(text) for text in texts)
    return "printf '%s\\n' " + " \\\n      ".join(quoted)


def lines(texts: Iterable[str]) -> str:
    """A file of these lines, as a process substitution."""
    return f"<({printed(texts)})"


def one_after_the_other(commands: Iterable[str]) -> str:
    """Join commands that depend on each other: none runs after one that failed."""
    return " &&\n".join(command for command in commands if command)


def literal(*pems: str) -> str:
    """Return certificates as a file argument that contains their PEM, whatever their file contains when it runs."""
    return lines(line for pem in pems for line in pem.splitlines()) if pems else ""


def joined(*files: str) -> str:
    """The command that prints some file arguments one after the other; empty ones are left out."""
    return " ".join(["cat", *(file for file in files if file)])


def kubectl_config(path: Path, *words: str) -> str:
    """A command of ``kubectl config`` that reads or changes the kubeconfig at *path*; the words are quoted already."""
    return " ".join(["kubectl config", f"--kubeconfig={word(path)}", *words])


def embedded(path: Path, *words: str, **commands: str) -> str:
    """Have kubectl embed the output of *commands* in the kubeconfig at *path*; their names are kubectl's options.

    kubectl reads such a file twice, so it has to be a regular file. Only its owner can read it, and it is deleted
    afterwards.
    """
    files = {option.replace("_", "-"): f"{word(path)}.{option}.new" for option in commands}
    steps = [
        f"(umask 077; {command} \\\n    > {file})"
        for command, file in zip(commands.values(), files.values(), strict=True)
    ]
    options = [f"--{option}={file}" for option, file in files.items()]
    steps.append(
        kubectl_config(path, *(f"\\\n    {part}" for part in (" ".join(words), *options, "--embed-certs=true")))
    )
    return " &&\n  ".join([*steps, f"rm {' '.join(files.values())}"])


def patched(path: Path, old: str, new: str, *, context: int = 1) -> str:
    """Return the command that changes a text file from *old* to *new*; ``patch`` fails if the lines have changed.

    Empty if the text could not be copied out of a terminal.
    """
    diff = list(difflib.unified_diff(old.split("\n"), new.split("\n"), "before", "after", lineterm="", n=context))
    if any(map(_UNPRINTABLE.search, diff)):
        return ""
    return f"patch -s -F0 --no-backup-if-mismatch {word(path)} {lines(diff)}"
