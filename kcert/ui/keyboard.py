"""Typing at the terminal: the keys of --step, and passphrases without an echo."""

from __future__ import annotations

import getpass
import os
import select
import signal
import sys
import termios
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kcert.errors import InputError
from kcert.issue.passphrases import Owner

_HABIT = 0.2
"""Seconds in which an Enter follows a key that does not need it."""


@contextmanager
def keys() -> Iterator[Callable[[], str]]:
    """Yield what reads a key at a terminal, where none needs Enter, and a line of any other input.

    What was typed before, and what follows the key at once, such as an Enter out of habit, is thrown away.
    """
    if not sys.stdin.isatty():
        yield sys.stdin.readline
        return
    before = termios.tcgetattr(sys.stdin)
    mode = [*before[:3], before[3] & ~(termios.ICANON | termios.ECHO), *before[4:]]
    try:
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, mode)
        yield _key
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)


def _key() -> str:
    """Return what one key has sent; empty at the end of the input.

    Python notices a Ctrl-C that comes between its last look and the read only when the read returns, which it
    then never does. A descriptor that every signal writes to wakes the wait for the keyboard in any case:
    https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd
    """
    signalled, woken_by = os.pipe()
    os.set_blocking(woken_by, False)
    before = signal.set_wakeup_fd(woken_by)
    try:
        select.select([sys.stdin, signalled], [], [])
    finally:
        signal.set_wakeup_fd(before)
        os.close(signalled)
        os.close(woken_by)
    key = os.read(sys.stdin.fileno(), 1024).decode(errors="replace")
    if not key.endswith("\n"):
        select.select([sys.stdin], [], [], _HABIT)
    return key


def ask(owner: Owner, key: str, twice: bool) -> str:
    """Return the passphrase of the file *key*, typed twice if it is new; the prompt says whose key it is.

    Raises InputError if there is no terminal, or if the two differ.
    """
    if not sys.stdin.isatty():
        what = "is to be encrypted" if twice else "is encrypted"
        raise InputError(
            f"{key} {what}, and there is no terminal to ask for its passphrase: set "
            f"{owner.variable} in the environment, or use {owner.option} FILE. (To remove the passphrase: "
            "`openssl pkey -in OLD -out NEW`.)"
        )
    first = _typed(owner, f"Passphrase {f'for {owner.whose} new key' if twice else f'of {owner.whose} key'} {key}: ")
    if twice and _typed(owner, "Repeat the passphrase: ") != first:
        raise InputError("the two passphrases differ: nothing was created. Try again.")
    return first


def ask_for_seal(variable: str, *, twice: bool) -> str:
    """Return the passphrase that seals an exam, typed twice if it is new.

    Raises InputError if there is no terminal, or where the two differ.
    """
    if not sys.stdin.isatty():
        raise InputError(f"--seal needs a passphrase, and there is no terminal to type it: set {variable}.")
    try:
        passphrase = getpass.getpass("Passphrase for the sealed exam: ")
        if twice and getpass.getpass("Repeat the passphrase: ") != passphrase:
            raise InputError("the two passphrases differ, so no exam was started. Try again.")
    except EOFError:
        raise InputError(f"no passphrase was typed. Without a terminal, set {variable}.") from None
    return passphrase


def _typed(owner: Owner, prompt: str) -> str:
    try:
        with warnings.catch_warnings():
            # getpass would go on and show what is typed.
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(prompt if prompt.isprintable() else ascii(prompt)[1:-1])
    except UnicodeDecodeError as error:
        raise InputError(
            f"the passphrase is not valid {error.encoding.upper()}, the encoding of this locale, so nothing was "
            f"created with it. {owner.variable} and {owner.option} take a passphrase byte for byte."
        ) from None
    except (EOFError, getpass.GetPassWarning):
        raise InputError(
            f"no passphrase was given. Without a terminal, use {owner.variable} or {owner.option}."
        ) from None
