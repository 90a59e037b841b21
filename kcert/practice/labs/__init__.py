"""The labs: one module each, all of one shape (``kcert.practice.lab``), in the order in which a course takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.errors import InputError
from kcert.practice.labs import (
    admin_without_rights,
    copied_in_a_hurry,
    dialled_by_address,
    kubectl_trusts_nobody,
    member_left_out,
    node_not_ready,
    pods_cannot_call_home,
    pods_stay_pending,
    since_this_morning,
)
from kcert.practice.words import near

if TYPE_CHECKING:
    from kcert.practice.lab import Lab

LABS: dict[str, Lab] = {
    one.LAB.name: one.LAB
    for one in (
        admin_without_rights,
        pods_stay_pending,
        pods_cannot_call_home,
        dialled_by_address,
        member_left_out,
        copied_in_a_hurry,
        since_this_morning,
        node_not_ready,
        kubectl_trusts_nobody,
    )
}
"""Every lab by its name."""


def lab(name: str) -> Lab:
    """The lab called *name*; raises InputError, with the near ones, where there is none."""
    if name not in LABS:
        raise InputError(f"{name!a} is no lab; {near(name, tuple(LABS))}")
    return LABS[name]
