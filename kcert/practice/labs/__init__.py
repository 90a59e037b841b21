"""The labs: one module each, all of one shape (``kcert.practice.lab``)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from kcert.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from kcert.practice.lab import Lab

NAMES = (
    "make-the-ca",
    "admins-certificate",
    "admin-without-rights",
    "pods-stay-pending",
    "pods-cannot-call-home",
    "dialled-by-address",
    "member-left-out",
    "copied-in-a-hurry",
    "since-this-morning",
    "etcd-does-not-start",
    "apiserver-without-etcd",
    "node-not-ready",
    "kubectl-trusts-nobody",
    "two-requests",
    "unknown-cluster",
    "rotate-the-ca",
)
"""Every lab, in the order in which a course takes them. The module of ``a-lab`` is ``a_lab``."""


def lab(name: str) -> Lab:
    """Return the lab called *name*; raises InputError, with similar names, where there is none."""
    if name not in NAMES:
        raise InputError(f"{name!a} is not a lab; {did_you_mean(name, NAMES, '`kcert practice list` lists them.')}")
    chosen: Lab = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").LAB
    return chosen
