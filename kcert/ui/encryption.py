"""An encryption config on the screen: what was run, and what has to happen next. Never a key."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kcert import lessons, profiles
from kcert.kubernetes import encryption
from kcert.kubernetes.encryption import Change
from kcert.ui import print_json
from kcert.ui.console import block, clean_line, heading, say, screen
from kcert.ui.output_of import OutputOfCommands

if TYPE_CHECKING:
    from kcert.issue.context import Context
    from kcert.kubernetes.encryption import EncryptionConfig, Update

_REWRITE = "kubectl get secrets --all-namespaces -o json | kubectl replace -f -"


class EncryptionReporter(OutputOfCommands):
    """Shows each step as it happens; when *quiet*, one line at the end, or JSON (*form*)."""

    def __init__(self, ctx: Context, *, explain: bool, quiet: bool, form: str) -> None:
        super().__init__(explain=explain and not quiet and form == "text")
        self._ctx = ctx
        self._quiet = quiet
        self._form = form
        if self._explain:
            for paragraph in lessons.lesson("encryption-config").opening.split("\n\n")[:3]:
                say(paragraph)
                screen().print()

    def ends(self, step: Update) -> None:
        """Show the file without its keys, and say what comes next."""
        config, change = step.config, step.change
        path = str(self._ctx.root / encryption.FILE)
        if self._form == "json":
            record = {"path": path, "change": change.value, "provider": config.provider, "keys": list(config.names)}
            print_json(record)
            return
        if self._quiet:
            sys.stdout.write(f"{encryption.FILE}  {change.value}  {' '.join(config.names)}\n")
            return
        if self._explain:
            heading(str(encryption.FILE))
            block(config.text(secrets=False).splitlines())
        state = "  (as it was)" if change is Change.KEPT else "  (mode 0600)"
        block([f"-> {clean_line(path)}{state}"], "file")
        self._next(config, change)

    def _next(self, config: EncryptionConfig, change: Change) -> None:
        option = self._ctx.folder_option
        target = profiles.PROFILES[self._ctx.cluster.profile].encryption_config
        everywhere = (
            f"Copy the file to {target} on every control-plane host (`kcert bundle{option}` packs it), and restart "
            "kube-apiserver on each of them."
        )
        if change in (Change.CREATED, Change.KEPT):
            say(
                f"{everywhere} `kcert flags kube-apiserver{option}` has the option. Secrets that exist already are "
                "encrypted when they are written again:"
            )
            block([_REWRITE], "command")
        elif change is Change.ADDED:
            say(
                f"{config.names[1]} is second: it decrypts, and does not encrypt yet. {everywhere} Only when all of "
                "them have the new key, let it encrypt:"
            )
            block([f"kcert encryption-config --rotate{option}"], "command")
        elif change is Change.SWAPPED:
            say(f"{config.names[0]} is first: it encrypts. {everywhere} Then rewrite all Secrets with it:")
            block([_REWRITE], "command")
            say("Once that has succeeded, and not before, remove the old key:")
            block([f"kcert encryption-config --finish{option}"], "command")
        else:
            say(
                f"{config.names[0]} is the only key. {everywhere} A backup of etcd from before the rotation needs "
                "the old key, which is in .kcert/backup of the PKI folder."
            )
