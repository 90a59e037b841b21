"""No key is open to others at any moment, and no secret is where others can see it; watched from outside by strace."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clusters import SMALL
from tests.guarded import PASSPHRASE, WITH_IT, secrets_of
from tests.refusals import assert_refused
from tests.running import LONGEST, Kcert, program, representatives

if TYPE_CHECKING:
    from collections.abc import Iterator

_CALLS = "openat,open,creat,mkdir,mkdirat,chmod,fchmod,fchmodat,umask,clone,clone3,fork,vfork,execve"
_LINE = re.compile(r"(?P<pid>\d+) +(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")
_SECRET = re.compile(r"\.(?:key|conf|kubeconfig|tar\.gz)(?:\.|$)")
"""What a file is called that holds a key: in staging, in place, in a backup, and while it is a draft."""


@dataclass
class Watched:
    """What a run of kcert, and all that it started, did: files and folders as they were made, modes that were set."""

    made: list[tuple[str, int]] = field(default_factory=list)
    folders: list[tuple[str, int]] = field(default_factory=list)
    changed: list[tuple[str, int]] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    text: str = ""


def watched(kcert: Kcert, *arguments: str | Path, mask: int) -> Watched:
    """Run kcert under strace, with *mask* as the umask that it is started with."""
    log = kcert.folder.parent / f"{kcert.folder.name}-strace.log"
    argv = [
        program("strace"),
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-y",
        "-s",
        "4096",
        "-e",
        f"trace={_CALLS}",
        "-o",
        str(log),
    ]
    ended = subprocess.run(
        [*argv, *kcert.argv(*arguments)],
        cwd=kcert.folder,
        env=kcert.environment({**WITH_IT, "PYTHONDONTWRITEBYTECODE": "1"}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LONGEST,
        preexec_fn=lambda: os.umask(mask) and None,
        check=False,
    )
    if "ptrace" in ended.stderr.decode(errors="replace").lower():
        pytest.skip("this machine does not let strace look")
    assert ended.returncode == 0, ended.stderr.decode()
    text = log.read_text(encoding="utf-8", errors="replace")
    log.unlink()
    found = _read(text, mask)
    found.text = text + ended.stdout.decode() + ended.stderr.decode()
    return found


def _read(text: str, mask: int) -> Watched:
    found, masks = Watched(), dict[str, int]()
    for line in _whole(text):
        pid, call, arguments, result = line["pid"], line["call"], line["arguments"], int(line["result"])
        of_process = masks.setdefault(pid, mask)
        if result < 0:
            continue
        name = (re.findall(r'"((?:[^"\\]|\\.)*)"', arguments) or re.findall(r"<([^>]*)>", arguments) or [""])[0]
        if call == "umask":
            masks[pid] = int(arguments, 8)
        elif call in ("clone", "clone3", "fork", "vfork"):
            masks[str(result)] = of_process
        elif call == "execve":
            found.started.append(arguments)
        elif call in ("mkdir", "mkdirat"):
            found.folders.append((name, _mode(arguments) & ~of_process))
        elif call in ("chmod", "fchmod", "fchmodat"):
            found.changed.append((name, _mode(arguments)))
        elif "O_CREAT" in arguments or call == "creat":
            found.made.append((name, _mode(arguments) & ~of_process))
    return found


def _mode(arguments: str) -> int:
    return int(re.findall(r"\b0\d{1,4}\b(?!.*\b0\d{1,4}\b)", re.sub(r'"[^"]*"|<[^>]*>', "", arguments))[-1], 8)


def _whole(text: str) -> Iterator[re.Match[str]]:
    """The calls; one that was interrupted by another's line is put together again."""
    waiting: dict[str, str] = {}
    for line in text.splitlines():
        pid = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            waiting[pid] = line.removesuffix(" <unfinished ...>")
            continue
        resumed = re.match(r"\d+ +<\.\.\. \w+ resumed>(.*)", line)
        whole = waiting.pop(pid, "") + resumed[1] if resumed else line
        if call := _LINE.match(whole):
            yield call


def assert_closed(found: Watched, home: Path, *expected: str) -> None:
    """No file with a key could be opened by others, from its first moment on; those called *expected* were seen."""
    secret = [(name, mode) for name, mode in found.made if _SECRET.search(Path(name).name)]
    for name, mode in secret:
        assert mode & 0o077 == 0, f"{name} was made with mode {mode:04o}"
    for name, mode in found.changed:
        assert mode & 0o077 == 0 or not _SECRET.search(Path(name).name), f"{name} got mode {mode:04o}"
    for name, mode in found.folders:
        if ".kcert" in Path(name).parts or Path(name).name == "bundles":
            assert mode & 0o077 == 0, f"the folder {name} was made with mode {mode:04o}"
    seen = {Path(name).name for name, _ in secret}
    for name in expected:
        assert any(name in one for one in seen), f"{name} was not seen among {seen}"
    for path in home.rglob("*"):
        if path.is_file() and _SECRET.search(path.name):
            assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("profile", "mask"), [("course", 0o022), pytest.param("kubeadm", 0o000, marks=pytest.mark.thorough)]
)
def test_no_key_is_open_to_others_while_it_is_written(tmp_path: Path, profile: str, mask: int) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "kcert.yaml").write_text(SMALL.format(profile=profile))
    kcert = Kcert(home)
    encrypt = ("--encrypt-ca-key",) if mask else ()

    everything = watched(kcert, "all", "--quiet", *encrypt, mask=mask)
    lesson = watched(kcert, "client", "jane", mask=mask)
    again = watched(kcert, "renew", "jane", "--new-key", "--quiet", mask=mask)
    handed_out = watched(kcert, "bundle", "controlplane01", mask=mask)
    asked = watched(kcert, "csr", "new", "eve", mask=mask)

    assert_closed(everything, home, "ca.key", "admin.key")
    assert_closed(lesson, home, "jane.key")
    assert_closed(again, home, "jane.key")
    assert_closed(handed_out, home, "controlplane01.tar.gz")
    assert_closed(asked, home, "eve.key")
    if profile == "course":
        assert_closed(watched(kcert, "kubeconfig", "admin", mask=mask), home, "admin.kubeconfig")
        elsewhere = watched(kcert, "kubeconfig", "admin", "--output", "elsewhere.conf", mask=mask)
        assert_closed(elsewhere, home, "elsewhere.conf")


def test_the_watch_would_see_an_open_key(tmp_path: Path) -> None:
    """What proves that the tests above can fail."""
    text = '7 umask(000) = 022\n7 openat(AT_FDCWD</x>, "a.key", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3</x/a.key>\n'
    with pytest.raises(AssertionError, match="mode 0666"):
        assert_closed(_read(text, 0o022), tmp_path)
    closed = text.replace("umask(000)", "umask(077)")
    assert_closed(_read(closed, 0o022), tmp_path, "a.key")


@pytest.mark.thorough
def test_no_secret_is_on_a_command_line_in_the_history_or_on_the_screen(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "kcert.yaml").write_text(SMALL.format(profile="kubeadm"))
    kcert = Kcert(home)
    runs = [
        watched(kcert, "all", "--encrypt-ca-key", mask=0o022),
        watched(kcert, "renew", "apiserver", "--new-key", mask=0o022),
        watched(kcert, "renew", "admin", mask=0o022),
        watched(kcert, "show", "pki/pki/apiserver.key", mask=0o022),
        watched(kcert, "check", "pki", mask=0o022),
        watched(kcert, "history", mask=0o022),
        watched(kcert, "history", "--format", "sh", mask=0o022),
        watched(kcert, "renew", "admin", "--new-key", "--dry-run", mask=0o022),
    ]
    secrets = list(secrets_of(home / "pki", PASSPHRASE))
    assert len(secrets) > 20

    said = "".join(run.text for run in runs).encode() + (home / "pki/.kcert/history.jsonl").read_bytes()

    assert any("genpkey" in one for run in runs for one in run.started)
    assert not [secret for secret in secrets if secret in said]


def test_only_the_commands_that_need_it_get_the_passphrase(tmp_path: Path) -> None:
    """Each program says what it finds in its environment; kubectl, curl and the rest are started by the same door."""
    wrapper = tmp_path / "openssl"
    wrapper.write_text(
        '#!/bin/sh\n[ -z "${KCERT_CA_PASSPHRASE+x}" ] || echo "$*" >> '
        f'"{tmp_path}/given"\n'
        f'exec {program("openssl")} "$@"\n'
    )
    wrapper.chmod(0o755)
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"))

    Kcert(tmp_path).done("all", "--quiet", "--encrypt-ca-key", "--openssl", wrapper, variables=WITH_IT)

    given = (tmp_path / "given").read_text().splitlines()
    assert given
    assert all("env:KCERT_CA_PASSPHRASE" in line for line in given)
    assert not [line for line in given if line.startswith(("verify", "version", "storeutl", "ecparam"))]


FAULTS = [
    (("client", "bob"), {"KCERT_CA_PASSPHRASE": f"{PASSPHRASE}?"}),
    (("client", "bob", "--openssl", "/bin/false"), WITH_IT),
    (("client", "bob", "--ca-passphrase-file", "pki/ca.key"), {}),
    (("client", "bob", "--dir", "/proc/nowhere"), WITH_IT),
    (("client", "bob", "--templates", "nowhere"), WITH_IT),
]


@pytest.mark.parametrize(("arguments", "variables"), FAULTS, ids=range(len(FAULTS)))
def test_no_error_and_no_traceback_shows_a_secret(
    tmp_path: Path, arguments: tuple[str, ...], variables: dict[str, str]
) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"))
    kcert = Kcert(tmp_path)
    kcert.done("ca", "--quiet", "--encrypt-ca-key", variables=WITH_IT)
    secrets = list(secrets_of(tmp_path / "pki", PASSPHRASE))

    ended = kcert(*arguments, variables={**variables, "KCERT_DEBUG": "1"})

    assert ended.status in (2, 3)
    said = (ended.stdout + ended.stderr).encode()
    assert not [secret for secret in secrets if secret in said]


# --- what others may have put in the way


@pytest.mark.parametrize("name", ["lock", "history.jsonl", "history.head", "staging", "backup"])
def test_a_link_among_kcerts_own_files_leads_nowhere(tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    (tmp_path / "pki/.kcert").mkdir(parents=True)
    (tmp_path / "pki/.kcert" / name).symlink_to(victim)

    ended = Kcert(tmp_path)("ca", "--quiet")

    assert_refused(ended, 2, f"pki/.kcert/{name} is a symbolic link")
    assert victim.read_text() == "precious\n"


def test_kcerts_own_folder_is_no_link_to_another(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki/.kcert").symlink_to(tmp_path / "elsewhere")

    assert_refused(Kcert(tmp_path)("ca", "--quiet"), 2, "pki/.kcert is a symbolic link")
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["../victim", "/victim"])
def test_a_journal_that_kcert_did_not_write_moves_nothing_out(tmp_path: Path, name: str) -> None:
    staging = tmp_path / "pki/.kcert/staging/1-1"
    staging.mkdir(parents=True)
    (tmp_path / "victim").write_text("precious\n")
    (staging.parent / "victim").write_text("evil\n")
    target = str(tmp_path / "victim") if name.startswith("/") else name
    (staging / "publish.json").write_text(f'{{"backup": "now", "files": ["{target}"]}}')

    Kcert(tmp_path).done("ca", "--quiet")

    assert (tmp_path / "victim").read_text() == "precious\n"


@pytest.mark.thorough
def test_a_key_that_is_a_link_stays_one_and_so_does_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"))
    kcert = Kcert(tmp_path)
    kcert.done("all", "--quiet")
    elsewhere = tmp_path / "elsewhere.key"
    (tmp_path / "pki/admin.key").replace(elsewhere)
    before = elsewhere.read_bytes()
    (tmp_path / "pki/admin.key").symlink_to(elsewhere)

    ended = kcert("renew", "admin", "--new-key", "--quiet")

    assert ended.status == 2
    assert "pki/admin.key is a link to" in ended.stderr
    assert elsewhere.read_bytes() == before
    assert (tmp_path / "pki/admin.key").readlink() == elsewhere
    assert not (tmp_path / "pki/.kcert/backup").exists()


@pytest.mark.parametrize("what", ["pki", "kcert.yaml"])
def test_what_others_can_write_to_is_told(tmp_path: Path, what: str) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"))
    (tmp_path / "pki").mkdir(0o700)
    (tmp_path / what).chmod(0o777)

    ended = Kcert(tmp_path).done("ca", "--quiet")

    assert f"others can write to {what}, and so change" in " ".join(ended.stderr.split())
    assert "chmod go-w" in ended.stderr


@pytest.mark.thorough
@pytest.mark.parametrize("mode", representatives([0o777, 0o703]), ids=oct)
def test_a_subfolder_that_others_can_write_to_is_told(tmp_path: Path, mode: int) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="kubeadm"))
    (tmp_path / "pki/pki/etcd").mkdir(0o700, parents=True)
    (tmp_path / "pki/pki/etcd").chmod(mode)

    said = " ".join(Kcert(tmp_path).done("all", "--quiet").stderr.split())

    assert "others can write to pki/pki/etcd, and so change" in said
    assert "`chmod go-w pki/pki/etcd`" in said
    assert said.count("others can") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_is_told_whose_folder_and_whose_openssl_it_is(tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"))
    (tmp_path / "pki").mkdir(0o700)
    os.chown(tmp_path / "pki", 65534, 65534)
    other = tmp_path / "bin" / "openssl"
    other.parent.mkdir()
    other.symlink_to(program("openssl"))
    other.parent.chmod(0o777)

    said = Kcert(tmp_path).done("ca", "--quiet", "--openssl", other).stderr

    assert re.search(r"you are root, and pki belongs to \w+", " ".join(said.split()))
    # A path is folded where it is longer than the line.
    assert f"others can replace {other}".replace(" ", "") in re.sub(r"\s", "", said)
    sudo = Kcert(tmp_path).done("client", "admin", "--quiet", variables={"SUDO_UID": "65534"})
    assert "pki belongs to" in " ".join(sudo.stderr.split())
    os.chown(tmp_path / "pki", 0, 65534)
    (tmp_path / "pki").chmod(0o770)
    group = Kcert(tmp_path).done("client", "kube-proxy", "--quiet")
    assert "others can write to pki, and so change" in " ".join(group.stderr.split())
