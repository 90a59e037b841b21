"""What --dry-run prints, given to bash, makes the PKI that a run makes: equal but for keys, serials and times."""

from __future__ import annotations

import dataclasses
import re
import stat
from typing import TYPE_CHECKING

import pytest

from tests import judge
from tests.clusters import PROFILES, SIZES
from tests.running import Kcert, output, program, representatives
from tests.test_certificates import parts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki

_BASE64 = re.compile(r"(-data: ).+")


def described(folder: Path) -> dict[str, object]:
    """All that a PKI folder holds, with what differs from run to run left out."""
    return {
        str(path.relative_to(folder)): (stat.S_IMODE(path.stat().st_mode), _content(folder, path))
        for path in sorted(folder.rglob("*"))
        if ".kcert" not in path.relative_to(folder).parts
    }


def _content(folder: Path, path: Path) -> object:
    if path.is_dir():
        return "a folder"
    if path.suffix in (".crt", ".conf"):
        certificate, key = parts(folder, str(path.relative_to(folder)))
        seen = judge.judged(certificate)
        same = dataclasses.replace(seen, serial=0, subject_key_id="", authority_key_id=None)
        text = _BASE64.sub(r"\1…", path.read_text(encoding="utf-8")) if path.suffix == ".conf" else ""
        return same, judge.matches(key, certificate), text
    if path.suffix == ".cnf":
        return path.read_text(encoding="utf-8")
    return path.read_bytes().splitlines()[0]


def run_script(script: str, folder: Path) -> None:
    """Give *script* to bash in *folder*, as ``kcert … --dry-run | bash`` does."""
    ended = output(["bash"], folder, stdin=script)
    assert ended.status == 0, ended.stderr


@pytest.mark.parametrize("size", representatives(SIZES))
@pytest.mark.parametrize("profile", representatives(PROFILES[::-1]))
def test_script_and_run_make_equal_pkis(
    kcert: Kcert, pki: Callable[[str, str], Pki], profile: str, size: str, tmp_path: Path
) -> None:
    (tmp_path / "kcert.yaml").write_bytes(pki(profile, size).config.read_bytes())
    script = kcert.done("all", "--dry-run").stdout
    assert not (tmp_path / "pki").exists()

    run_script(script, tmp_path)

    assert described(tmp_path / "pki") == described(pki(profile, size).folder)
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700
    # kcert takes the script's work for its own.
    kept = kcert.done("all", "--quiet").lines
    assert kept
    assert all(re.fullmatch(r"kept  \S+  current", line) for line in kept)


@pytest.mark.parametrize("explain", ["--explain", "--no-explain"])
@pytest.mark.parametrize("size", representatives(SIZES))
@pytest.mark.parametrize("profile", representatives(PROFILES))
def test_shellcheck_finds_nothing_in_the_script(
    kcert: Kcert, tmp_path: Path, profile: str, size: str, explain: str
) -> None:
    config = tmp_path / "cluster.yaml"
    config.write_text(SIZES[size].format(profile=profile), encoding="utf-8")
    script = kcert.done("all", "--dry-run", explain, "--config", config, "--dir", "a folder's name").stdout

    said = output([program("shellcheck"), "--enable=all", "--exclude=SC2312", "-"], stdin=script)

    assert said.stdout + said.stderr == ""
    assert said.status == 0


@pytest.mark.thorough
def test_a_script_completes_a_pki_as_a_run_does(own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path) -> None:
    """A certificate gone: it is re-created from its kept key. A key and a certificate gone: both are made."""
    own = own_pki("kubeadm")
    for gone in ("pki/apiserver.crt", "pki/etcd/server.crt", "pki/etcd/server.key", "admin.conf"):
        (own.folder / gone).unlink()
    key = (own.folder / "pki/apiserver.key").read_bytes()
    script = kcert.done("all", "--dry-run").stdout
    by_hand = own.copied_to(tmp_path / "by hand")

    run_script(script, by_hand.home)
    kcert.done("all", "--quiet")

    assert described(by_hand.folder) == described(own.folder)
    assert (by_hand.folder / "pki/apiserver.key").read_bytes() == key
    assert (own.folder / "pki/apiserver.key").read_bytes() == key


@pytest.mark.parametrize("name", ["my pki", "it's $HOME", "deep/er/pki", "-pki", "a;b&c"])
def test_a_folder_of_any_name_works_in_script_and_run(kcert: Kcert, name: str, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text("key: {algorithm: ecdsa}\n", encoding="utf-8")
    script = kcert.done("ca", "--dry-run", f"--dir={name}").stdout
    other = tmp_path / "by hand"
    other.mkdir()

    run_script(script, other)
    kcert.done("ca", "--quiet", f"--dir={name}")

    assert described(other / name) == described(tmp_path / name)
    assert (tmp_path / name / "ca.crt").exists()


@pytest.mark.thorough
def test_a_chapters_script_makes_what_its_run_makes(own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path) -> None:
    own = own_pki("course", "large")
    for path in own.folder.glob("etcd*"):
        path.unlink()
    script = kcert.done("etcd", "--dry-run", "--no-explain").stdout
    by_hand = own.copied_to(tmp_path / "by hand")

    run_script(script, by_hand.home)
    kcert.done("etcd", "--quiet")

    assert described(by_hand.folder) == described(own.folder)


def test_a_script_for_a_complete_pki_does_nothing(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course")
    before = described(own.folder)

    script = kcert.done("all", "--dry-run").stdout
    run_script(script, own.home)

    assert "nothing to create" in script
    assert described(own.folder) == before


def test_a_dry_run_writes_nothing_at_all(own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path) -> None:
    own = own_pki("course")
    (own.folder / "admin.crt").unlink()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    assert "openssl req" in kcert.done("all", "--dry-run").stdout
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_script_stops_at_the_first_command_that_fails(kcert: Kcert, tmp_path: Path) -> None:
    script = kcert.done("all", "--dry-run").stdout.replace("openssl genrsa", "false genrsa", 1)

    ended = output(["bash"], tmp_path, stdin=script)

    assert ended.status == 1
    assert [path.name for path in (tmp_path / "pki").iterdir()] == []
