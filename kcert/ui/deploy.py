"""Bundles and exports: what is in each, what is not and why, and how it is used."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath

from kcert import lessons
from kcert.errors import InputError
from kcert.issue.context import Context
from kcert.kubernetes import bundles
from kcert.kubernetes.export import FOLDER, Export
from kcert.kubernetes.install import Bundle, HostFile
from kcert.quoting import format_command, quote
from kcert.store import SECRET_MODE
from kcert.store.atomic import Written
from kcert.ui import print_json, print_lines, print_path, warning
from kcert.ui.console import (
    INDENT,
    block,
    clean_line,
    command_line,
    draw,
    heading,
    say,
    say_apart,
    say_commands,
    say_paragraphs,
    screen,
    show_file,
)
from kcert.ui.flags import unsigning
from kcert.ui.report import written_record

WIDTH = 100


def show_bundles(ctx: Context, made: Sequence[Bundle], written: Sequence[Written], *, explain: bool) -> None:
    """Print what each archive holds, and what to do with it."""
    if explain:
        say_paragraphs(lessons.lesson("bundle").opening)
    for bundle, file in zip(made, written, strict=True):
        _show(bundle, file, explain=explain)
    _warn(made)
    say(
        "Each archive holds keys, so only you can read it. Copy it to its host, follow the INSTALL.md in it, "
        f"and delete it. `kcert bundle --scp{ctx.folder_option}` prints commands that copy the files one by one."
    )


def bundles_as_json(made: Sequence[Bundle], written: Sequence[Written]) -> None:
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
    show_file(written.path, "" if written.changed else "  (unchanged)")
    if written.backup:
        say(f"The archive before is {clean_line(str(written.backup))}; it holds keys as well.", "notice")
    if explain:
        screen().print()


def _list(files: Sequence[HostFile]) -> None:
    """Print what is in the archive; on a narrow screen a path has a line of its own, unbroken."""
    path = max(len(str(file.path)) for file in files)
    reader = max(len(reader) for file in files for reader in file.readers)
    if path + len("  0644  ") + reader > screen().width:
        for file in files:
            block([str(file.path), f"{INDENT}{file.mode:04o}  {', '.join(file.readers)}"])
        return
    rows = [(str(file.path), f"{file.mode:04o}", ", ".join(file.readers)) for file in files]
    draw([("file", "mode", "read by"), *rows], folded=True)


def _warn(made: Sequence[Bundle]) -> None:
    """Say on standard error which key the control plane does not get, and what follows."""
    if why := next((bundle.unsigning for bundle in made if bundle.unsigning), None):
        warning(unsigning(why))


def show_commands(ctx: Context, made: Sequence[Bundle]) -> None:
    """Print the commands that copy the files, as a script."""
    lines = ["# As root on each host; where root may not log in, use the archives of `kcert bundle`."]
    for bundle in made:
        lines += ["", f"# {bundle.host.name}"]
        copied = bundles.copy_commands(ctx, bundle)
        lines += [line if isinstance(line, str) else format_command(line, WIDTH) for line in copied]
    _warn(made)
    print_lines(lines)


def stream_archive(made: Sequence[Bundle]) -> None:
    """Write one archive to standard output, if that is not a terminal."""
    if len(made) > 1:
        raise InputError(f"--output - writes one archive, and there are {len(made)}: specify one host.")
    if sys.stdout.isatty():
        raise InputError(
            "--output -: an archive cannot be printed on a terminal. Redirect it to a file, or pipe it into a program."
        )
    _warn(made)
    sys.stdout.buffer.write(bundles.archive(made[0]))


def show_export(made: Export, written: Sequence[Written], *, explain: bool) -> None:
    """Print what the export contains and what it omits, and the files that were written."""
    if explain:
        _explain(made)
    for folder, files in groupby(written, key=lambda file: file.path.parent):
        _folder(folder, tuple(files))
    backups = [file.backup for file in written if file.backup]
    if backups:
        more = f", and {len(backups) - 1} more like it" if len(backups) > 1 else ""
        say(f"The previous file is {clean_line(str(backups[0]))}{more}: with its keys, if it had any.", "notice")
    screen().print()


def print_paths(written: Sequence[Written], form: str = "text") -> None:
    """Print the path of each file, or a JSON list of the files."""
    if form == "json":
        print_json([written_record(file) for file in written])
        return
    for file in written:
        print_path(file.path)


def _folder(folder: Path, files: tuple[Written, ...]) -> None:
    """Print what became of the files of one folder: there can be a thousand."""
    kept = sum(not file.changed for file in files)
    if len(files) == 1:
        show_file(files[0].path, "  (unchanged)" if kept else "")
    else:
        show_file(folder, f"/  ({len(files)} files{f', {kept} as before' if kept else ''})")


def _explain(made: Export) -> None:
    say_paragraphs(lessons.lesson("export").opening)
    heading(f"What {made.target} gets")
    draw([made.columns, *made.holds], whole=0, folded=True)
    screen().print()
    if made.left:
        heading("What is not exported")
        for omitted in made.left:
            say_apart(omitted)
    for note in made.notes:
        say_apart(note)


def apply(path: Path, namespace: str, *, secret: bool) -> None:
    """Print how a manifest is given to a cluster in which cert-manager runs."""
    say_commands(
        "Next, where cert-manager runs:",
        ("kubectl", "create", "namespace", namespace),
        ("kubectl", "apply", "--server-side", "-f", str(path)),
        ("kubectl", "get", "issuers,certificates", "--namespace", namespace),
    )
    say(
        f"{clean_line(str(path))} contains keys of CAs, and only you can read it: delete it once it is applied."
        if secret
        else f"{clean_line(str(path))} holds no key."
    )


def play(export_folder: Path, ctx: Context, signs_with: PurePosixPath | None) -> None:
    """Print how a play is run, and how it is fed after a renewal.

    *signs_with* is where hosts have the new CA alone while one is changed over, None if none is.
    """
    say_apart("Next, where Ansible runs; first what would change, then the change:")
    command = ("ansible-playbook", "-i", str(export_folder / "inventory.yaml"), str(export_folder / "install.yaml"))
    command_line((*command, "--check"))
    command_line(command)
    screen().print()
    if signs_with is not None:
        say_apart(
            f"A CA rotation is in progress. kube-controller-manager does not start with two certificates, so its "
            f"--cluster-signing-cert-file has to be {signs_with} before the playbook restarts it: `kcert flags "
            f"kube-controller-manager{ctx.folder_option}` prints the option. A static pod restarts as soon as its "
            f"manifest is changed: copy {signs_with.name} to the host before that.",
            "notice",
        )
    variables = clean_line(str(export_folder / "group_vars" / "all.yaml"))
    again = "" if export_folder == FOLDER / "ansible" else f" --output {quote(str(export_folder))}"
    say(
        f"The bundles hold keys, and only you can read them. After each renewal run `kcert export ansible"
        f"{ctx.folder_option}{again}` again: it writes new bundles and an inventory, and the playbook copies them to "
        "the hosts. It changes only files that differ, and restarts only components that read them. Put your own "
        f"variables into {variables}, which kcert never changes."
    )


def stream_export(made: Export) -> None:
    """Write an export of one file to standard output; one with keys never to a terminal."""
    (file,) = made.files
    if file.mode == SECRET_MODE and sys.stdout.isatty():
        raise InputError(
            "--output - would print the CA key on the screen. Pipe it into a program "
            "(`| kubectl apply --server-side -f -`), or omit the key with --no-secret."
        )
    sys.stdout.buffer.write(file.content)
