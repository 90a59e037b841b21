"""Asking for a passphrase, at the terminal and without an echo."""

from __future__ import annotations

import getpass
import sys
import warnings

from kcert.errors import InputError
from kcert.shell import PASSPHRASE_VARIABLE


def ask(key: str, *, twice: bool) -> str:
    """The passphrase of *key*, typed twice where it is new.

    Raises InputError where nobody is there to type, or where the two differ.
    """
    if not sys.stdin.isatty():
        what = "is to be encrypted" if twice else "is encrypted"
        raise InputError(
            f"{key} {what}, and there is no terminal to ask for its passphrase: {PASSPHRASE_VARIABLE} in the "
            "environment, or --ca-passphrase-file FILE, tells it. (To take it off: `openssl pkey -in OLD -out NEW`.)"
        )
    first = _typed(f"Passphrase {'for the new key' if twice else 'of'} {key}: ")
    if twice and _typed("The same again: ") != first:
        raise InputError("the two passphrases differ: nothing was made. Try again.")
    return first


def _typed(prompt: str) -> str:
    try:
        with warnings.catch_warnings():
            # getpass would go on and show what is typed.
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(prompt if prompt.isprintable() else ascii(prompt)[1:-1])
    except (EOFError, getpass.GetPassWarning, UnicodeDecodeError):
        raise InputError(
            f"no passphrase was given. Without a terminal, {PASSPHRASE_VARIABLE} or --ca-passphrase-file tells it."
        ) from None
