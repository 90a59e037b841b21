"""The lessons: one Markdown file a topic, beside this module, for teachers to edit or translate.

Files in the folder that the environment variable KCERT_LESSONS names replace them.

A lesson begins with ``# Title`` and ``chapter: NAME``; ``place: NUMBER`` orders a chapter. A few paragraphs follow,
the first of which is complete by itself, then sections (``## Command`` and others).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from kcert.errors import InputError, did_you_mean
from kcert.files import read_input

FOLDER = Path(__file__).parent
"""The folder of kcert's own lessons: beside this module in a checkout and in an installed kcert alike."""

VARIABLE = "KCERT_LESSONS"
"""Names a folder with lessons in other words or in another language."""

CHAPTERS = (
    "Concepts",
    "Steps",
    "Certificate types",
    "Certificates",
    "Commands",
    "Problems that kcert check finds",
    "Error messages",
    "Practice",
)
"""The chapters in the order in which a course would take them; others come after, by name."""

_SECTIONS = {
    "key": "Key",
    "public-key": "Public key",
    "settings": "Config",
    "request": "Request",
    "signature": "Signature",
    "self-signature": "Signature",
    "verify": "Check",
    "kubeconfig": "Kubeconfig",
}
"""The section of a certificate's lesson with the reason for a step, by the step's action."""

_OPTIONS = "component-options"
"""The lesson whose sections say what each option of a component, and each permission of a new node, is for."""

_FILES = "files-on-a-host"
"""The lesson whose sections say what each file is for that no option of a component explains."""

_ISSUES = "known-issues"
"""The lesson with the known issues of the guides that profiles follow, each with what fixes it."""

PARTS = (_OPTIONS, _FILES, _ISSUES, "openssl-text", "quiz", "reading-a-certificate")
"""Lessons whose sections kcert prints one by one, each where it belongs."""

_BLANK = re.compile(r"\{(\w+)\}")

_CLOSING = ("Command", "How it fails", "What's next")
"""The sections that end a lesson; kcert does not look them up, so they may have other headings."""

_NO_PLACE = 1_000_000
"""The place of a lesson without one: after the others."""


@dataclass(frozen=True)
class Lesson:
    """A topic: its ``opening`` paragraphs and its ``sections`` by heading, all of it Markdown."""

    topic: str
    title: str
    chapter: str
    opening: str
    sections: Mapping[str, str] = field(hash=False)
    position: int = _NO_PLACE


def file_of(name: str) -> Path:
    """Return the path of the file *name* (``ca.md``, ``labs/make-the-ca.md``), in the teacher's folder if it has one.

    Raises InputError for a KCERT_LESSONS that is not a folder.
    """
    own = _own_folder()
    return own / name if own and (own / name).is_file() else FOLDER / name


def _own_folder() -> Path | None:
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    if not Path(named).is_dir():
        raise InputError(f"{VARIABLE}={named} is not a folder. `kcert explain --export FOLDER` writes one to edit.")
    return Path(named)


@cache
def check_own() -> None:
    """Check every lesson in the folder of KCERT_LESSONS; raises InputError for the first that is not right.

    Besides its form, a lesson has to keep the section headings by which kcert looks up its parts, and these can have
    no other ``{value}`` than kcert's own have.
    """
    own = _own_folder()
    for path in sorted(own.glob("*.md")) if own else ():
        sections, original = lesson(path.stem).sections, FOLDER / path.name
        if not original.is_file():
            continue
        headings = set(_SECTIONS.values())
        for heading, text in _read(original, original.read_text(encoding="utf-8")).sections.items():
            if heading in _CLOSING if path.stem in PARTS else heading not in headings:
                continue
            if not sections.get(heading):
                raise InputError(
                    f'{path}: the section "## {heading}" is missing or empty. kcert looks it up by this heading, so '
                    "keep the heading in English, and translate its text."
                )
            known = set(_BLANK.findall(text))
            unknown = sorted(set(_BLANK.findall(sections[heading])) - known)
            if unknown and path.stem in PARTS:
                names = ", ".join(f"{{{name}}}" for name in sorted(known)) or "none"
                raise InputError(f'{path}: the section "## {heading}" has {{{unknown[0]}}}; known there: {names}.')


def topics() -> tuple[str, ...]:
    """Return every topic by name."""
    folders = [folder for folder in (FOLDER, _own_folder()) if folder]
    return tuple(sorted({path.stem for folder in folders for path in folder.glob("*.md")}))


_OF_A_KIND = {"kube-controller-manager-server": "kind-server", "kube-scheduler-server": "kind-server"}
"""Roles of which no profile has a certificate, and whose lesson is that of their kind: K3s has such."""


@cache
def lesson(topic: str) -> Lesson:
    """Return the lesson of *topic*.

    Raises InputError for an unknown topic, with similar ones, and for a file that is not a lesson.
    """
    topic, known = _OF_A_KIND.get(topic, topic), topics()
    if topic not in known:
        hint = did_you_mean(topic, known, "`kcert explain` lists all topics.")
        raise InputError(f"there is no lesson on {topic!a}; {hint}")
    path = file_of(f"{topic}.md")
    return _read(path, text_of(path))


_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def text_of(path: Path) -> str:
    """Return the text of a lesson, a lab or a picture, which may be someone else's.

    Raises InputError where it cannot be read, and for a character that a terminal would act on.
    """
    try:
        text = read_input(path).decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read: {error}.") from None
    if control := _CONTROL.search(text):
        line = text[: control.start()].count("\n") + 1
        raise InputError(f"{path}:{line}: delete the control character U+{ord(control[0]):04X}.")
    return text


def by_chapter() -> dict[str, tuple[Lesson, ...]]:
    """Return every lesson by chapter, in the order of a course."""
    chapters: dict[str, list[Lesson]] = {}
    for each in sorted((lesson(topic) for topic in topics()), key=lambda each: (each.position, each.topic)):
        chapters.setdefault(each.chapter, []).append(each)
    order = [*CHAPTERS, *sorted(set(chapters) - set(CHAPTERS))]
    return {name: tuple(chapters[name]) for name in order if name in chapters}


def chapter(name: str) -> tuple[Lesson, ...]:
    """Return the lessons of the chapter *name*, in any case; none if there is no such chapter."""
    return next((members for title, members in by_chapter().items() if title.casefold() == name.casefold()), ())


def search(words: str) -> tuple[Lesson, ...]:
    """Return the lessons in which each of *words* occurs, the best match first: in the topic or title, then often."""
    wanted = [re.compile(rf"(?<![\w-]){re.escape(word)}", re.IGNORECASE) for word in words.split()]

    def score(lesson: Lesson) -> int:
        lines = "\n".join((lesson.opening, *lesson.sections, *lesson.sections.values())).split("\n")
        text = "\n".join(line for line in lines if not line.startswith("    "))  # prose, and no commands
        heads = f"{lesson.topic} {lesson.title}"
        counts = [20 * len(word.findall(heads)) + min(len(word.findall(text)), 10) for word in wanted]
        return sum(counts) if all(counts) else 0

    ranked = [(score(match), match) for match in map(lesson, topics())] if wanted else []
    return tuple(match for points, match in sorted(ranked, key=lambda item: (-item[0], item[1].topic)) if points)


def export(target: Path) -> int:
    """Copy every lesson, and the words of every lab, into the new or empty folder *target*; return how many.

    Raises InputError for a folder that holds something.
    """
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise InputError(f"{target} is not an empty folder. Name a new one: --export FOLDER.")
    names = [path.relative_to(FOLDER) for path in sorted(FOLDER.rglob("*.*")) if path.suffix in (".md", ".svg")]
    for name in names:
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write((FOLDER / name).read_bytes())
    return len(names)


def picture(name: str) -> str:
    """Return the SVG *name* that a lesson shows on a page; raises InputError for a file that cannot be read."""
    path = file_of(name)
    if path.suffix != ".svg" or len(Path(name).parts) != 1:
        raise InputError(f"a lesson shows the picture {name!a}: the name of an .svg file beside it is needed.")
    return text_of(path)


def why(role: str) -> str:
    """Return the purpose of a certificate of this *role*: one paragraph, on one line."""
    return _first_paragraph(lesson(role).opening)


def reason(role: str, action: str) -> str:
    """Return the reason for the step *action* of a certificate of this *role*: one paragraph, on one line.

    It comes from the lesson of the role, or, where that has none or no *role* is given, from the lesson of the step.
    """
    own = lesson(role).sections.get(_SECTIONS.get(action, "")) if role else None
    return " ".join(own.split()) if own else _first_paragraph(lesson(f"step-{action}").opening)


class Once:
    """Words that are said once: called with the same again, it returns none."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, words: str) -> str:
        """Return *words*, or "" if they were said."""
        if words in self._said:
            return ""
        self._said.add(words)
        return words


def option_reason(component: str, option: str = "") -> str:
    """Return the reason for an *option* of *component*, or for a field of its configuration file; "" if it has none.

    Without *option*, return what the component does, on one line as well.
    """
    return section(_OPTIONS, f"{component} {option}".strip()) or section(_OPTIONS, option)


def file_reason(heading: str, **values: str) -> str:
    """Return what a file is for that no option explains, by its *heading*, with *values* in place of ``{name}``."""
    return section(_FILES, heading, **values)


def known_issue(name: str) -> tuple[str, str]:
    """Return what goes wrong with a known issue of a guide, and what fixes it."""
    return section(_ISSUES, name), section(_ISSUES, f"{name}: fix")


def section(topic: str, heading: str, **values: str) -> str:
    """Return the section *heading* of the lesson on *topic* on one line, with *values* in place of ``{name}``.

    It is "" if the lesson has no such section. Raises InputError for a folder of KCERT_LESSONS that is not right.
    """
    check_own()
    text = " ".join(lesson(topic).sections.get(heading, "").split())
    return _BLANK.sub(lambda match: values.get(match[1], match[0]), text)


def _first_paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


def parts_of(text: str) -> tuple[str, list[str], str, dict[str, str]]:
    """Return the first line of a lesson or a lab, the lines of its header, its opening, and its sections by heading."""
    title, _, rest = text.partition("\n")
    header, _, body = rest.partition("\n\n")
    opening, *parts = f"\n{body}".split("\n## ")
    sections = {heading.strip(): words.strip("\n") for heading, _, words in (part.partition("\n") for part in parts)}
    return title, header.splitlines(), opening.strip("\n"), sections


def _read(path: Path, text: str) -> Lesson:
    title, header, opening, sections = parts_of(text)
    if not title.startswith("# "):
        raise InputError(f"{path}:1: a lesson begins with its title: # Title")
    values: dict[str, str] = {}
    for number, line in enumerate(header, start=2):
        name, colon, value = line.partition(":")
        if not colon or name not in ("chapter", "place"):
            raise InputError(
                f"{path}:{number}: expected chapter: NAME or place: NUMBER between the title and the first empty line."
            )
        values[name] = value.strip()
    if not values.get("chapter"):
        raise InputError(f"{path}:2: the second line of a lesson names its chapter: chapter: {CHAPTERS[0]}")
    if not opening.strip():
        raise InputError(f"{path}: a lesson opens with what it is about, and why, before its first section")
    digits = values.get("place", "")
    position = int(digits) if digits.isascii() and digits.isdigit() else _NO_PLACE
    return Lesson(path.stem, title.removeprefix("# ").strip(), values["chapter"], opening, sections, position)
