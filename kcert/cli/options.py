"""The options that several commands share, each said once.

A command takes a frozen dataclass of options as its first parameter; ``takes`` turns the dataclass's fields
into options of the command line, so that no command has to list them.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar, cast

import typer

Options = TypeVar("Options")
Rest = ParamSpec("Rest")

DEFAULT_FOLDER = Path("pki")
DEFAULT_FILE = Path("kcert.yaml")

Folder = Annotated[Path, typer.Option("--dir", "-d", envvar="KCERT_DIR", help="The PKI folder.", metavar="FOLDER")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-passphrase-file",
        envvar="KCERT_CA_PASSPHRASE_FILE",
        metavar="FILE",
        help="The passphrase of an encrypted CA key is the first line of this file.",
        show_default="KCERT_CA_PASSPHRASE in the environment, else it is asked for",
    ),
]
AuthorityFolder = Annotated[
    Path | None,
    typer.Option(
        "--ca-dir",
        envvar="KCERT_CA_DIR",
        metavar="FOLDER",
        help="The CA is kept there, apart from the PKI folder, which gets its certificate and never its key.",
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The cluster's description; ./kcert.yaml where there is one.", metavar="FILE"),
]
Program = Annotated[str, typer.Option("--openssl", envvar="KCERT_OPENSSL", help="The openssl to run.", metavar="PATH")]


DryRun = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Make nothing; print a bash script that does the same by hand.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace a file that is not a report; a copy of it is kept beside it.")
]


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """Options of commands that look at a PKI folder."""

    dir: Folder = DEFAULT_FOLDER
    config: ConfigFile = None
    openssl: Program = "openssl"


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
    step: Annotated[bool, typer.Option("--step", help="Wait for Enter before each command; q stops.")] = False
    explain: Annotated[bool, typer.Option(help="Say why, before each command.")] = True
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="One line for each certificate, nothing else.")] = False
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            metavar="N",
            min=1,
            max=256,
            help="How many programs may run at once: in a lesson the keys are then generated first.",
            show_default="1; with --quiet one for each processor",
        ),
    ] = None
    openssl: Program = "openssl"
    templates: Annotated[
        Path | None,
        typer.Option("--templates", help="Use the openssl.cnf templates of this folder.", metavar="FOLDER"),
    ] = None
    ca_dir: AuthorityFolder = None
    ca_passphrase_file: PassphraseFile = None

    @property
    def processes(self) -> int:
        """How many programs may run at once."""
        return self.jobs or (os.cpu_count() or 1 if self.quiet else 1)


RootFolder = Annotated[
    Path | None,
    typer.Option(
        "--root-dir",
        metavar="FOLDER",
        help="Let a root sign the cluster's CA: the one in this folder (root.crt, root.key), made where there is none.",
    ),
]
RootPassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--root-passphrase-file",
        metavar="FILE",
        help="The passphrase of the root's encrypted key is the first line of this file.",
        show_default="KCERT_ROOT_PASSPHRASE in the environment, else the CA's where that is told, else it is asked for",
    ),
]
EncryptKey = Annotated[
    bool, typer.Option("--encrypt-ca-key", help="Lock the key of a CA that is made with a passphrase (AES-256).")
]


@dataclasses.dataclass(frozen=True)
class Chapter(IssueOptions):
    """Options of commands that make what the cluster lacks."""

    csr_only: Annotated[
        bool,
        typer.Option("--csr-only", help="Make keys and requests alone, for a CA on another machine to sign."),
    ] = False
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=36500, metavar="N", help="Valid for so many days.")
    ] = None
    key: Annotated[
        str | None, typer.Option("--key", metavar="KEY", help="The key: rsa:BITS, ecdsa:P-256 or ecdsa:P-384.")
    ] = None
    san: Annotated[
        list[str] | None,
        typer.Option("--san", metavar="NAME", help="One more DNS name or address among the SANs; repeatable."),
    ] = None
    cn: Annotated[str | None, typer.Option("--cn", metavar="NAME", help="Another common name.")] = None


@dataclasses.dataclass(frozen=True)
class MakingAuthorities(Chapter):
    """Options of commands that make a CA as well."""

    encrypt_ca_key: EncryptKey = False
    root_dir: RootFolder = None
    root_passphrase_file: RootPassphraseFile = None


@dataclasses.dataclass(frozen=True)
class Renewing(IssueOptions):
    """Options of the command that renews."""

    encrypt_ca_key: EncryptKey = False
    root_dir: RootFolder = None
    root_passphrase_file: RootPassphraseFile = None


def takes(options: type[Options]) -> Callable[[Callable[Concatenate[Options, Rest], None]], Callable[..., None]]:
    """Give a command the options of a dataclass, behind its own parameters."""

    def decorate(command: Callable[Concatenate[Options, Rest], None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
        hints = typing.get_type_hints(options, include_extras=True)
        shared = [
            inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name])
            for one in dataclasses.fields(cast(Any, options))
        ]

        def called(**given: Any) -> None:
            picked = {one.name: given.pop(one.name) for one in shared}
            cast(Any, command)(cast(Any, options)(**picked), **given)

        called.__doc__ = command.__doc__
        called.__name__ = command.__name__
        own = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
        cast(Any, called).__signature__ = inspect.Signature([*own, *shared])  # what typer reads
        return called

    return decorate
