"""Commands as text for bash: every word is quoted here, whatever it contains."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

from kcert.quoting import WIDTH, Raw, folder_argument, format_command, quote

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def unquoted(value: str | Path) -> str:
    """One argument, not quoted yet: a path never looks like an option."""
    return value if isinstance(value, str) else folder_argument(value)


def word(value: str | Path) -> str:
    """One argument, quoted."""
    return quote(unquoted(value))


def command(*words: str | Path) -> str:
    """The command that these words are."""
    return format_command(tuple(map(unquoted, words)), WIDTH)


def then(*commands: str) -> str:
    """Join commands that depend on each other: none runs after one that failed."""
    return " &&\n".join(filter(None, commands))


_NUL = re.compile(r"\$'(?:[^'\\]|\\.)*?\\x00")
_CUT_OFF = (
    "# A name in the certificate contains a NUL character. Arguments end at a NUL, so the command would give the new "
    "certificate\n# another name. Request a new certificate for a name without it."
)


def without_nul(commands: str) -> str:
    """Return *commands*, or a comment in their place if an argument contains a NUL, at which it would be cut off."""
    return _CUT_OFF if _NUL.search(commands) else commands


def printed(texts: Iterable[str]) -> str:
    """Return the command that prints these lines, wherever it is pasted.

    A here-document would not do: its last line has to begin in the first column.
    """
    return "printf '%s\\n' " + " \\\n      ".join(map(quote, texts))


def literal(*pems: str) -> str:
    """Return certificates as a file argument that contains their PEM, whatever their file contains when it runs."""
    lines = [line for pem in pems for line in pem.splitlines()]
    return Raw(f"<({printed(lines)})") if lines else ""


def joined(*files: str) -> str:
    """The command that prints some files one after the other; empty ones are left out."""
    return command("cat", *filter(None, files))


def kubectl_config(path: Path, *words: str) -> str:
    """A command of ``kubectl config`` that reads or changes the kubeconfig at *path*."""
    return command("kubectl", "config", f"--kubeconfig={unquoted(path)}", *words)


def embedded(path: Path, option: str, name: str, content: str, *, key: str = "") -> str:
    """Have kubectl embed the output of *content* in the kubeconfig at *path*, for its cluster or its user *name*.

    *option* is the field, ``certificate-authority`` or ``client-certificate``; *key* is a file with the user's new key.
    kubectl reads a file twice, so it has to be a regular one; it is deleted afterwards.
    """
    field = "certificate-authority" if option.startswith("certificate-authority") else "client-certificate"
    verb = "set-cluster" if field == "certificate-authority" else "set-credentials"
    file = f"{unquoted(path)}.{field}.new"
    options = (f"--{field}={file}", *([f"--client-key={key}"] if key else []), "--embed-certs=true")
    return then(
        f"(umask 077; {content} > {quote(file)})",
        kubectl_config(path, verb, name, *options),
        command("rm", file),
    )


def patched(path: Path, old: str, new: str, *, context: int = 1) -> str:
    """Return the command that changes a text file from *old* to *new*; ``patch`` fails if the lines have changed.

    Empty if the text could not be copied out of a terminal.
    """
    diff = list(difflib.unified_diff(old.split("\n"), new.split("\n"), "before", "after", lineterm="", n=context))
    if any(map(_UNPRINTABLE.search, diff)):
        return ""
    return f"patch -s -F0 --no-backup-if-mismatch {word(path)} <({printed(diff)})"
