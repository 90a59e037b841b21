"""The lint of the words: terms that kcert does not use, long sentences, commands in running text, help without a verb.

Run as ``python -m tests.prose [--count]``, by ``make check``. The words come from the glossary
(``kcert/lessons/glossary.md``, behind "Not:"), and from ``PHRASES`` for what is not one word. Quotations ("...") and
code (`...`, indented blocks) are exempt: they are the words of other programs.
"""

from __future__ import annotations

import ast
import re
import sys
import tokenize
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[1]
GLOSSARY = REPOSITORY / "kcert/lessons/glossary.md"

LONGEST_SENTENCE = 30
"""Words."""

LONGEST_COMMAND = 40
"""Characters of a command inside a sentence; a longer one is on a line of its own."""

PHRASES = {
    r"authorit(y|ies)": "certificate authority (CA)",
    r"dial(s|l?ed|l?ing)?": "connect to",
    r"is no (?!longer|more|other|need)": "is not a",
    r"whoever": "anyone who, the user",
    r"nobody": "no component, no user",
    r"everybody": "every client, everyone",
    r"somebody(?! else)": "a user, someone",
    r"mend(s|ed|ing)?": "fix",
    r"made again|begins? again|anew": "re-created, start again",
    r"belongs? into": "belongs in",
    r"vouch(es|ed)?(?: for)?": "sign, trust",
    r"(is|are|was|were|be) turned away": "is rejected",
    r"out loud": "showing every command it runs",
    r"change-overs?": "CA rotation",
    r"(is|are) kept apart": "is offline, is external",
    r"lies|lay there": "is in",
    r"stands? (in|there|beside|behind|on|at|under)": "is in",
    r"(is|are|was|were|be|been) told (of|to|which|what|where|so|apart)": "is given, is configured with",
    r"judg(e|es|ed|ing|ment)": "check",
    r"has ended|ends (soon|on \d|before its)": "has expired, expires",
    r"proof": "verification, evidence",
}
"""What kcert does not say, as a regular expression, and what it says."""

_STANDARD = re.compile(r"certificate authority \(CA\)|Authority Key Identifier|authority info access", re.IGNORECASE)
"""Terms with a word in them that is not used by itself."""

PRONOUN = re.compile(r"^(?:It|They|These|Those|He|She|Theirs|This is|That is|There it)\b(?!')")
_PROGRAMS = r"(?:kcert|kubectl|openssl|kubeadm|curl|cat|sudo|journalctl|scp|ssh|etcdctl)"
_LONG_COMMAND = re.compile(rf"`({_PROGRAMS} [^`]{{{LONGEST_COMMAND},}})`")

VERBS = frozenset(
    [
        "add",
        "allow",
        "answer",
        "approve",
        "ask",
        "build",
        "call",
        "change",
        "check",
        "choose",
        "compare",
        "complete",
        "connect",
        "continue",
        "create",
        "delete",
        "deny",
        "describe",
        "diagnose",
        "disable",
        "display",
        "enable",
        "encrypt",
        "end",
        "exit",
        "explain",
        "export",
        "fetch",
        "find",
        "finish",
        "fix",
        "follow",
        "generate",
        "get",
        "give",
        "hand",
        "hide",
        "ignore",
        "include",
        "inspect",
        "install",
        "keep",
        "leave",
        "limit",
        "list",
        "load",
        "look",
        "make",
        "manage",
        "mark",
        "merge",
        "move",
        "name",
        "open",
        "order",
        "overwrite",
        "pack",
        "practice",
        "prepare",
        "present",
        "print",
        "put",
        "read",
        "record",
        "refuse",
        "remove",
        "renew",
        "repeat",
        "replace",
        "report",
        "request",
        "require",
        "reset",
        "restore",
        "rotate",
        "run",
        "save",
        "search",
        "send",
        "set",
        "show",
        "sign",
        "skip",
        "sort",
        "start",
        "stop",
        "store",
        "submit",
        "take",
        "treat",
        "try",
        "turn",
        "unpack",
        "update",
        "use",
        "verify",
        "wait",
        "warn",
        "write",
    ]
)
"""What a help line may begin with."""


@dataclass(frozen=True)
class Text:
    """A piece of prose with its place; ``kind`` is ``markdown``, ``message``, ``help`` or ``comment``."""

    path: Path
    line: int
    kind: str
    words: str


def glossary() -> dict[str, str]:
    """Return the words that the glossary replaces, with the term that it gives for each."""
    found = {}
    for entry in re.split(r"\n(?=- )", GLOSSARY.read_text(encoding="utf-8")):
        term, banned = re.search(r"\*\*([^*]+)\*\*", entry), re.search(r"Not:\s+([^.]+)\.", entry)
        if term and banned:
            for word in " ".join(banned[1].split()).split(", "):
                found[re.escape(word)] = term[1]
    return found


def markdown(path: Path) -> Iterator[Text]:
    """Yield the paragraphs and items of a Markdown file, without its code."""
    text = re.sub(
        r"^```.*?^```",
        lambda found: "\n" * found[0].count("\n"),
        path.read_text("utf-8"),
        flags=re.MULTILINE | re.DOTALL,
    )
    number = 1
    for part in re.split(r"(\n{2,})", text):
        if part.strip() and not part.startswith(("    ", "|", "<!--", "    ")):
            kept = "\n".join(line for line in part.split("\n") if not line.startswith(("    ", "|", "<")))
            for item in re.split(r"\n(?=\s*(?:- |\d+\. ))", kept):
                words = re.sub(r"^\s*(?:- |\d+\. |#+ )", "", item)
                if not re.match(r"(chapter|place|difficulty|minutes):", words):
                    yield Text(path, number, "markdown", " ".join(words.split()))
        number += part.count("\n")


def python(path: Path) -> Iterator[Text]:
    """Yield the docstrings, comments and messages of a module, and the help of its options."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    helps = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "help" and isinstance(node.value, ast.Constant)
    }
    inner = {
        id(value)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for value in ast.walk(node)
        if value != node
    }
    for node in ast.walk(tree):
        words = None
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            words = node.value
        elif isinstance(node, ast.JoinedStr):
            words = "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        if words and len(words.split()) > 2 and "\x1b" not in words and not words.lstrip().startswith(("<", "{", "[")):
            for paragraph in re.split(r"\n\s*\n", words):
                if not paragraph.lstrip("\n").startswith("    "):
                    kind = "help" if id(node) in helps else "message"
                    yield Text(path, getattr(node, "lineno", 0), kind, " ".join(paragraph.split()))
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT and not token.string.startswith(("#!", "# noqa", "# type:")):
                yield Text(path, token.start[0], "comment", token.string.lstrip("# "))


def texts() -> Iterator[Text]:
    """Yield every piece of prose in the repository that is kcert's own."""
    for path in (*sorted((REPOSITORY / "kcert").rglob("*.md")), *sorted(REPOSITORY.glob("*.md"))):
        yield from markdown(path)
    for path in sorted((REPOSITORY / "kcert").rglob("*.py")):
        yield from python(path)


def bare(words: str) -> str:
    """Return *words* without quotations and code."""
    return re.sub(r"``[^`]*``|`[^`]*`|\"[^\"]*\"|\{\{.*?\}\}|https?://\S+", " X ", words)


def findings(text: Text, banned: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each rule that *text* breaks, with what to do."""
    words = bare(text.words)
    is_glossary = text.path == GLOSSARY
    words = _STANDARD.sub("", words)
    for pattern, instead in banned.items():
        if not is_glossary and (found := re.search(rf"(?<![\w-])(?:{pattern})(?![\w-])", words, re.IGNORECASE)):
            yield f"word {found[0].lower()!r}", f"{found[0]!r}: write {instead!r}"
    if text.kind == "comment":
        return
    for sentence in re.split(r"(?<=[.!?:;]) ", words):
        if (count := len(re.findall(r"\w[\w'-]*", sentence))) > LONGEST_SENTENCE:
            yield "long sentence", f"a sentence of {count} words, more than {LONGEST_SENTENCE}: {sentence[:60]}..."
    if text.kind in ("markdown", "help") and PRONOUN.match(words):
        yield "pronoun", f"begins with a pronoun: name what {words.split()[0]!r} is"
    if text.kind == "markdown" and (found := _LONG_COMMAND.search(text.words)):
        yield "long command", f"a command of {len(found[1])} characters in a sentence: give it a line of its own"
    if text.kind == "help" and (first := re.match(r"[A-Za-z]+", words)) and first[0].lower() not in VERBS:
        yield "help", f"help begins with {first[0]!r}, which is not a verb of the list"


def main() -> int:
    """Print what breaks the rules; the exit status. With --count, how often each rule is broken."""
    banned = {**PHRASES, **glossary()}
    counts: Counter[str] = Counter()
    for text in texts():
        for rule, message in findings(text, banned):
            counts[rule] += 1
            if "--count" not in sys.argv:
                print(f"{text.path.relative_to(REPOSITORY)}:{text.line}: {message}")  # noqa: T201 - this is a program
    if "--count" in sys.argv:
        for rule, count in counts.most_common():
            print(f"{count:6} {rule}")  # noqa: T201
    return 1 if counts else 0


if __name__ == "__main__":
    sys.exit(main())
