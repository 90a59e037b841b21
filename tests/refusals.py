"""What is true of every refusal: a status, one paragraph on standard error, and nothing lost or written."""

from __future__ import annotations

import hashlib
import re
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running import Ended


def snapshot(folder: Path) -> dict[str, str]:
    """All files below *folder* with mode and content, but what is kcert's own in ``.kcert``."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if ".kcert" in name.parts:
            continue
        mode = path.lstat().st_mode
        content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(mode) else ""
        found[str(name)] = f"{mode:o} {content}"
    return found


def staged(folder: Path) -> list[str]:
    """The content of the staging folder of a PKI folder: nothing, once kcert has exited by itself."""
    return [str(path) for path in (folder / ".kcert/staging").rglob("*")]


def assert_refused(ended: Ended, status: int, *said: str) -> None:
    """kcert ended with *status* and one paragraph on standard error, in which all of *said* occur."""
    paragraph = " ".join(ended.stderr.split())
    assert ended.status == status, ended.stderr or ended.stdout
    assert "Traceback" not in ended.stderr
    assert "kcert itself made a mistake" not in paragraph
    assert paragraph.startswith("kcert: ")
    assert "\n\n" not in ended.stderr.strip()
    assert len(paragraph) < 700
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", ended.stderr)
    # The paragraph is wrapped at blanks, and folded where a word is too long: both are undone to compare.
    joined = re.sub(r"\s", "", ended.stderr)
    for word in said:
        assert re.sub(r"\s", "", word) in joined, paragraph
