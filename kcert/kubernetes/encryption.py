"""Encryption at rest: the EncryptionConfiguration of the API server, its key, and the rotation of that key.

Source: https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from kcert import plain_yaml
from kcert.errors import InputError
from kcert.files import LARGEST_DOCUMENT, filled_file, read_optional
from kcert.issue.context import Context
from kcert.issue.execute import Executor
from kcert.issue.steps import Step
from kcert.kubernetes import TEMPLATES
from kcert.quoting import SCRIPT_HEAD, folder_argument, format_command, here_document, quote
from kcert.store import Staging, Workspace

FILE = PurePosixPath("encryption-config.yaml")
PROVIDERS = ("aescbc", "secretbox")
KEY_BYTES = 32
_KEY_NAME = re.compile(r"key([1-9][0-9]{0,5})")


Action = Literal["create", "rotate", "finish"]


Change = Literal["created", "kept", "added", "swapped", "finished"]
"""The effect of a step on the file."""


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
        keys = (
            f"            - name: {name}\n              secret: {secret if secrets else '(hidden)'}"
            for name, secret in self.keys
        )
        return filled_file(TEMPLATES / FILE.name, provider=self.provider, keys="\n".join(keys))


def read(root: Path) -> EncryptionConfig | None:
    """Return the encryption config of the PKI folder *root*; None if it has none.

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


def update(ctx: Context, action: Action, provider: str) -> tuple[EncryptionConfig, Change]:
    """Take one step of *action* in the PKI folder, return the config after it; one that exists is not created again.

    Raises InputError if the step is out of order.
    """
    with Workspace.open(ctx.root, ctx.command, ctx.reporter.on_lock_wait) as workspace:
        staging = workspace.stage((), [FILE])
        new_key = partial(random_text, Executor(ctx, workspace), staging, "encryption-key", "-base64", KEY_BYTES)
        config, change = _next(ctx.root, action, provider, new_key)
        if change != "kept":
            staging.write(FILE, config.text(), secret=True)
            workspace.publish(staging, [FILE], [FILE])
        return config, change


def script(ctx: Context, action: Action, provider: str) -> Iterator[str]:
    """Yield a bash script that takes the same step by hand: it reads the keys from the file, so it shows none.

    Raises InputError if the step is out of order.
    """
    root, file = ctx.root, quote(str(FILE))
    config, change = _next(root, action, provider, str)
    yield from SCRIPT_HEAD
    if change == "kept":
        yield f"# {file} exists and is kept."
        return
    if not root.exists():
        yield format_command(("mkdir", "-p", folder_argument(root)))
    yield format_command(("cd", folder_argument(root)))
    for name, secret in config.keys:
        if secret:
            yield f"{name}=$(grep -A 1 ' name: {name}$' {file} | grep ' secret:' | cut -d : -f 2 | tr -d ' ') || true"
            yield f': "${{{name}:?is not in {file}}}"'
        else:
            yield f"{name}=$({format_command((ctx.openssl, 'rand', '-base64', str(KEY_BYTES)))})"
    if change != "created":
        yield "backup=.kcert/backup/$(date -u +%Y-%m-%dT%H-%M-%S.000000Z)"
        yield f'mkdir -p "$backup" && cp -p {file} "$backup"/'
    template = replace(config, keys=tuple((name, f"@{name}@") for name in config.names))
    yield from here_document(file, template.text(), {f"@{name}@": f"${name}" for name in config.names})
    yield f"chmod 600 {file}"


def _next(root: Path, action: Action, provider: str, new_key: Callable[[], str]) -> tuple[EncryptionConfig, Change]:
    """Return the next step: add a new key second, then make it first, then remove the old key."""
    config = read(root)
    if action == "create":
        if config:
            return config, "kept"
        return EncryptionConfig(provider, (("key1", new_key()),)), "created"
    if config is None:
        raise InputError(f"{root / FILE} does not exist. `kcert encryption-config` creates it.")
    numbers = [int(name.removeprefix("key")) for name in config.names]
    rotating = len(numbers) > 1
    new_is_first = rotating and numbers[0] > numbers[1]
    if action == "rotate":
        if not rotating:
            return replace(config, keys=(*config.keys, (f"key{numbers[0] + 1}", new_key()))), "added"
        if new_is_first:
            raise InputError(
                f"{root / FILE}: {config.names[0]} is first already. Rewrite all Secrets, then remove the old key with "
                "--finish."
            )
        return replace(config, keys=config.keys[::-1]), "swapped"
    if not rotating:
        raise InputError(f"--finish: {root / FILE} has one key: no rotation is in progress. Use --rotate to start one.")
    if not new_is_first:
        raise InputError(f"--finish: {config.names[0]} still encrypts. Use --rotate to make the new key first.")
    return replace(config, keys=config.keys[:1]), "finished"


def random_text(executor: Executor, staging: Staging, name: str, form: str, size: int) -> str:
    """Return *size* random bytes that `openssl rand` writes in the *form* -hex or -base64.

    The file *name* is only in staging, closed to others, so that the secret is not on a command line, the screen or in
    the history. Raises ProgramError if openssl fails.
    """
    argv = (executor.ctx.openssl, "rand", form, "-out", name, str(size))
    executor.run_all(staging, [Step("random", argv=argv)], name)
    path = staging.path(PurePosixPath(name))
    text = path.read_text(encoding="ascii").strip()
    path.unlink()
    return text
