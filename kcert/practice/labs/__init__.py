"""The labs, all of one shape (``kcert.practice.lab``), in modules by what is wrong."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from kcert.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from kcert.practice.lab import Lab

LABS = {
    "make-the-ca": "signing",
    "admins-certificate": "signing",
    "admin-without-rights": "certificates",
    "pods-stay-pending": "certificates",
    "pods-cannot-call-home": "certificates",
    "address-rejected": "certificates",
    "member-left-out": "certificates",
    "copied-in-a-hurry": "certificates",
    "since-this-morning": "certificates",
    "etcd-does-not-start": "hosts",
    "apiserver-without-etcd": "hosts",
    "node-not-ready": "certificates",
    "kubectl-trusts-nobody": "certificates",
    "two-requests": "signing",
    "unknown-cluster": "hosts",
    "rotate-the-ca": "signing",
}
"""The module of each lab, in the order in which a course takes them."""

NAMES = tuple(LABS)

_RENAMED = {"dialled-by-address": "address-rejected"}
"""The names that labs had in earlier releases, for lab folders and notes that were made then."""


def lab(name: str) -> Lab:
    """Return the lab called *name*; raises InputError, with similar names, if there is none."""
    name = _RENAMED.get(name, name)
    if name not in NAMES:
        raise InputError(f"{name!a} is not a lab; {did_you_mean(name, NAMES, '`kcert practice list` lists them.')}")
    labs: tuple[Lab, ...] = importlib.import_module(f"{__name__}.{LABS[name]}").LABS
    return next(lab for lab in labs if lab.name == name)
