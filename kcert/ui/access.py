"""Access to the API server: kubeconfigs, a bootstrap token (never its secret part), a call with curl."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath

from kcert import lessons
from kcert.certificates import Certificate
from kcert.errors import VerdictError
from kcert.issue.context import Context, IssuancePlan
from kcert.issue.steps import Step
from kcert.kubeconfig import Part, read_command
from kcert.kubernetes import bootstrap
from kcert.kubernetes.bootstrap import Bootstrap
from kcert.kubernetes.call import Answer, Call, meaning
from kcert.kubernetes.kubeconfigs import Draft, State
from kcert.kubernetes.merging import PATIENCE
from kcert.quoting import SCRIPT_HEAD, folder_argument, format_command, quote
from kcert.store import OWN_FOLDER, SECRET_MODE
from kcert.store.atomic import Written
from kcert.ui import print_json, print_lines
from kcert.ui.console import (
    INDENT,
    block,
    clean,
    clean_line,
    command_line,
    error_screen,
    heading,
    say,
    say_apart,
    say_commands,
    say_paragraphs,
    screen,
    show_file,
)
from kcert.ui.lesson import OutputOfCommands, ResultReporter


class KubeconfigReporter(OutputOfCommands):
    """Reports kubeconfigs on standard output; with *explain* also why, and by which commands.

    With *quiet* it is a line for each (its name, its file, and whether that was written), or JSON (*form*).
    """

    def __init__(self, ctx: Context, *, explain: bool, quiet: bool, form: str, named: bool) -> None:
        self._quiet = quiet or form == "json"
        super().__init__(explain=explain and not self._quiet)
        self._ctx = ctx
        self._form = form
        self._records: list[dict[str, object]] = []
        self._named = named
        self._ran = False
        self._replaced = False

    def on_drafts(self, drafts: Sequence[Draft]) -> None:
        """Say what a kubeconfig is, and in which folder the commands run."""
        if not (self._explain and drafts):
            return
        folder = ("cd", folder_argument(self._ctx.root))
        if self._named:
            command_line(folder)
            return
        say_paragraphs(lessons.lesson("kubeconfig").opening)
        if drafts[0].is_packed:
            words = (
                "In this profile, `kcert all` has already created the kubeconfigs, and only they contain the keys. "
                "This command compares each with kcert.yaml. Four commands create the same file:"
            )
        else:
            words = "Four commands create each kubeconfig. To run them yourself, change to the PKI folder first:"
        say_commands(words, folder)

    def on_kubeconfig(self, draft: Draft, state: State) -> None:
        """Say whose kubeconfig it is, and then by which commands it is made, and whether it was written."""
        if state == "begins":
            self._ran = False
            if self._explain:
                self._begin(draft)
            return
        if self._quiet:
            self._line(draft, state)
            return
        if self._explain and not self._ran:
            for argv in draft.commands():
                command_line(argv)
            if draft.is_packed:
                screen().print()
                say_apart("Then delete the extracted files:")
                command_line(("rm", str(draft.credentials.crt), str(draft.credentials.key)))
        self._replaced = self._replaced or state == "replaced"
        before = "; the old file is in the backup" if state == "replaced" else ""
        self._file(draft.file, "  (unchanged)" if state == "current" else f"  (mode {SECRET_MODE:04o}{before})")
        if self._named and self._explain:
            say_apart(_presents(draft))

    def _begin(self, draft: Draft) -> None:
        if not self._named:
            heading(draft.name)
            say_apart(_presents(draft))
        if draft.is_packed:
            if not self._named:
                say_apart("First extract its certificate and key into files that only you can read:")
            block(unpacking(draft), "command")
            screen().print()

    def on_step(self, step: Step, plan: IssuancePlan | None) -> None:
        """Show a command before it runs."""
        self._ran = True
        super().on_step(step, plan)

    def _line(self, draft: Draft, state: str, file: Path | None = None) -> None:
        """Print a line for a kubeconfig, or keep its record for the end."""
        if self._form != "json":
            sys.stdout.write(f"{draft.name}  {clean_line(str(file or draft.file))}  {state}\n")
        kubeconfig = draft.kubeconfig
        self._records.append(
            {
                "name": draft.name,
                "path": str(file or self._ctx.root / draft.file),
                "state": state,
                "user": kubeconfig.user,
                "server": kubeconfig.server,
                "context": kubeconfig.context,
            }
        )

    def ends(self, foreign: Sequence[Certificate]) -> None:
        """Name the *foreign* kubeconfigs, which are as they were, and say what to do next."""
        self.records()
        if self._quiet:
            return
        if foreign:
            files = ", ".join(str(spec.files.primary) for spec in foreign)
            say(f"Not changed, because kcert did not make them: {files}. Specify one to replace it.")
        if self._replaced:
            say(f"What was replaced is in {self._ctx.root / OWN_FOLDER / 'backup'}.", "notice")
        if self._explain:
            option = self._ctx.folder_option
            say(
                f"Next, `kcert bundle{option}` packs the files of each host, and "
                f"`kcert call /version --as admin{option}` tests a kubeconfig without kubectl. "
                "`kcert explain kubeconfig` explains each part."
            )

    def records(self) -> None:
        """Print the JSON list of the kubeconfigs, if that is the format."""
        if self._form == "json":
            print_json(self._records)

    def put(self, drafts: Sequence[Draft], written: Sequence[Written]) -> None:
        """Name the files that --output wrote."""
        for draft, file in zip(drafts, written, strict=True):
            self._elsewhere(draft, f"{draft.name}: {draft.kubeconfig.user} at {draft.kubeconfig.server}.", file)
        self.records()

    def waits_for(self, lock: Path, holder: str) -> None:
        """Say on standard error who is changing the other kubeconfig, and how long that is waited for."""
        wait = f"Waiting {PATIENCE:.0f} seconds at most."
        say(f"{clean_line(str(lock))} is there: {holder} is changing the file. {wait}", "notice", to=error_screen())

    def merged(self, draft: Draft, written: Written, updated: Sequence[str] | None) -> None:
        """Say that the context is in the file."""
        context = draft.kubeconfig.context
        if updated:
            outcome = f"was updated ({' and '.join(updated)} replaced)"
        else:
            outcome = "was added" if updated is None else "is up to date"
        self._elsewhere(draft, f"The context {clean_line(context)} {outcome}.", written)
        self.records()
        if updated is None and not self._quiet:
            say_apart("To make it the current context:")
            command_line(("kubectl", "config", "use-context", context, "--kubeconfig", str(written.path)))

    def _elsewhere(self, draft: Draft, words: str, written: Written) -> None:
        if self._quiet:
            self._line(draft, "written" if written.changed else "current", written.path)
            return
        say(words)
        self._file(written.path, "" if written.changed else "  (unchanged)")
        if written.backup:
            say(f"The file before is {clean_line(str(written.backup))}.", "notice")

    def _file(self, path: PurePath, remark: str) -> None:
        show_file(path, remark)
        if self._explain:
            screen().print()


def _presents(draft: Draft) -> str:
    return f"The kubeconfig presents the certificate of {draft.kubeconfig.user} to {draft.kubeconfig.server}."


def print_script(ctx: Context, drafts: Sequence[Draft]) -> None:
    """Print a bash script that makes the same kubeconfigs by hand with kubectl."""
    lines = [*SCRIPT_HEAD, format_command(("cd", folder_argument(ctx.root)))]
    for draft in drafts:
        unpacked = unpacking(draft) if draft.is_packed else ()
        lines += ["", f"# {clean_line(draft.name)}", *unpacked, f"rm -f {quote(str(draft.file))}"]
        lines += [format_command(argv) for argv in draft.commands()]
        if draft.is_packed:
            lines.append(format_command(("rm", str(draft.credentials.crt), str(draft.credentials.key))))
    print_lines(lines)


def unpacking(draft: Draft) -> list[str]:
    """Return the bash lines that extract certificate and key from a kubeconfig."""
    parts: dict[Part, PurePath] = {
        "client-certificate": draft.credentials.crt,
        "client-key": draft.credentials.key,
    }
    lines = ["umask 077"]
    for part, path in parts.items():
        lines.append(f"{format_command(read_command(draft.file, part))} |")
        lines.append(f"{INDENT}openssl base64 -d -A > {quote(str(path))}")
    return lines


class BootstrapReporter(ResultReporter):
    """Shows each step as it happens; when *quiet*, one line for each file at the end, or JSON (*form*)."""

    LESSON = "bootstrap"
    PARAGRAPHS = 2

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
        if self._explain:
            screen().print()
        say(f"Token {token.id}, valid until {token.expires:%Y-%m-%d %H:%M} UTC ({state}). Its secret part is in:")
        for name in (bootstrap.TOKEN, bootstrap.KUBECONFIG):
            show_file(root / name, "  (mode 0600)")
        if self._explain:
            shown = {bootstrap.TOKEN: token.manifest(hide=True), bootstrap.RBAC: bootstrap.rbac()}
            for name, manifest in shown.items():
                screen().print()
                heading(str(name))
                block(manifest.splitlines())
        screen().print()
        heading("Apply to the cluster")
        command_line(("kubectl", "apply", "-f", str(root / bootstrap.TOKEN)))
        for binding in bootstrap.BINDINGS:
            if self._explain:
                screen().print()
                say(lessons.option_reason("bootstrap", binding.name))
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

    def _next(self) -> None:
        nodes, option = self._ctx.cluster.bootstrap_nodes, self._ctx.folder_option
        if not nodes:
            say(
                "No node has `bootstrap: true` in kcert.yaml yet. kcert creates no certificates for nodes that have it."
            )
            return
        say(f"Next: `kcert bundle {nodes[0].name}{option}` packs what the node needs. Once its kubelet runs:")
        approve = "kcert csr approve NAME   # its serving certificate, which is not approved automatically"
        block(["kcert csr list", approve])


def show_call(api_call: Call, *, explain: bool) -> None:
    """Print the command, before it runs."""
    if explain:
        say_apart(lessons.why("call"))
        say_apart(f"The API server will see {api_call.user}, because of the subject of the certificate.")
    if api_call.script is None:
        command_line(api_call.argv())
    else:
        block(api_call.script.splitlines(), "command")
    screen().print()


def show_answer(api_call: Call, answer: Answer, *, quiet: bool) -> None:
    """Print the answer; raises VerdictError for one that is not a success."""
    body = readable(answer.body)
    sys.stdout.write(body if not body or body.endswith("\n") else f"{body}\n")
    sys.stdout.flush()
    if not 200 <= answer.status < 400:
        answered = f"{api_call.server}{api_call.path} answered {api_call.user} with {answer.status}."
        raise VerdictError(f"{answered} {meaning(answer.status)}".rstrip())
    if not quiet:
        screen().print()
        say(f"{answer.status}: it answered.", "good")


def readable(body: bytes) -> str:
    """JSON with its keys in lines of their own; anything else as it is, with nothing that could upset a terminal."""
    text = body.decode("utf-8", "replace")
    with contextlib.suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return clean(text)
