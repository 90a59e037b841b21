"""What the screen shows is what ran; and it looks as the golden files have it.

``KCERT_WRITE_GOLDEN=1 pytest tests/test_screen.py`` rewrites the golden files: read the difference before
it is committed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import Kcert, output

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.clusters import Pki

GOLDEN = Path(__file__).parent / "golden"


def normalised(text: str) -> str:
    """*text* without what differs from run to run: dates, and what this machine's openssl says of its work."""
    lines = [line for line in text.splitlines() if not line.startswith("    | ")]
    return re.sub(r"\d{4}-\d{2}-\d{2}", "YYYY-MM-DD", "\n".join(lines) + "\n")


def assert_agrees_with(golden: str, text: str) -> None:
    """Compare *text* with a golden file, or write that file."""
    path = GOLDEN / golden
    if os.environ.get("KCERT_WRITE_GOLDEN") == "1":
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(normalised(text), encoding="utf-8")
    assert normalised(text) == path.read_text(encoding="utf-8")


def commands_shown(screen: str) -> list[list[str]]:
    """The openssl commands on the screen, each put together from its lines and taken apart as bash does."""
    found, line = [], ""
    for shown in screen.splitlines():
        if line or shown.startswith("    openssl "):
            line += shown.removesuffix("\\")
            if not shown.endswith("\\"):
                found.append(shlex.split(line))
                line = ""
    return found


def history(folder: Path) -> list[dict[str, Any]]:
    """The records of a PKI folder's history, as they lie on the disk."""
    lines = (folder / ".kcert" / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_one_certificate_looks_like_this(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course")
    for path in own.folder.glob("*admin*"):
        path.unlink()

    assert_agrees_with("client-admin.txt", kcert.done("client", "admin").stdout)


def test_one_certificate_without_its_words_looks_like_this(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course")
    for path in own.folder.glob("*kube-apiserver*"):
        path.unlink()

    assert_agrees_with("apiserver-no-explain.txt", kcert.done("apiserver", "--no-explain").stdout)


def test_a_quiet_run_looks_like_this(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text("key: {algorithm: ecdsa}\nusers: [{name: jane}]\n", encoding="utf-8")

    ended = kcert.done("all", "--quiet")

    assert_agrees_with("all-quiet.txt", ended.stdout)
    assert ended.stderr == ""


def test_output_into_a_pipe_is_the_same_at_any_width_of_the_terminal(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course")
    for path in own.folder.glob("*admin*"):
        path.unlink()

    assert_agrees_with(
        "client-admin.txt", kcert.done("client", "admin", variables={"COLUMNS": "33", "TERM": "xterm"}).stdout
    )


@pytest.mark.parametrize(
    ("profile", "jobs"),
    [
        pytest.param("course", "1", marks=pytest.mark.thorough),
        pytest.param("hardway", "1", marks=pytest.mark.thorough),
        pytest.param("kubeadm", "1", marks=pytest.mark.thorough),
        ("course", "3"),
    ],
)
def test_each_command_on_the_screen_is_the_command_that_ran(
    pki: Callable[[str, str], Pki], kcert: Kcert, profile: str, jobs: str, tmp_path: Path
) -> None:
    """Nothing is left out, added, or told in another order; with several jobs the keys end in any order."""
    (tmp_path / "kcert.yaml").write_bytes(pki(profile, "small").config.read_bytes())

    shown = commands_shown(kcert.done("all", "--no-explain", "--jobs", jobs).stdout)

    ran = [record["argv"] for record in history(tmp_path / "pki") if record["argv"]]
    assert len(ran) > 30
    if jobs == "1":
        assert shown == ran
    else:
        assert sorted(shown) == sorted(ran)


def test_what_is_shown_can_be_typed_by_hand(own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path) -> None:
    """The lines of the screen, pasted into bash in the PKI folder, make admin's certificate once more."""
    own = own_pki("course")
    for path in own.folder.glob("*admin.[ck]*"):
        path.unlink()
    lines = kcert.done("client", "admin").stdout.splitlines()
    pasted, inside = [], False
    for line in lines:
        if inside or line.startswith("    openssl "):
            pasted.append(line)
            inside = line.endswith("\\")
    for ending in ("key", "csr", "crt"):
        (own.folder / f"admin.{ending}").unlink()

    ended = output(["bash", "-e"], own.folder, stdin="\n".join(pasted) + "\n")

    assert ended.status == 0, ended.stderr
    assert "admin.crt: OK" in ended.stdout
    assert [line for line in kcert.done("all", "--quiet").lines if "current" not in line] == []
    assert tmp_path == own.home


def test_a_long_name_of_a_file_moves_no_date_out_of_a_pipe(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki("course")
    name = "n" * 60

    lines = kcert.done("client", name, "--no-explain").lines

    (row,) = (line for line in lines if line.startswith(f"{name}.crt "))
    assert re.fullmatch(rf"{name}\.crt  A user's certificate: {name}  \d{{4}}-\d\d-\d\d", row)


def test_what_openssl_said_stands_below_its_command(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course")
    (own.folder / "admin.crt").unlink()

    lines = kcert.done("client", "admin").lines

    at = lines.index("    openssl verify -CAfile ca.crt admin.crt")
    assert lines[at + 1] == "    | admin.crt: OK"


@pytest.mark.thorough
def test_the_table_at_the_end_names_every_file_in_one_piece_and_whose_it_is(
    pki: Callable[[str, str], Pki], kcert: Kcert, tmp_path: Path
) -> None:
    """In the large cluster of kubeadm names are long, and many certificates are of one kind."""
    made = pki("kubeadm", "large").copied_to(tmp_path)
    gone = ("hosts/cp3.example.com/controller-manager.conf", "jane.conf", "admin.conf")
    for name in gone:
        (made.folder / name).unlink()

    lines = kcert.done("all", "--no-explain").lines

    rows = lines[lines.index("Created: 3 certificates") :]
    starts = {row.split()[0]: row for row in rows if row.split() and row.split()[0] in gone}
    assert sorted(starts) == sorted(gone)
    assert "A user's certificate: jane" in starts["jane.conf"]
    assert starts["admin.conf"].split("  ")[-1].strip() != "The administrator's certificate: kubernetes-admin"
    assert "cp3.example.com" in " ".join(rows).split("certificate: ", 1)[1]


@pytest.mark.thorough
def test_a_wider_or_narrower_screen_never_cuts_a_command(kcert: Kcert, tmp_path: Path) -> None:
    node = f"{'n' * 50}"
    (tmp_path / "kcert.yaml").write_text(
        f"key: {{algorithm: ecdsa}}\nnodes: [{{name: {node}, ip: 192.0.2.1}}]\n", encoding="utf-8"
    )

    shown = commands_shown(kcert.done("all").stdout)

    assert shown == [record["argv"] for record in history(tmp_path / "pki")]
    assert any(node in word for argv in shown for word in argv)
