"""JSON: a list of objects, one for each use of a certificate."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.scan.inventory import Entry
    from kcert.scan.result import ScanResult

BINARY = False


def write(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - the shape of every format
    """The list; ``json`` escapes whatever a terminal would act upon."""
    if not entries:
        return b"[]\n"
    # One object at a time: all of them as Python's objects would take several times the memory of the text.
    objects = (json.dumps(record(entry), indent=2).replace("\n", "\n  ") for entry in entries)
    return ("[\n  " + ",\n  ".join(objects) + "\n]\n").encode()


def record(entry: Entry) -> dict[str, object]:
    """One object, its fields in the order of the manual."""
    return {
        "component": entry.component,
        "kind": entry.kind,
        "path": entry.path,
        "option": entry.option,
        "source": entry.source,
        "subject": entry.subject,
        "cn": entry.cn,
        "organizations": list(entry.organizations),
        "sans": list(entry.san),
        "san": list(entry.san),  # its name until the next release
        "issuer": entry.issuer,
        "not_before": f"{entry.not_before:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{entry.not_after:%Y-%m-%dT%H:%M:%SZ}",
        "days_left": entry.days_left,
        "ca": entry.ca,
        "issuer_path": entry.issuer_path,
        "key_path": entry.key_path,
        "serial": entry.serial,
        "sha256": entry.sha256,
    }
