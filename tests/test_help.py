"""How the command line is learnt: help that cuts no name off, and refusals that say what was meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
from typer.testing import CliRunner

from kcert import cli
from tests.refusals import assert_refused
from tests.running import representatives

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.running import Kcert


def commands() -> Iterator[tuple[str, Any]]:
    """Every command and subcommand with its options, by what is typed for it."""
    yield "", typer.main.get_command(cli.app)
    for name in cli.COMMANDS:
        command = cli.load(name)
        yield name, command
        yield from ((f"{name} {inner}", one) for inner, one in getattr(command, "commands", {}).items())


def format_command(command: Any) -> Iterator[str]:
    """Yield what the user has to learn from the help to type it: options, variables, values, names of arguments."""
    context = typer.Context(command)
    for one in command.get_params(context):
        if one.param_type_name == "option":
            yield from (*one.opts, *one.secondary_opts)
        else:
            yield from re.findall(r"[A-Z]+", one.metavar)
        yield from [one.envvar] if one.envvar else []
        yield from (item.value for item in one.shell_complete(context, "") if one.name in {"format", "shell"})
        # Names in what a person wrote about it: --dry-run, KCERT_CA_PASSPHRASE, kube-apiserver-client-kubelet.
        written = f"{one.help or ''} {one.show_default if isinstance(one.show_default, str) else ''}"
        yield from re.findall(r"(?<![\w-])(?:--[a-z][a-z-]+|[A-Z]+_[A-Z_]+|[a-z]+(?:-[a-z]+)+)(?![\w-])", written)


@pytest.mark.thorough
@pytest.mark.parametrize("columns", representatives([80, 120]))
def test_no_name_is_cut_off(columns: int) -> None:
    cut = []
    for path, command in commands():
        variables = {"COLUMNS": str(columns), "NO_COLOR": "1"}
        said = CliRunner().invoke(cli.app, [*path.split(), "--help"], env=variables).output
        words = set(re.split(r"[^\w.-]+", said))
        cut += [
            f"kcert {path}: {name}"
            for name in format_command(command)
            if not {name, f"{name}.", f"{name}.json"} & words
        ]
        assert max(len(line) for line in said.splitlines()) <= columns
    assert not cut


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("--quiet all", "kcert all --quiet"),
        ("-q all", "kcert all -q"),
        ("--dir lab all --step", "kcert all --dir lab --step"),
        ("--dir=lab plan", "kcert plan --dir=lab"),
        ("--no-explain client bob", "kcert client --no-explain bob"),
        ("--file bob.csr csr show", "kcert csr show --file bob.csr"),
    ],
)
def test_an_option_before_its_command_is_put_behind_it(kcert: Kcert, words: str, meant: str) -> None:
    assert_refused(kcert(*words.split()), 2, f"Options come after the command: `{meant}`.")


@pytest.mark.parametrize("words", ["--qiet all", "--quiet plan", "--dir all", "--quiet"])
def test_an_option_that_no_command_there_knows_is_left_to_the_help(kcert: Kcert, words: str) -> None:
    ended = kcert(*words.split())

    assert_refused(ended, 2, f"No such option: {words.split(maxsplit=1)[0]}", "`kcert --help` lists what it accepts.")
    assert "come after" not in ended.stderr


def test_a_profile_with_another_command_leads_to_init(kcert: Kcert) -> None:
    for words in (("all", "--profile", "kubeadm"), ("all", "--profile=kubeadm")):
        assert_refused(kcert(*words), 2, "kcert.yaml", "`kcert init --profile kubeadm`", "`kcert all` reads it")


def test_a_question_has_no_full_stop(kcert: Kcert) -> None:
    (kcert.folder / "typo.yaml").write_text("users:\n  - {name: jane, group: [developers]}\n", encoding="ascii")

    assert_refused(kcert("kubeconfg"), 2, "Did you mean 'kubeconfig'? `kcert --help`")
    asked = kcert("plan", "--config", "typo.yaml")
    assert_refused(asked, 2, "did you mean groups?")
    assert "?." not in asked.stderr
