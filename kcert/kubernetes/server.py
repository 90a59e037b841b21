"""The API server's URL, as users give it with --server."""

from __future__ import annotations

import re

from kcert.config import names
from kcert.errors import InputError

_URL = re.compile(
    r"https://(\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9.-]+))(:(?P<port>[0-9]{1,5}))?(/[\w./~-]*)?"
)


def check_server(url: str) -> str:
    """*url* as given; raises InputError for what no API server can be dialled at with a client certificate."""
    found = _URL.fullmatch(url)
    why = "https://HOST:PORT belongs here"
    if url.startswith("http://"):
        why = "without TLS no certificate is shown; https:// belongs here"
    elif found and not 0 < int(found["port"] or 443) < 65536:
        why = f"{found['port']} is no TCP port"
    elif found:
        host = found["six"] or found["name"]
        digits = found["six"] or re.fullmatch(r"[0-9.]+", host)
        unfit = names.address(host) if digits else names.host_name(host.lower())
        if not unfit:
            return url
        why = unfit
    raise InputError(f"--server {url!a} is not accepted: {why}.")


def address_of(url: str) -> str:
    """HOST:PORT of a URL that was checked."""
    found = _URL.fullmatch(url)
    assert found
    return f"{found[1]}:{found['port'] or 443}"
