"""Comparison of answers: case, blanks, the form of a date and the order of a list do not matter."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from kcert.practice.lab import ExpectedAnswer

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def agrees(given: str, right: ExpectedAnswer) -> bool:
    """Return True where *given* is the *right* answer."""
    return any(_COMPARED[right.kind](given, text) for text in (right.text, *right.also))


def _words(given: str, right: str) -> bool:
    return _plain(given) == _plain(right)


def _plain(text: str) -> str:
    text = re.sub(r"^[\"'`]+|[\"'`.]+$", "", " ".join(text.casefold().split()))
    return re.sub(r"\s*([=,/:])\s*", r"\1", text)


def _path(given: str, right: str) -> bool:
    """Compare paths from the lab's folder, from /etc, or their ends; ca.crt alone is ambiguous."""
    parts, wanted = _parts(given), _parts(right)
    return len(parts) > 1 and (wanted[-len(parts) :] == parts or parts[-len(wanted) :] == wanted)


def _parts(text: str) -> list[str]:
    return [part for part in text.strip(" \"'`").split("/") if part not in ("", ".")]


def _number(given: str, right: str) -> bool:
    found = re.findall(r"\d+", given)
    return len(found) == 1 and int(found[0]) == int(right)


def _names(given: str, right: str) -> bool:
    return _set(given) == _set(right)


def _set(text: str) -> set[str]:
    return {_plain(name) for name in re.split(r"[,;\s]+|\band\b", text) if name.strip()}


def _date(given: str, right: str) -> bool:
    return day(given) == day(right) is not None


def day(text: str) -> tuple[int, int, int] | None:
    """Return year, month and day of 2027-03-05, 05.03.2027, 5 March 2027, Mar  5 09:00:00 2027 GMT …"""
    text = re.sub(r"\d{1,2}:\d{2}(:\d{2})?(\.\d+)?", " ", text.casefold())
    if found := re.search(r"\b(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})", text):
        return _real(*(int(part) for part in found.groups()))
    if found := re.search(r"\b(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})\b", text):
        return _real(*(int(part) for part in reversed(found.groups())))
    month = re.search(rf"\b({'|'.join(_MONTHS)})", text)
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    if not month or len(numbers) != 2:
        return None
    year, date = max(numbers), min(numbers)
    return _real(year, _MONTHS.index(month[0]) + 1, date)


def _real(year: int, month: int, date: int) -> tuple[int, int, int] | None:
    try:
        datetime(year, month, date)  # noqa: DTZ001 - only whether there is such a day
    except ValueError:
        return None
    return year, month, date


_COMPARED: dict[str, Callable[[str, str], bool]] = {
    "words": _words,
    "path": _path,
    "number": _number,
    "names": _names,
    "date": _date,
}
