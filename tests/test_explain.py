"""`kcert explain`: the lessons on the screen, through a pager, in a file, as Markdown and as a page."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tarfile
import termios
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kcert import lessons
from tests.lesson_commands import lines
from tests.refusals import assert_refused
from tests.running import REPOSITORY, Kcert, representatives

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.clusters import Pki

EXPLAIN = (sys.executable, "-m", "kcert", "explain")
VOID = {"meta", "br", "hr", "img", "link", "input"}


def explain(*arguments: str, status: int = 0, folder: Path | None = None) -> str:
    ended = Kcert(folder or REPOSITORY)("explain", *arguments)
    assert ended.status == status, ended.stderr
    return ended.stdout if status == 0 else ended.stderr


def environment(**more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name not in ("PAGER", "LESS", "COLUMNS", "LINES")}
    return {**own, "PYTHONPATH": str(Path(__file__).parent.parent), "TERM": "xterm", **more}


def on_a_terminal(*arguments: str, columns: int, rows: int, **variables: str) -> str:
    """Return what a terminal of this size gets to show."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        [*EXPLAIN, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment(**variables)
    )
    os.close(theirs)
    shown = bytearray()
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:
        pass  # Linux reports the end of a terminal as an error
    os.close(ours)
    assert process.wait() == 0
    return shown.decode().replace("\r\n", "\n")


class Page(HTMLParser):
    """What a page links to, what can be linked to, what it would load, and whether each tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if values.get("id"):
            self.ids.append(str(values["id"]))
        if tag == "a":
            self.links.append(str(values["href"]))
        if tag in ("script", "link", "img", "iframe") or values.get("src"):
            self.loads.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_without_a_topic_every_topic_is_listed() -> None:
    listed = explain()
    assert set(re.findall(r"^([a-z][a-z0-9-]*)  ", listed, re.MULTILINE)) == set(lessons.topics())
    assert listed.index("Concepts\n--------") < listed.index("Certificates\n-----") < listed.index("Commands\n-----")


@pytest.mark.parametrize("topic", ["ca", "step-settings", "tls-in-one-page", "tools-compared", "csr"])
def test_in_a_pipe_a_lesson_is_plain_text(topic: str) -> None:
    text = explain(topic)
    assert text.startswith(lessons.lesson(topic).title)
    assert "\x1b" not in text
    assert not re.search(r" $", text, re.MULTILINE)
    assert text.index("\nCommand\n") < text.index("\nHow it fails\n") < text.index("\nWhat's next\n")


@pytest.mark.thorough
def test_what_is_to_be_typed_can_be_copied_whole() -> None:
    """One run prints all lessons; each line is there as often as lessons have it."""
    printed = Counter(line.strip() for line in re.sub(r" \\\n +", " ", explain("--all")).splitlines())
    typed = Counter(line for topic in lessons.topics() for line in lines(topic))

    assert typed - printed == Counter()


def test_addresses_are_never_cut() -> None:
    address = "https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/"
    assert address in explain("step-kubeconfig")


@pytest.mark.thorough
def test_every_lesson_at_once_is_the_course() -> None:
    text = explain("--all")
    places = [text.index(f"{lessons.lesson(topic).title}\n---") for topic in ("tls-in-one-page", "ca", "doctor")]
    assert places == sorted(places)


def test_markdown_of_one_lesson_is_its_file_without_the_header() -> None:
    text = explain("kubelet", "--format", "markdown")
    source = (lessons.FOLDER / "kubelet.md").read_text()
    assert text.startswith(f"# {lessons.lesson('kubelet').title}\n\nA kubelet is both a client and a server")
    assert source.partition("\n\n")[2].strip() == text.partition("\n\n")[2].strip()


def test_markdown_of_the_course_has_no_dead_link() -> None:
    text = explain("--all", "--format", "markdown")
    anchors = Counter(re.findall(r'<a id="([^"]+)"></a>', text))
    assert set(anchors) == set(lessons.topics())
    assert set(anchors.values()) == {1}
    links = re.findall(r"\]\(#([^)]+)\)", text)
    assert len(links) > 100
    assert set(links) <= set(anchors)


@pytest.mark.thorough
def test_the_course_is_one_page_that_needs_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "course.html"
    explain("--all", "--format", "html", "-o", str(target))
    page = Page(target.read_text(encoding="utf-8"))
    assert page.loads == []
    assert Counter(page.ids) == Counter(lessons.topics())
    inside = [link.removeprefix("#") for link in page.links if link.startswith("#")]
    assert set(lessons.topics()) <= set(inside) <= set(page.ids)
    assert all(link.startswith(("#", "https://")) for link in page.links)
    everything = "".join(page.words)
    for topic in lessons.topics():
        for line in lines(topic):
            assert line in everything


@pytest.mark.thorough
def test_on_paper_numbers_lead_to_a_lesson_and_no_option_is_broken() -> None:
    page = explain("--all", "--format", "html")
    for number in ("1.1", "2.3"):
        (entry,) = re.findall(rf'<li>{number} <a href="#([a-z-]+)">', page)
        assert f'<h3 id="{entry}">{number} ' in page
    assert '<span class="word">-CAcreateserial</span>' in page
    assert "@bottom-center" in page


def test_a_single_lesson_as_a_page_links_to_no_lesson_that_is_not_in_it() -> None:
    page = Page(explain("ca", "--format", "html"))
    assert page.ids == ["ca"]
    assert not [link for link in page.links if link.startswith("#")]


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_the_list_of_topics_comes_in_every_form(form: str) -> None:
    listed = explain("--format", form)
    assert all(f"{topic}" in listed for topic in lessons.topics())


@pytest.mark.thorough
def test_a_file_gets_plain_text(tmp_path: Path) -> None:
    target = tmp_path / "ca.txt"
    on_a_terminal("ca", "--output", str(target), columns=80, rows=20)
    assert "\x1b" not in target.read_text()
    assert target.read_text().startswith("The certificate authority (CA)\n---")


def test_a_dash_is_the_screen() -> None:
    assert explain("ca", "--output", "-") == explain("ca")


@pytest.mark.thorough
def test_a_long_lesson_is_paged_on_a_terminal() -> None:
    shown = on_a_terminal("tls-in-one-page", columns=80, rows=20, PAGER="sed s/^/paged:/")
    assert shown.startswith("paged:")


@pytest.mark.thorough
def test_a_lesson_that_fits_is_not_paged() -> None:
    shown = on_a_terminal("doctor", columns=80, rows=200, PAGER="sed s/^/paged:/")
    assert "paged:" not in shown
    assert "kcert doctor" in shown


def test_a_pager_that_is_not_there_is_done_without() -> None:
    shown = on_a_terminal("tls-in-one-page", columns=80, rows=20, PAGER="/no/such/pager")
    assert "TLS in one page" in shown


@pytest.mark.thorough
@pytest.mark.parametrize("columns", [40, 200])
def test_prose_fits_the_terminal(columns: int) -> None:
    shown = on_a_terminal("group-is-organization", columns=columns, rows=500, NO_COLOR="1")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    prose = [line for line in plain.splitlines() if not line.startswith("    ") and "https://" not in line]
    assert max(len(line) for line in prose) <= min(columns, 100)


@pytest.mark.thorough
def test_a_long_title_goes_on_below_itself() -> None:
    shown = re.sub(r"\x1b\[[0-9;]*m", "", on_a_terminal(columns=80, rows=400))

    assert "kubeadm,\n                              kcert\n" in shown.replace("\r", "")
    assert max(map(len, shown.splitlines())) <= 80


def test_an_unknown_topic_ends_with_status_2_and_the_near_ones() -> None:
    assert "did you mean kubelet" in explain("kubelt", status=2)


def test_several_topics_and_chapters_come_in_the_order_that_was_asked_for() -> None:
    shown = explain("ca", "Certificate types", "--format", "markdown")
    titles = re.findall("^# (.*)", shown, re.MULTILINE)
    assert titles == [lessons.lesson("ca").title, *(lesson.title for lesson in lessons.chapter("certificate types"))]


@pytest.mark.parametrize("words", [("SAN",), ("--search", "service address"), ("rotation",)])
def test_words_lead_to_the_lessons_that_have_them(words: tuple[str, ...]) -> None:
    shown = explain(*words)
    assert re.match(r"\d+ lessons? contains? ", shown)
    assert "`kcert explain TOPIC` shows one." in shown


def test_the_best_match_comes_first() -> None:
    assert lessons.search("encrypted ca key")[0].topic == "encrypted-ca-key"
    assert "expiring-soon" in [lesson.topic for lesson in lessons.search("expir")[:3]]


def test_words_that_no_lesson_has_are_named() -> None:
    assert "no lesson contains 'zebra'." in explain("--search", "zebra", status=2)


# --- a teacher's own lessons


def test_lessons_that_were_exported_and_edited_come_first(tmp_path: Path) -> None:
    own = tmp_path / "own"
    assert f"KCERT_LESSONS={own}" in explain("--export", str(own))
    text = (own / "ca.md").read_text(encoding="utf-8")
    (own / "ca.md").write_text(text.replace(text.splitlines()[0], "# Die Zertifizierungsstelle"), encoding="utf-8")
    (own / "admin.md").unlink()

    shown = explain("ca", "admin", "--lessons", str(own))

    assert shown.startswith("Die Zertifizierungsstelle\n")
    assert lessons.lesson("admin").title in shown
    assert (own / "labs/make-the-ca.md").exists()


def test_a_lesson_of_the_teachers_is_checked_as_kcerts_are(tmp_path: Path) -> None:
    (tmp_path / "ca.md").write_text("no title\n", encoding="utf-8")
    said = " ".join(explain("ca", "--lessons", str(tmp_path), status=2).split())
    assert "ca.md:1: a lesson begins with its title" in said


@pytest.mark.parametrize(
    ("name", "before", "after", "said"),
    representatives(
        [
            ("ca.md", "## Key\n", "## Schluessel\n", 'ca.md: the section "## Key" is missing'),
            ("openssl-text.md", "## Subject\n", "## Betreff\n", 'openssl-text.md: the section "## Subject" is missing'),
            (
                "quiz.md",
                "{missing}:443",
                "{fehlt}:443",
                'section "## missing-san: pod" has {fehlt}; known there: {missing}.',
            ),
            ("files-on-a-host.md", "the systemd unit", "", 'the section "## systemd unit" is missing or empty'),
            ("labs/make-the-ca.md", "{{ subject }}", "{{ betreff }}", "make-the-ca.md:19: {{ betreff }} is not known"),
            ("labs/make-the-ca.md", "## Hints", "## Tipps", "make-the-ca.md is not a lab: ## Hints is missing"),
        ],
        spread=True,
    ),
)
def test_a_lesson_of_the_teachers_keeps_what_kcert_looks_up(
    tmp_path: Path, name: str, before: str, after: str, said: str
) -> None:
    explain("--export", str(tmp_path / "own"))
    path = tmp_path / "own" / name
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")

    assert said in " ".join(explain("ca", "--lessons", str(tmp_path / "own"), status=2).split())


@pytest.mark.thorough
def test_lessons_that_an_older_kcert_exported_still_work(tmp_path: Path) -> None:
    own = tmp_path / "own"
    explain("--export", str(own))
    for path in own.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("## What's next\n", "## Read on\n").replace("## Fix\n", "## Repair\n"), "utf-8")

    assert "\nRead on\n" in explain("openssl-text", "--lessons", str(own))


@pytest.mark.parametrize("character", ["\x1b", "\x9b", "\u202e"], ids=ascii)
@pytest.mark.parametrize("name", ["own.md", "labs/make-the-ca.md"])
def test_a_lesson_of_someone_else_has_nothing_that_a_terminal_acts_on(
    kcert: Kcert, tmp_path: Path, name: str, character: str
) -> None:
    path = tmp_path / "own" / name
    path.parent.mkdir(parents=True)
    path.write_text(f"# Title\nchapter: Steps\n\nText.\n\n## Command\n\n    ls {character}[2J\n", encoding="utf-8")

    said = kcert("explain", "own", "--lessons", "own")

    assert_refused(said, 2, f"own/{name}:8: delete the control character U+{ord(character):04X}")


@pytest.mark.thorough
def test_a_teachers_words_are_in_the_lesson_and_a_mistake_in_them_makes_nothing(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    path = tmp_path / "own/step-settings.md"
    path.write_text("# Die Konfiguration\nchapter: Steps\n\nWarum sie da ist.\n", encoding="utf-8")
    kcert, variables = Kcert(tmp_path), {"KCERT_LESSONS": "own"}

    said = kcert("ca", variables=variables)
    assert "\nDie Konfiguration: openssl-ca.cnf. Warum sie da ist.\n" in said.stdout
    path.write_text("no title\n", encoding="utf-8")
    said = kcert("ca", "--dir", "other", variables=variables)

    assert said.status == 2
    assert "step-settings.md:1: a lesson begins with its title" in " ".join(said.stderr.split())
    assert not (tmp_path / "other").exists()
    path.unlink()
    (tmp_path / "own/reading-a-certificate.md").write_text("# Lesen\nchapter: Concepts\n\nText.\n", encoding="utf-8")
    said = kcert("show", "pki/ca.crt", variables=variables)
    assert said.status == 2
    assert 'reading-a-certificate.md: the section "## ' in " ".join(said.stderr.split())


@pytest.mark.thorough
def test_the_reasons_of_files_the_known_issues_and_the_quiz_are_in_the_teachers_words(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path
) -> None:
    own, variables = tmp_path / "own", {"KCERT_LESSONS": "own"}
    explain("--export", str(own))
    for name, before, after in (
        ("files-on-a-host.md", "\nits configuration file", "\nseine Konfiguration"),
        ("known-issues.md", "\nThe only address in", "\nDie einzige Adresse in"),
        ("known-issues.md", "\nadds the node's addresses", "\nergaenzt die Adressen"),
        ("quiz.md", "\nWhich private key belongs to {file}?", "\nWelcher Schluessel gehoert zu {file}?"),
    ):
        text = (own / name).read_text(encoding="utf-8")
        assert before in text
        (own / name).write_text(text.replace(before, after), encoding="utf-8")
    own_pki("kelsey")

    said = kcert("init", "--profile", "kelsey", "--config", "other.yaml", variables=variables).stdout
    assert "- kubelet: Die einzige Adresse in the certificate" in said
    assert "- kubelet: ergaenzt die Adressen as SANs." in said
    assert kcert("bundle", "node01", "--output", "node.tar.gz", "-q", variables=variables).status == 0
    with tarfile.open(tmp_path / "node.tar.gz") as tar:
        listed = (tar.extractfile("INSTALL.md") or io.BytesIO()).read().decode()
    assert " | seine Konfiguration |" in listed
    assert "- kubelet: Die einzige Adresse in" in listed
    asked = kcert("practice", "quiz", "--seed", "7", variables=variables, stdin="a\n" * 6).stdout
    assert "\nWelcher Schluessel gehoert zu " in asked


def test_a_folder_of_lessons_that_is_none_is_named(tmp_path: Path) -> None:
    assert "is not a folder. `kcert explain --export FOLDER`" in explain(
        "ca", "--lessons", str(tmp_path / "no"), status=2
    )


def test_lessons_are_exported_into_an_empty_folder_only(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    assert "is not an empty folder" in " ".join(explain("--export", str(tmp_path), status=2).split())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_topic_does_not_go_with_all() -> None:
    assert "TOPIC cannot be combined with --all." in explain("ca", "--all", status=2)


def test_a_folder_that_is_not_there_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    said = explain("ca", "-o", str(tmp_path / "nowhere" / "ca.txt"), status=2)
    assert "nowhere" in said
    assert "Traceback" not in said


@pytest.mark.thorough
def test_the_picture_of_who_presents_what_to_whom_is_that_of_the_example(tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text("key: {algorithm: ecdsa, curve: P-256}\n", encoding="utf-8")
    kcert = Kcert(tmp_path)
    kcert.done("all", "--quiet")
    kcert.done("client", "jane", "--group", "developers", "--quiet")

    drawn = kcert.done("inventory", "pki", "--format", "svg").stdout

    picture = lessons.picture("who-presents-what.svg")
    assert picture == drawn, "kcert inventory pki --format svg draws it again"
    assert "".join(drawn.splitlines()) in "".join(explain("tls-in-one-page", "--format", "html").splitlines())
    assert "who-presents-what.svg" not in explain("tls-in-one-page") + explain("ca", "--format", "markdown")
