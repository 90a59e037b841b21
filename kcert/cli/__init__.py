"""The command line: one module a chapter; each reads options, calls one function and hands the result to view.

A command's module is imported when that command runs, and not before: `kcert --help` and shell completion
know the others from ``COMMANDS`` alone.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
import typer.core
import typer.main

from kcert import __version__
from kcert.errors import InputError, sentence, warning_listeners
from kcert.ui.messages import warning

if TYPE_CHECKING:
    from collections.abc import Sequence


class Entry(NamedTuple):
    """A command: its ``module`` (with the function, where that is not ``command``), a line of help, its panel."""

    module: str
    help: str
    panel: str


ROOM_FOR_TABLES = 120
"""Columns that the tables of typer's help need: with fewer they cut names off, which its plain help never does."""

_MAKE, _USE, _LOOK, _LEARN = "Make", "Use", "Look", "Learn"

COMMANDS = {
    "init": Entry("init", "Write a commented kcert.yaml to start from.", _MAKE),
    "plan": Entry("plan", "Every certificate the cluster needs, and how each stands.", _LOOK),
    "ca": Entry("issue:ca", "Make the certificate authority.", _MAKE),
    "client": Entry("issue:client", "Make client certificates: admin, components, people.", _MAKE),
    "etcd": Entry("issue:etcd", "Make the certificates of etcd.", _MAKE),
    "apiserver": Entry("issue:apiserver", "Make the certificates of the API server.", _MAKE),
    "kubelet": Entry("issue:kubelet", "Make the certificates of the nodes.", _MAKE),
    "service-account": Entry("issue:service_account", "Make the key pair that signs service accounts' tokens.", _MAKE),
    "all": Entry("issue:everything", "Make every certificate of the cluster, chapter by chapter.", _MAKE),
    "kubeconfig": Entry("kubeconfig", "Write kubeconfigs: who shows which certificate to which API server.", _USE),
    "flags": Entry("flags", "Print the options that each component needs, with the reason.", _USE),
    "bundle": Entry("bundle", "Pack for each host just the files that it needs.", _USE),
    "bootstrap": Entry("bootstrap", "Let nodes get their certificates from the cluster, with a token.", _MAKE),
    "encryption-config": Entry("encryption_config", "Encrypt Secrets in etcd, and rotate the key.", _MAKE),
    "export": Entry("export", "Hand the cluster's certificates over to cert-manager or Ansible.", _USE),
    "call": Entry("call", "Call the API with curl and a certificate.", _USE),
    "renew": Entry("renew", "New dates for certificates; also new keys, and a new CA.", _MAKE),
    "csr": Entry("csr", "The Certificates API, from a request to a signed certificate.", _MAKE),
    "show": Entry("show", "One certificate, key, request, kubeconfig or server, field by field.", _LOOK),
    "inventory": Entry("inventory", "All certificates of a cluster, as a table, a spreadsheet, a web page …", _LOOK),
    "check": Entry("check", "What is wrong with them, why, and the commands that mend it.", _LOOK),
    "logs": Entry("logs", "Find and show the log of a component, however the cluster is installed.", _LOOK),
    "diagnose": Entry(
        "diagnose",
        "Explain log lines about TLS, certificates and access, with commands that verify and fix the cause.",
        _LOOK,
    ),
    "history": Entry("history", "What was run here, and whether the record of it is untouched.", _LOOK),
    "practice": Entry("practice", "Labs: repair what is broken, and be told whether it works.", _LEARN),
    "explain": Entry("explain", "The lessons: every command, certificate and step, and why it is so.", _LEARN),
    "doctor": Entry("doctor", "Which programs are here, and what works without the others.", _LOOK),
}

_MAKING = (
    *(name for name, entry in COMMANDS.items() if entry.panel == _MAKE),
    "kubeconfig",
    "bundle",
    "export",
    "practice",
)
_OFF_IN_EXAM = ("check", "diagnose", "renew")
"""Commands that would solve a task by themselves: the tasks of a sealed exam are for openssl."""

_READING = ("list", "show", "report")
"""Subcommands of those that make nothing."""


def only_reads(words: Sequence[str]) -> bool:
    """Whether a command line looks at what there is, and would leave nothing finished behind."""
    return not set(words[:1]) & set(_MAKING) or bool(set(words[1:2]) & set(_READING))


class _Commands(typer.core.TyperGroup):
    """All commands by name and help; the one that runs is loaded."""

    def __init__(self, **settings: Any) -> None:
        settings["commands"] = {
            name: typer.core.TyperCommand(name=name, help=entry.help, rich_help_panel=entry.panel)
            for name, entry in COMMANDS.items()
        }
        super().__init__(**settings)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that *args* begin with, with all its options."""
        _refuse_empty_words(args)
        name, command, rest = super().resolve_command(ctx, args)
        if name in _OFF_IN_EXAM:
            from kcert.practice import guard

            guard.refuse_if_running(name)
        return name, load(name) if name in COMMANDS else command, rest


def _refuse_empty_words(words: list[str]) -> None:
    """``--dir "$PKI"`` without a PKI would be the current folder, and keys would lie where nobody meant them to."""
    for before, word in zip(["", *words], words, strict=False):
        if word.startswith("--") and word.endswith("="):
            raise InputError(f"{word} has no value: is a variable not set?")
        if not word:
            where = f"the argument after {before}" if before else "the first argument"
            raise InputError(f"{where} is empty: is a variable not set?")


def load(name: str) -> Any:
    """The command *name* with all its options, as typer runs it.

    Its module holds its function, or, for a command with subcommands, a ``typer.Typer`` ``app``.
    """
    entry = COMMANDS[name]
    module_name, _, function_name = entry.module.partition(":")
    module = importlib.import_module(f"kcert.cli.{module_name}")
    if hasattr(module, "app"):
        app = module.app
    else:
        app = typer.Typer(add_completion=False)
        function = getattr(module, function_name or "command")
        app.command(name, help=function.__doc__)(function)
    command: Any = typer.main.get_command(app)
    command.name = name
    if shutil.get_terminal_size().columns < ROOM_FOR_TABLES:
        for one in getattr(command, "commands", {"": command}).values():
            one.rich_markup_mode = None
    return command


app = typer.Typer(name="kcert", cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"kcert {__version__}")
        raise typer.Exit


@app.callback(
    epilog="Run `kcert all` in an empty folder to see it work; `kcert COMMAND --help` tells each command's options."
)
def _kcert(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """The TLS certificates of a Kubernetes cluster: made, explained, inspected and repaired with openssl, out loud."""


def run() -> int:
    """Run the command line that kcert was started with; its exit status."""
    warning_listeners[:] = [warning]
    try:
        status = typer.main.get_command(app)(prog_name="kcert", standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except typer.TyperException as error:
        # Raised with no message where the help was printed instead.
        if not error.format_message():
            return error.exit_code
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "kcert"
        hint = f"`{path} --help` tells what it takes."
        if path == "kcert" and (meant := _in_order(sys.argv[1:])):
            hint = f"Options come after the command: `{meant}`."
        raise InputError(f"{sentence(error.format_message())} {hint}") from None
    return status if isinstance(status, int) else 0


def _in_order(words: list[str]) -> str:
    """The command line that was meant where options stand before the command that knows them; nothing if none does."""
    from kcert.quoting import format_command

    first = words[0].partition("=")[0] if words else ""
    for at, name in enumerate(words):
        if name not in COMMANDS or not first.startswith("-"):
            continue
        command, known = load(name), words[at : at + 1]
        if inner := getattr(command, "commands", {}).get(next(iter(words[at + 1 : at + 2]), "")):
            command, known = inner, words[at : at + 2]
        options = {spelling: one for one in command.params for spelling in (*one.opts, *one.secondary_opts)}
        # Before a command that is its value, the option would be without one.
        if first in options and (options[first].is_flag or first != words[0] or at > 1):
            return format_command(("kcert", *known, *words[:at], *words[at + len(known) :]))
    return ""
