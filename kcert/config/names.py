"""Which names are accepted, and what is said of the others.

A name becomes a path, an argument of openssl and a line of an openssl.cnf. What means something to any of
these is refused here, once, so that nothing further down has to quote or to guess. Each function answers
with the reason why a value is refused, or None.
"""

from __future__ import annotations

import ipaddress
import re

COMMON_NAME_LENGTH = 64
"""Longest common name and organization: RFC 5280, appendix A.1 (ub-common-name, ub-organization-name)."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_USER = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.@:-]*[A-Za-z0-9_])?")
_CONTEXT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.@-]*[A-Za-z0-9])?")


def host_name(value: str) -> str | None:
    """A DNS subdomain in lower case (RFC 1123, as Kubernetes demands of node names)."""
    if value != value.lower():
        return f"Kubernetes takes host names in lower case only: write {value.lower()!a}"
    if len(value) > 253 or not all(_LABEL.fullmatch(label) for label in value.split(".")):
        return (
            "a host name is made of a-z, 0-9 and -, in parts joined by dots, each beginning and ending with a-z or 0-9"
        )
    if _looks_like_address(value):
        return "an address is not a name: give the host a name, and put the address under ip"
    return None


def alternative_dns_name(value: str) -> str | None:
    """A DNS name among extra_sans: a host name, or ``*.`` and one."""
    return host_name(value.removeprefix("*."))


def user_name(value: str) -> str | None:
    """A user or a group: it goes into the subject exactly as given, and a user's name becomes a file's."""
    if not _USER.fullmatch(value) or ".." in value:
        return (
            "letters, digits and _ . @ : - are accepted, and the first and last are a letter, a digit or _"
            " (anything else could mean something to openssl's -subj, to an openssl.cnf or to a path)"
        )
    if len(value) > COMMON_NAME_LENGTH:
        return f"a subject holds at most {COMMON_NAME_LENGTH} characters for it, this has {len(value)}"
    return None


def group_name(value: str) -> str | None:
    """Return why *value* cannot be a group; None if it can. It goes into the subject alone, so blanks may be in it."""
    if "  " in value:
        return "two blanks in a row are not accepted, because they are easily lost"
    if value != value.strip():
        return "blanks at its beginning and end are not accepted"
    return user_name(value.replace(" ", ""))


def context_name(value: str) -> str | None:
    """Return why *value* cannot be the name of a cluster or a context in kubeconfigs; None if it can."""
    if not _CONTEXT.fullmatch(value) or len(value) > 253:
        return "letters, digits and _ . @ - are accepted, and the first and last are a letter or a digit"
    return None


def address(value: str) -> str | None:
    """An IPv4 or IPv6 address that a host can have."""
    try:
        parsed = ipaddress.ip_address(value)
    except ValueError:
        return "an address looks like 192.168.56.11 or fd00::11"
    if getattr(parsed, "scope_id", None):
        return "an address with a zone (%) is known on one machine only and cannot stand in a certificate"
    if parsed.version == 6 and parsed.ipv4_mapped:
        return f"this is an IPv4 address in disguise: write {str(parsed.ipv4_mapped)!a}"
    if parsed.is_unspecified or parsed.is_multicast:
        return "no host can be reached at this address"
    return None


def network(value: str) -> str | None:
    """A network for services, with room for eight addresses, the least that kube-apiserver takes."""
    try:
        parsed = ipaddress.ip_network(value)
    except ValueError:
        return _why_no_network(value)
    if "/" not in value:
        length = 112 if parsed.version == 6 else 16
        begins = ipaddress.ip_network(f"{value}/{length}", strict=False)
        return f"a range says behind a slash how long its prefix is: write {str(begins)!a}"
    if parsed.num_addresses < 8:
        return "kube-apiserver wants a range of eight addresses or more"
    return None


def _why_no_network(value: str) -> str:
    try:
        begins = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return "a range looks like 10.96.0.0/16 or fd00:10:96::/112"
    return f"the range that holds it begins at its first address: write {str(begins)!a}"


def _looks_like_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True
