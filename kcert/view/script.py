"""``--dry-run``: a bash script that does by hand what kcert would do."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

from kcert import lessons
from kcert.plan import Embed, Run, Write, serial_file
from kcert.shell import folder_argument, quote, typed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import PurePosixPath

    from kcert.making import Order, Prepared
    from kcert.plan import Procedure, Step

WIDTH = 100


def show(order: Order, prepared: Prepared, *, explain: bool) -> None:
    """Print the script."""
    sys.stdout.write("\n".join(_lines(order, prepared, explain=explain)) + "\n")


def _lines(order: Order, prepared: Prepared, *, explain: bool) -> Iterator[str]:
    root = quote(folder_argument(order.root))
    cluster = order.cluster
    yield "#!/usr/bin/env bash"
    yield from _comment(f"{order.doing}: cluster {cluster.name}, profile {cluster.profile}, into {order.root}.")
    for standing in prepared.kept:
        reason = f": {standing.reason}" if standing.reason else ""
        yield from _comment(f"{standing.certificate.name} is there ({standing.state.value}{reason}) and is left alone.")
    if not prepared.procedures:
        yield from _comment("There is nothing to make.")
        return
    yield "set -euo pipefail"
    yield "umask 077  # whatever is not opened further down is for its owner alone"
    if not order.root.exists():
        yield f"mkdir -p {root}"
    yield f"cd {root}"
    for procedure in prepared.procedures:
        yield ""
        yield from _procedure(procedure, explain=explain)


def _procedure(procedure: Procedure, *, explain: bool) -> Iterator[str]:
    certificate, files = procedure.certificate, procedure.certificate.files
    yield f"# --- {certificate.name}: {lessons.lesson(certificate.role).title}"
    if explain:
        yield from _comment(lessons.why(certificate.role))
    if procedure.keeps_key:
        yield from _comment(f"{files.key} is there already: it is kept, and certified.")
    yield from _folders(path for path in (files.key, files.crt, *files.kept) if path)
    for step in procedure.steps:
        if explain:
            yield from _comment(lessons.reason(certificate.role, step.action))
        yield from _step(step)
    if certificate.issuer and procedure.issuer:
        yield from _comment("The serial number was drawn at random; the next certificate gets one of its own.")
        yield f"rm -f {quote(str(serial_file(procedure.issuer)))}"
    if files.kubeconfig:
        yield f"rm {quote(str(files.key))} {quote(str(files.crt))}"
    yield f"chmod 600 {quote(str(files.secret))}"
    public = [quote(str(path)) for path in files.kept if path != files.secret]
    if public:
        yield f"chmod 644 {' '.join(public)}"


def _folders(paths: Iterable[PurePosixPath]) -> Iterator[str]:
    """The folders below the PKI folder, open as those of /etc/kubernetes are."""
    folders = sorted({str(parent) for path in paths for parent in path.parents if str(parent) != "."})
    if folders:
        names = " ".join(quote(folder) for folder in folders)
        yield f"mkdir -p {names}"
        yield f"chmod 755 {names}"


def _step(step: Step) -> Iterator[str]:
    if isinstance(step, Run):
        yield typed(step.argv, WIDTH)
    elif isinstance(step, Write):
        yield from here_document(str(step.path), step.text)
    elif isinstance(step, Embed):
        yield f"cat > {quote(str(step.path))} <<EOF"
        yield step.kubeconfig.embedded(lambda name: f"$(base64 < {quote(str(name))} | tr -d '\\n')").rstrip("\n")
        yield "EOF"


def here_document(path: str, text: str) -> Iterator[str]:
    """Bash lines that write *text* into the file at *path*, whatever stands in it."""
    end = "EOF"
    while end in text.splitlines():
        end += "_"
    yield f"cat > {quote(path)} <<'{end}'"
    yield text.rstrip("\n")
    yield end


def _comment(text: str) -> Iterator[str]:
    yield from textwrap.wrap(
        " ".join(text.split()), WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False
    )
