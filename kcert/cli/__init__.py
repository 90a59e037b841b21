"""The command line: a function a command; each reads options, calls one function and hands the result to ui.

A command's module is imported when that command runs, and not before: `kcert --help` and shell completion
know the others from ``COMMANDS`` alone.
"""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from kcert import __version__
from kcert.errors import InputError, sentence, warning_listeners
from kcert.ui import warning


class Entry(NamedTuple):
    """A command: its ``function`` as MODULE:NAME, a line of help, its panel."""

    function: str
    help: str
    panel: str


FORMATS = ("text", "json", "csv", "markdown", "html")
"""The values of KCERT_FORMAT; a command without that format prints its default."""

_MAKE, _USE, _LOOK, _LEARN, _HELP = "Create", "Use", "Inspect", "Learn", "Help"

COMMANDS = {
    "init": Entry("inspection:init", "Write a commented kcert.yaml to start from.", _MAKE),
    "plan": Entry("inspection:plan", "List every certificate that the cluster needs, and its state.", _LOOK),
    "ca": Entry("issue:ca", "Create the CA certificates.", _MAKE),
    "client": Entry("issue:client", "Create client certificates: admin, components, users.", _MAKE),
    "etcd": Entry("issue:etcd", "Create the certificates of etcd.", _MAKE),
    "apiserver": Entry("issue:apiserver", "Create the certificates of the API server.", _MAKE),
    "kubelet": Entry("issue:kubelet", "Create the certificates of the nodes.", _MAKE),
    "service-account": Entry("issue:service_account", "Create the key pair that signs service account tokens.", _MAKE),
    "all": Entry("issue:everything", "Create every certificate of the cluster, chapter by chapter.", _MAKE),
    "kubeconfig": Entry("access:kubeconfig", "Write kubeconfigs for users and components.", _USE),
    "flags": Entry("deploy:flags", "Print the options that each component needs, with the reason.", _USE),
    "bundle": Entry("deploy:bundle", "Pack the files that each host needs.", _USE),
    "bootstrap": Entry("access:bootstrap", "Let nodes request their certificates with a bootstrap token.", _MAKE),
    "encryption-config": Entry("deploy:encryption_config", "Encrypt Secrets in etcd, and rotate the key.", _MAKE),
    "export": Entry("deploy:export", "Export the certificates for cert-manager or Ansible.", _USE),
    "call": Entry("access:call", "Call the API with curl and a certificate.", _USE),
    "renew": Entry("issue:renew", "Renew certificates, and rotate keys and CAs.", _MAKE),
    "csr": Entry("csr:app", "Use the Certificates API, from a request to a signed certificate.", _MAKE),
    "show": Entry("inspection:show", "Show a certificate, key, request, kubeconfig or server, field by field.", _LOOK),
    "inventory": Entry(
        "inspection:inventory", "List all certificates of a cluster, as a table, spreadsheet or web page.", _LOOK
    ),
    "check": Entry(
        "inspection:check", "Check certificates, explain the problems and print the commands that fix them.", _LOOK
    ),
    "logs": Entry("diagnose:logs", "Show the log of a component, and the command that reads it.", _LOOK),
    "diagnose": Entry(
        "diagnose:diagnose",
        "Explain log lines about TLS, certificates and access, and print the fix.",
        _LOOK,
    ),
    "history": Entry(
        "inspection:history", "Show the commands that were run in a PKI folder, and verify the history.", _LOOK
    ),
    "practice": Entry("practice:app", "Practice in labs: fix what is broken, and check whether it works.", _LEARN),
    "explain": Entry("explain:explain", "Explain every command, certificate and step: the lessons.", _LEARN),
    "doctor": Entry("diagnose:doctor", "Check which programs are installed, and what works without the others.", _LOOK),
    "completion": Entry("explain:completion", "Print the script for completion in bash, zsh or fish.", _HELP),
    "help": Entry("explain:help_", "Show the help of kcert, or of a command.", _HELP),
    "version": Entry("explain:version", "Print the version.", _HELP),
}

_MAKING = (
    *(name for name, entry in COMMANDS.items() if entry.panel == _MAKE),
    "kubeconfig",
    "bundle",
    "export",
    "practice",
)
_OFF_IN_EXAM = (
    *("check", "diagnose", "renew", "plan", "kubeconfig"),
    *("ca", "client", "etcd", "apiserver", "kubelet", "service-account", "all"),
)
"""Commands that would solve a task of a sealed exam. `kcert csr approve` stays: a lab has no cluster to approve in."""

_READING = ("list", "show", "report")
"""Subcommands of those that make nothing."""


def only_reads(words: Sequence[str]) -> bool:
    """Return True for a command line that only reads."""
    return not set(words[:1]) & set(_MAKING) or bool(set(words[1:2]) & set(_READING))


class _Commands(TyperGroup):
    """The commands by name and help; only the command that runs is loaded."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that *args* begin with, with all its options."""
        _refuse_empty_words(args)
        if (wanted := os.environ.get("KCERT_FORMAT", "text")) not in FORMATS:
            raise InputError(f"KCERT_FORMAT {wanted!a} is not a format: expected {', '.join(FORMATS)}.")
        name, command, rest = super().resolve_command(ctx, args)
        if name in _OFF_IN_EXAM:
            refuse_in_exam(name)
        return name, load(name) if name in COMMANDS else command, rest


class _Command(TyperCommand):
    """A command with plain help, whose usage shows arguments as other programs do: NAME, [NAME], [NAME]...

    typer's tables would cut off long names, and show Python's types.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "rich_markup_mode": None})

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage line behind the command."""
        arguments = (param for param in ctx.command.params if param.param_type_name == "argument")
        words = ((param, param.metavar if param.required else f"[{param.metavar}]") for param in arguments)
        return ["[OPTIONS]", *(word if param.nargs == 1 else f"{word}..." for param, word in words)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments without their Python types, and the options."""
        rows: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
        for param in self.get_params(ctx):
            if record := param.get_help_record(ctx):
                kind = param.param_type_name
                rows[kind].append((str(param.metavar), record[1]) if kind == "argument" else record)
        for kind, records in rows.items():
            if records:
                with formatter.section(f"{kind.capitalize()}s"):
                    formatter.write_dl(records)


def refuse_in_exam(command: str) -> None:
    """Raise InputError for *command* while this user is taking a sealed exam."""
    from kcert import practice

    if practice.may_be_in_exam():
        from kcert.practice import state

        state.refuse_if_running(command)


def _refuse_empty_words(words: list[str]) -> None:
    """Raise InputError for an empty word: ``--dir "$PKI"`` with PKI unset would put keys into the current folder."""
    for before, word in zip(["", *words], words, strict=False):
        if word.startswith("--") and word.endswith("="):
            raise InputError(f"{word} has no value: is a variable not set?")
        if not word:
            where = f"the argument after {before}" if before else "the first argument"
            raise InputError(f"{where} is empty: is a variable not set?")


def load(name: str) -> Any:
    """Return the command *name* with all its options, as typer runs it."""
    from kcert.cli.options import Subcommands, expanded

    module, _, attribute = COMMANDS[name].function.partition(":")
    target = getattr(importlib.import_module(f"kcert.cli.{module}"), attribute)
    settings, functions = {}, {"": target}
    if isinstance(target, Subcommands):
        settings, functions = target.settings, target.functions
    # typer's plain help would break names like kube-controller-manager at their hyphens.
    textwrap.TextWrapper.wordsep_re = textwrap.TextWrapper.wordsep_simple_re
    app = typer.Typer(name=name, add_completion=False, **settings)
    wanted = os.environ.get("KCERT_FORMAT", "")
    for subcommand, function in functions.items():
        app.command(subcommand or name, cls=_Command)(expanded(function, schema(name, subcommand), wanted))
    return typer.main.get_command(app)


def schema(name: str, subcommand: str = "") -> str:
    """Return the name of the JSON schema (``kcert/schemas/NAME.json``) of what a command prints."""
    issues = COMMANDS[name].function.startswith("issue:") or (name, subcommand) == ("csr", "new")
    if name == "practice":
        return f"practice-{subcommand}"
    if name == "csr" and subcommand in ("list", "manifest", "sign", "fetch"):
        return f"csr-{subcommand}"
    return "issue" if issues else "diagnose" if name == "logs" else name


app = typer.Typer(
    name="kcert",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _not_loaded() -> None:
    """A placeholder for a command, until ``load`` replaces it."""


for _name, _entry in COMMANDS.items():
    app.command(_name, help=_entry.help, rich_help_panel=_entry.panel)(_not_loaded)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"kcert {__version__}")
        raise typer.Exit


@app.callback(
    epilog="`kcert all` in an empty folder creates the certificates of an example cluster and explains each step.\n\n"
    "`kcert explain tls-in-one-page` is the first lesson.\n\n"
    "`kcert COMMAND --help` lists the options of a command."
)
def _kcert(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Create, explain, inspect and fix the TLS certificates of a Kubernetes cluster, showing every openssl command."""


def run() -> int:
    """Run the command line that kcert was started with, and return the exit status."""
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
        if getattr(error, "option_name", "") == "--profile":
            raise InputError(_profile_hint(path)) from None
        hint = f"`{path} --help` lists what it accepts."
        if path == "kcert" and (meant := _in_order(sys.argv[1:])):
            hint = f"Options come after the command: `{meant}`."
        # pydantic puts a heading before typer's own words, and choices are a column.
        message = " ".join(error.format_message().replace(": Value error, ", ": ").split())
        message = message.replace("is not a valid int range", "is not a whole number")
        raise InputError(f"{sentence(message)} {hint}") from None
    return status if isinstance(status, int) else 0


def _profile_hint(path: str) -> str:
    """Return where the profile is chosen, for --profile with a command that reads kcert.yaml."""
    from kcert.quoting import format_command

    words = [part for word in sys.argv[1:] for part in word.split("=", 1)]
    value = next(iter(words[words.index("--profile") + 1 :]), "PROFILE")
    init = format_command(("kcert", "init", "--profile", value))
    return f"the profile is set in kcert.yaml, not with --profile. `{init}` writes that file, and `{path}` reads it."


def _in_order(words: list[str]) -> str:
    """Return the corrected command line if options precede the command that accepts them, else ""."""
    from kcert.quoting import format_command

    first = words[0].partition("=")[0] if words else ""
    for at, name in enumerate(words):
        if name not in COMMANDS or not first.startswith("-"):
            continue
        command, known = load(name), words[at : at + 1]
        if inner := getattr(command, "commands", {}).get(next(iter(words[at + 1 : at + 2]), "")):
            command, known = inner, words[at : at + 2]
        options = {spelling: option for option in command.params for spelling in (*option.opts, *option.secondary_opts)}
        # Before a command that is its value, the option would be without one.
        if first in options and (options[first].is_flag or first != words[0] or at > 1):
            return format_command(("kcert", *known, *words[:at], *words[at + len(known) :]))
    return ""
