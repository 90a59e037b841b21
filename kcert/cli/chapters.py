"""What the commands that make certificates have in common: from options to an order, and its result to view."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from kcert import profiles
from kcert.adoption import adopted
from kcert.certificates import Kind
from kcert.cli.options import (
    DEFAULT_FILE,
    DEFAULT_FOLDER,
    Chapter,
    IssueOptions,
    MakingAuthorities,
    ReadOptions,
    Renewing,
    Signing,
)
from kcert.errors import InputError
from kcert.issue.context import IssueContext
from kcert.issue.passphrase import ROOT_KEY, Owner, Passphrase, roots
from kcert.issue.service import make, prepare
from kcert.issue.status import status_of
from kcert.openssl.program import openssl
from kcert.permissions import permission_warnings, readable_keys
from kcert.shell import quote
from kcert.ui.messages import warning

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.certificates import Certificate
    from kcert.config import Cluster
    from kcert.issue.context import Renewal, Result
    from kcert.issue.status import CertificateStatus
    from kcert.kubernetes.credentials import Folder


def cluster(config: Path | None) -> Cluster:
    """The cluster of the file named, of ./kcert.yaml, or the built-in example."""
    # A link that leads nowhere is a file that is missing, not a wish for the example.
    if config is None and os.path.lexists(DEFAULT_FILE):
        config = DEFAULT_FILE
    return profiles.load(config)


def folder(looking: ReadOptions) -> Folder:
    """The PKI folder of a command that looks at one, and the cluster that it is for."""
    from kcert.kubernetes.credentials import Folder

    described = cluster(looking.config)
    return Folder(looking.dir, described, openssl(looking.openssl), folder_option(looking.dir, looking.config))


def folder_option(folder: Path, config: Path | None) -> str:
    """What belongs behind a command that is to work on the same PKI folder for the same cluster.

    Nothing, or `` --dir lab --config lab.yaml``: without the second another cluster would be meant.
    """
    options = "" if folder == DEFAULT_FOLDER else f" --dir {quote(str(folder))}"
    return options if config in (None, DEFAULT_FILE) else f"{options} --config {quote(str(config))}"


def chapter(making: Chapter, name: str) -> None:
    """Make the certificates of one chapter."""
    described = cluster(making.config)
    known = profiles.certificates(described)
    order(making, name, described, known, tuple(one for one in known if one.chapter == name))


def order(
    making: Chapter, name: str, described: Cluster, known: tuple[Certificate, ...], wanted: tuple[Certificate, ...]
) -> None:
    """Make *wanted*, telling about it in the way that the options ask for."""
    placed = ordered(making, name, described, known, wanted)
    if making.csr_only:
        _ask(making, placed)
    else:
        carry_out(making, placed)


def _ask(making: Chapter, order: IssueContext) -> None:
    """Make keys and requests for what is not there or not as it should be, and say how they become certificates."""
    from kcert.kubernetes import offline

    if making.ca_dir is not None:
        raise InputError("--csr-only is for a CA that is not here, --ca-dir for one that is: leave one of them out.")
    asking = offline.asking(order)
    result = carry_out(making, asking)
    if result and not result.stopped and not making.quiet:
        from kcert.ui import csr

        made = [one.procedure.certificate for one in result.made]
        csr.to_be_signed(order, (*(one.certificate for one in result.kept), *made))


def renew(making: IssueOptions, described: Cluster, names: tuple[str, ...], renewal: Renewal) -> None:
    """Renew those certificates of *described* that *names* or *renewal* mean, and say what follows from that."""
    from kcert.issue.newcomers import newcomers

    if not making.dir.is_dir():
        raise InputError(f"{making.dir} is not there, so nothing in it can be renewed: `kcert all` makes certificates.")
    known = profiles.certificates(described)
    known += newcomers(making.dir, described, known, names, openssl(making.openssl))
    wanted = profiles.select(known, names, described) if names else known
    order = replace(ordered(making, "renew", described, known, wanted), renewal=renewal)
    if renewal.asks:
        _ask_again(making, order)
        return
    result = carry_out(making, order)
    if result and not making.quiet:
        from kcert.issue import external_ca
        from kcert.ui import renewal as view

        told = external_ca.here(order, making.ca_dir) if making.ca_dir else order
        view.follows(told, result, None if result.made else _first_to_end(order))


def _ask_again(making: IssueOptions, order: IssueContext) -> None:
    """Make requests for CAs that somebody else's root has signed, and say how their answers get here."""
    if leaves := [one.name for one in order.wanted if one.kind is not Kind.CA]:
        raise InputError(f"--csr-only is for a CA here, and {', '.join(leaves)} is none: leave it out.")
    result = carry_out(making, order)
    if result and not result.stopped and not making.quiet:
        from kcert.ui import csr

        csr.to_be_signed_again(order, [one.procedure.certificate for one in result.made])


def _first_to_end(order: IssueContext) -> CertificateStatus | None:
    found = status_of(order.root, order.known, order.openssl).values()
    ends = [(one.found.not_after, one.certificate.name, one) for one in found if one.found]
    return min(ends)[2] if ends else None


def ordered(
    making: IssueOptions, name: str, described: Cluster, known: tuple[Certificate, ...], wanted: tuple[Certificate, ...]
) -> IssueContext:
    """The order that the options of a command come to; raises InputError for those that do not go together."""
    if making.step and (making.quiet or making.dry_run or (making.jobs or 1) > 1):
        other = "--quiet" if making.quiet else "--dry-run" if making.dry_run else "--jobs"
        raise InputError(f"--step waits before each command, which {other} does not go with: leave one of them out.")
    if making.quiet and making.dry_run:
        raise InputError("--dry-run prints a script, and --quiet nothing: leave one of them out.")
    here, authority = adopted(making.dir, known), passphrase(making)
    by_name = {one.name: one for one in here}
    return IssueContext(
        cluster=described,
        wanted=tuple(by_name[one.name] if one in known else one for one in wanted),
        known=here,
        root=making.dir,
        doing=f"kcert {name}",
        openssl=openssl(making.openssl),
        templates=making.templates,
        folder_option=folder_option(making.dir, making.config),
        jobs=making.processes,
        side_by_side=making.quiet,
        passphrase=authority,
        root_passphrase=_root_passphrase(making, authority),
        encrypts=isinstance(making, MakingAuthorities | Renewing) and making.encrypt_ca_key,
    )


def passphrase(options: IssueOptions | Signing) -> Passphrase:
    """Where the passphrase of an encrypted CA key comes from; a script that is printed asks for itself."""
    asks = None if isinstance(options, IssueOptions) and options.dry_run else _asked
    return Passphrase(file=options.ca_passphrase_file, asks=asks)


def _root_passphrase(making: IssueOptions, authority: Passphrase) -> Passphrase:
    """The same for the root's key, which the passphrase of the CA's may open as well."""
    file = making.root_passphrase_file if isinstance(making, MakingAuthorities | Renewing) else None
    if file is not None and _root_dir(making) is None:
        raise InputError(f"{ROOT_KEY.option} is for the key of a root: --root-dir FOLDER says where that is.")
    return roots(Passphrase(ROOT_KEY, file, None if making.dry_run else _asked), authority)


def _asked(owner: Owner, key: str, *, twice: bool) -> str:
    from kcert.ui.passphrase import ask  # most runs ask for none

    return ask(owner, key, twice=twice)


def order_in(looking: ReadOptions, name: str, described: Cluster, program: str) -> IssueContext:
    """What a command that works in a PKI folder has to know of it."""
    order = IssueContext(
        cluster=described,
        wanted=(),
        known=adopted(looking.dir, profiles.certificates(described)),
        root=looking.dir,
        doing=f"kcert {name}",
        openssl=program,
        folder_option=folder_option(looking.dir, looking.config),
        passphrase=passphrase(looking) if isinstance(looking, Signing) else Passphrase(),
    )
    if isinstance(looking, Signing) and looking.ca_dir is not None:
        from kcert.issue import external_ca

        external_ca.check(order, looking.ca_dir)
        external_ca.check_there(looking.ca_dir, "--ca-dir", "the CA")
        return external_ca.here(order, looking.ca_dir)
    return order


def carry_out(making: IssueOptions, order: IssueContext) -> Result | None:
    """Do what is ordered, or with --dry-run print the script that does it; what came of it.

    With --ca-dir what concerns the CAs themselves is done in that folder; the end of a change-over there comes last,
    because the leaves that may stand in its way are here.
    """
    from kcert.issue import external_ca

    root_dir = _root_dir(making)
    warn_of_permissions(order, making.ca_dir, root_dir)
    if root_dir is not None:
        above = external_ca.root(order, root_dir)
        order = external_ca.under(order, above)
        if above.wanted and not making.dry_run:
            # What cannot be made under it must not leave a root behind.
            prepare(external_ca.there(order, making.ca_dir) if making.ca_dir else order)
        if above.wanted and (done := _carried_out(making, above)) and done.stopped:
            return done
    if making.ca_dir is None or order.asks:
        return _carried_out(making, order)
    there, here = external_ca.there(order, making.ca_dir), external_ca.here(order, making.ca_dir)
    if order.renewal and order.renewal.finish:
        result = _carried_out(making, here)
        if not (result and result.stopped):
            _carried_out(making, there)
        return result
    if there.wanted and (done := _carried_out(making, there)) and done.stopped:
        return done
    return _carried_out(making, here)


def warn_of_permissions(order: IssueContext, *others: Path | None) -> None:
    """Say who else could change what is read, run or written, in the PKI folder and in *others* that hold keys."""
    folders = [order.root, *(folder for folder in others if folder is not None)]
    keys = [folder / one.files.key for folder in folders for one in order.known if one.kind is Kind.CA]
    below = [order.root / one.files.key.parent for one in order.known if not one.files.key.is_absolute()]
    checked = dict.fromkeys((*folders, *below))
    for sentence in (
        *permission_warnings(checked, order.cluster.source, order.openssl),
        *readable_keys(dict.fromkeys(keys)),
    ):
        warning(sentence)


def _root_dir(making: IssueOptions) -> Path | None:
    return making.root_dir if isinstance(making, MakingAuthorities | Renewing) else None


def _carried_out(making: IssueOptions, order: IssueContext) -> Result | None:
    if making.dry_run:
        from kcert.ui import script

        parts = making.ca_dir is not None or _root_dir(making) is not None
        script.show(order, prepare(order), explain=making.explain, returns=parts)
        return None
    if making.quiet:
        from kcert.ui.quiet import Quiet

        quiet = Quiet()
        try:
            return make(order, quiet)
        finally:  # what went wrong has a line of its own, too
            quiet.ends()
    from kcert.ui.lesson import Lesson

    lesson = Lesson(explain=making.explain, step=making.step)
    result = make(order, lesson)
    lesson.ends(result)
    return result
