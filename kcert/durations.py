"""Durations as users write them: 30d, 8w, 24h, 1h30m, 90s, 1y."""

from __future__ import annotations

import re
from datetime import timedelta

from kcert.errors import InputError

_SECONDS = {"y": 365 * 86400, "w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}
_PARTS = re.compile("".join(rf"(?:(\d{{1,9}}){unit})?" for unit in _SECONDS), re.ASCII)
LONGEST = timedelta(days=36500)


def duration(text: str, option: str, *, bare_days: bool = False) -> timedelta:
    """Return the duration *text*, in whole seconds; *option* names it in errors.

    With *bare_days*, a number without a unit is a number of days. Raises InputError for anything other than numbers
    with units, the largest unit first, and for more than a hundred years.
    """
    words = text.strip()
    if bare_days and words.isascii() and words.isdecimal():
        words += "d"
    parts = _PARTS.fullmatch(words)
    if not words or not parts:
        raise InputError(f"{option} {text!a} is not a duration: expected 30d, 8w, 12h, 1h30m or 1y.")
    seconds = sum(int(count) * size for size, count in zip(_SECONDS.values(), parts.groups(), strict=True) if count)
    if seconds > LONGEST.total_seconds():
        raise InputError(f"{option} {text!a} is more than a hundred years.")
    return timedelta(seconds=seconds)


def in_words(length: timedelta) -> str:
    """Return *length* in words: in whole days, else in hours, minutes or seconds."""
    seconds = int(length.total_seconds())
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds and seconds % size == 0:
            return f"{seconds // size} {unit}{'s' if seconds != size else ''}"
    return f"{seconds} second{'s' if seconds != 1 else ''}"
