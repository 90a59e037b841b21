"""Encryption at rest: the EncryptionConfiguration of the API server, its key, and the rotation of that key.

Source: https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
"""

from __future__ import annotations

import base64
import binascii
import enum
import re
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from kcert import plain_yaml, shell
from kcert.errors import InputError, ProgramError
from kcert.files import LARGEST_DOCUMENT, read_optional
from kcert.store import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kcert.shell import Outcome
    from kcert.store import Staging

FILE = PurePosixPath("encryption-config.yaml")
PROVIDERS = ("aescbc", "secretbox")
KEY_BYTES = 32
_KEY_NAME = re.compile(r"key([1-9][0-9]{0,5})")


class Change(enum.Enum):
    """What became of the file."""

    CREATED = "created"
    KEPT = "kept"
    ADDED = "added"
    SWAPPED = "swapped"
    FINISHED = "finished"


@dataclass(frozen=True)
class EncryptionConfig:
    """The provider and its keys, name and base64, in the order of the file: the first one encrypts, all decrypt."""

    provider: str
    keys: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the keys, in order."""
        return tuple(name for name, _ in self.keys)

    def text(self, secrets: bool = True) -> str:
        """Return the file's content; without *secrets* the keys are hidden."""
        hidden = "(hidden)"
        keys = "".join(
            f"          - name: {name}\n            secret: {secret if secrets else hidden}\n"
            for name, secret in self.keys
        )
        return (
            "apiVersion: apiserver.config.k8s.io/v1\n"
            "kind: EncryptionConfiguration\n"
            "resources:\n"
            "  - resources:\n"
            "      - secrets\n"
            "    providers:\n"
            f"      - {self.provider}:\n"
            "          keys:\n" + "".join(f"  {line}\n" for line in keys.splitlines()) + "      - identity: {}\n"
        )


class Reporter(Protocol):
    """Hears of each step."""

    def on_lock_wait(self, holder: str) -> None:
        """Another kcert is at work in the folder."""

    def before(self, argv: tuple[str, ...]) -> None:
        """A command is about to run."""

    def after(self, outcome: Outcome) -> None:
        """It has ended."""


def read(root: Path) -> EncryptionConfig | None:
    """Return the encryption config of the PKI folder *root*; None where it has none.

    Raises InputError for a file that kcert cannot have written.
    """
    path = root / FILE
    content = read_optional(path, LARGEST_DOCUMENT)
    if content is None:
        return None
    try:
        (resource,) = plain_yaml.load(content)["resources"]
        first, last = resource["providers"]
        ((provider, value),) = first.items()
        keys = tuple((key["name"], key["secret"]) for key in value["keys"])
    except (plain_yaml.NotPlainError, KeyError, TypeError, ValueError, AttributeError):
        keys, provider, last = (), "", None
    if provider not in PROVIDERS or last != {"identity": {}} or not all(_is_key(*key) for key in keys) or not keys:
        raise InputError(
            f"{path}: expected an EncryptionConfiguration as kcert writes it: one provider of "
            f"{' or '.join(PROVIDERS)} with keys called key1, key2 ..., then identity."
        )
    return EncryptionConfig(provider, keys)


def _is_key(name: Any, secret: Any) -> bool:
    try:
        decoded = base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError, TypeError):
        return False
    return isinstance(name, str) and bool(_KEY_NAME.fullmatch(name)) and len(decoded) == KEY_BYTES


def create(root: Path, openssl: str, provider: str, reporter: Reporter) -> tuple[EncryptionConfig, Change]:
    """Write an encryption config with a new key; one that exists is kept."""

    def change(before: EncryptionConfig | None, new_key: Callable[[], str]) -> tuple[EncryptionConfig, Change]:
        if before:
            return before, Change.KEPT
        return EncryptionConfig(provider, (("key1", new_key()),)), Change.CREATED

    return _update(root, openssl, reporter, change)


def rotate(root: Path, openssl: str, reporter: Reporter) -> tuple[EncryptionConfig, Change]:
    """Take the next step of a rotation: add a new key second, then make it first.

    Raises InputError without a config, and once the new key is first: ``finish`` comes next.
    """

    def change(before: EncryptionConfig | None, new_key: Callable[[], str]) -> tuple[EncryptionConfig, Change]:
        config = _existing(root, before)
        if len(config.keys) == 1:
            number = int(config.names[0].removeprefix("key")) + 1
            return replace(config, keys=(*config.keys, (f"key{number}", new_key()))), Change.ADDED
        if _new_is_first(config):
            raise InputError(
                f"{root / FILE}: {config.names[0]} is first already. Rewrite all Secrets, then remove the old key with "
                "--finish."
            )
        return replace(config, keys=config.keys[::-1]), Change.SWAPPED

    return _update(root, openssl, reporter, change)


def finish(root: Path, openssl: str, reporter: Reporter) -> tuple[EncryptionConfig, Change]:
    """Remove the old key, the last step of a rotation; raises InputError where the new key is not first yet."""

    def change(before: EncryptionConfig | None, _new_key: Callable[[], str]) -> tuple[EncryptionConfig, Change]:
        config = _existing(root, before)
        if len(config.keys) == 1:
            raise InputError(f"--finish: {root / FILE} has one key: no rotation is under way. Use --rotate to begin.")
        if not _new_is_first(config):
            raise InputError(f"--finish: {config.names[0]} still encrypts. Use --rotate to make the new key first.")
        return replace(config, keys=config.keys[:1]), Change.FINISHED

    return _update(root, openssl, reporter, change)


def _existing(root: Path, config: EncryptionConfig | None) -> EncryptionConfig:
    if config is None:
        raise InputError(f"{root / FILE} does not exist. `kcert encryption-config` creates it.")
    return config


def _new_is_first(config: EncryptionConfig) -> bool:
    first, second = (int(name.removeprefix("key")) for name in config.names[:2])
    return first > second


def _update(
    root: Path,
    openssl: str,
    reporter: Reporter,
    change: Callable[[EncryptionConfig | None, Callable[[], str]], tuple[EncryptionConfig, Change]],
) -> tuple[EncryptionConfig, Change]:
    with Workspace.open(root, "kcert encryption-config", reporter.on_lock_wait) as workspace:
        staging = workspace.stage((), [FILE])
        config, what = change(read(root), lambda: _new_key(workspace, staging, openssl, reporter))
        if what is not Change.KEPT:
            staging.write(FILE, config.text(), secret=True)
            workspace.publish(staging, [FILE], [FILE])
        return config, what


def _new_key(workspace: Workspace, staging: Staging, openssl: str, reporter: Reporter) -> str:
    argv = (openssl, "rand", "-base64", "-out", "encryption-key", str(KEY_BYTES))
    return random_text(workspace, staging, argv, reporter)


def random_text(workspace: Workspace, staging: Staging, argv: tuple[str, ...], reporter: Reporter) -> str:
    """Run the `openssl rand` command *argv*, and return what it wrote to the file after -out.

    The file is only in staging, closed to others, so that the secret is not on a command line, the screen or in the
    history. Raises ProgramError where openssl fails.
    """
    reporter.before(argv)
    outcome = shell.run(shell.Command(argv, staging.folder))
    reporter.after(outcome)
    workspace.record(outcome, staging, [], set())
    if not outcome.succeeded:
        raise ProgramError(f"{' '.join(argv[:2])} failed with status {outcome.status}: nothing was written.")
    path = staging.path(PurePosixPath(argv[argv.index("-out") + 1]))
    text = path.read_text(encoding="ascii").strip()
    path.unlink()
    return text
