"""The root's key behind a passphrase of its own: the users of the CA do not need to know it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests import judge
from tests.clusters import SMALL, Pki, made_once
from tests.guarded import PASSPHRASE, WITH_IT, copied, opens, secrets_of
from tests.refusals import assert_refused, snapshot
from tests.running import Kcert, output, program
from tests.terminal import on_terminal
from tests.test_encrypted_ca import PROMPT

if TYPE_CHECKING:
    from pathlib import Path

ROOTS = "a root's own $words in the safe"
ROOTS_ALONE = {"KCERT_ROOT_PASSPHRASE": ROOTS}
WITH_BOTH = WITH_IT | ROOTS_ALONE
RENEWS = ("renew", "ca", "--root-dir", "safe", "--quiet")


@pytest.fixture(scope="session")
def rooted(shared: Path) -> Pki:
    """A PKI with a CA under a root in ``safe``, each key with a passphrase of its own; for looking at only."""

    def make(home: Path) -> None:
        (home / "kcert.yaml").write_text(SMALL.format(profile="course"), encoding="utf-8")
        Kcert(home).done("ca", "--quiet", "--encrypt-ca-key", "--root-dir", "safe", variables=WITH_BOTH)

    return Pki(made_once(shared, "rooted-encrypted", make), "course", "small")


@pytest.fixture
def own(rooted: Pki, tmp_path: Path) -> Path:
    """A PKI folder of one's own, with ``safe`` beside it."""
    return copied(rooted, tmp_path)


def test_each_key_has_its_own(rooted: Pki) -> None:
    root, authority = rooted.home / "safe/root.key", rooted.folder / "ca.key"

    assert (opens(root, ROOTS), opens(root, PASSPHRASE), opens(root, None)) == (True, False, False)
    assert (opens(authority, PASSPHRASE), opens(authority, ROOTS), opens(authority, None)) == (True, False, False)
    judge.load(rooted.folder / "ca.crt").verify_directly_issued_by(judge.load(rooted.home / "safe/root.crt"))


def test_both_open_what_they_are_for(own: Path, kcert: Kcert) -> None:
    before = judge.load(own / "ca.crt")

    kcert.done(*RENEWS, variables=WITH_BOTH)

    assert judge.load(own / "ca.crt").serial_number != before.serial_number
    assert judge.load(own / "ca.crt").public_key() == before.public_key()


WRONG = [
    ({"KCERT_ROOT_PASSPHRASE": "a wrong one"}, "safe/root.key", "--root-passphrase-file"),
    ({"KCERT_CA_PASSPHRASE": "a wrong one"}, "does not open pki/ca.key", "--ca-passphrase-file"),
    ({"KCERT_ROOT_PASSPHRASE": PASSPHRASE}, "safe/root.key", "KCERT_ROOT_PASSPHRASE"),
    # Told for the CA alone, it is taken for both.
    ({"KCERT_ROOT_PASSPHRASE": None}, "safe/root.key", "KCERT_ROOT_PASSPHRASE"),
    ({"KCERT_CA_PASSPHRASE": None}, "is encrypted, and there is no terminal", "KCERT_CA_PASSPHRASE"),
    (
        {"KCERT_CA_PASSPHRASE": None, "KCERT_ROOT_PASSPHRASE": None},
        "is encrypted, and there is no terminal",
        "KCERT_CA_PASSPHRASE in the environment, or use --ca-passphrase-file",
    ),
]


@pytest.mark.parametrize(("given", "said", "way_out"), WRONG, ids=range(len(WRONG)))
def test_without_the_right_ones_nothing_is_written(
    own: Path, kcert: Kcert, given: dict[str, str | None], said: str, way_out: str
) -> None:
    before = snapshot(own.parent)
    variables = {name: value for name, value in (WITH_BOTH | given).items() if value is not None}

    ended = kcert(*RENEWS, variables=variables)

    assert_refused(ended, 2, said, way_out)
    assert snapshot(own.parent) == before
    assert not [secret for secret in (PASSPHRASE, ROOTS) if secret in ended.stdout + ended.stderr]


def test_what_the_ca_signs_needs_no_root(own: Path, kcert: Kcert) -> None:
    kcert.done("client", "bob", "--quiet", variables=WITH_IT)

    assert judge.load(own / "bob.crt").issuer == judge.load(own / "ca.crt").subject


@pytest.mark.thorough
def test_no_process_gets_the_passphrase_of_another_key(own: Path, kcert: Kcert) -> None:
    wrapper = own.parent / "openssl"
    wrapper.write_text(
        "#!/bin/sh\n"
        f'printf "%s|%s|%s\\n" "$*" "$KCERT_CA_PASSPHRASE" "$KCERT_ROOT_PASSPHRASE" >> "{own.parent}/given"\n'
        f'exec {program("openssl")} "$@"\n'
    )
    wrapper.chmod(0o755)

    kcert.done(*RENEWS, "--openssl", wrapper, variables=WITH_BOTH)
    kcert.done("client", "bob", "--quiet", "--openssl", wrapper, variables=WITH_BOTH)

    given = [line.rsplit("|", 2) for line in (own.parent / "given").read_text().splitlines()]
    assert {argv.split()[0] for argv, *_ in given} >= {"x509", "verify", "pkey"}
    for argv, authority, root in given:
        assert authority == (PASSPHRASE if "env:KCERT_CA_PASSPHRASE" in argv else "")
        assert root == (ROOTS if "env:KCERT_ROOT_PASSPHRASE" in argv else "")
        assert not (authority and root)
        assert PASSPHRASE not in argv
        assert ROOTS not in argv
    assert any("root.key -passin env:KCERT_ROOT_PASSPHRASE" in argv for argv, *_ in given)


def test_a_file_is_named_to_openssl(own: Path, kcert: Kcert) -> None:
    file = own.parent / "root-passphrase"
    file.write_text(ROOTS)
    file.chmod(0o600)

    said = kcert.done(*RENEWS[:-1], "--no-explain", "--root-passphrase-file", file, variables=WITH_IT).stdout

    assert re.search(rf"root\.key\s+(\\\s+)?-passin\s+file:{re.escape(str(file))}", said)
    assert "KCERT_ROOT_PASSPHRASE" not in said


def test_a_file_without_a_root_is_refused(kcert: Kcert, tmp_path: Path) -> None:
    ended = kcert("ca", "--root-passphrase-file", tmp_path / "p")

    assert_refused(ended, 2, "--root-passphrase-file is for the key of a root", "--root-dir")
    assert not (tmp_path / "pki").exists()


@pytest.mark.thorough
def test_one_that_is_told_for_the_ca_alone_serves_both(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"))

    said = kcert.done("ca", "--no-explain", "--encrypt-ca-key", "--root-dir", "safe", variables=WITH_IT).stdout

    assert "KCERT_ROOT_PASSPHRASE" not in said
    assert opens(tmp_path / "safe/root.key")
    assert opens(tmp_path / "pki/ca.key")


@pytest.mark.thorough
def test_at_a_terminal_each_is_asked_for_by_its_owner(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"))
    makes = ("ca", "--encrypt-ca-key", "--root-dir", "safe", "--quiet")

    slip = on_terminal(kcert, *makes, keys=[f"{PASSPHRASE}\n"] * 2 + [f"{ROOTS}\n", "a slip\n"], prompt=PROMPT)
    assert slip.status == 2
    assert not (tmp_path / "safe").exists()
    assert not (tmp_path / "pki").exists()
    made = on_terminal(kcert, *makes, keys=[f"{PASSPHRASE}\n"] * 2 + [f"{ROOTS}\n"] * 2, prompt=PROMPT)
    renewed = on_terminal(kcert, *RENEWS, keys=[f"{PASSPHRASE}\n", f"{ROOTS}\n"], prompt=PROMPT)

    assert (made.status, renewed.status) == (0, 0)
    asked = re.findall(r"Passphrase [^\n]*: ", made.plain)
    assert asked == [
        "Passphrase for the CA's new key pki/ca.key: ",
        "Passphrase for the root's new key safe/root.key: ",
    ]
    asked = re.findall(r"Passphrase of [^\n]*: ", renewed.plain)
    assert asked == [
        "Passphrase of the CA's key pki/ca.key: ",
        f"Passphrase of the root's key {tmp_path}/safe/root.key: ",
    ]
    assert opens(tmp_path / "safe/root.key", ROOTS)
    assert opens(tmp_path / "pki/ca.key")
    assert ROOTS not in made.text + renewed.text


def test_what_is_typed_in_another_encoding_is_said_to_be_so(own: Path, kcert: Kcert) -> None:
    before = snapshot(own)

    ended = on_terminal(kcert, "client", "bob", keys=["caf\udce9\n"], prompt=PROMPT)

    assert ended.status == 2
    assert "the passphrase is not valid UTF-8" in " ".join(ended.plain.split())
    assert "no passphrase was given" not in ended.plain
    assert snapshot(own) == before


# --- scripts and lessons


@pytest.mark.thorough
def test_a_script_asks_for_both_and_takes_one_for_both(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"))

    for name, variables, passphrase in (("apart", WITH_BOTH, ROOTS), ("shared", WITH_IT, PASSPHRASE)):
        makes = ("ca", "--encrypt-ca-key", "--dir", name, "--root-dir", f"safe-{name}")
        script = kcert.done(*makes, "--dry-run", "--no-explain").stdout
        ended = output(["bash"], tmp_path, stdin=script, **variables)

        assert ended.status == 0, ended.stderr
        assert 'read -rsp "Passphrase of the root\'s key: " KCERT_ROOT_PASSPHRASE < /dev/tty' in script
        assert 'read -rsp "Passphrase of the CA\'s key: " KCERT_CA_PASSPHRASE < /dev/tty' in script
        assert opens(tmp_path / f"safe-{name}/root.key", passphrase)
        assert opens(tmp_path / name / "ca.key")


@pytest.mark.thorough
def test_no_script_no_lesson_and_no_history_holds_a_passphrase(own: Path, kcert: Kcert) -> None:
    runs = [
        kcert.done(*RENEWS[:-1], "--dry-run", variables=WITH_BOTH),
        kcert.done(*RENEWS[:-1], variables=WITH_BOTH),
        kcert.done("history", "--format", "sh"),
        kcert.done("history", "--dir", "safe", "--format", "sh"),
    ]
    said = "".join(run.stdout + run.stderr for run in runs).encode()
    said += b"".join((folder / ".kcert/history.jsonl").read_bytes() for folder in (own, own.parent / "safe"))

    secrets = [*secrets_of(own, PASSPHRASE, ROOTS), *secrets_of(own.parent / "safe")]
    assert not [secret for secret in secrets if secret in said]
    lesson = [line.strip() for line in runs[1].lines]
    for variable in ("KCERT_ROOT_PASSPHRASE", "KCERT_CA_PASSPHRASE"):
        assert lesson.index(f"IFS= read -rs {variable}") < lesson.index(f"export {variable}")
    assert 'read -rsp "Passphrase of the root\'s key: " KCERT_ROOT_PASSPHRASE < /dev/tty' in runs[3].stdout
