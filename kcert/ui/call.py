"""A call of the API: the command, the answer made readable, and what it means."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING

from kcert import lessons
from kcert.errors import VerdictError
from kcert.kubernetes.call import MEANINGS
from kcert.ui.console import block, clean, command_line, say, screen

if TYPE_CHECKING:
    from kcert.kubernetes.call import Answer, Call


def show(asked: Call, *, explain: bool) -> None:
    """Print the command, before it runs."""
    if explain:
        say(lessons.why("call"))
        screen().print()
        say(f"The API server will see {asked.user}, because that is what the certificate says.")
        screen().print()
    if asked.script is None:
        command_line(asked.argv)
    else:
        block(asked.script.splitlines(), "command")
    screen().print()


def answered(asked: Call, answer: Answer, *, quiet: bool) -> None:
    """Print the answer; raises VerdictError for one that is no success."""
    body = readable(answer.body)
    sys.stdout.write(body if not body or body.endswith("\n") else f"{body}\n")
    sys.stdout.flush()
    if not 200 <= answer.status < 400:
        meaning = MEANINGS.get(answer.status, "")
        raise VerdictError(f"{asked.server}{asked.path} answered {asked.user} with {answer.status}. {meaning}".rstrip())
    if not quiet:
        screen().print()
        say(f"{answer.status}: it answered.", "good")


def readable(body: bytes) -> str:
    """JSON with its keys in lines of their own; anything else as it is, with nothing that could upset a terminal."""
    text = body.decode("utf-8", "replace")
    with contextlib.suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return clean(text)
