"""`kcert init`, `plan`, `check`, `inventory`, `show`, `history`: what is needed, what exists, what was run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kcert.cli.options import (
    DEFAULT_FILE,
    DEFAULT_FOLDER,
    Explain,
    Folder,
    Force,
    Output,
    Program,
    ReadOptions,
    ResultFormat,
    Signing,
    WideOutput,
    argument,
    complete_profiles,
    complete_rules,
    load_cluster,
    option,
    wide_and_file,
)
from kcert.errors import InputError
from kcert.quoting import format_command

if TYPE_CHECKING:
    from kcert.certificates import Certificate
    from kcert.issue.context import Context


Where = Annotated[
    list[str] | None,
    argument(
        "WHERE",
        "Read these files, folders or servers (HOST:PORT), or - for the output of kubectl get -o yaml. Default: "
        "the places where clusters keep certificates; if there are none, the PKI folder.",
    ),
]
SystemRoot = Annotated[
    Path | None, option("--root FOLDER", "Treat this folder as /, for example a copy of another machine.")
]


def check(
    options: ReadOptions,
    *,
    where: Where = None,
    root: SystemRoot = None,
    format: Annotated[
        Literal["text", "short", "json", "markdown", "html"], option("--format", "Print the findings in this format.")
    ] = "text",
    output: Output = None,
    force: Force = False,
    strict: Annotated[bool, option("--strict", "Exit with status 1 on warnings as well.")] = False,
    expiring_in: Annotated[
        str, option("--expiring-in TIME", "Report what expires within this time: 30, 30d, 8w, 12h, 1y.")
    ] = "30d",
    only: Annotated[
        list[str] | None, option("--only RULE", "Check only this rule; repeatable.", autocompletion=complete_rules)
    ] = None,
    skip: Annotated[
        list[str] | None, option("--skip RULE", "Skip this rule; repeatable.", autocompletion=complete_rules)
    ] = None,
) -> None:
    """Check certificates, explain the problems and print the commands that fix them. Nothing is changed."""
    from kcert.check import chosen, run_checks, wanted_at
    from kcert.durations import duration
    from kcert.openssl.program import openssl
    from kcert.store import OWN_FOLDER
    from kcert.store.history import recall
    from kcert.ui import check
    from kcert.ui.report import written_to

    described = options.config is not None or (DEFAULT_FILE.exists() and options.dir.is_dir())
    folders = [options.dir]
    if not described:  # a folder remembers that it was made for the built-in example
        folders = [folder for folder in (options.dir, *map(Path, where or ())) if recall(folder / OWN_FOLDER).example]
    planned: dict[Path, Certificate] = {}
    if folders:
        from kcert import profiles
        from kcert.issue.adopt import certificates_in

        cluster = profiles.load((options.config or DEFAULT_FILE) if described else None)
        for folder in folders:
            planned |= wanted_at(folder, certificates_in(folder, cluster))
    judgement = run_checks(
        where or (),
        root,
        rules=chosen(only or (), skip or ()),
        soon=duration(expiring_in, "--expiring-in", bare="d"),
        wanted=planned,
        described=described,
        openssl=openssl(options.openssl),
        otherwise=options.dir,
    )
    with written_to(output, force=force):
        check.show(judgement, format, looked_around=not where)
    raise typer.Exit(check.status(judgement, strict=strict))


def inventory(
    *,
    where: Where = None,
    root: SystemRoot = None,
    format: Annotated[
        Literal[
            "text", "table", "short", "csv", "xlsx", "json", "markdown", "html", "prometheus", "tree", "mermaid", "svg"
        ],
        option(
            "--format FORMAT",
            "Print text (the same as table), short (one line each), csv, xlsx, json, markdown, html, prometheus, "
            "tree, mermaid or svg.",
        ),
    ] = "text",
    wide: Annotated[
        bool, option("--wide", "Print every SAN, and in a pipe every column as well; also -o wide.")
    ] = False,
    output: WideOutput = None,
    force: Force = False,
    sort: Annotated[
        Literal["expiry", "component", "path", "cn", "issuer", "kind"] | None,
        option("--sort", "Sort by this field.", show_default="the order of discovery"),
    ] = None,
    expiring_in: Annotated[
        str | None,
        option("--expiring-in TIME", "List only what has expired or expires within this time: 30, 30d, 8w, 12h, 1y."),
    ] = None,
    dir: Folder = DEFAULT_FOLDER,
    openssl: Program = "openssl",
) -> None:
    """List all certificates of a cluster: the component, the names and the expiry of each."""
    from kcert.durations import duration
    from kcert.openssl import program
    from kcert.scan import ORDERS, ending_within, inventory
    from kcert.scan.discovery import survey
    from kcert.ui.inventory import present, status
    from kcert.ui.report import written_to

    within = duration(expiring_in, "--expiring-in", bare="d") if expiring_in is not None else None
    scan = survey(where or (), root, program.openssl(openssl), otherwise=dir)
    entries = inventory(scan)
    if within is not None:
        entries = ending_within(entries, within)
    if sort is not None:
        entries.sort(key=ORDERS[sort])
    wide, file = wide_and_file(wide, output)
    with written_to(file, force=force):
        present(entries, scan, format, looked_around=not (where or file), openssl=openssl, wide=wide)
    raise typer.Exit(status(scan))


def show(
    *,
    what: Annotated[
        str,
        argument(
            "WHAT",
            "Show this certificate, key, request, kubeconfig or Secret, or the server at HOST:PORT; "
            "- reads certificates from standard input.",
        ),
    ],
    text: Annotated[bool, option("--text", "Print the output of openssl as well, with a note on each line.")] = False,
    explain: Explain = True,
    format: ResultFormat = "text",
    output: Output = None,
    force: Force = False,
    openssl: Program = "openssl",
) -> None:
    """Show a certificate, key, request, kubeconfig or running server, field by field, with the meaning of each."""
    from kcert.errors import VerdictError
    from kcert.openssl import program
    from kcert.scan.describe import describe
    from kcert.ui import show
    from kcert.ui.report import written_to

    _suggest_path(what)
    description = describe(what, program.openssl(openssl))
    with written_to(output, force=force):
        if format == "json":
            show.as_json(description, explain=explain)
        else:
            show.show(description, text=text, explain=explain)
    if description.fault:
        raise VerdictError(f"{description.fault}.")


def _suggest_path(what: str) -> None:
    """Raise InputError with the path for the name of a certificate in the PKI folder, or of its file."""
    folder = Path(os.environ.get("KCERT_DIR") or DEFAULT_FOLDER)
    if "/" in what or os.path.lexists(what):
        return
    for path in (folder / what, folder / f"{what}.crt", folder / f"{what}.kubeconfig"):
        if path.is_file():
            raise InputError(
                f"{what} does not exist. For {path}, run `{format_command(('kcert', 'show', str(path)))}`."
            )


def history(  # noqa: PLR0917 - options, by name alone
    options: Signing,
    format: Annotated[
        Literal["text", "table", "sh", "markdown", "html", "json"],
        option("--format", "Print the history in this format."),
    ] = "text",
    last: Annotated[int | None, option("--last N", "Show only the last N commands.", min=1)] = None,
    output: Output = None,
    force: Force = False,
    verify: Annotated[bool, option("--verify", "Verify that the history was not changed; status 1 if it was.")] = False,
    since: Annotated[
        str | None,
        option(
            "--since HASH", "Require, with --verify, that the history still contains this hash, which --head printed."
        ),
    ] = None,
    head: Annotated[
        bool, option("--head", "Print the hash of the last record, to be stored on another machine.")
    ] = False,
    sign: Annotated[
        bool, option("--sign", "Sign the hash of the last record with the CA key; --verify checks the signature.")
    ] = False,
) -> None:
    """Show the commands that were run in a PKI folder."""
    from kcert.cli.context import require_folder_path
    from kcert.store import OWN_FOLDER
    from kcert.store import history as store
    from kcert.ui import history, print_lines
    from kcert.ui.report import written_to

    if since is not None and not verify:
        raise InputError("--since needs --verify.")
    if verify + head + sign > 1:
        raise InputError("--verify, --head and --sign cannot be combined.")
    require_folder_path(options.dir)
    if sign:
        from kcert.issue import history_signature
        from kcert.ui.lesson import OutputOfCommands

        ctx = replace(_context(options), reporter=OutputOfCommands(explain=True))
        history.signed(history_signature.sign(ctx))
    elif verify:
        _verify(options, since)
    elif head:
        print_lines([store.head(options.dir / OWN_FOLDER)])
    else:
        with written_to(output, force=force):
            entries = store.entries(options.dir / OWN_FOLDER)
            specs = _specs(options) if format in {"markdown", "html"} else ()
            foreign = store.foreign(options.dir, options.dir / OWN_FOLDER, entries)
            history.show(options.dir, entries[-last:] if last else entries, format, specs, foreign)


def _specs(options: Signing) -> tuple[Certificate, ...]:
    """Return the certificates of the folder; none if kcert.yaml cannot be read."""
    from kcert.issue.adopt import certificates_in

    try:
        return certificates_in(options.dir, load_cluster(options.config))
    except InputError:
        return ()


def _verify(options: Signing, since: str | None) -> None:
    from kcert.issue import history_signature
    from kcert.store import OWN_FOLDER
    from kcert.store import history as store
    from kcert.ui import history

    own = options.dir / OWN_FOLDER
    count, _ = store.verify(own, store.BEGINNING if since is None else since)
    signed = history_signature.signed_lines(_context(options)) if history_signature.is_signed(own) else 0
    history.verified(options.dir, count, signed, store.unexplained(options.dir, own))


def _context(options: Signing) -> Context:
    from kcert.cli.context import signing_context

    return signing_context(options, "history", load_cluster(options.config))


def plan(
    options: ReadOptions,
    *,
    format: Annotated[
        Literal["text", "table", "json", "markdown"], option("--format", "Print the plan in this format.")
    ] = "text",
    wide: Annotated[bool, option("--wide", "Print subjects, issuers, files and SANs as well; also -o wide.")] = False,
    output: WideOutput = None,
    force: Force = False,
    strict: Annotated[
        bool, option("--strict", "Exit with status 1 if a certificate is missing, stale or expired.")
    ] = False,
) -> None:
    """List every certificate that the cluster needs: its state, its expiry, and why it is not current."""
    from kcert.cli import context
    from kcert.issue.adopt import certificates_in, remembered, require_described
    from kcert.issue.status import State, status_of
    from kcert.ui import plan
    from kcert.ui.report import written_to

    context.require_folder_path(options.dir)
    cluster = load_cluster(options.config)
    require_described(cluster, options.dir)
    statuses = tuple(status_of(options.dir, certificates_in(options.dir, cluster)).values())
    option = context.folder_option(options.dir, options.config)
    wide, file = wide_and_file(wide, output)
    with written_to(file, force=force):
        plan.show(cluster, options.dir, statuses, format, option, wide, remembered(options.dir))
    if strict and any(status.state not in (State.CURRENT, State.EXPIRING) for status in statuses):
        raise typer.Exit(1)


def init(
    *,
    config: Annotated[Path, option("--config,-c FILE", "Write to this file.")] = DEFAULT_FILE,
    source: Annotated[Path | None, option("--from FOLDER", "Describe the PKI that is in this folder.")] = None,
    profile: Annotated[
        str,
        option(
            "--profile NAME",
            "Use the file names and subjects of course, hardway, kelsey or kubeadm.",
            autocompletion=complete_profiles,
        ),
    ] = "course",
    control_plane: Annotated[
        list[str] | None, option("--control-plane NAME=IP", "Add a control-plane host; repeatable.")
    ] = None,
    node: Annotated[list[str] | None, option("--node NAME=IP", "Add a node; repeatable.")] = None,
    load_balancer: Annotated[
        str | None, option("--load-balancer NAME=IP", "Set the load balancer in front of several API servers.")
    ] = None,
    service_cidr: Annotated[
        list[str] | None,
        option("--service-cidr CIDR", "Set the IP range of Services; repeat the option for dual stack."),
    ] = None,
    kubernetes_version: Annotated[
        str | None, option("--kubernetes-version 1.X", "Set the release of Kubernetes.")
    ] = None,
    fix_known_issues: Annotated[
        bool, option("--fix-known-issues", "Fix the known mistakes of the guide that the profile follows.")
    ] = False,
) -> None:
    """Write a commented kcert.yaml for an example cluster or for the given machines. An existing file is kept."""
    from kcert import lessons, profiles
    from kcert.config import example, version
    from kcert.ui import plan

    if source is not None:
        from kcert.issue.describe import describe

        described = describe(source, profiles.load(None))
        example.write(config, described.text())
        plan.described(config, described, *described.matching())
        profiles.load(config)  # what has to be corrected is an error with its line
        return
    lessons.check_own()
    cluster = profiles.write_example(
        config,
        profile,
        control_plane=control_plane or (),
        nodes=node or (),
        load_balancer=load_balancer,
        service_cidrs=service_cidr or (),
        version=version(kubernetes_version) if kubernetes_version else None,
        fix_known_issues=fix_known_issues,
    )
    plan.wrote_example(config)
    plan.known_issues(profiles.PROFILES[profile].known_issues(cluster), profile)
