"""PKI folders that came from others, or belong to them: what was planted there has kcert write nowhere else."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from kcert.store.directory import Directory
from tests.clusters import SMALL
from tests.refusals import assert_refused, snapshot
from tests.running import REPOSITORY, Kcert, after_reading, output, representatives, without_privileges

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki

NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def plant(folder: Path, *names: str, content: str = "evil\n") -> Path:
    """A staging folder that says of *names* that they are to be put into place; the files are in it."""
    staging = folder / ".kcert/staging/1-1"
    for name in names:
        path = staging / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    journal = {"backup": "b", "files": list(names), "retires": []}
    (staging / "publish.json").write_text(json.dumps(journal), encoding="utf-8")
    return staging


@pytest.mark.parametrize("command", [("client", "eve", "-g", "x", "-q"), ("kubeconfig", "admin"), ("renew", "admin")])
def test_a_planted_journal_writes_through_no_link(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path, command: tuple[str, ...]
) -> None:
    folder = own_pki("course").folder
    victim = tmp_path / "home"
    victim.mkdir()
    (victim / "admin.crt").write_text("precious\n", encoding="utf-8")
    (folder / "h").symlink_to(victim)
    plant(folder, "h/admin.crt", "h/new.crt")
    mode = victim.stat().st_mode

    ended = kcert(*command)

    assert "h is a symbolic link" in " ".join((ended.stderr).split())
    assert {path.name: path.read_text(encoding="utf-8") for path in victim.iterdir()} == {"admin.crt": "precious\n"}
    assert victim.stat().st_mode == mode


@pytest.mark.parametrize("name", [".git/hooks/post-checkout", ".bashrc", "Makefile", ".hidden/x.crt"])
def test_a_planted_journal_writes_only_what_kcert_would(own_pki: Callable[..., Pki], kcert: Kcert, name: str) -> None:
    folder = own_pki("course").folder
    plant(folder, name)

    kcert.done("client", "eve", "-g", "x", "-q")

    assert not (folder / name).exists()


def test_a_planted_link_in_place_of_a_new_file_is_not_moved(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path
) -> None:
    folder = own_pki("course").folder
    secret = tmp_path / "secret"
    secret.write_text("precious\n", encoding="utf-8")
    staging = plant(folder, "admin.crt")
    (staging / "admin.crt").unlink()
    (staging / "admin.crt").symlink_to(secret)
    before, owner = (folder / "admin.crt").read_bytes(), secret.stat()

    kcert.done("client", "eve", "-g", "x", "-q")

    assert not (folder / "admin.crt").is_symlink()
    assert (folder / "admin.crt").read_bytes() == before
    assert (secret.stat().st_mode, secret.stat().st_uid) == (owner.st_mode, owner.st_uid)


@as_root
@pytest.mark.parametrize("sudo", [{}, {"SUDO_UID": str(NOBODY)}], ids=["root", "sudo"])
@pytest.mark.parametrize("theirs", [".kcert", ".kcert/staging", ".kcert/staging/1-1", ".kcert/lock", ".kcert/backup"])
def test_root_believes_nothing_that_another_user_put_there(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path, theirs: str, sudo: dict[str, str]
) -> None:
    folder = own_pki("course").folder
    (tmp_path / "root").mkdir(0o700)
    (tmp_path / "root/shadow").write_text("root's\n", encoding="utf-8")
    (tmp_path / "root/shadow").chmod(0o600)
    (folder / "sub").symlink_to(tmp_path / "root")
    (folder / ".kcert/backup").mkdir()
    plant(folder, "sub/planted.crt", "admin.crt")
    os.chown(folder / theirs, NOBODY, NOBODY)
    os.chown(folder, NOBODY, NOBODY)
    before = snapshot(tmp_path / "root"), (folder / "admin.crt").read_bytes()

    ended = kcert("client", "eve", "-g", "x", "-q", variables=sudo)

    assert_refused(ended, 2, f"{theirs} belongs to nobody, and kcert runs as root")
    assert (snapshot(tmp_path / "root"), (folder / "admin.crt").read_bytes()) == before
    status = (tmp_path / "root").stat()
    assert (status.st_mode & 0o777, status.st_uid) == (0o700, 0)


@as_root
@pytest.mark.parametrize(
    "command",
    [
        ("all", "-q", "-d", "theirs/pki"),
        ("export", "ansible", "-o", "theirs"),
        ("bundle", "-o", "theirs"),
        ("init", "--config", "theirs/kcert.yaml"),
        ("init", "--from", "pki", "--config", "theirs/kcert.yaml"),
        ("explain", "--export", "theirs/lessons"),
        ("practice", "start", "since-this-morning", "--dir", "theirs/lab"),
        ("practice", "exam", "--dir", "theirs/labs"),
    ],
)
def test_root_creates_no_folder_through_a_link_of_another_user(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path, command: tuple[str, ...]
) -> None:
    own_pki("course")
    (tmp_path / "root").mkdir(0o700)
    (tmp_path / "theirs").symlink_to(tmp_path / "root")
    os.chown(tmp_path / "theirs", NOBODY, NOBODY, follow_symlinks=False)

    assert_refused(kcert(*command), 2, "theirs is a symbolic link that belongs to nobody")
    assert list((tmp_path / "root").iterdir()) == []


@as_root
def test_root_writes_no_key_over_the_file_of_another_user(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path
) -> None:
    own_pki("course")
    (tmp_path / "out").mkdir()
    bundle = ("bundle", "node01", "-q", "-o", "out")
    kcert.done(*bundle)
    (made,) = (tmp_path / "out").iterdir()
    os.chown(made, NOBODY, NOBODY)

    assert_refused(kcert(*bundle), 2, f"out/{made.name} belongs to nobody, who could read what root writes there")


@pytest.mark.parametrize("name", [".kcert", ".kcert/staging", ".kcert/history.jsonl", ".kcert/lock"])
def test_what_others_can_write_to_is_not_believed(own_pki: Callable[..., Pki], kcert: Kcert, name: str) -> None:
    folder = own_pki("course").folder
    plant(folder, "admin.crt")
    (folder / name).chmod(0o777)

    ended = kcert("client", "eve", "-g", "x", "-q")

    assert_refused(ended, 2, f"others can write to pki/{name}", "chmod go-w")
    assert not (folder / "eve.crt").exists()


def test_a_linked_subfolder_is_neither_followed_nor_opened_to_others(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text("profile: kubeadm\nkey: {algorithm: ecdsa}\n", encoding="utf-8")
    (tmp_path / "out").mkdir(0o700)
    (tmp_path / "pki/pki").mkdir(parents=True)
    (tmp_path / "pki/pki/etcd").symlink_to(tmp_path / "out")

    ended = kcert("all", "-q")

    assert_refused(ended, 2, "pki/pki/etcd is a symbolic link")
    assert list((tmp_path / "out").iterdir()) == []
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


class LookedTooEarly(Directory):
    """What a race comes to: the links were planted after kcert looked for them."""

    def refuse_link(self, name: str) -> None:
        """Find none."""


@pytest.mark.parametrize(
    "use",
    [
        lambda folder: folder.child("sub"),
        lambda folder: folder.own_child("sub", 0o700),
        lambda folder: folder.open_own("link", os.O_RDWR),
        lambda folder: folder.read("link"),
        lambda folder: folder.finalize("link", 0o666, None),
        lambda folder: folder.write("link", b"evil", 0o600),
    ],
)
def test_a_link_that_is_planted_after_the_check_is_not_followed(
    tmp_path: Path, use: Callable[[Directory], object]
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "precious").write_text("precious\n", encoding="utf-8")
    (tmp_path / "precious").chmod(0o600)
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki/sub").symlink_to(tmp_path / "outside")
    (tmp_path / "pki/link").symlink_to(tmp_path / "precious")
    before = snapshot(tmp_path)

    with LookedTooEarly.open(tmp_path / "pki") as folder, pytest.raises(OSError, match=r"link|Not a directory|exists"):
        use(folder)

    assert snapshot(tmp_path) == before
    assert (tmp_path / "precious").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["history.jsonl", "history.head", "lock"])
def test_a_file_with_a_second_name_is_not_written_to(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path, name: str
) -> None:
    folder = own_pki("course").folder
    victim = tmp_path / "victim"
    victim.write_text("precious\n", encoding="utf-8")
    (folder / ".kcert" / name).unlink()
    os.link(victim, folder / ".kcert" / name)

    assert_refused(kcert("client", "eve", "-g", "x", "-q"), 2, "has another name as well (a hard link)")
    assert victim.read_text(encoding="utf-8") == "precious\n"


@pytest.mark.parametrize("name", representatives(["history.jsonl", "history.head", "lock"]))
def test_no_command_waits_for_a_fifo(own_pki: Callable[..., Pki], kcert: Kcert, name: str) -> None:
    folder = own_pki("course").folder
    (folder / ".kcert" / name).unlink()
    os.mkfifo(folder / ".kcert" / name)
    reads = [("history",), ("history", "--verify")]

    for command in [("client", "eve", "-g", "x", "-q"), *reads, ("renew", "admin", "-q")]:
        said = " ".join(kcert(*command).stderr.split())
        assert "mistake" not in said
        assert command in reads or "not a regular file" in said


def test_a_link_without_end_fills_no_memory(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder
    for name in ("ca.csr", "openssl-ca.cnf"):
        (folder / name).unlink()
        (folder / name).symlink_to("/dev/zero")

    kcert.done("renew", "ca", "-q")

    kept = {path.name: path.readlink() for path in (folder / ".kcert/backup").rglob("*") if path.is_symlink()}
    assert {name: str(target) for name, target in kept.items()} == {
        "ca.csr": "/dev/zero",
        "openssl-ca.cnf": "/dev/zero",
    }


def test_one_blocked_file_does_not_block_the_rest(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder
    new = (folder / "admin.crt").read_text(encoding="ascii")
    plant(folder, "admin.crt", content=new)
    (folder / "admin.crt").unlink()
    (folder / "admin.crt").mkdir()

    ended = kcert.done("client", "eve", "-g", "x", "-q")

    assert "admin.crt is a folder" in " ".join(ended.stderr.split())
    assert (folder / "eve.crt").is_file()
    blocked = kcert("renew", "admin", "-q")
    assert blocked.status in (2, 3)
    (folder / "admin.crt").rmdir()
    assert kcert.done("client", "zoe", "-g", "x", "-q").stderr == ""
    assert (folder / "admin.crt").read_text(encoding="ascii") == new
    assert kcert("history", "--verify").status == 0


@as_root
@pytest.mark.skipif(sys.platform != "linux", reason="chattr(1) is Linux's")
def test_what_cannot_be_replaced_is_seen_before_anything_moves(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder
    if not shutil.which("chattr") or output(["chattr", "+i", folder / "admin.crt"]).status != 0:
        pytest.skip("no file can be made immutable here")
    before = snapshot(folder)
    try:
        ended = kcert("renew", "admin", "--new-key", "-q")
        after = snapshot(folder)
        kcert.done("client", "eve", "-g", "x", "-q")
    finally:
        output(["chattr", "-i", folder / "admin.crt"])

    assert_refused(ended, 3, "admin.crt is immutable (chattr +i)", "chattr -i pki/admin.crt")
    assert after == before


@pytest.mark.thorough
@as_root
@pytest.mark.skipif(sys.platform != "linux", reason="unshare(1) is Linux's")
def test_a_subfolder_on_another_file_system_is_seen_before_anything_moves(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text("profile: kubeadm\nkey: {algorithm: ecdsa}\n", encoding="utf-8")
    kcert.done("all", "-q")
    mounting = (
        "mount -t tmpfs -o size=1m,mode=755 tmpfs pki/pki/etcd || exit 77; cp -a etcd/. pki/pki/etcd\n"
        '"$@" renew etcd-server -q; echo "status $?"; "$@" renew apiserver -q; echo "status $?"; "$@" all -q'
    )
    shutil.copytree(tmp_path / "pki/pki/etcd", tmp_path / "etcd")
    argv = ["unshare", "-m", "bash", "-c", mounting, "bash", *Kcert.argv()]
    ended = output(argv, folder=tmp_path, **kcert.environment())
    if ended.status in (1, 77) and "status" not in ended.stdout:
        pytest.skip("no file system can be mounted here")

    assert "status 3\n" in ended.stdout
    assert "pki/pki/etcd is on another file system" in " ".join(ended.stderr.split())
    assert "renewed  apiserver" in ended.stdout
    assert ended.status == 0


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux can root give its privileges up like this")
def test_another_users_folder_is_told_to_anyone(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    own = own_pki("course")
    (own.folder / "etcd").mkdir()
    own.folder.chmod(0o755)
    os.chown(own.folder, NOBODY, NOBODY)

    ended = kcert("client", "eve", "-g", "x", "--dry-run", preexec=without_privileges)

    assert "pki belongs to nobody" in " ".join(ended.stderr.split())


# --- files that never answer, or have no end


@pytest.mark.parametrize("kind", ["fifo", "zero"])
@pytest.mark.parametrize(
    ("where", "command"),
    [
        ("templates/client.cnf", ("client", "eve", "-g", "x", "-q", "--templates", "templates")),
        ("pki/openssl-admin.cnf", ("history", "--format", "sh")),
        ("log", ("diagnose", "log")),
        ("report", ("inventory", "pki", "--format", "csv", "-o", "report")),
        ("report", ("explain", "ca", "-o", "report")),
        ("pki/admin.csr", ("renew", "admin", "-q")),
        ("pki/ca.key", ("renew", "admin", "-q")),
        ("pki/ca.crt", ("bundle",)),
    ],
)
def test_nothing_is_waited_for(  # noqa: PLR0917 - fixtures
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path, kind: str, where: str, command: tuple[str, ...]
) -> None:
    own_pki("course")
    shutil.copytree(REPOSITORY / "openssl_templates", tmp_path / "templates")
    path = tmp_path / where
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")

    ended = kcert(*command)

    said = " ".join(ended.stderr.split())
    assert "mistake" not in said
    assert "Traceback" not in said
    assert (ended.status == 0) == (where in ENDS_WELL or (where, kind) == ("log", "fifo")), said


ENDS_WELL = ("pki/openssl-admin.cnf", "pki/admin.csr")
"""Files that are replaced, or left out, without being read."""


def test_a_history_of_many_gigabytes_is_not_read(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    with (own_pki("course").folder / ".kcert/history.jsonl").open("r+b") as file:
        file.truncate(50 * 2**30)

    assert_refused(kcert("history"), 2, "pki/.kcert/history.jsonl cannot be read: it is larger than")


@pytest.mark.parametrize("how", representatives(["link", "content", "above", "absolute"], lambda how: how == "content"))
def test_the_history_as_a_script_tells_no_key(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path, how: str
) -> None:
    folder = own_pki("course").folder
    (tmp_path / "secret").write_bytes((folder / "ca.key").read_bytes())
    settings = folder / "openssl-admin.cnf"
    if how in ("link", "content"):
        settings.unlink()
        settings.symlink_to("ca.key") if how == "link" else shutil.copy(folder / "ca.key", settings)
    else:
        history = folder / ".kcert/history.jsonl"
        name = "../secret" if how == "above" else str(tmp_path / "secret")
        history.write_text(history.read_text(encoding="utf-8").replace("openssl-admin.cnf", name), encoding="utf-8")

    script = kcert.done("history", "--format", "sh").stdout

    assert "PRIVATE KEY" not in script
    ended = output(["bash", "-s", "repeated"], folder=tmp_path, stdin=after_reading(script))
    assert (tmp_path / "secret").read_bytes() == (folder / "ca.key").read_bytes()
    if how in ("above", "absolute"):
        assert f"# {name} is outside the folder, so this cannot be repeated." in script
    else:
        assert ended.status == 0
        assert (tmp_path / "repeated/admin.crt").exists()


# --- names that mean something to a terminal or to a shell


@pytest.mark.thorough
@pytest.mark.parametrize("name", representatives(["p\x1b[31m\u202e", "a  b", "a`touch CANARY`b", "x\u2066y", "\u3164"]))
def test_no_name_of_a_folder_reaches_the_terminal_raw(kcert: Kcert, tmp_path: Path, name: str) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"), encoding="utf-8")

    printed = [kcert.done("all", "--dry-run", "-d", name), kcert.done("all", "-q", "-d", name)]

    printed += [kcert(*command, "-d", name) for command in (("client", "eve", "-g", "x", "--dry-run"), ("history",))]
    for ended in printed:
        assert not RAW.search(ended.stdout + ended.stderr), ended.stdout[:300]


RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2060-\u206f\u3164]")


@pytest.mark.thorough
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_printed_script_makes_the_folder_that_was_named(kcert: Kcert, tmp_path: Path, locale: str) -> None:
    name = "n\u202e\u00e9\u3164"
    script = kcert.done("ca", "--dry-run", "--no-explain", "-d", name).stdout

    output(["bash", "-c", script], folder=tmp_path, LC_ALL=locale)

    assert (tmp_path / name / "ca.crt").is_file()


@pytest.mark.thorough
def test_a_command_in_a_sentence_keeps_its_blanks(kcert: Kcert, tmp_path: Path) -> None:
    for name in ("a  b", "a b"):
        kcert.done("ca", "--csr-only", "-q", "-d", name)

    said = kcert("all", "-q", "-d", "a  b").stderr

    (command,) = re.findall(r"`(rm [^`]*)`", said)
    output(["bash", "-c", command], folder=tmp_path)
    assert [(tmp_path / name / "ca.csr").exists() for name in ("a  b", "a b")] == [False, True]
