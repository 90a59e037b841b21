"""The html page in a browser: sorting and filtering, with no network."""

from __future__ import annotations

import html
import os
import re
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from tests.running import program
from tests.scan.conftest import kcert
from tests.scan.made import CLIENT, NOW, SERVER, authority, certificate, name

if TYPE_CHECKING:
    from pathlib import Path

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    ca = authority()
    ca.put(folder / "pki/ca.crt")
    for stem, days in (("beta", 300), ("alpha", -5), ("gamma", 20), ("delta", 1000)):
        certificate(
            name(stem, "group"),
            ca,
            uses=[SERVER],
            names=[f"{stem}.example"],
            days=days,
            before=NOW - timedelta(days=60),
        ).put(folder / f"pki/{stem}.crt")
    certificate(name('<img src=x onerror="document.title=1">@ROWS@', "<b>"), ca, uses=[CLIENT]).put(
        folder / "pki/evil.crt"
    )
    assert kcert("inventory", folder / "pki", "--format", "html", "-o", folder / "page.html").status == 0
    return folder / "page.html"


def opened(page: Path, profile: Path, script: str = "", **state: str) -> str:
    """The page as the browser has it, after *script* ran in it."""
    address = f"file://{page}" + (f"#{urlencode(state)}" if state else "")
    if script:
        changed = profile.parent / "driven.html"
        changed.write_text(page.read_text().replace("</body>", f"<script>{script}</script></body>"))
        address = f"file://{changed}"
    argv = [
        program("chromium", "chromium-browser"),
        *FLAGS,
        f"--user-data-dir={profile}",
        "--virtual-time-budget=2000",
        "--dump-dom",
        address,
    ]
    environment = {**os.environ, "HOME": str(profile.parent)}
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True, env=environment).stdout


def rows(dom: str) -> list[str]:
    """The CN of each row that can be seen, in order."""
    body = dom[dom.index("<tbody>") : dom.index("</tbody>")]
    found = []
    for attributes, cells in re.findall(r"<tr([^>]*)>(.*?)</tr>", body, re.DOTALL):
        if "hidden" not in attributes:
            found.append(html.unescape(re.findall(r"<td>(.*?)</td>", cells, re.DOTALL)[3]))
    return found


@pytest.mark.thorough
def test_the_address_sorts_and_filters(page: Path, tmp_path: Path) -> None:
    dom = opened(page, tmp_path / "profile", filter="example group", sort="days left")
    assert rows(dom) == ["alpha", "gamma", "beta", "delta"]
    assert "4 of 6" in dom


@pytest.mark.thorough
def test_clicks_and_keys_do_the_same(page: Path, tmp_path: Path) -> None:
    dom = opened(
        page,
        tmp_path / "profile",
        "const days = document.querySelectorAll('th button')[8]; days.click(); days.click();"
        "const box = document.querySelector('input'); box.value = 'EXAMPLE'; box.dispatchEvent(new Event('input'));",
    )
    assert rows(dom) == ["delta", "beta", "gamma", "alpha"]
    assert 'aria-sort="descending"' in dom


@pytest.mark.thorough
def test_a_name_is_never_part_of_the_page(page: Path, tmp_path: Path) -> None:
    dom = opened(page, tmp_path / "profile")
    assert "<img" not in dom
    assert "<title>Certificates of a cluster</title>" in dom
    assert len(rows(dom)) == 6
    assert '<img src=x onerror="document.title=1">@ROWS@' in rows(dom)


def test_the_page_needs_nothing_from_elsewhere(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?https?:", text)
    assert "default-src 'none'" in text
