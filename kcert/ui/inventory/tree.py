"""A tree: who signed whom."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from kcert.ui.console import clean_line
from kcert.ui.inventory.cells import label

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kcert.scan.inventory import Entry
    from kcert.scan.result import ScanResult

BINARY = False


def write(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - the shape of every format
    """Each CA with what it signed below it; last, what a CA signed that was not found."""
    uses: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        uses[entry.sha256].append(entry)
    signed: dict[str, list[str]] = defaultdict(list)
    roots: list[str] = []
    strangers: dict[str, list[str]] = defaultdict(list)
    for sha256, (entry, *_) in uses.items():
        if entry.issuer_sha256 in uses:
            signed[entry.issuer_sha256 or ""].append(sha256)
        elif entry.kind == "ca":
            roots.append(sha256)
        else:
            strangers[clean_line(entry.issuer)].append(sha256)
    lines: list[str] = []
    for root in roots:
        lines += _branch(root, uses, signed)
    for issuer, certificates in strangers.items():
        lines.append(f"{issuer} (this CA was not found)")
        lines += _leaves(certificates, uses, signed)
    return "".join(f"{line}\n" for line in lines).encode()


def _branch(sha256: str, uses: dict[str, list[Entry]], signed: dict[str, list[str]]) -> Iterator[str]:
    yield from _described(uses[sha256])
    yield from _leaves(signed.get(sha256, []), uses, signed)


def _leaves(certificates: list[str], uses: dict[str, list[Entry]], signed: dict[str, list[str]]) -> Iterator[str]:
    for number, sha256 in enumerate(certificates):
        last = number == len(certificates) - 1
        for index, line in enumerate(_branch(sha256, uses, signed)):
            elbow = "└── " if last else "├── "
            stem = "    " if last else "│   "
            yield (elbow if index == 0 else stem) + line


def _described(uses: list[Entry]) -> Iterator[str]:
    first = uses[0]
    yield f"{label(first)} ({first.kind}), until {first.not_after:%Y-%m-%d}, {_left(first)}"
    for use in uses:
        for_whom = " ".join(part for part in (use.component, use.option) if part)
        yield "│   " * 0 + f"    {clean_line(use.path)}" + (f"  [{clean_line(for_whom)}]" if for_whom else "")


def _left(entry: Entry) -> str:
    # days_left is rounded down: what expired an hour ago has -1, and expired 0 days ago.
    days = entry.days_left if entry.days_left >= 0 else -1 - entry.days_left
    count = f"{days} day" + ("" if days == 1 else "s")
    return f"expired {count} ago" if entry.days_left < 0 else f"{count} left"
