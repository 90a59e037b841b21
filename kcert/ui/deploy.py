"""Output for hosts: the options of a component, the encryption config (never a key), bundles and exports."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath

from kcert import lessons, profiles
from kcert.config import STABLE, Version
from kcert.errors import InputError
from kcert.issue.context import Context
from kcert.issue.status import CertificateStatus, State
from kcert.kubernetes import bundles, encryption
from kcert.kubernetes.components.component import Component, Option
from kcert.kubernetes.encryption import Change, EncryptionConfig
from kcert.kubernetes.export import FOLDER, Export
from kcert.kubernetes.install import Bundle, HostFile
from kcert.quoting import format_command, quote
from kcert.store import SECRET_MODE
from kcert.store.atomic import Written
from kcert.ui import print_json, print_lines, print_path, warning
from kcert.ui.console import (
    INDENT,
    MOST_WIDTH,
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
from kcert.ui.lesson import ResultReporter
from kcert.ui.report import written_record


def show_options(component: Component, *, explain: bool) -> None:
    """Print each option, its reason below it."""
    if explain:
        lessons.check_own()
    profile = component.cluster.profile
    heading(f"{component.NAME} on {component.host.name}: profile {profile}, Kubernetes {component.version}")
    if explain:
        say(lessons.option_reason(component.NAME))
    screen().print()
    for option in component.options():
        _option(component, option, option.argument, explain=explain)
    settings = tuple(component.settings())
    if settings:
        screen().print()
        say_apart(f"In {component.profile.configurations[component.NAME]}:")
    for setting in settings:
        _option(component, setting, f"{setting.name}: {_value(setting)}", explain=explain)
    screen().print()
    if explain and component.NAME == "kube-controller-manager":
        signing = lessons.lesson("csrapproving-csrsigning")
        heading(signing.title)
        say_paragraphs(signing.opening)
    say(_next(component))


def options_as_json(component: Component) -> None:
    """Print the options, and the settings of the configuration file, as JSON."""
    content = {
        "component": component.NAME,
        "host": component.host.name,
        "profile": component.cluster.profile,
        "kubernetes_version": str(component.version),
        "options": [
            {
                "argument": option.argument,
                "reason": _why(component, option) or None,
                "file": str(option.reads.file) if option.reads else None,
            }
            for option in component.options()
        ],
        "config": [
            {"path": setting.name, "value": _value(setting), "reason": _why(component, setting) or None}
            for setting in component.settings()
        ],
    }
    print_json(content)


def warn(component: Component, unfit: Iterable[CertificateStatus], folder_option: str) -> None:
    """Say on standard error what the PKI folder lacks of it, and how to get it."""
    if component.NAME == "kube-controller-manager" and component.state.ca_unusable:
        warning(unsigning(component.state.ca_unusable))
    unfit = tuple(unfit)
    missing = [status.certificate for status in unfit if status.state is State.MISSING]
    if missing:
        chapters = {spec.chapter for spec in missing}
        command = f"kcert {chapters.pop() if len(chapters) == 1 else 'all'}{folder_option}"
        warning(f"not created yet: {', '.join(spec.name for spec in missing)}. `{command}` creates them.")
    for status in unfit:
        if status.state is not State.MISSING:
            name, command = status.certificate.name, status.fix_command(folder_option)
            warning(f"{name} {clean_line(status.clause(status.blocking))}. `{command}` renews it.")


def warn_of_issues(component: Component) -> None:
    """Say on standard error which mistakes of its book the profile follows for this component."""
    for issue in component.profile.known_issues(component.cluster):
        if issue.component == component.NAME:
            warning(f"known issue: {issue.problem} `fix_known_issues: true` in kcert.yaml {issue.fix}.")


def warn_of_release(version: Version) -> None:
    """Warn that kcert does not know what a newer release has removed."""
    if version.minor > STABLE.minor:
        warning(
            f"Kubernetes {version} is newer than {STABLE}, the last whose options kcert knows: compare them with its "
            f"release notes."
        )


def unsigning(why: str) -> str:
    """Return what follows if kube-controller-manager cannot have the CA's key."""
    return (
        f"{why}. So kube-controller-manager gets no --cluster-signing options: everything else works, but requests "
        f"through the Certificates API are not signed, including those of new kubelets (`kcert csr sign` signs them "
        f"by hand)."
    )


def _why(component: Component, given: Option) -> str:
    return lessons.option_reason(component.NAME, given.name)


def _option(component: Component, option: Option, text: str, *, explain: bool) -> None:
    block([text], "command")
    if explain and (why := _why(component, option)):
        say(f"{why}{f' ({option.reads.file})' if option.reads else ''}", bullet=2 * INDENT)


def _value(setting: Option) -> str:
    if isinstance(setting.value, bool):
        return "true" if setting.value else "false"
    return ", ".join(setting.value) if isinstance(setting.value, tuple) else setting.value


def _next(component: Component) -> str:
    forms_ = ["flags"]
    if component.why_no_unit() is None:
        forms_.append("systemd")
    if component.pod() is not None:
        forms_.append("manifest")
    if tuple(component.settings()):
        forms_.append("config")
    return f"To write these options to a file, use one of `--format {'`, `--format '.join(forms_)}` with `-o FILE`."


_REWRITE = "kubectl get secrets --all-namespaces -o json | kubectl replace -f -"


class EncryptionReporter(ResultReporter):
    """Shows each step as it happens; when *quiet*, one line at the end, or JSON (*form*)."""

    LESSON = "encryption-config"
    PARAGRAPHS = 3

    def ends(self, config: EncryptionConfig, change: Change) -> None:
        """Show the file without its keys, and the next step."""
        path = str(self._ctx.root / encryption.FILE)
        if self._form == "json":
            record = {"path": path, "change": change, "provider": config.provider, "keys": list(config.names)}
            print_json(record)
            return
        if self._quiet:
            sys.stdout.write(f"{encryption.FILE}  {change}  {' '.join(config.names)}\n")
            return
        if self._explain:
            heading(str(encryption.FILE))
            block(config.text(secrets=False).splitlines())
        show_file(path, "  (as it was)" if change == "kept" else "  (mode 0600)")
        self._next(config, change)

    def _next(self, config: EncryptionConfig, change: Change) -> None:
        option = self._ctx.folder_option
        target = profiles.PROFILES[self._ctx.cluster.profile].encryption_config
        everywhere = (
            f"Copy the file to {target} on every control-plane host (`kcert bundle{option}` packs it), and restart "
            "kube-apiserver on each of them."
        )
        if change in ("created", "kept"):
            say(
                f"{everywhere} `kcert flags kube-apiserver{option}` has the option. Secrets that exist already are "
                "encrypted when they are written again:"
            )
            block([_REWRITE], "command")
        elif change == "added":
            say(
                f"{config.names[1]} is second: it decrypts, and does not encrypt yet. {everywhere} Only when all of "
                "them have the new key, let it encrypt:"
            )
            block([f"kcert encryption-config --rotate{option}"], "command")
        elif change == "swapped":
            say(f"{config.names[0]} is first: it encrypts. {everywhere} Then rewrite all Secrets with it:")
            block([_REWRITE], "command")
            say("Once that has succeeded, and not before, remove the old key:")
            block([f"kcert encryption-config --finish{option}"], "command")
        else:
            say(
                f"{config.names[0]} is the only key. {everywhere} A backup of etcd from before the rotation needs "
                "the old key, which is in .kcert/backup of the PKI folder."
            )


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
    """Print what is in the archive; on a narrow terminal a path has a line of its own, unbroken."""
    rows = [(str(file.path), f"{file.mode:04o}", ", ".join(file.readers)) for file in files]
    reader = max(len(reader) for file in files for reader in file.readers)
    needed = max(len(path) for path, *_ in rows) + len("  0644  ") + reader
    if screen().is_terminal and needed > screen().width:
        for path, mode, readers in rows:
            block([path, f"{INDENT}{mode}  {readers}"])
    else:
        draw([("file", "mode", "read by"), *rows])


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
        lines += [line if isinstance(line, str) else format_command(line, MOST_WIDTH) for line in copied]
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
        say_paragraphs(lessons.lesson("export").opening)
        heading(f"What {made.target} gets")
        draw([made.columns, *made.holds], whole=0)
        screen().print()
        if made.left:
            heading("What is not exported")
        for text in (*made.left, *made.notes):
            say_apart(text)
    for folder, group in groupby(written, key=lambda file: file.path.parent):
        files = tuple(group)
        kept = sum(not file.changed for file in files)
        if len(files) == 1:
            show_file(files[0].path, "  (unchanged)" if kept else "")
        else:  # there can be a thousand
            show_file(folder, f"/  ({len(files)} files{f', {kept} as before' if kept else ''})")
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
