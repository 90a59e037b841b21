"""The passphrases of encrypted CA keys: from a file, the environment or the keyboard, each with its checks."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kcert.certificates import ROOT, Certificate
from kcert.errors import InputError
from kcert.files import foreign_owner, is_writable_by_others, read_regular
from kcert.quoting import quote
from kcert.shell import PASSPHRASE_VARIABLE, ROOT_PASSPHRASE_VARIABLE


@dataclass(frozen=True)
class Owner:
    """``whose`` key a passphrase is for, and by which ``variable`` and ``option`` it is given."""

    whose: str
    variable: str
    option: str

    @property
    def in_environment(self) -> str:
        """As openssl's -passin and -passout take it (openssl-passphrase-options(1))."""
        return f"env:{self.variable}"


CA_KEY = Owner("the CA's", PASSPHRASE_VARIABLE, "--ca-passphrase-file")
ROOT_KEY = Owner("the root's", ROOT_PASSPHRASE_VARIABLE, "--root-passphrase-file")

OWNERS = (ROOT_KEY, CA_KEY)
"""In the order in which their keys are needed: the root signs the CA."""

SHORTEST = 8
"""Characters of a passphrase that a key is made with: NIST SP 800-63B, section 5.1.1.1, asks for as many at least."""

LONGEST = 1000
"""Bytes; openssl cuts off, without a word, what does not fit into its 1024."""


Prompt = Callable[[Owner, str, bool], str]
"""Asks at the terminal for the passphrase of a key file; True for a new one, which is typed twice."""


class Passphrase:
    """The passphrase of all keys of an *owner*: from a *file*, the environment, or asked for, once, when first needed.

    Without *asks* kcert does not ask, and what is not known stays unknown: a script that is printed asks by itself.
    """

    def __init__(self, owner: Owner = CA_KEY, file: Path | None = None, asks: Prompt | None = None) -> None:
        self.owner = owner
        self._file = None if file is None else file.absolute()
        self._asks = asks
        self._value: str | None = None

    @property
    def argument(self) -> str:
        """Return the argument of -passin or -passout of an openssl command."""
        return self.owner.in_environment if self._file is None else f"file:{self._file}"

    @property
    def is_known(self) -> bool:
        """Return True if a file or the environment contains the passphrase, so that kcert does not ask for it."""
        return self._file is not None or self.owner.variable in os.environ

    def __repr__(self) -> str:
        """Return where it comes from; never what it is."""
        return f"Passphrase({self.argument})"

    def value(self, key: Path, *, is_new: bool = False) -> str | None:
        """Return the passphrase of the file *key*; None if it is not known and kcert may not ask.

        Raises InputError for one that gives a new key no protection.
        """
        if self._value is None:
            if self._file is not None:
                self._value = _checked(_first_line(self._file, self.owner), str(self._file))
            elif (given := os.environ.get(self.owner.variable)) is not None:
                self._value = _checked(given, self.owner.variable)
            elif self._asks is not None:
                self._value = _checked(self._asks(self.owner, str(key), is_new), "the passphrase")
        if is_new and self._value is not None and len(self._value) < SHORTEST:
            raise InputError(
                f"the passphrase for {key} has {len(self._value)} characters, which is too easy to guess: expected "
                f"{SHORTEST} or more. Use several words that do not belong together."
            )
        return self._value

    def handed_to(self, argv: Sequence[str]) -> dict[str, str]:
        """Return what has to be in the environment of the command *argv*: the passphrase, if it looks for it there."""
        if self._value is None or self.owner.in_environment not in argv:
            return {}
        return {self.owner.variable: self._value}


def _first_line(path: Path, owner: Owner) -> str:
    """The first line of the file, which is what openssl takes of it, as often as a command is run."""
    try:
        content = read_regular(path)
        faults = list(_exposed(path))
    except OSError as error:
        raise InputError(
            f"the passphrase cannot be read from {path}: {error.strerror}. A pipe is not possible, because each "
            f'command reads the file again: use {owner.variable}="$(COMMAND)" instead.'
        ) from None
    if faults:
        raise InputError(f"{path} holds a passphrase, and other users can read or replace it ({faults[0]}.")
    line = content.split(b"\n", 1)[0]
    if line.endswith(b"\r"):
        raise InputError(
            f"the first line of {path} ends with a carriage return (a Windows line ending), which openssl would "
            f"treat as part of the passphrase. Save the file with Unix line endings."
        )
    return os.fsdecode(line)


def _exposed(path: Path) -> Iterator[str]:
    """Yield how others can read the passphrase in the file at *path*, or replace the file, and what ends that.

    Where it is a link (Kubernetes mounts secrets so), link and file both count, and all folders above both: who can
    rename a folder can replace what is in it. A user who works through sudo may use a file of their own. Raises OSError
    where that cannot be looked at.
    """
    real, named = Path(os.path.realpath(path)), path.absolute()
    mode = stat.S_IMODE(real.stat().st_mode)
    if mode & 0o077:
        yield f"mode {mode:04o}): `chmod 600 {quote(str(path))}`"
    folders = dict.fromkeys((*real.parents, *named.parents))
    for exposed in dict.fromkeys((real, named, *folders)):
        what = "it" if exposed in (real, named) else f"its folder {exposed}"
        if owner := foreign_owner(exposed, follow=exposed != named, sudo=True):
            yield f"{what} belongs to {owner}): `chown {os.geteuid()} {quote(str(exposed))}`, or use your own file"
    for folder in folders:
        status = folder.stat()
        # With the sticky bit, as in /tmp, no user can replace the files of another (unlink(2)).
        if is_writable_by_others(status) and not status.st_mode & stat.S_ISVTX:
            mode = stat.S_IMODE(status.st_mode)
            yield f"its folder {folder} has mode {mode:04o}): `chmod go-w {quote(str(folder))}`"


def _checked(value: str, source: str) -> str:
    if not value:
        raise InputError(f"{source} is empty: a passphrase has at least one character.")
    if any(character in value for character in "\n\r\0"):
        raise InputError(f"{source} contains a line break, which ends the passphrase for openssl.")
    if len(os.fsencode(value)) > LONGEST:
        raise InputError(f"{source} is longer than {LONGEST} bytes, and openssl would truncate it without a warning.")
    return value


@dataclass(frozen=True)
class Passphrases:
    """The passphrases of the ``ca`` keys and of the ``root`` key above them; with ``encrypt`` new CA keys get one."""

    ca: Passphrase = field(default_factory=Passphrase)
    root: Passphrase = field(default_factory=lambda: Passphrase(ROOT_KEY))
    encrypt: bool = False

    def of(self, ca: Certificate) -> Passphrase:
        """Return the passphrase of the key of *ca*; the root's may be that of the CA, where that alone is known."""
        return self.root if ca.name == ROOT and (self.root.is_known or not self.ca.is_known) else self.ca

    def environment_of(self, argv: Sequence[str]) -> dict[str, str]:
        """Return what the command *argv* needs in its environment, by the names of the variables."""
        return self.ca.handed_to(argv) | self.root.handed_to(argv)
