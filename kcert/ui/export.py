"""Exports: what is in one, what is not and why, and how it is used."""

from __future__ import annotations

import sys
from itertools import groupby
from typing import TYPE_CHECKING

from kcert import lessons
from kcert.errors import InputError
from kcert.kubernetes.export import FOLDER
from kcert.quoting import quote
from kcert.ui import print_json
from kcert.ui.console import block, clean_line, command_line, draw, heading, say, screen, table
from kcert.ui.report import written_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path, PurePosixPath

    from kcert.issue.context import Context
    from kcert.kubernetes.export import Export
    from kcert.store.atomic import Written


def show(made: Export, written: Sequence[Written], *, explain: bool) -> None:
    """Print what the export holds and what it leaves out, and the files that were written."""
    if explain:
        _explain(made)
    for folder, files in groupby(written, key=lambda one: one.path.parent):
        block([_told(folder, tuple(files))], "file")
    backups = [one.backup for one in written if one.backup]
    if backups:
        more = f", and {len(backups) - 1} more like it" if len(backups) > 1 else ""
        say(f"What was there before is {clean_line(str(backups[0]))}{more}: with its keys, if it had any.", "notice")
    screen().print()


def paths(written: Sequence[Written], form: str) -> None:
    """Print the path of each file, or a JSON list of the files."""
    if form == "json":
        print_json([written_record(file) for file in written])
        return
    for file in written:
        sys.stdout.write(f"{clean_line(str(file.path))}\n")


def _told(folder: Path, files: tuple[Written, ...]) -> str:
    """What became of the files of one folder: there can be a thousand."""
    kept = sum(not one.changed for one in files)
    if len(files) == 1:
        state = "  (unchanged)" if kept else ""
        return f"-> {clean_line(str(files[0].path))}{state}"
    state = f", {kept} as before" if kept else ""
    return f"-> {clean_line(str(folder))}/  ({len(files)} files{state})"


def _explain(made: Export) -> None:
    for paragraph in lessons.lesson("export").opening.split("\n\n"):
        say(paragraph)
        screen().print()
    heading(f"What {made.target} gets")
    rows = table(*made.columns)
    for row in made.holds:
        rows.add_row(*row)
    draw(rows)
    screen().print()
    if made.left:
        heading("What it does not get")
        for aside in made.left:
            say(str(aside))
            screen().print()
    for note in made.notes:
        say(note)
        screen().print()


def apply(path: Path, namespace: str, *, secret: bool) -> None:
    """Print how a manifest is given to a cluster in which cert-manager runs."""
    say("Next, where cert-manager runs:")
    screen().print()
    command_line(("kubectl", "create", "namespace", namespace))
    command_line(("kubectl", "apply", "--server-side", "-f", str(path)))
    command_line(("kubectl", "get", "issuers,certificates", "--namespace", namespace))
    screen().print()
    say(
        f"{clean_line(str(path))} holds keys of CAs, and only you can read it: take it away when it is applied."
        if secret
        else f"{clean_line(str(path))} holds no key."
    )


def play(place: Path, ctx: Context, signs_with: PurePosixPath | None) -> None:
    """Print how a play is run, and how it is fed after a renewal.

    *signs_with* is where hosts have the new CA alone while one is changed over, None where none is.
    """
    say("Next, where Ansible runs; first what would change, then the change:")
    screen().print()
    command = ("ansible-playbook", "-i", str(place / "inventory.yaml"), str(place / "install.yaml"))
    command_line((*command, "--check"))
    command_line(command)
    screen().print()
    if signs_with is not None:
        say(
            f"The CA is being changed over. kube-controller-manager does not start with two certificates, so its "
            f"--cluster-signing-cert-file has to be {signs_with} before the play starts it anew: `kcert flags "
            f"kube-controller-manager{ctx.folder_option}` has it. A static pod starts anew as soon as its manifest is "
            f"changed: copy {signs_with.name} to the host before that.",
            "notice",
        )
        screen().print()
    again = "" if place == FOLDER / "ansible" else f" --output {quote(str(place))}"
    say(
        f"The bundles hold keys, and only you can read them. After each renewal run `kcert export ansible"
        f"{ctx.folder_option}{again}` again: it writes the bundles, and the inventory that goes with them, and the "
        "play brings them out. What has not changed is left alone, and what reads a changed file is started anew. Your "
        f"own variables belong into {clean_line(str(place / 'group_vars' / 'all.yaml'))}, which no export touches."
    )


def stream(made: Export) -> None:
    """Write an export of one file to standard output; one with keys never to a terminal."""
    (piece,) = made.pieces
    if piece.secret and sys.stdout.isatty():
        raise InputError(
            "--output - would print the CA key on the screen. Pipe it into a program "
            "(`| kubectl apply --server-side -f -`), or leave the key out with --no-secret."
        )
    sys.stdout.buffer.write(piece.content)
