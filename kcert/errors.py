"""The one family of exceptions that kcert raises for its users.

Each is raised where the fact is known, with the value and the way out in its message, and caught once,
in ``kcert.__main__``. The classes differ in their exit status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

FOUND = 1
INPUT = 2
FAILED = 3
INTERRUPTED = 130  # 128 + SIGINT, as shells report a program that Ctrl-C ended


warning_listeners: list[Callable[[str], None]] = []
"""The functions that show warnings to the user; ``kcert.cli`` adds the screen."""


def warn(message: str) -> None:
    """Report to the user something that is not an error and has to be known."""
    for show in warning_listeners:
        show(message)


class KcertError(Exception):
    """A sentence or two for the user: what was wrong, with the value, and what to do."""

    exit_status = FAILED


class ReaderGoneError(Exception):
    """The reader of the output is gone (``| head -1``), which is not an error."""


class VerdictError(KcertError):
    """The error for a check that found a problem."""

    exit_status = FOUND


class InputError(KcertError):
    """Wrong use or bad input: options, kcert.yaml, a CA that is missing, damaged or not the certificate's."""

    exit_status = INPUT


class MachineError(KcertError):
    """The machine did not do its part: a full disk, no permission."""


class OutputError(MachineError):
    """Standard output cannot be written: it is closed, or its disk is full."""


class ProgramError(KcertError):
    """A program that kcert ran failed, is missing, or did not finish in time."""


class TooSlowError(ProgramError):
    """A program that kcert ran did not finish in time."""


class UnansweredError(ProgramError):
    """No cluster answers, or there is no kubectl to ask one with: work without one may go on."""


def nearest(name: str, known: Iterable[str], most: int = 3, likeness: float | None = None) -> list[str]:
    """Return at most *most* of the *known* names that *name* may have been meant to be, the most similar first.

    Without a *likeness* (difflib, 0 to 1) these can also be names that contain *name*.
    """
    import difflib  # only for a mistake

    known = list(known)
    near = difflib.get_close_matches(name, known, most, likeness or 0.6)
    return near or [other for other in known if name and name in other and likeness is None][:most]


def did_you_mean(name: str, known: Iterable[str], otherwise: str, most: int = 3) -> str:
    """Return the question that names what *name* may have been meant to be; *otherwise* where nothing is similar."""
    near = nearest(name, known, most)
    return f"did you mean {', '.join(near)}?" if near else otherwise


def sentence(words: str) -> str:
    """*words* with the full stop that ends them, unless they end as a sentence already: ``did you mean groups?``."""
    return words if words.endswith((".", "?", "!")) else f"{words}."
