"""A bootstrap token on the screen: what was run, what was written, and what to apply. Never the secret part."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kcert import lessons
from kcert.kubernetes import bootstrap
from kcert.quoting import format_command
from kcert.ui import print_json
from kcert.ui.console import block, clean_line, command_line, heading, say, screen
from kcert.ui.output_of import OutputOfCommands

if TYPE_CHECKING:
    from kcert.issue.context import Context
    from kcert.kubernetes.bootstrap import Bootstrap


class BootstrapReporter(OutputOfCommands):
    """Shows each step as it happens; when *quiet*, one line for each file at the end, or JSON (*form*)."""

    def __init__(self, ctx: Context, *, explain: bool, quiet: bool, form: str) -> None:
        super().__init__(explain=explain and not quiet and form == "text")
        self._ctx = ctx
        self._quiet = quiet
        self._form = form
        if self._explain:
            for paragraph in lessons.lesson("bootstrap").opening.split("\n\n")[:2]:
                say(paragraph)
                screen().print()

    def ends(self, made: Bootstrap) -> None:
        """Say which files there are, which commands apply them, and which nodes need them."""
        root, token = self._ctx.root, made.token
        if self._form == "json":
            print_json(self._record(made))
            return
        if self._quiet:
            for name in bootstrap.FILES:
                sys.stdout.write(f"{name}  {'written' if name in made.changed else 'current'}\n")
            return
        state = "created" if made.created else "kept; --new-token replaces it"
        say(f"Token {token.id}, valid until {token.expires:%Y-%m-%d %H:%M} UTC ({state}). Its secret part is in:")
        secret = (root / name for name in (bootstrap.TOKEN, bootstrap.KUBECONFIG))
        block([f"-> {clean_line(str(path))}  (mode 0600)" for path in secret], "file")
        if self._explain:
            self._show_manifests(made)
        heading("Apply to the cluster")
        command_line(("kubectl", "apply", "-f", str(root / bootstrap.TOKEN)))
        for binding in bootstrap.BINDINGS:
            if self._explain:
                screen().print()
                say(binding.why)
            command_line(binding.command)
        screen().print()
        say("The same three bindings as manifests:")
        command_line(("kubectl", "apply", "-f", str(root / bootstrap.RBAC)))
        screen().print()
        self._next()

    def _record(self, made: Bootstrap) -> dict[str, object]:
        root, token = self._ctx.root, made.token
        applied = (("kubectl", "apply", "-f", str(root / name)) for name in (bootstrap.TOKEN, bootstrap.RBAC))
        return {
            "token_id": token.id,
            "expires": f"{token.expires:%Y-%m-%dT%H:%M:%SZ}",
            "created": made.created,
            "files": [{"path": str(root / name), "changed": name in made.changed} for name in bootstrap.FILES],
            "commands": [format_command(argv) for argv in applied],
            "nodes": [node.name for node in self._ctx.cluster.bootstrap_nodes],
        }

    def _show_manifests(self, made: Bootstrap) -> None:
        heading(str(bootstrap.TOKEN))
        block(made.token.manifest(hide=True).splitlines())
        heading(str(bootstrap.RBAC))
        block(bootstrap.rbac().splitlines())

    def _next(self) -> None:
        nodes, option = self._ctx.cluster.bootstrap_nodes, self._ctx.folder_option
        if not nodes:
            say("No node has `bootstrap: true` in kcert.yaml yet. For those that do, kcert makes no certificate.")
            return
        say(f"Next: `kcert bundle {nodes[0].name}{option}` packs what the node needs. Once its kubelet runs:")
        block(
            ["kcert csr list", "kcert csr approve NAME   # its serving certificate, which nothing approves by itself"]
        )
