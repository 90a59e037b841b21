"""The environment variables that kcert reads: one table, which the manual page prints and REFERENCE.md repeats."""

from __future__ import annotations

import os

OPENSSL = {
    "OPENSSL_CONF": "openssl reads this config file, and loads the modules that it names",
    "OPENSSL_CONF_INCLUDE": "openssl looks in this folder for the files that its config includes",
    "OPENSSL_MODULES": "openssl loads its providers, which are programs, from this folder",
    "OPENSSL_ENGINES": "openssl loads its engines, which are programs, from this folder",
}
"""The effect of each of openssl's own variables (openssl-env(7)); kcert doctor reports those that are set."""

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
    **{name: f"{effect[0].upper()}{effect[1:]}." for name, effect in OPENSSL.items()},
}
"""Every variable that kcert reads, with what it does. Programs that kcert runs get the others as they are."""

IGNORED = (
    *("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "PY_COLORS", "GITHUB_ACTIONS"),
    *("TERMINAL_WIDTH", "TYPER_USE_RICH", "JUPYTER_COLUMNS", "JUPYTER_LINES", "DATABRICKS_RUNTIME_VERSION"),
)
"""Variables with which rich and typer print something else: escape sequences into a pipe, another width."""


def clean_up() -> None:
    """Delete what must not change the output: the variables of ``IGNORED``, and a size that is not a number."""
    for name in IGNORED:
        os.environ.pop(name, None)
    for name in ("COLUMNS", "LINES"):
        value = os.environ.get(name, "")
        if not (value.isdecimal() and value.isascii() and 0 < int(value) < 10_000):
            os.environ.pop(name, None)
