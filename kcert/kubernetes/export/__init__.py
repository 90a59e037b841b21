"""From a PKI folder to what takes over from kcert: one module a target (``kcert.kubernetes.export.target``)."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from kcert.errors import InputError
from kcert.kubernetes.export import ansible, cert_manager

if TYPE_CHECKING:
    from kcert.kubernetes.export.target import Target

TARGETS: dict[str, Target] = {one.NAME: one for one in (cert_manager, ansible)}
"""Every target by its name."""


def check_target(name: str) -> None:
    """Raise InputError, with the near ones, for what is no target."""
    if name in TARGETS:
        return
    near = difflib.get_close_matches(name, TARGETS, 2) or [one for one in TARGETS if name and one.startswith(name)]
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {' and '.join(TARGETS)}."
    raise InputError(f"{name!a} is nothing that kcert exports to; {hint}")
