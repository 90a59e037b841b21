"""Typing at the terminal: the keys of --step, passphrases without an echo, and the answers of the quiz."""

from __future__ import annotations

import getpass
import os
import select
import signal
import sys
import termios
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.text import Text

from kcert.errors import InputError
from kcert.ui.console import INDENT, block, command_line, heading, say, say_apart, screen

if TYPE_CHECKING:
    from kcert.issue.passphrases import Owner
    from kcert.practice.quiz import Question

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
    prompt = f"Passphrase {f'for {owner.whose} new key' if twice else f'of {owner.whose} key'} {key}: "
    return _passphrase(prompt, twice, f"{owner.variable} or {owner.option}", "nothing was created")


def ask_for_seal(variable: str, *, twice: bool) -> str:
    """Return the passphrase that seals an exam, typed twice if it is new.

    Raises InputError if there is no terminal, or where the two differ.
    """
    if not sys.stdin.isatty():
        raise InputError(f"--seal needs a passphrase, and there is no terminal to type it: set {variable}.")
    return _passphrase("Passphrase for the sealed exam: ", twice, variable, "no exam was started")


def _passphrase(prompt: str, twice: bool, source: str, outcome: str) -> str:
    """Return what is typed at the *prompt*; *source* is where it may come from instead, *outcome* what a failure is."""
    questions = [prompt if prompt.isprintable() else ascii(prompt)[1:-1]]
    questions += ["Repeat the passphrase: "] if twice else []
    try:
        with warnings.catch_warnings():
            # getpass would go on and show what is typed.
            warnings.simplefilter("error", getpass.GetPassWarning)
            typed = [getpass.getpass(question) for question in questions]
    except UnicodeDecodeError as error:
        raise InputError(
            f"the passphrase is not valid {error.encoding.upper()}, the encoding of this locale, so {outcome} with "
            f"it. {source} takes a passphrase byte for byte."
        ) from None
    except (EOFError, getpass.GetPassWarning):
        raise InputError(f"no passphrase was given. Without a terminal, use {source}.") from None
    if len(set(typed)) > 1:
        raise InputError(f"the two passphrases differ: {outcome}. Try again.")
    return typed[0]


def ask_questions(questions: Iterable[Question], seed: int, count: int) -> int:
    """Ask all *questions* on standard input; return how many answers were right.

    Raises InputError if the input ends before the last question.
    """
    right = 0
    for number, question in enumerate(questions, start=1):
        heading(f"Question {number} of {count}")
        for argv, output in question.commands:
            command_line(argv)
            block(output.splitlines(), "said")
            screen().print()
        say_apart(question.text)
        letters = _LETTERS[: len(question.choices)]
        for letter, choice in zip(letters, question.choices, strict=True):
            screen().print(Text(f"{INDENT}{letter}) {choice}"), soft_wrap=True)
        screen().print()
        correct = _answer(letters) == letters[question.right]
        right += correct
        say("Right." if correct else f"No: {letters[question.right]}.", "good" if correct else "bad")
        say_apart(question.why)
    say(f"{right} of {count} right. `kcert practice quiz --seed {seed}` asks the same questions again.")
    return right


_LETTERS = "abcdefgh"


def _answer(letters: str) -> str:
    """Return which of *letters* was typed."""
    while True:
        screen().print(Text(f"Your answer ({letters[0]} to {letters[-1]}): "), end="")
        sys.stdout.flush()
        line = sys.stdin.readline()
        if not line:
            screen().print()
            raise InputError(
                "the input ended before the last question was answered. Run the quiz again, and answer every question."
            )
        letter = line.strip().lower().rstrip(")")
        if len(letter) == 1 and letter in letters:
            return letter
        say(f"Type one of the letters {', '.join(letters)}.", "notice")
