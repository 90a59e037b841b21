"""The manual page, made from what ``--help`` says: ``python -m kcert.manual`` prints it as troff.

It is written with the macros of man(7), which every ``man`` knows; nothing of it is written by hand twice.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import typer.main

from kcert import __version__, cli, doctor

VARIABLES = {
    "KCERT_DIR": "The PKI folder; same as --dir.",
    "KCERT_CA_DIR": "The folder with the CAs; same as --ca-dir.",
    "KCERT_CA_PASSPHRASE_FILE": "The file with the passphrase of the CA keys; same as --ca-passphrase-file.",
    "KCERT_CA_PASSPHRASE": "The passphrase of the CA keys. Only openssl gets it.",
    "KCERT_ROOT_PASSPHRASE": "The passphrase of the root CA key, which signs an intermediate CA. Only openssl gets it.",
    "KCERT_OPENSSL": "The openssl to run; same as --openssl.",
    "KCERT_EXPLAIN": "With the value no: print no explanations; same as --no-explain.",
    "KCERT_FORMAT": "The default of --format, for commands that have this format: text, json, csv, markdown or html.",
    "KCERT_LAB": "The folder of a lab; same as --dir of kcert practice.",
    "KCERT_LESSONS": "A folder with lessons that replace the built-in ones, for every command; same as --lessons "
    "of kcert explain.",
    "KCERT_EXAM_PASSPHRASE": "The passphrase that seals an exam; --seal then does not ask for it.",
    "KCERT_TIMEOUT": "Seconds after which a program that kcert has started is stopped.",
    "KCERT_DEBUG": "With any value: print the traceback of an internal error.",
    "PAGER": "The program that shows a long lesson on a terminal; less by default.",
    "LESS": "Options of less; without it kcert adds -R.",
    "NO_COLOR": "With any value: print no colors.",
    "TERM": "The type of the terminal, which determines its colors.",
    "COLORTERM": "With the value truecolor or 24bit: the terminal has all colors.",
    "COLUMNS": "The width of the terminal, and of the text that --help prints.",
    "LINES": "The height of the terminal, above which a lesson goes through the pager.",
    "HOME": "The home directory, which contains .kube/config.",
    "XDG_STATE_HOME": "The directory in which kcert records that a sealed exam is running; ~/.local/state by default.",
    "PATH": "The directories in which kcert looks for programs.",
    "TMPDIR": "The directory for temporary files.",
    "KUBECONFIG": "The kubeconfig that kubectl uses, and that kcert kubeconfig --merge changes.",
    "SUDO_UID": "The user who ran sudo; kcert trusts this user's files like those of root.",
    **{name: f"{effect[0].upper()}{effect[1:]}." for name, effect in doctor.OPENSSL_VARIABLES.items()},
}
"""The environment variables that kcert reads, with what each does. Programs that it runs get the others as they are."""

EXIT_STATUSES = {
    "0": "Done.",
    "1": "A problem was found.",
    "2": "Wrong usage or bad input: options, kcert.yaml, a CA that is missing or damaged.",
    "3": "A program that kcert ran failed, or the system did: a full disk, a missing permission, a closed output.",
    "130": "Interrupted.",
    "141": "The reader of the output closed the pipe.",
}

FILES = {
    "kcert.yaml": "The description of the cluster; kcert init writes one with comments.",
    "pki/": "The PKI folder: keys, requests, certificates, and their openssl.cnf files.",
    "pki/.kcert/": "The lock, the backups, and the history of every command.",
}


_OPENING = """
kcert creates, explains, inspects and fixes the certificates of a Kubernetes cluster by running openssl. Each command
is shown before it runs, with the reason for it, and what is shown is exactly what runs. To see how it works, run
kcert all in an empty folder.
"""


def page() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    program: Any = typer.main.get_command(cli.app)
    yield f'.TH KCERT 1 {_day()} "kcert {__version__}" "User Commands"'
    yield from (".SH NAME", f"kcert \\- {escaped(program.help[0].lower() + program.help[1:].rstrip('.'))}")
    yield from (".SH SYNOPSIS", ".B kcert", "[\\fIoptions\\fR] \\fIcommand\\fR [\\fIarguments\\fR]")
    yield from (".SH DESCRIPTION", escaped(_OPENING), ".SH OPTIONS", *_options(program))
    yield from _terms({"--help": "Print the options of kcert or of a command; also -h."})
    yield ".SH COMMANDS"
    for name in cli.COMMANDS:
        yield from _command(f"kcert {name}", cli.load(name))
    yield from (".SH ENVIRONMENT", *_terms(VARIABLES))
    yield from (".SH FILES", *_terms(FILES), ".SH EXIT STATUS", *_terms(EXIT_STATUSES))
    yield from (".SH SEE ALSO", ".BR openssl (1),", ".BR openssl-x509 (1),", ".BR kubectl (1)", ".PP")
    yield escaped("kcert explain lists the lessons, and kcert explain TOPIC prints one.")


def _command(path: str, command: Any) -> Iterator[str]:
    """A command; of a command with subcommands, each of these."""
    yield f'.SS "\\fB{escaped(path)}\\fR {_usage(command)}"'
    for number, paragraph in enumerate(re.split(r"\n\s*\n", (command.help or "").strip())):
        yield from ([".PP"] if number else []) + [escaped(paragraph)]
    yield from _options(command)
    for name, subcommand in getattr(command, "commands", {}).items():
        yield from _command(f"{path} {name}", subcommand)


def _usage(command: Any) -> str:
    _, *arguments = command.collect_usage_pieces(typer.Context(command))
    words = ("command",) if hasattr(command, "commands") else (escaped(argument) for argument in arguments)
    return " ".join(["[\\fIoptions\\fR]", *(f"\\fI{word}\\fR" for word in words)])


def _options(command: Any) -> Iterator[str]:
    """Yield the arguments with a help of their own, then the options, as the help lists them."""
    for argument in _parameters(command, "argument"):
        if argument.help:
            yield from (".TP", f"\\fI{escaped(argument.metavar)}\\fR", escaped(argument.help))
    for option in _parameters(command, "option"):
        names, words = option.get_help_record(typer.Context(command))
        spelling = (f"\\f{'B' if name.startswith('-') else 'I'}{escaped(name)}\\fR" for name in names.split())
        yield from (".TP", " ".join(spelling), escaped(words))


def _parameters(command: Any, kind: str) -> list[Any]:
    """The parameters of a kind, but for ``--help``, which every command has."""
    every = command.get_params(typer.Context(command))
    return [param for param in every if param.param_type_name == kind and param.name != "help" and not param.hidden]


def _terms(terms: dict[str, str]) -> Iterator[str]:
    for term, words in terms.items():
        yield from (".TP", f"\\fB{escaped(term)}\\fR", escaped(words))


def _day() -> str:
    """Return the day of the build, or of SOURCE_DATE_EPOCH (reproducible-builds.org)."""
    seconds = os.environ.get("SOURCE_DATE_EPOCH")
    day = datetime.fromtimestamp(int(seconds), timezone.utc) if seconds else datetime.now(timezone.utc)
    return f"{day:%Y-%m-%d}"


def escaped(words: str) -> str:
    """*words* as troff takes them: short lines, nothing in them that begins a request or an escape."""
    plain = " ".join(words.replace("`", "").split()).replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    lines = textwrap.wrap(plain, 79, break_long_words=False, break_on_hyphens=False)
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in lines)


if __name__ == "__main__":
    sys.stdout.write(page())
