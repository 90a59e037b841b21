"""The passphrase of a CA's key, or of its root's: where it comes from, and how openssl gets it while nobody else does.

It never stands in an argv: that holds ``env:KCERT_CA_PASSPHRASE`` or ``file:PATH``, which is what is shown and
recorded. In the environment it is given to those commands alone that name it there.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from kcert.errors import InputError
from kcert.files import read_regular
from kcert.permissions import foreign_owner, is_writable_by_others
from kcert.quoting import quote
from kcert.shell import PASSPHRASE_VARIABLE, ROOT_PASSPHRASE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Owner:
    """``whose`` key a passphrase is for, and by which ``variable`` and ``option`` it is told."""

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


class CsrTarget(Protocol):
    """Asks at the terminal; raises InputError where there is none."""

    def __call__(self, owner: Owner, key: str, *, twice: bool) -> str:
        """The passphrase of the file *key*; *twice* for one that is new, so that a slip of the finger shows."""


class Passphrase:
    """The passphrase of all keys of an *owner*: from a *file*, the environment, or asked for, once, when first needed.

    Without *asks* nobody is asked, and what is not known stays so: a script that is printed asks for itself.
    """

    def __init__(self, owner: Owner = CA_KEY, file: Path | None = None, asks: CsrTarget | None = None) -> None:
        self.owner = owner
        self._file = None if file is None else file.absolute()
        self._asks = asks
        self._value: str | None = None

    @property
    def argument(self) -> str:
        """What an openssl command has behind -passin or -passout."""
        return self.owner.in_environment if self._file is None else f"file:{self._file}"

    @property
    def told(self) -> bool:
        """Whether a file or the environment has it, so that nobody has to be asked."""
        return self._file is not None or self.owner.variable in os.environ

    def __repr__(self) -> str:
        """Where it comes from; never what it is."""
        return f"Passphrase({self.argument})"

    def opening(self, key: Path) -> str | None:
        """The passphrase for a key that is there; None where it is not known and nobody is to be asked."""
        return self._learnt(key, new=False)

    def locking(self, key: Path) -> str | None:
        """The passphrase for a key that will be made; raises InputError for one that is no protection."""
        value = self._learnt(key, new=True)
        if value is not None and len(value) < SHORTEST:
            raise InputError(
                f"the passphrase for {key} has {len(value)} characters: a key is as safe as its passphrase is hard to "
                f"guess, so kcert takes {SHORTEST} or more. Several words that do not belong together are good."
            )
        return value

    def handed_to(self, argv: Sequence[str]) -> dict[str, str]:
        """What has to be in the environment of the command *argv*: the passphrase, if it looks for it there."""
        if self._value is None or self.owner.in_environment not in argv:
            return {}
        return {self.owner.variable: self._value}

    def _learnt(self, key: Path, *, new: bool) -> str | None:
        if self._value is None:
            self._value = self._given()
        if self._value is None and self._asks is not None:
            self._value = _checked(self._asks(self.owner, str(key), twice=new), "the passphrase")
        return self._value

    def _given(self) -> str | None:
        if self._file is not None:
            return _checked(_first_line(self._file, self.owner), str(self._file))
        if (value := os.environ.get(self.owner.variable)) is not None:
            return _checked(value, self.owner.variable)
        return None


def roots(own: Passphrase, authority: Passphrase) -> Passphrase:
    """What opens the root's key: its *own* passphrase, but where that of the CA (*authority*) alone is told, that."""
    return authority if authority.told and not own.told else own


def _first_line(path: Path, owner: Owner) -> str:
    """The first line of the file, which is what openssl takes of it, as often as a command is run."""
    try:
        content = read_regular(path)
        faults = list(_exposed(path))
    except OSError as error:
        raise InputError(
            f"the passphrase cannot be read from {path}: {error.strerror}. A pipe will not do, because each command "
            f'reads it anew: for one there is {owner.variable}="$(COMMAND)".'
        ) from None
    if faults:
        raise InputError(f"{path} holds a passphrase, and others can get at it ({faults[0]}.")
    line = content.split(b"\n", 1)[0]
    if line.endswith(b"\r"):
        raise InputError(
            f"the first line of {path} ends as Windows ends lines, and openssl would take the invisible character for "
            f"a part of the passphrase: `printf %s PASSPHRASE`, or an editor, writes it without."
        )
    return os.fsdecode(line)


def _exposed(path: Path) -> Iterator[str]:
    """Yield how others can read the passphrase in the file at *path*, or replace the file, and what ends that.

    Where it is a link (Kubernetes mounts secrets so), link and file both count, and all folders above both: who can
    rename a folder can replace what is in it. Whoever works through sudo may use a file of their own. Raises OSError
    where that cannot be looked at.
    """
    real, named = path.resolve(), path.absolute()
    mode = stat.S_IMODE(real.stat().st_mode)
    if mode & 0o077:
        yield f"mode {mode:04o}): `chmod 600 {quote(str(path))}`"
    folders = dict.fromkeys((*real.parents, *named.parents))
    for one in dict.fromkeys((real, named, *folders)):
        what = "it" if one in (real, named) else f"its folder {one}"
        if owner := foreign_owner(one, follow=one != named, sudo=True):
            yield f"{what} belongs to {owner}): `chown {os.geteuid()} {quote(str(one))}`, or take a file of your own"
    for folder in folders:
        status = folder.stat()
        # With the sticky bit, as in /tmp, nobody can replace what is another's (unlink(2)).
        if is_writable_by_others(status) and not status.st_mode & stat.S_ISVTX:
            mode = stat.S_IMODE(status.st_mode)
            yield f"its folder {folder} has mode {mode:04o}): `chmod go-w {quote(str(folder))}`"


def _checked(value: str, source: str) -> str:
    if not value:
        raise InputError(f"{source} is empty: a passphrase has at least one character.")
    if any(character in value for character in "\n\r\0"):
        raise InputError(f"{source} holds a line break, which openssl takes for the end of a passphrase.")
    if len(os.fsencode(value)) > LONGEST:
        raise InputError(f"{source} is longer than {LONGEST} bytes, and openssl would cut it off without a word.")
    return value
