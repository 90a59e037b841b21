"""The passphrase of a CA's key: where it comes from, and how openssl gets it while nobody else does.

It never stands in an argv: that holds ``env:KCERT_CA_PASSPHRASE`` or ``file:PATH``, which is what is shown and
recorded. In the environment it is given to those commands alone that name it there.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Protocol

from kcert.errors import InputError
from kcert.files import read_regular
from kcert.shell import PASSPHRASE_VARIABLE, quote

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

IN_ENVIRONMENT = f"env:{PASSPHRASE_VARIABLE}"
"""As openssl's -passin and -passout take it (openssl-passphrase-options(1))."""

SHORTEST = 8
"""Characters of a passphrase that a key is made with: NIST SP 800-63B, section 5.1.1.1, asks for as many at least."""

LONGEST = 1000
"""Bytes; openssl cuts off, without a word, what does not fit into its 1024."""


class Asks(Protocol):
    """Asks at the terminal; raises InputError where there is none."""

    def __call__(self, key: str, *, twice: bool) -> str:
        """The passphrase of *key*; *twice* for one that is new, so that a slip of the finger shows."""


class Passphrase:
    """The one passphrase of a run: out of a *file*, the environment, or asked for, once, when it is first needed.

    Without *asks* nobody is asked, and what is not known stays so: a script that is printed asks for itself.
    """

    def __init__(self, file: Path | None = None, asks: Asks | None = None) -> None:
        self._file = None if file is None else file.absolute()
        self._asks = asks
        self._value: str | None = None

    @property
    def argument(self) -> str:
        """What an openssl command has behind -passin or -passout."""
        return IN_ENVIRONMENT if self._file is None else f"file:{self._file}"

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

    def handed_to(self, argv: Sequence[str]) -> str | None:
        """What has to be in the environment of the command *argv*: the passphrase, if it looks for it there."""
        return self._value if IN_ENVIRONMENT in argv else None

    def _learnt(self, key: Path, *, new: bool) -> str | None:
        if self._value is None:
            self._value = self._given()
        if self._value is None and self._asks is not None:
            self._value = _checked(self._asks(str(key), twice=new), "the passphrase")
        return self._value

    def _given(self) -> str | None:
        if self._file is not None:
            return _checked(_first_line(self._file), str(self._file))
        if (value := os.environ.get(PASSPHRASE_VARIABLE)) is not None:
            return _checked(value, PASSPHRASE_VARIABLE)
        return None


def _first_line(path: Path) -> str:
    """The first line of the file, which is what openssl takes of it, as often as a command is run."""
    try:
        content = read_regular(path)
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise InputError(
            f"the passphrase cannot be read from {path}: {error.strerror}. A pipe will not do, because each command "
            f'reads it anew: for one there is {PASSPHRASE_VARIABLE}="$(COMMAND)".'
        ) from None
    if mode & 0o077:
        raise InputError(
            f"{path} holds a passphrase, and others can get at it (mode {mode:04o}): `chmod 600 {quote(str(path))}`."
        )
    line = content.split(b"\n", 1)[0]
    if line.endswith(b"\r"):
        raise InputError(
            f"the first line of {path} ends as Windows ends lines, and openssl would take the invisible character for "
            f"a part of the passphrase: `printf %s PASSPHRASE`, or an editor, writes it without."
        )
    return os.fsdecode(line)


def _checked(value: str, source: str) -> str:
    if not value:
        raise InputError(f"{source} is empty: a passphrase has at least one character.")
    if any(character in value for character in "\n\r\0"):
        raise InputError(f"{source} holds a line break, which openssl takes for the end of a passphrase.")
    if len(os.fsencode(value)) > LONGEST:
        raise InputError(f"{source} is longer than {LONGEST} bytes, and openssl would cut it off without a word.")
    return value
