"""The options that several commands share, each defined once.

A command takes a frozen dataclass of options as its first parameter; ``expanded`` turns the dataclass's fields
into options of the command line, so that no command has to list them.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import typing
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from kcert.errors import InputError, KcertError

if TYPE_CHECKING:
    from kcert.config import Cluster
    from kcert.issue.context import Context

DEFAULT_FOLDER = Path("pki")
DEFAULT_FILE = Path("kcert.yaml")


def option(usage: str, help: str, **more: Any) -> Any:
    """Return an option by its *usage*: its names and the metavar of its value, such as ``--output,-o FILE``."""
    names, _, metavar = usage.partition(" ")
    return typer.Option(*names.split(","), help=help, metavar=metavar or None, **more)


def argument(metavar: str, help: str, complete: Callable[[typer.Context, str], list[str]] | None = None) -> Any:
    """Return an argument, with what completes it."""
    return typer.Argument(metavar=metavar, help=help, autocompletion=complete)


Folder = Annotated[Path, option("--dir,-d FOLDER", "Use this PKI folder.", envvar="KCERT_DIR")]
PassphraseFile = Annotated[
    Path | None,
    option(
        "--ca-passphrase-file FILE",
        "Read the passphrase of an encrypted CA key from the first line of this file.",
        envvar="KCERT_CA_PASSPHRASE_FILE",
        show_default="KCERT_CA_PASSPHRASE, else a prompt",
    ),
]
AuthorityFolder = Annotated[
    Path | None,
    option(
        "--ca-dir FOLDER",
        "Use the CA in this folder. Its key is never copied to the PKI folder.",
        envvar="KCERT_CA_DIR",
    ),
]
ConfigFile = Annotated[
    Path | None,
    option(
        "--config,-c FILE",
        "Read the description of the cluster from this file.",
        show_default="kcert.yaml, if it exists",
    ),
]
Explain = Annotated[bool, typer.Option(envvar="KCERT_EXPLAIN", help="Explain each step.")]
Quiet = Annotated[bool, option("--quiet,-q", "Print only the result.")]
DryRun = Annotated[bool, option("--dry-run,-n", "Print a bash script that does the same, and change nothing.")]
FORMAT = option("--format", "Print the result in this format.")
ResultFormat = Annotated[Literal["text", "json"], FORMAT]
Output = Annotated[Path | None, option("--output,-o FILE", "Write to this file; - is standard output.")]
WideOutput = Annotated[
    str | None,
    option("--output,-o wide|FILE", "Print as --wide does, or write to this file; - is standard output."),
]
Program = Annotated[str, option("--openssl PATH", "Run this openssl.", envvar="KCERT_OPENSSL")]
Force = Annotated[
    bool, option("--force", "Overwrite a file that kcert did not write as a report, and keep a copy beside it.")
]


def wide_and_file(wide: bool, output: str | None) -> tuple[bool, Path | None]:
    """Return whether --wide or -o wide was given, and the file of --output."""
    return wide or output == "wide", Path(output) if output not in {None, "wide", "-"} else None


def check_format(format: str, output: Path | None) -> None:
    """Raise InputError for --format json where standard output is for the file itself; KCERT_FORMAT is a default."""
    if format == "json" and str(output) == "-" and os.environ.get("KCERT_FORMAT") != "json":
        raise InputError("--format json cannot be combined with --output -: that prints the file, and nothing else.")


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """Options of commands that read a PKI folder."""

    dir: Folder = DEFAULT_FOLDER
    config: ConfigFile = None
    openssl: Program = "openssl"


@dataclasses.dataclass(frozen=True)
class ResultOptions:
    """Options of commands that write files, and report them."""

    explain: Explain = True
    quiet: Quiet = False
    dry_run: DryRun = False
    format: ResultFormat = "text"


@dataclasses.dataclass(frozen=True)
class WriteOptions(ReadOptions, ResultOptions):
    """Options of commands that read a PKI folder and write files."""

    def check_dry_run(self, output: Path | None = None) -> None:
        """Raise InputError for an option that cannot be combined with --dry-run."""
        if self.dry_run and (self.quiet or str(output) == "-"):
            raise InputError(f"--dry-run cannot be combined with {'--quiet' if self.quiet else '--output -'}.")


@dataclasses.dataclass(frozen=True)
class Signing(ReadOptions):
    """Options of a command that signs with the CA of a PKI folder."""

    ca_dir: AuthorityFolder = None
    ca_passphrase_file: PassphraseFile = None


@dataclasses.dataclass(frozen=True)
class IssueOptions:
    """Options of commands that make certificates."""

    dir: Folder = DEFAULT_FOLDER
    config: ConfigFile = None
    dry_run: DryRun = False
    step: Annotated[bool, option("--step", "Wait for Enter before each command; ? lists the other keys.")] = False
    explain: Explain = True
    full: Annotated[bool, option("--full", "Repeat the reasons, and print each openssl.cnf in full.")] = False
    quiet: Quiet = False
    format: Annotated[
        Literal["text", "json", "markdown"],
        option("--format", "Print the result as JSON, or the lesson as a Markdown document."),
    ] = "text"
    jobs: Annotated[
        int | None,
        option(
            "--jobs,-j N",
            "Run up to N programs at once. Unless --quiet is set, all keys are generated first.",
            min=1,
            max=256,
            show_default="1; with --quiet, the number of processors",
        ),
    ] = None
    openssl: Program = "openssl"
    templates: Annotated[Path | None, option("--templates FOLDER", "Use the openssl.cnf templates of this folder.")] = (
        None
    )
    ca_dir: AuthorityFolder = None
    ca_passphrase_file: PassphraseFile = None

    @property
    def terse(self) -> bool:
        """True if only the result is printed."""
        return self.quiet or self.format != "text"

    @property
    def processes(self) -> int:
        """The number of programs that may run at once."""
        return self.jobs or (os.cpu_count() or 1 if self.terse and self.format != "markdown" else 1)


Days = Annotated[int | None, option("--days N", "Set the lifetime in days.", min=1, max=36500)]
Groups = Annotated[
    list[str] | None, option("--group,-g GROUP", "Add the user to this group (an O of the subject); repeatable.")
]
Sans = Annotated[list[str] | None, option("--san NAME", "Add a DNS name or IP address to the SANs; repeatable.")]


@dataclasses.dataclass(frozen=True)
class Chapter(IssueOptions):
    """Options of commands that make missing certificates."""

    csr_only: Annotated[
        bool, option("--csr-only", "Create only keys and requests, for a CA on another machine to sign.")
    ] = False
    days: Days = None
    key: Annotated[
        str | None, option("--key KEY", "Generate this kind of key: rsa:BITS, ecdsa:P-256 or ecdsa:P-384.")
    ] = None
    san: Sans = None
    cn: Annotated[str | None, option("--cn NAME", "Set the common name.")] = None


@dataclasses.dataclass(frozen=True)
class CaOptions:
    """Options of commands that may also make a CA."""

    encrypt_ca_key: Annotated[bool, option("--encrypt-ca-key", "Encrypt a new CA key with a passphrase (AES-256).")] = (
        False
    )
    root_dir: Annotated[
        Path | None,
        option(
            "--root-dir FOLDER",
            "Sign the cluster's CA with the root CA in this folder (root.crt, root.key); create it if missing.",
        ),
    ] = None
    root_passphrase_file: Annotated[
        Path | None,
        option(
            "--root-passphrase-file FILE",
            "Read the passphrase of the encrypted root CA key from the first line of this file.",
            show_default="KCERT_ROOT_PASSPHRASE, else the passphrase of the CA key, else a prompt",
        ),
    ] = None


@dataclasses.dataclass(frozen=True)
class CaChapter(CaOptions, Chapter):
    """Options of commands that make missing certificates, CAs among them."""


@dataclasses.dataclass(frozen=True)
class Renewing(CaOptions, IssueOptions):
    """Options of `kcert renew`."""


def expanded(command: Callable[..., None], schema: str, wanted: str) -> Callable[..., None]:
    """Return *command* as typer reads it: the fields of its first parameter, a dataclass of options, as options.

    Where these are among its formats, ``--format`` is *wanted* by default, and ``--json`` is added.
    """
    parameters = list(inspect.signature(command, eval_str=True).parameters.values())
    shared: dict[str, Any] = {}
    if parameters and dataclasses.is_dataclass(options := parameters[0].annotation):
        hints = typing.get_type_hints(options, include_extras=True)
        shared = {field.name: field.default for field in dataclasses.fields(options)}
        fields = (
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[name])
            for name, default in shared.items()
        )
        parameters = [*parameters[1:], *fields]
    default = ""
    for at, parameter in enumerate(parameters):
        if parameter.name == "format":
            choices = typing.get_args(typing.get_args(parameter.annotation)[0])
            default = wanted if wanted in choices else parameter.default
            parameters[at] = parameter.replace(default=default)
            if "json" in choices:
                option = typer.Option(
                    "--json", help=f"Print JSON, as --format json does (kcert/schemas/{schema}.json)."
                )
                parameters.insert(
                    at + 1, parameter.replace(name="json", default=False, annotation=Annotated[bool, option])
                )
            break

    def called(**given: Any) -> None:
        if given.pop("json", False):
            if given["format"] not in {"json", default}:
                raise InputError(f"--json cannot be combined with --format {given['format']}.")
            given["format"] = "json"
        arguments = (options(**{name: given.pop(name) for name in shared}),) if shared else ()
        command(*arguments, **given)

    called.__doc__, called.__name__ = command.__doc__, command.__name__
    keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    cast(Any, called).__signature__ = inspect.Signature(keyword_only)
    return called


class Subcommands:
    """The subcommands of a command by name, and the *settings* of their ``typer.Typer``."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.functions: dict[str, Callable[..., None]] = {}

    def command(self, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Add a function as the subcommand *name*."""

        def add(function: Callable[..., None]) -> Callable[..., None]:
            self.functions[name] = function
            return function

        return add


def load_cluster(config: Path | None) -> Cluster:
    """Return the cluster of the file named, of ./kcert.yaml, or the built-in example."""
    from kcert import profiles

    # A link that leads nowhere is a file that is missing: the example is not meant.
    if config is None and os.path.lexists(DEFAULT_FILE):
        config = DEFAULT_FILE
    return profiles.load(config)


def completes(names: Callable[[typer.Context], Iterable[str]]) -> Callable[[typer.Context, str], list[str]]:
    """Return what completes a word to one of *names*, for typer."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            return [name for name in dict.fromkeys(names(ctx)) if name.startswith(incomplete)]
        except (KcertError, OSError):
            return []

    return complete


def _folder(ctx: typer.Context) -> Context:
    from kcert import profiles
    from kcert.issue.adopt import detect_files
    from kcert.issue.context import Context

    root = Path(ctx.params.get("dir") or os.environ.get("KCERT_DIR") or DEFAULT_FOLDER)
    config = ctx.params.get("config")
    cluster = load_cluster(Path(config) if config else None)
    return Context(cluster, root, detect_files(root, profiles.certificates(cluster)))


@completes
def complete_certificates(ctx: typer.Context) -> Iterable[str]:
    """Return every certificate of `kcert plan`."""
    from kcert.issue.adopt import unmanaged

    folder = _folder(ctx)
    known = folder.known
    return [*known, *(spec.name for spec in unmanaged(folder.root, folder.cluster, known.values(), ()))]


@completes
def complete_clients(ctx: typer.Context) -> Iterable[str]:
    """Return the clients of the API server, users that kcert made among them."""
    from kcert.kubernetes import credentials

    return [spec.name for spec in credentials.clients(_folder(ctx))]


@completes
def complete_hosts(ctx: typer.Context) -> Iterable[str]:
    """Return every host of the cluster."""
    return [host.name for host in _folder(ctx).cluster.hosts]


@completes
def complete_signers(_ctx: typer.Context) -> Iterable[str]:
    """Return the signers by the names that --signer takes."""
    from kcert.kubernetes.signers import SIGNERS

    return [name.rpartition("/")[2] for name in SIGNERS]


complete_nodes = completes(lambda ctx: [node.name for node in _folder(ctx).cluster.nodes])
complete_components = completes(lambda _ctx: import_module("kcert.kubernetes.components").COMPONENTS)
complete_rules = completes(lambda _ctx: import_module("kcert.check").RULES)
complete_profiles = completes(lambda _ctx: import_module("kcert.profiles").PROFILES)
