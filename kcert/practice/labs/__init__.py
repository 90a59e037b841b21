"""The labs: one module each, all of one shape (``kcert.practice.lab``), in the order in which a course takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.errors import InputError
from kcert.practice.labs import (
    admin_without_rights,
)
from kcert.practice.words import near

if TYPE_CHECKING:
    from kcert.practice.lab import Lab

LABS: dict[str, Lab] = {one.LAB.name: one.LAB for one in (admin_without_rights,)}
"""Every lab by its name."""


def lab(name: str) -> Lab:
    """The lab called *name*; raises InputError, with the near ones, where there is none."""
    if name not in LABS:
        raise InputError(f"{name!a} is no lab; {near(name, tuple(LABS))}")
    return LABS[name]
