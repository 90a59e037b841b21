"""Whose name it bears: a server's certificate that does not hold the name or address that was dialled."""

from __future__ import annotations

import ipaddress
import re

from kcert.diagnose.cause import Cause, Meaning, Saying, Wording
from kcert.diagnose.commands import (
    lines,
    look,
    look_at,
    name_at,
    name_of,
    repair,
    shake_hands,
    sign,
    unnamed,
    which,
)
from kcert.quoting import quote

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_NAMES = "-ext subjectAltName"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _address(saying: Saying, name: str) -> str:
    """Where to look: the address that was dialled, or the name itself at the API server's port."""
    if saying.dialled:
        return saying.dialled
    port = saying.stand_in.rpartition(":")[2]
    if _is_address(name):
        return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    return f"{name}:{port}" if _PLAIN.fullmatch(name) else saying.stand_in


def _names(saying: Saying, name: str, what: str) -> Meaning:
    if saying.checked:
        return _file(saying.checked)
    address = _address(saying, name)
    held = saying.word("names")
    has = f"; it holds {held}" if held and len(held) < 200 else ""
    option = "-verify_ip" if _is_address(name) else "-verify_hostname"
    kind = "IP" if _is_address(name) else "DNS"
    checked = shake_hands(address, "ca.crt", option, quote(name))
    certificate = name_at(address)
    whose = f"The certificate of the server at {saying.dialled}" if saying.dialled else "The server's certificate"
    return Meaning(
        f"{whose} {what}{has}.",
        lines(unnamed(saying.dialled, address), f"{look_at(address, 'subject')} {_NAMES}", checked if name else ""),
        repair(
            (
                f"# add {name or 'the name'} to kcert.yaml (for the API server: api_server.extra_sans), then",
                f"kcert renew {certificate} --stale",
                which(certificate),
            ),
            (f"# add {kind}.9 = {name or '...'} to [alt_names] in openssl-{certificate}.cnf, then", sign(certificate)),
        ),
    )


def _file(path: str) -> Meaning:
    name = name_of(path)
    return Meaning(
        f"{path} does not hold the name or address that it was checked for.",
        f"{look(path, 'subject')} {_NAMES}",
        repair(
            ("# add it to kcert.yaml (for the API server: api_server.extra_sans), then", f"kcert renew {name} --stale"),
            (f"# add it to [alt_names] in openssl-{name}.cnf, then", sign(name)),
        ),
    )


def _wrong_name(saying: Saying) -> Meaning:
    name = saying.word("name")
    return _names(
        saying,
        name,
        f"does not hold {name}, the name that was dialled" if name else "does not hold the name that was dialled",
    )


def _no_addresses(saying: Saying) -> Meaning:
    name = saying.word("name")
    return _names(saying, name, f"holds no address at all, and {name} was dialled")


def _common_name_only(saying: Saying) -> Meaning:
    what = "has its name in CN alone, which Go has not looked at since 1.15: names belong into subjectAltName"
    return _names(saying, saying.word("name"), what)


def _peer_name(saying: Saying) -> Meaning:
    name = saying.word("name")
    return Meaning(
        f"The certificate of an etcd member does not hold {name}, the address that the member connects from.",
        lines(
            "# peer.crt: the file of that member's --peer-cert-file",
            "openssl x509 -in peer.crt -noout -subject -ext subjectAltName",
        ),
        repair(
            ("kcert renew etcd-server --stale   # or etcd-peer-MEMBER, once kcert.yaml has the address",),
            (f"# add IP.9 = {name} to [alt_names] in openssl-etcd-server.cnf, then", sign("etcd-server")),
        ),
    )


CAUSES = (
    Cause(
        "peer-address-not-in-certificate",
        "missing-san",
        (Wording("does not match any of DNSNames", r"\"(?P<name>[^\"\s]{1,255})\" does not match any of DNSNames"),),
        _peer_name,
    ),
    Cause(
        "common-name-only",
        "missing-san",
        (
            Wording("certificate relies on legacy Common Name field"),
            Wording(
                "certificate is not valid for any names",
                r"certificate is not valid for any names(?:, but wanted to match (?P<name>[^\s\"]+))?",
            ),
        ),
        _common_name_only,
    ),
    Cause(
        "no-address-in-certificate",
        "missing-san",
        (
            Wording(
                "contain any IP SANs",
                r"cannot validate certificate for (?P<name>[^\s\"]+) because it doesn't contain any IP SANs",
            ),
        ),
        _no_addresses,
    ),
    Cause(
        "name-not-in-certificate",
        "missing-san",
        (
            Wording(
                "certificate is valid for ",
                r"certificate is valid for (?P<names>[^\"]{1,4000}?), not (?P<name>[^\s\"',;)\]]+)",
            ),
            Wording("mismatch", r"[Hh]ostname mismatch(?:, certificate is not valid for '(?P<name>[^']+)')?"),
            Wording("IP address mismatch", r"IP address mismatch(?:, certificate is not valid for '(?P<name>[^']+)')?"),
            Wording(
                "certificate subject name",
                r"no alternative certificate subject name matches target "
                r"(?:host ?name|ipv[46] address) '(?P<name>[^']+)'",
            ),
        ),
        _wrong_name,
    ),
)
