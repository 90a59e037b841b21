"""Bundles: what is in each, or the commands that copy the same."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kcert import lessons
from kcert.errors import InputError
from kcert.kubernetes import bundles, packing_script
from kcert.quoting import format_command
from kcert.ui import print_json
from kcert.ui.console import INDENT, block, clean_line, draw, error_screen, heading, say, screen, table
from kcert.ui.flags import unsigning
from kcert.ui.report import written_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.issue.context import Context
    from kcert.kubernetes.bundles import Bundle
    from kcert.kubernetes.install import Row
    from kcert.store.atomic import Written

WIDTH = 100


def show(ctx: Context, made: Sequence[Bundle], written: Sequence[Written], *, explain: bool) -> None:
    """Print what each archive holds, and what to do with it."""
    if explain:
        for paragraph in lessons.lesson("bundle").opening.split("\n\n"):
            say(paragraph)
            screen().print()
    for bundle, file in zip(made, written, strict=True):
        _show(bundle, file, explain=explain)
    _warn(made)
    say(
        "Each archive holds keys, so only you can read it. Copy it to its host, follow the INSTALL.md in it, and take "
        f"it away again. `kcert bundle --scp{ctx.folder_option}` prints commands that copy the files one by one."
    )


def paths(written: Sequence[Written]) -> None:
    """Print the path of each archive."""
    for file in written:
        sys.stdout.write(f"{clean_line(str(file.path))}\n")


def as_json(made: Sequence[Bundle], written: Sequence[Written]) -> None:
    """Print what each archive contains as JSON."""
    records = [
        {
            "host": bundle.host.name,
            **written_record(file),
            "files": [
                {"path": str(row.path), "mode": f"{row.mode:04o}", "read_by": list(row.readers)} for row in bundle.rows
            ],
        }
        for bundle, file in zip(made, written, strict=True)
    ]
    _warn(made)
    print_json(records)


def _show(bundle: Bundle, written: Written, *, explain: bool) -> None:
    if explain:
        heading(bundle.host.name)
        _list(bundle.rows)
    state = "" if written.changed else "  (unchanged)"
    block([f"-> {clean_line(str(written.path))}{state}"], "file")
    if written.backup:
        say(f"The archive before is {clean_line(str(written.backup))}; it holds keys as well.", "notice")
    if explain:
        screen().print()


def _list(files: Sequence[Row]) -> None:
    """What is in the archive; where the screen is too narrow for a row, a path has a line of its own, unbroken."""
    path = max(len(str(file.path)) for file in files)
    reader = max(len(one) for file in files for one in file.readers)
    if path + len("  0644  ") + reader > screen().width:
        for file in files:
            block([str(file.path), f"{INDENT}{file.mode:04o}  {', '.join(file.readers)}"])
        return
    rows = table("file", "mode", "read by")
    rows.columns[0].no_wrap = True
    for file in files:
        rows.add_row(str(file.path), f"{file.mode:04o}", ", ".join(file.readers))
    draw(rows)


def _warn(made: Sequence[Bundle]) -> None:
    """Say on standard error which key the control plane does not get, and what follows."""
    why = next((one.unsigning for one in made if one.unsigning and one.signs), None)
    if why:
        say(f"kcert: {unsigning(why)}", "notice", to=error_screen())


def show_commands(ctx: Context, made: Sequence[Bundle]) -> None:
    """Print the commands that copy the files, as a script."""
    lines = ["# As root on each host; where root may not log in, use the archives of `kcert bundle`."]
    for bundle in made:
        lines += ["", f"# {bundle.host.name}"]
        copied = packing_script.copying(ctx, bundle)
        lines += [line if isinstance(line, str) else format_command(line, WIDTH) for line in copied]
    _warn(made)
    sys.stdout.write("\n".join(lines) + "\n")


def stream(made: Sequence[Bundle]) -> None:
    """Write one archive to standard output, if that is no terminal."""
    if len(made) > 1:
        raise InputError(f"--output - writes one archive, and there are {len(made)}: specify one host.")
    if sys.stdout.isatty():
        raise InputError("--output -: an archive would upset the terminal. Lead it into a file or a program.")
    _warn(made)
    sys.stdout.buffer.write(bundles.archive(made[0]))
