"""The report on a class, as a table, CSV, JSON or a web page."""

from __future__ import annotations

import csv
import html
import io
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from kcert.ui import print_json
from kcert.ui.console import clean_line, draw, in_columns, say, screen, table
from kcert.ui.inventory.comma_separated import harmless
from kcert.ui.page import page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.practice.report import Line

_TITLE = "Results of the class"

_STYLE = """
body { font-family: system-ui, sans-serif; margin: 2rem; }
table { border-collapse: collapse; }
th, td { padding: 0.3rem 0.8rem; text-align: left; white-space: nowrap; border-bottom: 1px solid #ccc; }
"""

_HEADINGS = ("learner", "lab", "seed", "solved", "minutes", "hints", "tries", "solution", "exam", "seal")


def show(lines: Sequence[Line], form: str) -> None:
    """Print *lines* in the format *form*."""
    if form == "json":
        print_json([asdict(line) for line in lines])
    elif form == "csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_HEADINGS)
        writer.writerows([harmless(cell) for cell in _cells(line)] for line in lines)
        sys.stdout.write(text.getvalue())
    elif form == "html":
        sys.stdout.write(_page(lines))
    else:
        _table(lines)


def _page(lines: Sequence[Line]) -> str:
    headings, *rows = _rows(lines)
    heads = "".join(f"<th>{heading}</th>" for heading in headings)
    cells = "\n".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    body = f"<h1>{_TITLE}</h1>\n<table>\n<tr>{heads}</tr>\n{cells}\n</table>"
    return page(_TITLE, _STYLE, body)


def _rows(lines: Sequence[Line]) -> list[tuple[str, ...]]:
    """Return the headings and a row for each line, without the columns about exams where there is none."""
    rows = [tuple(map(clean_line, _cells(line))) for line in lines]
    used = [column for column in range(len(_HEADINGS)) if column < 8 or any(row[column] for row in rows)]
    return [tuple(row[column] for column in used) for row in (_HEADINGS, *rows)]


def _table(lines: Sequence[Line]) -> None:
    rows = _rows(lines)
    if screen().is_terminal:
        drawn = table(*rows[0])
        for row in rows[1:]:
            drawn.add_row(*row)
        draw(drawn)
    else:
        sys.stdout.write(in_columns(rows))
    solved = sum(line.solved is not None for line in lines)
    learners = len({line.learner for line in lines})
    say(f"{solved} of {len(lines)} labs solved by {learners} learner{'s' if learners > 1 else ''}.")
    if any(line.solution and line.solved for line in lines):
        say('"seen": the solution was shown before the lab was solved.', "quiet")


def _cells(line: Line) -> tuple[str, ...]:
    return (
        line.learner,
        line.lab,
        "" if line.seed is None else str(line.seed),
        line.solved[:16].replace("T", " ") if line.solved else "no",
        "" if line.minutes is None else str(line.minutes),
        str(line.hints),
        str(line.tries),
        "seen" if line.solution else "",
        "" if line.exam is None else f"{line.exam}%",
        line.seal or "",
    )
