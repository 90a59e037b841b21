"""`kcert history`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kcert.cli.context import cluster, signing_context
from kcert.cli.options import Force, Output, Signing, takes
from kcert.errors import InputError

if TYPE_CHECKING:
    from kcert.certificates import Certificate
    from kcert.issue.context import Context


@takes(Signing)
def command(  # noqa: PLR0917 - options, by name alone
    looking: Signing,
    format: Annotated[
        Literal["text", "table", "sh", "markdown", "html", "json"],
        typer.Option("--format", help="Print the history in this format."),
    ] = "text",
    last: Annotated[
        int | None, typer.Option("--last", metavar="N", min=1, help="Show only the last N commands.")
    ] = None,
    output: Output = None,
    force: Force = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Verify that the record was not changed; status 1 if it was.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="HASH", help="Require, with --verify, all records up to this hash, which --head printed."
        ),
    ] = None,
    head: Annotated[
        bool, typer.Option("--head", help="Print the hash of the last record, to be stored on another machine.")
    ] = False,
    sign: Annotated[
        bool,
        typer.Option("--sign", help="Sign the hash of the last record with the CA key; --verify checks the signature."),
    ] = False,
) -> None:
    """Show the commands that were run in a PKI folder."""
    from kcert.store import OWN_FOLDER
    from kcert.store import history as store
    from kcert.ui import history
    from kcert.ui.report import written_to

    if since is not None and not verify:
        raise InputError("--since needs --verify.")
    if verify + head + sign > 1:
        raise InputError("--verify, --head and --sign cannot be combined.")
    if sign:
        from kcert.issue import history_signature
        from kcert.ui.output_of import OutputOfCommands

        ctx = replace(_context(looking), reporter=OutputOfCommands(explain=True))
        history.signed(history_signature.sign(ctx))
    elif verify:
        _verify(looking, since)
    elif head:
        history.print_head(store.head(looking.dir / OWN_FOLDER))
    else:
        with written_to(output, force=force):
            entries = store.entries(looking.dir / OWN_FOLDER)
            specs = _specs(looking) if format in {"markdown", "html"} else ()
            history.show(looking.dir, entries[-last:] if last else entries, format, specs)


def _specs(looking: Signing) -> tuple[Certificate, ...]:
    """Return the certificates of the folder; none where kcert.yaml cannot be read."""
    from kcert import profiles
    from kcert.issue.adopt import detect_files, unmanaged

    try:
        described = cluster(looking.config)
        known = detect_files(looking.dir, profiles.certificates(described))
        return (*known, *unmanaged(looking.dir, described, known, ()))
    except InputError:
        return ()


def _verify(looking: Signing, since: str | None) -> None:
    from kcert.issue import history_signature
    from kcert.store import OWN_FOLDER
    from kcert.store import history as store
    from kcert.ui import history

    own = looking.dir / OWN_FOLDER
    count = store.verify(own, since)
    signed = None
    if (own / history_signature.SIGNATURE).exists():
        signed = history_signature.signed_hash(_context(looking))
        store.verify(own, signed)
    history.verified(looking.dir, count, store.unexplained(looking.dir, own), signed=signed is not None)


def _context(looking: Signing) -> Context:
    from kcert.openssl import program

    return signing_context(looking, "history", cluster(looking.config), program.openssl(looking.openssl))
