"""What --help prints on a narrow screen: no name that is to be typed is cut off."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
from typer.testing import CliRunner

from kcert import cli

if TYPE_CHECKING:
    from collections.abc import Iterator


def commands() -> Iterator[tuple[str, Any]]:
    """Every command and subcommand with its options, by what is typed for it."""
    yield "", typer.main.get_command(cli.app)
    for name in cli.COMMANDS:
        command = cli.load(name)
        yield name, command
        yield from ((f"{name} {inner}", one) for inner, one in getattr(command, "commands", {}).items())


def typed(command: Any) -> Iterator[str]:
    """What the user has to learn from the help to type it: options, variables, values, names of arguments."""
    context = typer.Context(command)
    for one in command.get_params(context):
        if one.param_type_name == "option":
            yield from (*one.opts, *one.secondary_opts)
        else:
            yield from re.findall(r"[A-Z]+", one.make_metavar(context))
        yield from [one.envvar] if one.envvar else []
        yield from getattr(one.type, "choices", ())
        # Names in what a person wrote about it: --dry-run, KCERT_CA_PASSPHRASE, kube-apiserver-client-kubelet.
        written = f"{one.help or ''} {one.show_default if isinstance(one.show_default, str) else ''}"
        yield from re.findall(r"(?<![\w-])(?:--[a-z][a-z-]+|[A-Z]+_[A-Z_]+|[a-z]+(?:-[a-z]+)+)(?![\w-])", written)


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_no_name_is_cut_off(columns: int) -> None:
    cut = []
    for path, command in commands():
        variables = {"COLUMNS": str(columns), "NO_COLOR": "1"}
        said = CliRunner().invoke(cli.app, [*path.split(), "--help"], env=variables).output
        words = set(re.split(r"[^\w.-]+", said))
        cut += [f"kcert {path}: {name}" for name in typed(command) if not {name, f"{name}."} & words]
        assert max(len(line) for line in said.splitlines()) <= columns
    assert not cut
