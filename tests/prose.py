"""The lint of the words: terms that kcert does not use, long sentences, commands in running text, help without a verb.

Run as ``python -m tests.prose [--count]``, by ``make check``. The words come from the glossary
(``kcert/lessons/glossary.md``, behind "Not:"), and from ``PHRASES`` for what is not one term. Quotations ("...") and
code (`...`, indented blocks, without their comments) are exempt: they are the words of other programs.
"""

from __future__ import annotations

import ast
import html.parser
import inspect
import json
import re
import sys
import tokenize
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[1]
GLOSSARY = REPOSITORY / "kcert/lessons/glossary.md"

LONGEST_SENTENCE = 30
"""Words."""

LONGEST_COMMAND = 40
"""Characters of a command inside a sentence; a longer one is on a line of its own."""

PHRASES = {
    r"(?<!there )is no(?= )(?! (longer|more|other|need|one|terminal|such|text)\b)": "is not a",
    r"whoever": "anyone who, the user",
    r"nobody": "no component, no user",
    r"everybody": "every client, everyone",
    r"somebody(?! else)": "a user, someone",
    r"(made|makes?) (it )?again|begins? again|anew": "re-create, start again",
    r"belongs? into": "belongs in",
    r"out loud": "showing every command it runs",
    r"lies|lay there": "is in",
    r"stands? (in|there|beside|behind|on|at|under)": "is in",
    r"(is|are|was|were|be|been) told (of|to|which|what|where|so|apart)": "is given, is configured with",
    r"(takes?|took|taken|taking) (it |them |that )?(away|out)": "delete, remove",
    r"(leaves?|leaving) (it |them |that )?out": "omit",
    r"ends (on \d|before its)": "expires",
    r"(file|key|value|config|certificate) behind -\w+": "given with -OPTION",
}
"""What kcert does not say, as a regular expression, and what it says."""

_STANDARD = re.compile(r"certificate authority|Authority Key Identifier|authority info access|--\S+", re.IGNORECASE)
"""Terms with a word in them that is not used by itself."""

PRONOUN = re.compile(r"^(?:It|They|These|Those|He|She|Theirs|This is|That is|There it)\b(?!')")
QUESTION = re.compile(r"^(?:What|Where|Who|Whose|Whether|Why|How)\b(?! many)(?!.*\?)")
_PROGRAMS = r"(?:kcert|kubectl|openssl|kubeadm|curl|cat|sudo|journalctl|scp|ssh|etcdctl)"
_LONG_COMMAND = re.compile(rf"`({_PROGRAMS} [^`]{{{LONGEST_COMMAND},}})`")

VERBS = frozenset(
    re.findall(
        r"\w+",
        """
    add allow answer approve ask build call change check choose compare complete connect continue create delete deny
    describe diagnose disable display enable encrypt end exit explain export fetch find finish fix follow generate
    get give hand hide ignore include inspect install keep leave let limit list load look make manage mark merge move
    name omit open order overwrite pack practice prepare present print put read record redirect refuse remove renew
    repeat replace report request require reset restore rotate run save search send set show sign skip sort start stop
    store submit take treat try turn unpack update use verify wait warn write
    """,
    )
)
"""What a help line may begin with."""

ERRORS = ("KcertError", "InputError", "VerdictError", "MachineError", "OutputError", "ProgramError", "UnansweredError")
"""The exceptions whose first argument the user reads (``kcert.errors``)."""


@dataclass(frozen=True)
class Text:
    """A piece of prose with its place.

    ``kind`` is ``markdown``, ``data`` (a sentence in YAML, JSON or HTML), ``message``, ``error``, ``help``,
    ``docstring``, ``paragraph`` (a later one of a docstring) or ``comment``. ``raw`` is the message as in the code,
    with ``{}`` for each value.
    """

    path: Path
    line: int
    kind: str
    words: str
    raw: str = ""


def glossary() -> dict[str, str]:
    """Return the words that the glossary replaces, with the term that it gives for each."""
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=- )", GLOSSARY.read_text(encoding="utf-8")):
        term, banned = re.search(r"\*\*([^*]+)\*\*", entry), re.search(r"Not:\s+([^.]+)\.", entry)
        if term and banned:
            found |= dict.fromkeys(" ".join(banned[1].split()).split(", "), term[1])
    return found


def forms(word: str) -> str:
    """Return the pattern of *word* and of its forms: judge, judges, judged, judging, judgment."""
    first, space, rest = word.partition(" ")
    if first.endswith("y"):
        stem, ends = first[:-1], "y|ies"
    elif first.endswith("e"):
        stem, ends = first[:-1], "e|es|ed|ing|ment"
    else:
        stem, ends = first, "|s|es|ed|ing|led|ling"
    return f"{re.escape(stem)}(?:{ends}){re.escape(space + rest)}"


def forbidden() -> dict[str, str]:
    """Return the pattern of each word that kcert does not use, with what to write instead."""
    return PHRASES | {forms(word): term for word, term in glossary().items()}


def markdown(path: Path) -> Iterator[Text]:
    """Yield the paragraphs and items of a Markdown file, and of its code the comments."""
    text = path.read_text("utf-8")
    yield from commented(path, text, r"^    # (.*)")
    text = re.sub(r"^```.*?^```", lambda found: "\n" * found[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)
    number = 1
    for part in re.split(r"(\n{2,})", text):
        if part.strip() and not part.startswith(("    ", "<!--")):
            kept = "\n".join(line for line in part.split("\n") if not line.startswith(("    ", "<")))
            for item in re.split(r"\n(?=\s*(?:- |\d+\. |\|))|(?<=\w) \| ", kept):
                words = re.sub(r"^\s*(?:- |\d+\. |#+ |\|)", "", item).strip("| ")
                if not re.match(r"(chapter|place|difficulty|minutes):", words):
                    yield Text(path, number, "markdown", " ".join(words.split()))
        number += part.count("\n")


def commented(path: Path, text: str, pattern: str) -> Iterator[Text]:
    """Yield the comments of *text*: group 1 of *pattern* on each line that has one."""
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.search(pattern, line):
            yield Text(path, number, "comment", found[1].strip())


def python(path: Path) -> Iterator[Text]:
    """Yield the docstrings, comments, messages and errors of a module, and the help of its options and commands."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = dict(_kinds(tree))
    for node in ast.walk(tree):
        kind = kinds.get(id(node), "message")
        raw = ""
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and kind != "part":
            raw = inspect.cleandoc(node.value) if kind == "docstring" else node.value
        elif isinstance(node, ast.JoinedStr):
            raw = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        words = raw.replace("{}", "X")
        if len(words.split()) > (1 if kind == "help" else 2) and not re.match(r"\s*[<{\[]|.*\x1b", words):
            for number, paragraph in enumerate(re.split(r"\n\s*\n", words)):
                if not paragraph.lstrip("\n").startswith("    "):
                    part = "paragraph" if number and kind == "docstring" else kind
                    yield Text(path, getattr(node, "lineno", 0), part, " ".join(paragraph.split()), raw)
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT and not token.string.startswith(("#!", "# noqa", "# type:")):
                yield Text(path, token.start[0], "comment", token.string.lstrip("# "))


def _kinds(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield each string of a module that is not just a message, by its id, with its kind."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "help":
            yield id(node.value), "help"
        elif isinstance(node, ast.Call) and node.args:
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in ERRORS:
                yield id(node.args[0]), "error"
            elif name in {"Entry", "option", "argument"} and node.args[1:]:
                yield id(node.args[1]), "help"
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield id(node.value), "docstring"
        elif isinstance(node, ast.JoinedStr):
            yield from ((id(part), "part") for part in ast.walk(node) if part != node)


SENTENCES = {"advice", "fail_msg", "hint", "http", "msg", "name", "note", "noun", "glossary", "says"}
"""The keys of YAML files whose values are prose; of all other values the lint reads the comments."""

QUOTED = {"after", "before", "kubectl/says", "line", "pattern", "patterns", "says/says", "when"}
"""The keys of YAML files whose values are what other programs print."""


def data(path: Path) -> Iterator[Text]:
    """Yield the comments of a YAML file, and its sentences."""
    text = path.read_text(encoding="utf-8")
    yield from commented(path, text, r"(?:^|\s)# (.*)")
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError:  # a template
        return
    found: list[tuple[yaml.Node, tuple[str, ...]]] = [(root, ())] if root else []
    while found:
        node, keys = found.pop()
        if isinstance(node, yaml.MappingNode):
            found += [(value, (*keys, str(key.value))) for key, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            found += [(value, keys) for value in node.value]
        elif keys and SENTENCES & set(keys) and not QUOTED & {*keys, "/".join(keys[-2:])}:
            words = re.sub(r"\[\[|\]\]|\{\w+\|([^}]*)\}", r"\1", node.value)
            words = re.sub(r"\{[\w.]+\}", "X", words)
            yield Text(path, node.start_mark.line + 1, "data", " ".join(words.split()))


class _Page(html.parser.HTMLParser):
    """The text of a page, and of the attributes that are read out or shown."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, str]] = []

    def handle_data(self, data: str) -> None:
        self.found.append((self.getpos()[0], data))

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        shown = ("alt", "aria-label", "placeholder", "title")
        self.found += [(self.getpos()[0], value or "") for name, value in attrs if name in shown]


def page(path: Path) -> Iterator[Text]:
    """Yield the words of an HTML page or an SVG picture."""
    parser = _Page()
    parser.feed(path.read_text(encoding="utf-8"))
    for line, words in parser.found:
        if words.strip():
            yield Text(path, line, "data", " ".join(words.split()))


def schema(path: Path) -> Iterator[Text]:
    """Yield the titles and descriptions of a JSON schema."""
    found: list[Any] = [json.loads(path.read_text(encoding="utf-8"))]
    while found:
        value = found.pop()
        if isinstance(value, dict):
            found += [inner for inner in value.values() if isinstance(inner, (dict, list))]
            for key in ("title", "description"):
                if isinstance(words := value.get(key), str):
                    yield Text(path, 1, "data", words)
        elif isinstance(value, list):
            found += value


def manual(path: Path) -> Iterator[Text]:
    """Yield the paragraphs of a manual page."""
    text = re.sub(r"\\f[BIR]|\\(?=[-&])", "", path.read_text(encoding="utf-8"))
    for paragraph in re.split(r"^\..*\n", text, flags=re.MULTILINE):
        yield Text(path, 1, "data", " ".join(paragraph.split()))


def script(path: Path) -> Iterator[Text]:
    """Yield the comments of a script, a template or a configuration file, and what a script prints."""
    text = path.read_text(encoding="utf-8")
    yield from commented(path, text, r"(?:^|\s)(?:##?|//|/\*) (.*)")
    yield from commented(path, text, r"\becho \"(.*)\"")


READERS = {
    ".md": markdown,
    ".py": python,
    ".yaml": data,
    **dict.fromkeys((".html", ".rels", ".svg", ".xml"), page),
    ".json": schema,
    ".1": manual,
    **dict.fromkeys((".cnf", ".css", ".js", ".kubeconfig", ".service", ".sh", ".toml", ""), script),
}
"""The reader of each kind of file, by the end of its name."""

PLACES = ("kcert", "openssl_templates", ".github", "Makefile", "pyproject.toml", ".ci", "tests/lint.py")
"""Where kcert's own words are, beside the Markdown files of the repository's root."""


def files() -> Iterator[Path]:
    """Yield every file with kcert's own words."""
    yield from sorted(REPOSITORY.glob("*.md"))
    for place in PLACES:
        path = REPOSITORY / place
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                yield file


def texts() -> Iterator[Text]:
    """Yield every piece of prose in the repository that is kcert's own."""
    for path in files():
        yield from READERS[path.suffix](path)


def bare(words: str) -> str:
    """Return *words* without quotations and code."""
    return re.sub(r"``[^`]*``|`[^`]*`|\"[^\"]*\"|\{\{.*?\}\}|https?://\S+", " X ", words)


def findings(text: Text, banned: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each rule that *text* breaks, with what to do."""
    words = bare(text.words)
    searched = "" if text.path == GLOSSARY else _STANDARD.sub("", words)
    for pattern, instead in banned.items():
        if found := re.search(rf"(?<![\w-])(?:{pattern})(?![\w-])", searched, re.IGNORECASE):
            yield f"word {found[0].lower()!r}", f"{found[0]!r}: write {instead!r}"
    if text.kind == "docstring" and (found := QUESTION.match(words)):
        yield "docstring", f"begins with {found[0]!r}: begin with a verb or a noun"
    if text.kind != "comment":
        yield from _of_sentences(text, words)


def _of_sentences(text: Text, words: str) -> Iterator[tuple[str, str]]:
    for sentence in re.split(r"(?<=[.!?:;]) ", words):
        if (count := len(re.findall(r"\w[\w'-]*", sentence))) > LONGEST_SENTENCE:
            yield "long sentence", f"a sentence of {count} words, more than {LONGEST_SENTENCE}: {sentence[:60]}..."
    if text.kind not in ("docstring", "paragraph") and PRONOUN.match(words):
        yield "pronoun", f"begins with a pronoun: name what {words.split(maxsplit=1)[0]!r} is"
    if text.kind in ("markdown", "data") and (found := _LONG_COMMAND.search(text.words)):
        yield "long command", f"a command of {len(found[1])} characters in a sentence: give it a line of its own"
    if text.kind == "help" and (found := re.match(r"[A-Za-z]+", words)) and found[0].lower() not in VERBS:
        yield "help", f"help begins with {found[0]!r}, which is not a verb of the list"
    if text.kind == "error" and not _has_way_out(text.raw):
        yield "error", "an error without a value and without a way out: name the value, or what to do"


def _has_way_out(message: str) -> bool:
    """Return True if an error has a value, a command, an option, or a sentence that begins with a verb."""
    clauses = re.split(r"[.:;,?!]\s+", message)
    return bool(re.search(r"\{\}|`|--\w", message)) or any(
        clause.split()[:1] and clause.split()[0].lower() in VERBS for clause in clauses[1:]
    )


def main() -> int:
    """Print what breaks the rules; the exit status. With --count, how often each rule is broken."""
    banned = forbidden()
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
