"""A sealed exam: its folder does not show which labs the tasks are, and a change of the results is detected.

The state of the exam and of its labs is encrypted and authenticated with a key of the exam's own. A copy of that key,
encrypted with the teacher's passphrase, lets the teacher verify that a result belongs to the exam that was handed
out. The key itself is in the folder as well, because kcert has to grade there. So a seal stops accidental looks and
simple changes, but it does not protect against a student who reads this module (SECURITY.md).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from kcert.errors import InputError, KcertError, ProgramError
from kcert.practice import OWN_FOLDER, SEAL_FILE, marker_file

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "KCERT_EXAM_PASSPHRASE"
"""Environment variable with the teacher's passphrase."""

_ROUNDS = 200_000
"""Iterations of PBKDF2 for the passphrase, which can be guessed; the random key needs one."""

SHORTEST = 8
"""Characters of a passphrase; PBKDF2 only slows guessing down."""


@dataclass(frozen=True)
class Seal:
    """The key of a sealed exam (hex), and the same encrypted with the teacher's passphrase (base64)."""

    key: str
    wrapped: str

    def hide(self, text: str, openssl: str) -> str:
        """Return *text* encrypted, base64."""
        return _enc(openssl, text.encode(), self.key, 1).decode("ascii").strip()

    def reveal(self, hidden: str, openssl: str) -> str:
        """Return the text that ``hide`` encrypted; raises ValueError where it was changed."""
        try:
            return _enc(openssl, hidden.encode(), self.key, 1, decrypt=True).decode()
        except ProgramError:
            raise ValueError(hidden) from None

    def mac(self, text: str) -> str:
        """Return the authentication code of *text*: HMAC-SHA256, hex."""
        return hmac.new(bytes.fromhex(self.key), text.encode(), hashlib.sha256).hexdigest()

    def opens_with(self, passphrase: str, openssl: str) -> bool:
        """Return True where the exam was sealed with *passphrase*."""
        try:
            return _enc(openssl, self.wrapped.encode(), passphrase, _ROUNDS, decrypt=True).decode() == self.key
        except (ProgramError, UnicodeDecodeError):
            return False


def new(passphrase: str, openssl: str) -> Seal:
    """Return a seal with the teacher's *passphrase*; raises InputError where it is too short."""
    if len(passphrase) < SHORTEST or not passphrase.isprintable():
        raise InputError(f"the passphrase for --seal has {len(passphrase)} characters: at least {SHORTEST} are needed.")
    key = secrets.token_hex(32)
    return Seal(key, _enc(openssl, key.encode(), passphrase, _ROUNDS).decode("ascii").strip())


def _enc(openssl: str, text: bytes, passphrase: str, rounds: int, *, decrypt: bool = False) -> bytes:
    """Run `openssl enc` with the *passphrase* in the environment, where no other user sees it."""
    from kcert.shell import Command, read

    cipher = ("-aes-256-cbc", "-pbkdf2", "-iter", str(rounds), "-a", "-A", "-pass", f"env:{VARIABLE}")
    argv = (openssl, "enc", *cipher)
    said = read(Command((*argv, "-d") if decrypt else argv, passphrases={VARIABLE: passphrase}), text)
    if not said.succeeded:
        raise ProgramError(f"{openssl} enc failed (status {said.status}).")
    return said.stdout


def find(root: Path) -> Seal | None:
    """Return the seal of the exam or task in *root*; None where it is not sealed, or the seal is damaged."""
    from kcert.files import read_regular

    try:
        content = json.loads(read_regular(root / OWN_FOLDER / SEAL_FILE))
        seal = Seal(str(content["key"]), str(content["wrapped"]))
        bytes.fromhex(seal.key)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return seal


def put(root: Path, seal: Seal) -> None:
    """Write *seal* into the dot folder of *root*, which exists and is new."""
    from kcert.store import SECRET_MODE
    from kcert.store.atomic import atomic_replace

    with atomic_replace(root / OWN_FOLDER / SEAL_FILE, json.dumps(asdict(seal)).encode("ascii"), SECRET_MODE):
        pass


def mark_running(root: Path, deadline: str) -> None:
    """Remember that the sealed exam in *root* runs until *deadline*, wherever the next command is typed."""
    from kcert.store import FOLDER_MODE, SECRET_MODE
    from kcert.store.atomic import atomic_replace

    marker = marker_file()
    if marker is None:
        return
    with suppress(OSError, KcertError):  # no home directory to write to: then only the exam's own folder is watched
        marker.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        content = json.dumps({"folder": str(root.absolute()), "deadline": deadline})
        with atomic_replace(marker, content.encode("ascii"), SECRET_MODE):
            pass


def mark_over() -> None:
    """Forget the running exam."""
    if marker := marker_file():
        with suppress(OSError):
            marker.unlink()
