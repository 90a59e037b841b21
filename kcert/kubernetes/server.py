"""The API server's address, as users give it with --server."""

from __future__ import annotations

import re

from kcert.config import check_address, check_host_name
from kcert.errors import InputError

_URL = re.compile(
    r"https://(\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9.-]+))(:(?P<port>[0-9]{1,5}))?(/[\w./~-]*)?"
)


def server_url(value: str) -> str:
    """Return *value*, a URL or HOST:PORT, as a URL.

    Raises InputError for what no API server can be reached at with a client certificate.
    """
    url = value if "://" in value else f"https://{value}"
    found = _URL.fullmatch(url)
    why = "https://HOST:PORT or HOST:PORT is expected"
    if url.startswith("http://"):
        why = "without TLS no certificate is presented; https:// is expected"
    elif found and not 0 < int(found["port"] or 443) < 65536:
        why = f"{found['port']} is not a TCP port"
    elif found:
        host = found["six"] or found["name"]
        digits = found["six"] or re.fullmatch(r"[0-9.]+", host)
        unfit = check_address(host) if digits else check_host_name(host.lower())
        if not unfit:
            return url
        why = unfit
    raise InputError(f"--server {value!a} is not accepted: {why}.")


def address_of(url: str) -> str:
    """HOST:PORT of a URL that was checked."""
    found = _URL.fullmatch(url)
    assert found
    return f"{found[1]}:{found['port'] or 443}"
