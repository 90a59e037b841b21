"""What the commands that make certificates have in common: from options to an order, and its result to view."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kcert import profiles
from kcert.cli.options import DEFAULT_FILE, DEFAULT_FOLDER, Making
from kcert.errors import InputError
from kcert.making import Order, make, prepare
from kcert.openssl.program import openssl
from kcert.shell import quote

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.certificates import Certificate
    from kcert.cluster import Cluster


def cluster(config: Path | None) -> Cluster:
    """The cluster of the file named, of ./kcert.yaml, or the built-in example."""
    # A link that leads nowhere is a file that is missing, not a wish for the example.
    if config is None and os.path.lexists(DEFAULT_FILE):
        config = DEFAULT_FILE
    return profiles.load(config)


def folder_option(folder: Path) -> str:
    """What belongs behind a command that is to work on the same PKI folder: nothing, or `` --dir lab``."""
    return "" if folder == DEFAULT_FOLDER else f" --dir {quote(str(folder))}"


def chapter(making: Making, name: str) -> None:
    """Make the certificates of one chapter."""
    described = cluster(making.config)
    known = profiles.certificates(described)
    order(making, name, described, known, tuple(one for one in known if one.chapter == name))


def order(
    making: Making, name: str, described: Cluster, known: tuple[Certificate, ...], wanted: tuple[Certificate, ...]
) -> None:
    """Make *wanted*, telling about it in the way that the options ask for."""
    if making.step and (making.quiet or making.dry_run or (making.jobs or 1) > 1):
        other = "--quiet" if making.quiet else "--dry-run" if making.dry_run else "--jobs"
        raise InputError(f"--step waits before each command, which {other} does not go with: leave one of them out.")
    if making.quiet and making.dry_run:
        raise InputError("--dry-run prints a script, and --quiet nothing: leave one of them out.")
    ordered = Order(
        cluster=described,
        wanted=wanted,
        known=known,
        root=making.dir,
        doing=f"kcert {name}",
        openssl=openssl(making.openssl),
        templates=making.templates,
        folder_option=folder_option(making.dir),
        jobs=making.processes,
        side_by_side=making.quiet,
    )
    if making.dry_run:
        from kcert.view import script

        script.show(ordered, prepare(ordered), explain=making.explain)
    elif making.quiet:
        from kcert.view.quiet import Quiet

        quiet = Quiet()
        quiet.ends(make(ordered, quiet))
    else:
        from kcert.view.lesson import Lesson

        lesson = Lesson(explain=making.explain, step=making.step)
        lesson.ends(make(ordered, lesson))
