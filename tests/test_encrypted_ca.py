"""A CA key behind a passphrase: made, used, refused, and never seen."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests import judge
from tests.clusters import PROFILES, SMALL, Pki
from tests.guarded import AUTHORITIES, PASSPHRASE, WITH_IT, copied, encrypted_pki, opens
from tests.refusals import assert_refused, snapshot
from tests.running import Kcert, output, representatives
from tests.terminal import on_terminal
from tests.test_certificates import parts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROMPT = rb"(?:Passphrase[^\n]*|Repeat the passphrase): "


@pytest.fixture(scope="session")
def encrypted(shared: Path) -> Callable[[str], Pki]:
    """``encrypted("course")``: a PKI with encrypted CA keys, for looking at only."""

    def made(profile: str) -> Pki:
        return encrypted_pki(shared, profile)

    return made


@pytest.fixture
def own(encrypted: Callable[[str], Pki], tmp_path: Path) -> Path:
    """A PKI folder of one's own with an encrypted CA key."""
    return copied(encrypted("course"), tmp_path)


@pytest.mark.parametrize("profile", representatives(PROFILES))
def test_every_ca_key_is_encrypted_and_no_other(encrypted: Callable[[str], Pki], profile: str) -> None:
    folder = encrypted(profile).folder
    authorities = {folder / f"{name}.key" for name in AUTHORITIES[profile]}

    assert authorities <= set(folder.rglob("*.key"))
    for key in folder.rglob("*.key"):
        assert opens(key, PASSPHRASE if key in authorities else None), key
        assert not (key in authorities and opens(key, None)), key
        assert key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("profile", representatives(PROFILES))
def test_certificates_are_what_they_are_without_a_passphrase(
    encrypted: Callable[[str], Pki], pki: Callable[[str, str], Pki], kcert: Kcert, profile: str
) -> None:
    with_it, without = encrypted(profile).folder, pki(profile, "small").folder

    names = {str(path.relative_to(without)) for path in without.rglob("*.crt")}
    assert names == {str(path.relative_to(with_it)) for path in with_it.rglob("*.crt")}
    for name in names:
        one, other = (judge.judged(judge.load(folder / name)) for folder in (with_it, without))
        assert (one.subject, one.names, one.basic, one.extensions) == (
            other.subject,
            other.names,
            other.basic,
            other.extensions,
        )
    assert kcert.done("check", with_it).stdout.endswith("no problems found.\n")


@pytest.mark.thorough
def test_an_rsa_key_is_made_by_genrsa_as_ever(kcert: Kcert, tmp_path: Path) -> None:
    ended = kcert.done("ca", "--encrypt-ca-key", "--no-explain", variables=WITH_IT)

    assert "openssl genrsa -aes256 -passout env:KCERT_CA_PASSPHRASE -out ca.key 2048" in _joined(ended.stdout)
    assert opens(tmp_path / "pki/ca.key")


def test_an_ecdsa_key_is_encrypted_before_it_is_written(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"))

    ended = kcert.done("ca", "--encrypt-ca-key", "--no-explain", variables=WITH_IT)

    assert "openssl genpkey -algorithm EC" in ended.stdout
    assert "-aes256 -pass env:KCERT_CA_PASSPHRASE -out ca.key" in _joined(ended.stdout)
    assert "ecparam" not in ended.stdout


def _joined(text: str) -> str:
    return re.sub(r" *\\\n *", " ", text)


USES = [("client", "bob", "--jobs", "2"), ("renew", "--all", "--quiet"), ("renew", "ca")]


@pytest.mark.parametrize(
    "arguments",
    representatives([*USES, ("renew", "ca", "--new-key", "--quiet")]),
    ids=" ".join,
)
def test_it_is_used_with_its_passphrase(own: Path, kcert: Kcert, arguments: tuple[str, ...]) -> None:
    ended = kcert.done(*arguments, variables=WITH_IT)

    assert opens(own / "ca.key")
    assert not opens(own / "ca.key", None)
    assert PASSPHRASE not in ended.stdout + ended.stderr
    assert kcert.done("check", "pki").stdout.endswith("no problems found.\n")
    assert kcert.done("history", "--verify").status == 0


@pytest.mark.parametrize("arguments", USES, ids=" ".join)
@pytest.mark.parametrize("given", ["a wrong one", None], ids=["wrong", "missing"])
def test_without_the_right_one_nothing_is_written(
    own: Path, kcert: Kcert, arguments: tuple[str, ...], given: str | None
) -> None:
    before = snapshot(own)
    history = (own / ".kcert/history.jsonl").read_bytes()

    ended = kcert(*arguments, variables={"KCERT_CA_PASSPHRASE": given} if given else None)

    assert_refused(ended, 2, "does not open pki/ca.key" if given else "there is no terminal to ask")
    assert snapshot(own) == before
    assert (own / ".kcert/history.jsonl").read_bytes() == history


@pytest.mark.parametrize("given", ["a wrong one", None], ids=["wrong", "missing"])
def test_a_new_pki_is_not_begun_without_a_passphrase(kcert: Kcert, tmp_path: Path, given: str | None) -> None:
    variables = {"KCERT_CA_PASSPHRASE": given[:4]} if given else None

    ended = kcert("all", "--encrypt-ca-key", "--quiet", variables=variables)

    assert_refused(ended, 2, "has 4 characters" if given else "there is no terminal to ask")
    assert not (tmp_path / "pki").exists()


def test_what_reads_needs_no_passphrase(own: Path, kcert: Kcert) -> None:
    assert {line.split()[0] for line in kcert.done("plan").lines[1:]} == {"current"}
    assert "encrypted: yes" in kcert.done("show", own / "ca.key").stdout
    assert "-> admin.kubeconfig" in kcert.done("kubeconfig", "admin").stdout
    assert "ca.crt" in kcert.done("inventory", own, "--format", "csv").stdout
    assert kcert.done("all", "--quiet").lines == [
        line for line in kcert.done("all", "--quiet").lines if line.endswith("  current")
    ]


def test_the_controller_manager_is_not_given_a_key_that_it_cannot_open(own: Path, kcert: Kcert) -> None:
    flags = kcert.done("flags", "kube-controller-manager", "--format", "flags")
    bundle = kcert.done("bundle")

    assert "--cluster-signing" not in flags.stdout
    assert "--root-ca-file" in flags.stdout
    for ended in (flags, bundle):
        said = " ".join(ended.stderr.split())
        assert f"{own.name}/ca.key is encrypted" in said
        assert "no --cluster-signing options" in said
    listed = output(["tar", "-tzf", "bundles/controlplane01.tar.gz"], kcert.folder).stdout
    assert "etc/kubernetes/pki/ca.crt" in listed
    assert "ca.key" not in listed


# --- where the passphrase comes from


def test_the_file_is_named_to_openssl_and_read_by_it(own: Path, kcert: Kcert, tmp_path: Path) -> None:
    file = tmp_path / "the passphrase"
    file.write_text(f"{PASSPHRASE}\nanother line\n")
    file.chmod(0o600)

    ended = kcert.done("client", "bob", "--no-explain", "--ca-passphrase-file", file)

    assert f"-passin 'file:{file}'" in _joined(ended.stdout)
    assert "KCERT_CA_PASSPHRASE" not in ended.stdout
    assert (own / "bob.crt").exists()


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("", 0o600, "is empty"),
        ("\nsecond line\n", 0o600, "is empty"),
        ("of a Windows file\r\n", 0o600, "a Windows line ending"),
        ("x" * 1001, 0o600, "longer than 1000 bytes"),
        ("readable by all\n", 0o644, "other users can read or replace it (mode 0644)"),
        ("writable by the group\n", 0o620, "other users can read or replace it (mode 0620)"),
        (None, 0o600, "No such file"),
    ],
)
def test_a_file_that_will_not_do_is_named(  # noqa: PLR0917 - three of them are the case
    own: Path, kcert: Kcert, tmp_path: Path, content: str | None, mode: int, said: str
) -> None:
    file = tmp_path / "passphrase"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)

    ended = kcert("client", "bob", "--ca-passphrase-file", file)

    assert_refused(ended, 2, str(file), said)
    assert not (own / "bob.key").exists()
    if content and content.strip():
        assert content.strip()[:30] not in ended.stderr


def passphrase_in(folder: Path, mode: int = 0o700) -> Path:
    """A file with the passphrase, for its owner alone, in a new *folder* with *mode*."""
    folder.mkdir()
    file = folder / "passphrase"
    file.write_text(PASSPHRASE)
    file.chmod(0o400)
    folder.chmod(mode)
    return file


@pytest.mark.parametrize("mode", [0o777, 0o703], ids=oct)
def test_a_file_that_others_could_replace_is_refused(own: Path, kcert: Kcert, tmp_path: Path, mode: int) -> None:
    file = passphrase_in(tmp_path / "open", mode)

    ended = kcert("client", "bob", "--ca-passphrase-file", file)

    assert_refused(
        ended, 2, f"other users can read or replace it (its folder {file.parent} has mode {mode:04o}): `chmod go-w"
    )
    assert not (own / "bob.key").exists()


def test_a_file_below_a_folder_that_others_could_replace_is_refused(own: Path, kcert: Kcert, tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir()
    file = passphrase_in(above / "closed")
    above.chmod(0o777)

    assert_refused(kcert("client", "bob", "--ca-passphrase-file", file), 2, f"(its folder {above} has mode 0777)")
    assert not (own / "bob.key").exists()


def test_a_secret_as_kubernetes_mounts_it_is_taken(own: Path, kcert: Kcert, tmp_path: Path) -> None:
    """A folder like /tmp, in it a link to a link to a folder: https://kubernetes.io/docs/concepts/configuration/secret/."""
    mount = tmp_path / "mount"
    mount.mkdir()
    passphrase_in(mount / "..2026_01_01", 0o755)
    (mount / "..data").symlink_to("..2026_01_01")
    (mount / "passphrase").symlink_to("..data/passphrase")
    mount.chmod(0o1777)

    kcert.done("client", "bob", "--quiet", "--ca-passphrase-file", mount / "passphrase")

    assert (own / "bob.crt").exists()


def test_behind_a_link_the_folder_of_the_file_counts(own: Path, kcert: Kcert, tmp_path: Path) -> None:
    file = passphrase_in(tmp_path / "open", 0o777)
    (tmp_path / "link").symlink_to(file)

    assert_refused(kcert("client", "bob", "--ca-passphrase-file", tmp_path / "link"), 2, f"its folder {file.parent}")
    assert not (own / "bob.key").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("what", ["file", "folder", "link"])
def test_a_file_of_somebody_else_is_refused_but_his_who_is_root_by_sudo(
    own: Path, kcert: Kcert, tmp_path: Path, what: str
) -> None:
    file = passphrase_in(tmp_path / "theirs")
    (tmp_path / "theirs/link").symlink_to(file)
    given = {"file": file, "folder": file.parent, "link": tmp_path / "theirs/link"}
    os.chown(given[what], 65534, 65534, follow_symlinks=False)
    argument = given["link"] if what == "link" else file

    refused = kcert("client", "bob", "--ca-passphrase-file", argument)

    whose = "its folder" if what == "folder" else "(it belongs to"
    assert_refused(refused, 2, "holds a passphrase, and other users can read or replace it", whose)
    assert not (own / "bob.key").exists()
    kcert.done("client", "bob", "-q", "--ca-passphrase-file", argument, variables={"SUDO_UID": "65534"})


def test_a_pipe_is_refused_and_not_waited_for(own: Path, kcert: Kcert, tmp_path: Path) -> None:
    subprocess.run(["mkfifo", "-m", "600", str(tmp_path / "pipe")], check=True)

    ended = kcert("client", "bob", "--ca-passphrase-file", tmp_path / "pipe")

    assert_refused(ended, 2, "A pipe is not possible", "KCERT_CA_PASSPHRASE=")
    assert not (own / "bob.key").exists()


@pytest.mark.parametrize("value", ["", "two\nlines", "x" * 1001])
def test_a_value_that_openssl_would_take_otherwise_is_refused(own: Path, kcert: Kcert, value: str) -> None:
    ended = kcert("client", "bob", variables={"KCERT_CA_PASSPHRASE": value})

    assert_refused(ended, 2, "KCERT_CA_PASSPHRASE")
    assert not (own / "bob.key").exists()


def test_the_file_comes_before_the_environment(own: Path, kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "p").write_text(PASSPHRASE)
    (tmp_path / "p").chmod(0o600)

    kcert.done(
        *("client", "bob", "--quiet", "--ca-passphrase-file", tmp_path / "p"),
        variables={"KCERT_CA_PASSPHRASE": "not this"},
    )

    assert (own / "bob.crt").exists()


def test_at_a_terminal_it_is_asked_for_once_and_not_shown(own: Path, kcert: Kcert) -> None:
    ended = on_terminal(kcert, "renew", "--all", "--quiet", keys=[f"{PASSPHRASE}\n"], prompt=PROMPT)

    assert ended.status == 0
    assert ended.plain.count("Passphrase of the CA's key pki/ca.key: ") == 1
    assert PASSPHRASE not in ended.text
    assert own.exists()


def test_a_new_one_is_asked_for_twice_for_all_cas_together(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="kubeadm"))

    keys = [f"{PASSPHRASE}\n"] * 2
    ended = on_terminal(kcert, "ca", "--encrypt-ca-key", "--quiet", keys=keys, prompt=PROMPT)

    assert ended.status == 0
    assert (ended.plain.count("Passphrase"), ended.plain.count("Repeat the passphrase")) == (1, 1)
    assert all(opens(tmp_path / f"pki/{name}.key") for name in AUTHORITIES["kubeadm"])


def test_two_that_differ_end_it_before_anything_is_made(kcert: Kcert, tmp_path: Path) -> None:
    keys = [f"{PASSPHRASE}\n", "a slip of the finger\n"]
    ended = on_terminal(kcert, "ca", "--encrypt-ca-key", "--quiet", keys=keys, prompt=PROMPT)

    assert ended.status == 2
    assert "the two passphrases differ" in " ".join(ended.plain.split())
    assert "slip" not in ended.text
    assert not (tmp_path / "pki").exists()


# --- keys from elsewhere, and keys that are there already


@pytest.mark.parametrize(
    "argv",
    [
        ["openssl", "pkcs8", "-topk8", "-v2", "aes-128-cbc"],
        ["openssl", "ec", "-aes256"],
    ],
    ids=["ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"],
)
def test_a_key_that_another_tool_encrypted_is_used(
    own_pki: Callable[..., Pki], kcert: Kcert, argv: list[str], request: pytest.FixtureRequest
) -> None:
    folder = own_pki("course").folder
    key = folder / "ca.key"
    ended = output([*argv, "-in", key, "-passout", f"pass:{PASSPHRASE}", "-out", folder / "other"])
    assert ended.status == 0, ended.stderr
    (folder / "other").replace(key)
    assert request.node.callspec.id in key.read_text()

    kcert.done("client", "bob", "--quiet", variables=WITH_IT)

    certificate, _ = parts(folder, "bob.crt")
    certificate.verify_directly_issued_by(judge.load(folder / "ca.crt"))
    assert_refused(kcert("client", "eve", "-q", variables={"KCERT_CA_PASSPHRASE": "wrong one"}), 2, "does not open")


def test_an_encrypted_key_of_another_ca_is_told_from_a_wrong_passphrase(
    own: Path, encrypted: Callable[[str], Pki], kcert: Kcert
) -> None:
    (own / "ca.key").write_bytes((encrypted("hardway").folder / "ca.key").read_bytes())

    for command in (("client", "bob"), ("renew", "ca")):
        assert_refused(kcert(*command, variables=WITH_IT), 2, "pki/ca.key is not the key of ca.crt")


def test_a_plain_key_that_is_there_is_never_changed(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    before = snapshot(own_pki("course").folder)

    ended = kcert("ca", "--encrypt-ca-key", variables=WITH_IT)

    assert_refused(ended, 2, "pki/ca.key exists and is not encrypted", "openssl pkey -in pki/ca.key -aes256")
    assert snapshot(kcert.folder / "pki") == before


def test_a_leafs_encrypted_key_is_refused_as_ever(own: Path, kcert: Kcert) -> None:
    (own / "admin.key").write_bytes((own / "ca.key").read_bytes())
    (own / "admin.crt").unlink()

    assert_refused(kcert("all", "-q", variables=WITH_IT), 2, "pki/admin.key is encrypted", "only for CAs")


def test_the_option_belongs_to_a_key_that_is_made(own: Path, kcert: Kcert) -> None:
    ended = kcert("renew", "ca", "--encrypt-ca-key", variables=WITH_IT)

    assert_refused(ended, 2, "--encrypt-ca-key needs a new CA key")
    assert own.exists()


@pytest.mark.thorough
def test_a_change_over_can_begin_to_encrypt(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder

    kcert.done("renew", "ca", "--new-key", "--encrypt-ca-key", "--quiet", variables=WITH_IT)
    kcert.done("renew", "--all", "--quiet", variables=WITH_IT)
    kcert.done("renew", "ca", "--finish", "--quiet")

    assert opens(folder / "ca.key")
    assert not opens(folder / "ca.key", None)
    assert kcert.done("check", "pki").stdout.endswith("no problems found.\n")


# --- a request that the controller-manager's part is played for


@pytest.mark.thorough
def test_csr_sign_opens_the_key(own: Path, kcert: Kcert) -> None:
    kcert.done("csr", "new", "eve", "--group", "developers")
    kcert.done("csr", "manifest", "eve")
    kcert.done("csr", "approve", "--file", "pki/eve-csr.yaml")
    refused = kcert("csr", "sign", "--file", "pki/eve-csr.yaml")

    ended = kcert.done("csr", "sign", "--file", "pki/eve-csr.yaml", variables=WITH_IT)
    kcert.done("csr", "fetch", "eve", "--file", "pki/eve-csr.yaml")

    assert_refused(refused, 2, "there is no terminal to ask")
    assert "-keyfile ca.key -passin env:KCERT_CA_PASSPHRASE" in _joined(ended.stdout)
    assert judge.load(own / "eve.crt").issuer == judge.load(own / "ca.crt").subject


# --- scripts


@pytest.mark.thorough
@pytest.mark.parametrize("profile", representatives(PROFILES))
def test_the_script_makes_the_same(kcert: Kcert, tmp_path: Path, profile: str) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile=profile))
    script = kcert.done("all", "--dry-run", "--no-explain", "--encrypt-ca-key", variables=WITH_IT).stdout

    without = output(["bash"], tmp_path, stdin=script)
    ended = output(["bash"], tmp_path, stdin=script, **WITH_IT)

    assert PASSPHRASE not in script
    assert without.status == 1
    assert "/dev/tty" in without.stderr
    assert ended.status == 0, ended.stderr
    assert all(opens(tmp_path / f"pki/{name}.key") for name in AUTHORITIES[profile])
    assert kcert.done("check", "pki").stdout.endswith("no problems found.\n")


def test_no_passphrase_is_asked_for_by_a_script_that_is_only_printed(own: Path, kcert: Kcert) -> None:
    ended = kcert.done("renew", "admin", "--dry-run", "--no-explain")

    assert 'read -rsp "Passphrase of the CA\'s key: " KCERT_CA_PASSPHRASE' in ended.stdout
    assert own.exists()


class Piped(Kcert):
    """A script that bash reads from its standard input, as behind `kcert … --dry-run |`."""

    @staticmethod
    def argv(*arguments: str | Path) -> list[str]:
        return ["bash", "-c", 'bash < "$1"', "bash", *map(str, arguments)]


def test_a_script_in_a_pipe_asks_at_the_terminal(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"))
    script = kcert.done("ca", "--dry-run", "--no-explain", "--encrypt-ca-key").stdout
    (tmp_path / "script").write_text(script)
    blanks = " with blanks around it "

    slip = on_terminal(Piped(tmp_path), "script", keys=[f"{blanks}\n", "a slip\n"], prompt=PROMPT)
    assert slip.status == 2
    assert not (tmp_path / "pki").exists()
    ended = on_terminal(Piped(tmp_path), "script", keys=[f"{blanks}\n"] * 2, prompt=PROMPT)

    assert ended.status == 0, ended.text
    assert "blanks" not in ended.text
    assert opens(tmp_path / "pki/ca.key", blanks)


@pytest.mark.thorough
def test_the_history_is_a_script_that_asks_for_it(
    encrypted: Callable[[str], Pki], kcert: Kcert, tmp_path: Path
) -> None:
    folder = encrypted("course").folder
    script = kcert.done("history", "--dir", folder, "--format", "sh").stdout
    (tmp_path / "history.sh").write_text(script)

    ended = output(["bash", "history.sh", "again"], tmp_path, **WITH_IT)

    assert ended.status == 0, ended.stderr
    assert opens(tmp_path / "again/ca.key")
    assert PASSPHRASE not in script
    records = json.loads(kcert.done("history", "--dir", folder, "--format", "json").stdout)
    assert any("env:KCERT_CA_PASSPHRASE" in one["argv"] for one in records)


def test_a_lesson_tells_how_to_give_it_by_hand(own: Path, kcert: Kcert) -> None:
    said = kcert.done("client", "bob", variables=WITH_IT).stdout

    commands = [line.strip() for line in _joined(said).splitlines() if line.startswith("    ")]
    assert commands.index("IFS= read -rs KCERT_CA_PASSPHRASE") < commands.index("export KCERT_CA_PASSPHRASE")
    signature = next(line for line in commands if line.startswith("openssl x509 -req -in bob.csr"))
    (own / "bob.crt").unlink()
    assert output(["bash", "-c", signature], own, **WITH_IT).status == 0
    assert (own / "bob.crt").exists()
