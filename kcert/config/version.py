"""Kubernetes releases, as far as they matter to options: which were removed when."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kcert.errors import InputError

_FORM = re.compile(r"v?1\.(0|[1-9][0-9]{0,2})(?:\.(0|[1-9][0-9]{0,2}))?")


@dataclass(frozen=True, order=True)
class Version:
    """A release of Kubernetes 1: the minor number, and the patch."""

    minor: int
    patch: int = 0

    def __str__(self) -> str:
        return f"1.{self.minor}" + (f".{self.patch}" if self.patch else "")


STABLE = Version(37)
"""What is printed for where nobody says otherwise; the newest release whose options are known here."""

DUAL_STACK = Version(21)
"""From here on two ranges of services and two addresses of a node are taken as they are; before, a feature gate is in
the way (https://kubernetes.io/docs/concepts/services-networking/dual-stack/, "Feature gates")."""

OLDEST = Version(16)
"""Older releases have options that are not known here."""


def release(text: str) -> Version | str:
    """Return the release that *text* names (1.34, v1.34.2), or the reason why it is refused."""
    found = _FORM.fullmatch(text)
    if not found:
        return f"expected a release of Kubernetes, for example {STABLE} or v1.29.4"
    version = Version(int(found[1]), int(found[2] or 0))
    return version if version >= OLDEST else f"kcert knows the options of Kubernetes {OLDEST} and newer"


def version(text: str) -> Version:
    """Return the release that --kubernetes-version names; raises InputError for any other text."""
    found = release(text)
    if isinstance(found, str):
        raise InputError(f"--kubernetes-version {text!a} is not accepted: {found}.")
    return found
