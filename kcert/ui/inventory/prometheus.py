"""Prometheus: for the text-file collector of the node exporter.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.ui.console import clean_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from kcert.scan.inventory import Entry
    from kcert.scan.result import ScanResult

BINARY = False


def write(entries: Sequence[Entry], scan: ScanResult) -> bytes:
    """Return the start and expiry of each certificate, and the number of files that cannot be read."""
    series = {_labels(entry): entry for entry in entries}  # a series may occur only once
    lines = [
        *_metric("not_after_timestamp_seconds", "When the certificate expires."),
        *(_sample("not_after_timestamp_seconds", labels, entry.not_after) for labels, entry in series.items()),
        *_metric("not_before_timestamp_seconds", "When the certificate becomes valid."),
        *(_sample("not_before_timestamp_seconds", labels, entry.not_before) for labels, entry in series.items()),
        "# HELP kcert_problems Files that are missing or cannot be read.",
        "# TYPE kcert_problems gauge",
        f"kcert_problems {len(scan.problems)}",
    ]
    return ("\n".join(lines) + "\n").encode()


def _metric(name: str, meaning: str) -> tuple[str, str]:
    return f"# HELP kcert_certificate_{name} {meaning}", f"# TYPE kcert_certificate_{name} gauge"


def _sample(name: str, labels: str, moment: datetime) -> str:
    return f"kcert_certificate_{name}{{{labels}}} {int(moment.timestamp())}"


def _labels(entry: Entry) -> str:
    named = {
        "component": entry.component or "",
        "kind": entry.kind,
        "cn": entry.cn or "",
        "issuer": entry.issuer,
        "path": entry.path,
        "option": entry.option or "",
        "source": entry.source or "",
        "serial": entry.serial,
    }
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in named.items())


def _escaped(value: str) -> str:
    return clean_line(value).replace("\\", "\\\\").replace('"', '\\"')
