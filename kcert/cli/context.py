"""From options to the context that commands work with: the cluster, the PKI folder, the CA's folder, the reporter."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from kcert import profiles
from kcert.certificates import Certificate, Kind
from kcert.cli.options import (
    DEFAULT_FILE,
    DEFAULT_FOLDER,
    CaOptions,
    IssueOptions,
    ReadOptions,
    Signing,
    load_cluster,
)
from kcert.config import Cluster
from kcert.errors import InputError
from kcert.files import ROOT, foreign_owner, is_writable_by_others
from kcert.issue.adopt import detect_files, require_described
from kcert.issue.context import Context, Reporter, Result
from kcert.issue.passphrases import ROOT_KEY, Owner, Passphrase, Passphrases
from kcert.openssl.program import openssl
from kcert.quoting import quote
from kcert.shell import find
from kcert.store import OWN_FOLDER
from kcert.ui import warning


def read_context(options: ReadOptions, command: str) -> Context:
    """Return the context of ``kcert COMMAND``, which reads a PKI folder, and the cluster that it is for."""
    require_folder_path(options.dir)
    described = load_cluster(options.config)
    require_described(described, options.dir)
    return signing_context(options, command, described)


def require_folder_path(path: Path) -> None:
    """Raise InputError if *path*, or what should be a folder above it, is a file, or if kcert runs in the PKI folder.

    A PKI folder inside of the PKI folder would be a second cluster, with a CA of its own.
    """
    if path == DEFAULT_FOLDER and not os.path.lexists(path) and Path(OWN_FOLDER).is_dir():
        raise InputError(
            f"the current folder is itself a PKI folder, and has none called {path} in it. Run kcert in the folder "
            "above it (`cd ..`), or use --dir ."
        )
    for parent in (path, *path.parents):
        if os.path.lexists(parent):
            if not parent.is_dir():
                raise InputError(
                    f"--dir {quote(str(path))}: {parent} is a file, but the PKI folder has to be a folder."
                )
            return


def folder_option(folder: Path, config: Path | None) -> str:
    """Return what a printed command needs to work on the same PKI folder for the same cluster.

    Nothing, or `` --dir lab --config lab.yaml``: without the second another cluster would be meant.
    """
    options = "" if folder == DEFAULT_FOLDER else f" --dir {quote(str(folder))}"
    return options if config in (None, DEFAULT_FILE) else f"{options} --config {quote(str(config))}"


def issue_context(options: IssueOptions, command: str, described: Cluster, specs: tuple[Certificate, ...]) -> Context:
    """Return the context of ``kcert COMMAND``, which issues certificates; raises InputError for options that clash."""
    modes = {
        "--step": options.step,
        "--dry-run": options.dry_run,
        "--quiet": options.quiet,
        f"--format {options.format}": options.format != "text",
    }
    chosen = [name for name, is_set in modes.items() if is_set]
    if chosen[1:] and chosen != ["--quiet", "--format json"]:
        raise InputError(f"{chosen[0]} cannot be combined with {chosen[1]}.")
    if (options.step or options.format == "markdown") and (options.jobs or 1) > 1:
        raise InputError(f"{chosen[0]} cannot be combined with --jobs: it shows one command after the other.")
    require_folder_path(options.dir)
    return replace(
        _context(options, command, described, specs),
        templates=options.templates,
        ca_dir=options.ca_dir,
        root_dir=options.root_dir if isinstance(options, CaOptions) else None,
        jobs=options.processes,
        parallel=options.terse and options.format != "markdown",
        passphrases=_passphrases(options),
        reporter=_reporter(options),
    )


def _reporter(options: IssueOptions) -> Reporter:
    if options.dry_run:
        from kcert.ui.quiet import Script

        parts = options.ca_dir or (isinstance(options, CaOptions) and options.root_dir)
        return Script(explain=options.explain, returns=bool(parts))
    if options.terse:
        from kcert.ui import quiet

        if options.format == "markdown":
            from kcert.ui.history import Document

            return Document(explain=options.explain)
        return quiet.Json() if options.format == "json" else quiet.Quiet()
    from kcert.ui.lesson import Lesson

    return Lesson(explain=options.explain, step=options.step, full=options.full)


def _context(
    options: ReadOptions | IssueOptions, command: str, described: Cluster, specs: tuple[Certificate, ...]
) -> Context:
    return Context(
        cluster=described,
        root=options.dir,
        specs=detect_files(options.dir, specs),
        command=f"kcert {command}",
        openssl=openssl(options.openssl),
        folder_option=folder_option(options.dir, options.config),
    )


def signing_context(options: ReadOptions, command: str, described: Cluster) -> Context:
    """Return the context of a command that reads a PKI folder, and may sign with the CA of another one."""
    ctx = _context(options, command, described, profiles.certificates(described))
    if not isinstance(options, Signing):
        return ctx
    from kcert.issue import external_ca

    ctx = replace(ctx, passphrases=Passphrases(Passphrase(file=options.ca_passphrase_file, asks=_ask)))
    if options.ca_dir is None:
        return ctx
    external_ca.check(ctx, options.ca_dir)
    external_ca.require_folder(options.ca_dir, "--ca-dir", "the CA")
    return external_ca.without_ca_keys(ctx, (), options.ca_dir)[0]


def _passphrases(options: IssueOptions) -> Passphrases:
    """Return where the passphrases of encrypted CA keys come from; a script that is printed asks for itself."""
    asks = None if options.dry_run else _ask
    ca = Passphrase(file=options.ca_passphrase_file, asks=asks)
    if not isinstance(options, CaOptions):
        return Passphrases(ca, Passphrase(ROOT_KEY, None, asks))
    file = options.root_passphrase_file
    if file is not None and options.root_dir is None:
        raise InputError(f"{ROOT_KEY.option} is for the key of a root CA: specify its folder with --root-dir FOLDER.")
    return Passphrases(ca, Passphrase(ROOT_KEY, file, asks), options.encrypt_ca_key)


def _ask(owner: Owner, key: str, twice: bool) -> str:
    from kcert.ui.keyboard import ask  # most runs ask for none

    return ask(owner, key, twice)


def run(ctx: Context, specs: tuple[Certificate, ...]) -> Result | None:
    """Issue *specs* after a warning of who else could change what is used; None if only a script is printed."""
    from kcert.issue.service import issue  # many commands only read

    warn_of_permissions(ctx)
    return issue(ctx, specs)


def warn_of_permissions(ctx: Context) -> None:
    """Warn of who else could change what is read, run or written, in all folders that hold keys."""
    folders = [folder for folder in (ctx.root, ctx.ca_dir, ctx.root_dir) if folder is not None]
    below = [ctx.root / spec.files.key.parent for spec in ctx.specs if not spec.files.key.is_absolute()]
    for folder in dict.fromkeys((*folders, *below)):
        _warn_of_others(folder, "keys and certificates in it")
    if ctx.cluster.source is not None:
        _warn_of_others(ctx.cluster.source, "who is in which group")
    if os.geteuid() == ROOT and (program := find(ctx.openssl)) is not None:
        _warn_of_replaceable(Path(program).absolute())
    keys = [folder / spec.files.key for folder in folders for spec in ctx.specs if spec.kind is Kind.CA]
    for key in dict.fromkeys(keys):
        _warn_of_readable(key)


def _warn_of_others(path: Path, what: str) -> None:
    """Warn if others could change *path*, and so *what*."""
    if not path.exists():
        return
    if is_writable_by_others(path.stat()):
        warning(f"others can write to {path}, and so change {what}: `chmod go-w {quote(str(path))}`.")
    elif owner := foreign_owner(path):
        user = "you are root, and " if os.geteuid() == ROOT else ""
        warning(f"{user}{path} belongs to {owner}, who can change {what} at any time.")


def _warn_of_replaceable(program: Path) -> None:
    """Warn if another user could replace the program that root starts."""
    real = program.resolve()
    for path in dict.fromkeys((program.parent, real.parent, real)):
        if is_writable_by_others(path.stat()) or foreign_owner(path):
            warning(f"you are root, and others can replace {program}, which root starts: they can write to {path}.")
            return


def _warn_of_readable(key: Path) -> None:
    """Warn if others can read or write the *key* of a CA; it may be missing."""
    try:
        mode = stat.S_IMODE(key.stat().st_mode)
    except OSError:
        return
    if mode & 0o077:
        warning(
            f"{key} is accessible to other users (mode {mode:04o}). Anyone with a CA key can act as any user of the "
            f"cluster. Run `chmod 600 {quote(str(key))}`. (FAT file systems do not support file modes, so chmod has no "
            "effect there.)"
        )
