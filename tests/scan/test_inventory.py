"""The inventory in all its formats, through the command line."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import openpyxl
import pytest

from tests.scan.conftest import Kubeadm, kcert, put
from tests.scan.made import CLIENT, NOW, SERVER, Pair, authority, certificate, name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki

FIELDS = [
    "component", "kind", "path", "option", "source", "subject", "cn", "organizations", "sans", "san", "issuer",
    "not_before", "not_after", "days_left", "ca", "issuer_path", "key_path", "serial", "sha256",
]  # fmt: skip
TEXTS = ("table", "csv", "json", "markdown", "html", "prometheus", "tree", "mermaid", "svg")
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
NASTY = "a\x1b]0;owned\x07\x1b[31m|<script>alert(1)</script>`\n=cmd\u202e"


@pytest.fixture
def ca() -> Pair:
    return authority()


@pytest.fixture
def folder(ca: Pair, tmp_path: Path) -> Path:
    """Four certificates: one that lasts, one that expires soon, one that has expired, and their CA."""
    ca.put(tmp_path / "pki/ca.crt")
    for stem, days in (("good", 365), ("soon", 10.5), ("over", -3.5)):
        before = NOW - timedelta(days=30)
        made = certificate(name(stem, "group"), ca, uses=[SERVER], names=[stem, "10.0.0.1"], days=days, before=before)
        made.put(tmp_path / f"pki/{stem}.crt")
    return tmp_path / "pki"


def listed(*arguments: str | Path) -> list[dict[str, Any]]:
    done = kcert("inventory", *arguments, "--format", "json")
    assert done.status == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_json_has_exactly_the_fields_of_the_manual(ca: Pair, folder: Path) -> None:
    found = {one["cn"]: one for one in listed(folder)}
    assert all(list(one) == FIELDS for one in found.values())
    good = found["good"]
    days = (datetime.fromisoformat(good["not_after"].replace("Z", "+00:00")) - datetime.now(timezone.utc)).days
    assert good == {
        "component": None,
        "kind": "server",
        "path": str(folder / "good.crt"),
        "option": None,
        "source": None,
        "subject": "CN=good, O=group",
        "cn": "good",
        "organizations": ["group"],
        "sans": ["DNS:good", "IP:10.0.0.1"],
        "san": ["DNS:good", "IP:10.0.0.1"],
        "issuer": "Kubernetes-CA",
        "not_before": f"{NOW - timedelta(days=30):%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{NOW + timedelta(days=365):%Y-%m-%dT%H:%M:%SZ}",
        "days_left": days,
        "ca": False,
        "issuer_path": str(folder / "ca.crt"),
        "key_path": str(folder / "good.key"),
        "serial": good["serial"],
        "sha256": good["sha256"],
    }
    assert found["over"]["days_left"] == -4
    assert found["Kubernetes-CA"]["ca"] is True
    assert found["Kubernetes-CA"]["kind"] == "ca"
    assert found["Kubernetes-CA"]["issuer_path"] is None
    assert int(found["Kubernetes-CA"]["serial"], 16) == ca.certificate.serial_number


def test_an_issuer_without_a_cn_is_given_whole(tmp_path: Path) -> None:
    nameless = certificate(name(None, "Only An Organisation, Inc."), ca=True)
    certificate(name("user"), nameless, uses=[CLIENT]).put(tmp_path / "user.crt")
    assert listed(tmp_path)[0]["issuer"] == "O=Only An Organisation\\, Inc."


def test_a_kubeconfig_in_json(kubeadm: Kubeadm) -> None:
    path = str(kubeadm.kubernetes / "scheduler.conf")
    by_option = {one["option"]: one for one in listed(path)}
    assert by_option.keys() == {"certificate-authority-data", "client-certificate-data"}
    user = by_option["client-certificate-data"]
    assert (user["path"], user["source"], user["key_path"]) == (path, path, path)
    assert (user["component"], user["kind"]) == ("kube-scheduler", "client")


def test_sorted_by_expiry_and_only_what_ends_soon(folder: Path) -> None:
    assert [one["cn"] for one in listed(folder, "--sort", "expiry")] == ["over", "soon", "good", "Kubernetes-CA"]
    assert [one["cn"] for one in listed(folder, "--sort", "expiry", "--expiring-in", "30d")] == ["over", "soon"]
    assert [one["cn"] for one in listed(folder, "--expiring-in", "0")] == ["over"]
    refused = kcert("inventory", folder, "--expiring-in", "soon")
    assert refused.status == 2
    assert "30d" in refused.stderr


def test_csv_is_read_by_others(folder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(kcert("inventory", folder, "--format", "csv").stdout)))
    assert [row["CN"] for row in rows] == ["Kubernetes-CA", "good", "over", "soon"]
    assert rows[1]["SANs"] == "DNS:good, IP:10.0.0.1"
    assert rows[2]["days left"] == "-4", "a negative number is no formula"


def test_xlsx_has_filters_a_header_that_stays_dates_and_colours(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "certificates.xlsx"
    assert kcert("inventory", folder, "--format", "xlsx", "-o", file).status == 0
    sheet = openpyxl.load_workbook(file).active
    assert sheet is not None
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:L5"
    headings = [cell.value for cell in sheet[1]]
    expires, days = headings.index("expires"), headings.index("days left")
    rows = {row[headings.index("CN")].value: row for row in sheet.iter_rows(min_row=2)}
    value = rows["good"][expires].value
    assert isinstance(value, datetime)
    assert value.replace(tzinfo=timezone.utc) == NOW + timedelta(days=365)
    assert rows["over"][days].value == -4
    assert len({rows[which][days].fill.start_color.rgb for which in ("good", "soon", "over")}) == 3


def test_a_binary_format_is_refused_to_a_terminal(folder: Path) -> None:
    refused = kcert("inventory", folder, "--format", "xlsx", columns=80)
    assert refused.status == 2
    assert "--output" in ESCAPES.sub("", refused.stdout)


def test_prometheus_is_what_the_collector_takes(folder: Path) -> None:
    text = kcert("inventory", folder, "--format", "prometheus").stdout
    sample = re.compile(r'^[a-z_]+(\{([a-z0-9_]+="(\\[\\"n]|[^"\\\n])*",?)+\})? -?[0-9]+$')
    lines = [line for line in text.splitlines() if not line.startswith("# ")]
    assert all(sample.match(line) for line in lines)
    assert len({line.rsplit(" ", 1)[0] for line in lines}) == len(lines), "no series stands twice"
    good = next(line for line in lines if 'cn="good"' in line and "not_after" in line)
    assert int(good.rsplit(" ", 1)[1]) == int((NOW + timedelta(days=365)).timestamp())


def test_the_tree_tells_who_signed_whom(folder: Path, tmp_path: Path) -> None:
    certificate(name("stranger"), authority("far away"), uses=[CLIENT]).put(folder / "stranger.crt")
    tree = kcert("inventory", folder, "--format", "tree").stdout.splitlines()
    assert tree[0].startswith("Kubernetes-CA (ca)")
    assert any(line.startswith("├── good (server)") for line in tree)
    assert any(line.startswith("└── soon (server)") for line in tree)
    assert "far away (this CA was not found)" in tree
    assert tmp_path.exists()


def test_a_ca_of_the_same_name_signed_nothing(folder: Path) -> None:
    authority().put(folder / "another/ca.crt")
    tree = kcert("inventory", folder, "--format", "tree").stdout.split("Kubernetes-CA (ca)")
    assert sum("good (server)" in part for part in tree) == 1


def test_mermaid_tells_who_presents_what_to_whom(kubeadm: Kubeadm) -> None:
    text = kcert("inventory", "--root", kubeadm.root, "--format", "mermaid").stdout
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "flowchart LR"
    nodes = dict(re.findall(r'^\s*([cp]\d+)[\[(]+"([^"]*)"', text, re.MULTILINE))
    signed = {
        (nodes[a].split("<")[0], nodes[b].split("<")[0]) for a, b in re.findall(r"(c\d+) -->\|signed\| (c\d+)", text)
    }
    assert ("etcd-ca", "kube-apiserver-etcd-client") in signed
    shown = {(nodes[a], what, nodes[b]) for a, what, b in re.findall(r'(p\d+) -\. "([^"]*)" \.-> (p\d+)', text)}
    assert ("kube-apiserver", "kube-apiserver-etcd-client", "etcd") in shown
    assert ("kube-scheduler", "system:kube-scheduler", "kube-apiserver") in shown


class Drawing:
    """The boxes and texts of an SVG: what is at which x and y, how wide and how high."""

    def __init__(self, text: str) -> None:
        root = ET.fromstring(text)  # noqa: S314 - written by this kcert
        self.texts: list[tuple[float, float, float, float, str]] = []
        self.boxes: list[tuple[float, float, float, float]] = []
        for element in root.iter():
            at = {key: float(value) for key, value in element.attrib.items() if key in ("x", "y", "width", "height")}
            if element.tag.endswith("rect") and "x" in at:
                self.boxes.append((at["x"], at["y"], at["width"], at["height"]))
            if element.tag.endswith("text"):
                width = float(element.attrib["textLength"])
                left = at["x"] - (width / 2 if element.attrib.get("class") else 0)
                self.texts.append((left, at["y"] - 10, width, 12, element.text or ""))

    def box_of(self, text: str, left: int) -> tuple[float, float, float, float]:
        """Return the box with *text* in it, the first from the top on that side."""
        centers = [(x + width / 2, y + 6) for x, y, width, _, shown in self.texts if shown == text]
        return next(
            box
            for box in self.boxes
            for x, y in centers
            if box[0] < x < box[0] + box[2] and box[1] < y < box[1] + box[3] and (box[0] < 100) == bool(left)
        )


def test_svg_draws_what_is_presented_to_whom_and_no_text_over_another(
    own_pki: Callable[..., Pki],
) -> None:
    folder = own_pki("kubeadm", "large").folder
    drawing = Drawing(kcert("inventory", folder, "--format", "svg").stdout)

    for number, (x, y, width, height, _) in enumerate(drawing.texts):
        for other_x, other_y, other_width, other_height, text in drawing.texts[:number]:
            apart = x >= other_x + other_width or other_x >= x + width
            assert apart or y >= other_y + other_height or other_y >= y + height, text
    server = drawing.box_of("kube-apiserver", left=False)
    shown = {text: y for _, y, _, _, text in drawing.texts}
    for certificate_name in ("kubernetes-admin (admin.conf)", "system:node:node01 (kubelet.conf)"):
        assert server[1] < shown[certificate_name] < server[1] + server[3]
    kubelet = drawing.box_of("kubelet", left=True)
    assert kubelet[1] < shown["system:node:node01 (kubelet.conf)"] < kubelet[1] + kubelet[3]
    etcd = drawing.box_of("etcd", left=False)
    assert etcd[1] < shown["kube-apiserver-etcd-client (apiserver-etcd-client.crt)"] < etcd[1] + etcd[3]
    assert {"signed by kubernetes-ca", "signed by etcd-ca"} <= set(shown)


def test_svg_escapes_foreign_names(ca: Pair, tmp_path: Path) -> None:
    certificate(name(NASTY), ca, uses=[CLIENT]).put(tmp_path / 'pki/<b>&".crt')
    text = kcert("inventory", tmp_path / "pki", "--format", "svg").stdout
    assert "<script>" not in text
    assert any("<script>alert(1)</script>" in shown and '<b>&".crt' in shown for *_, shown in Drawing(text).texts)


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits_the_terminal_and_cuts_nothing(kubeadm: Kubeadm, columns: int) -> None:
    # A short path, as people have it: a long one may be wider than any terminal.
    shown = kcert("inventory", "etc/kubernetes", folder=kubeadm.root, columns=columns)
    text = ESCAPES.sub("", shown.stdout)
    assert shown.status == 0
    prose = [line for line in text.splitlines() if "openssl x509" not in line]
    assert max(len(line.rstrip()) for line in prose) <= columns
    joined = " ".join(text.split())
    for what in (
        "etc/kubernetes/pki/apiserver-kubelet-client.crt",
        "etc/kubernetes/pki/etcd/healthcheck-client.crt",
        "system:kube-controller-manager",
        "DNS:kubernetes.default.svc",
        "kubeadm:cluster-admins",
        "days left",
        "This looks like a cluster made by kubeadm",
    ):
        assert what in joined
    assert "openssl x509 -in etc/kubernetes/" in text
    assert "in batches" in joined


def test_a_pipe_gets_plain_columns(folder: Path) -> None:
    text = kcert("inventory", folder).stdout
    assert "\x1b" not in text
    assert text.splitlines()[0].split()[:3] == ["component", "type", "path"]
    assert len(text.splitlines()) == 5


def test_without_a_place_it_says_what_it_found(kubeadm: Kubeadm) -> None:
    shown = kcert("inventory", "--root", kubeadm.root)
    assert shown.stdout.startswith("This looks like a cluster made by kubeadm")


def test_nothing_found(tmp_path: Path) -> None:
    assert listed(tmp_path) == []
    assert "No certificate was found" in ESCAPES.sub("", kcert("inventory", tmp_path, columns=80).stdout)


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    done = kcert("inventory", tmp_path / "nowhere")
    assert done.status == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("form", TEXTS)
def test_no_escape_sequence_reaches_the_terminal(ca: Pair, tmp_path: Path, form: str) -> None:
    certificate(
        name(NASTY, NASTY), ca, uses=[SERVER], names=["a, DNS:b", NASTY.encode("ascii", "ignore").decode()]
    ).put(tmp_path / "pki/nasty.crt")
    put(tmp_path / "pki/name\x1b[31m.crt", ca.pem)
    text = kcert("inventory", tmp_path / "pki", "--format", form).stdout
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert "<script>alert" not in text or form in ("table", "csv", "json", "tree", "prometheus")
    drawn = kcert("inventory", tmp_path / "pki", "--format", form, columns=100).stdout
    assert "\x1b]" not in drawn
    assert "\x07" not in ESCAPES.sub("", drawn)
    assert "\x1b" not in ESCAPES.sub("", drawn)


def test_a_name_is_no_formula(ca: Pair, tmp_path: Path) -> None:
    certificate(name('=HYPERLINK("http://x","y")'), ca, uses=[CLIENT]).put(tmp_path / "pki/user.crt")
    file = tmp_path / "list.xlsx"
    kcert("inventory", tmp_path / "pki", "--format", "xlsx", "-o", file)
    sheet = openpyxl.load_workbook(file).active
    assert sheet is not None
    assert sheet["D2"].value == '=HYPERLINK("http://x","y")'
    assert sheet["D2"].data_type == "s"
    text = kcert("inventory", tmp_path / "pki", "--format", "csv").stdout
    assert next(csv.DictReader(io.StringIO(text)))["CN"].startswith("'=")


def test_a_name_that_no_xml_may_hold_still_leaves_a_sheet(ca: Pair, tmp_path: Path) -> None:
    for number, text in enumerate(("x\uffff", "y\ufffe", "a & <b>")):
        certificate(name(text), ca, uses=[CLIENT]).put(tmp_path / f"pki/{number}.crt")
    file = tmp_path / "list.xlsx"
    kcert("inventory", tmp_path / "pki", "--format", "xlsx", "-o", file)
    sheet = openpyxl.load_workbook(file).active
    assert sheet is not None
    shown = [row[3].value for row in sheet.iter_rows(min_row=2)]
    assert shown == [r"x\uffff", r"y\ufffe", "a & <b>"]


def test_where_a_semicolon_begins_a_cell_there_is_no_formula_either(ca: Pair, tmp_path: Path) -> None:
    certificate(name("x;=cmd|' -C calc'!A0;"), ca, uses=[CLIENT]).put(tmp_path / "pki/user.crt")
    text = kcert("inventory", tmp_path / "pki", "--format", "csv").stdout
    cells = [cell for row in csv.reader(io.StringIO(text), delimiter=";") for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]


@pytest.mark.parametrize("text", ["--=cmd|x", " =1+1", "\uff1d1+1"])
def test_nor_is_one_that_begins_otherwise(text: str, ca: Pair, tmp_path: Path) -> None:
    certificate(name(text), ca, uses=[CLIENT]).put(tmp_path / "pki/user.crt")
    listed_as_csv = kcert("inventory", tmp_path / "pki", "--format", "csv").stdout
    assert next(csv.DictReader(io.StringIO(listed_as_csv)))["CN"] == f"'{text}"


def test_what_could_not_be_read_is_said_beside_any_list(folder: Path) -> None:
    (folder / "broken.crt").write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    for arguments in (("--format", "json"), ("--format", "csv", "-o", folder.parent / "list.csv"), ()):
        done = kcert("inventory", folder, *arguments)
        assert done.status == 0
        assert "broken.crt the block that begins on line 1 has no END line" in " ".join(done.stderr.split())


@pytest.mark.parametrize("form", TEXTS)
def test_a_file_name_that_is_no_text_is_shown_as_its_bytes(ca: Pair, tmp_path: Path, form: str) -> None:
    (tmp_path / os.fsdecode(b"\xff\xfe")).mkdir()
    ca.put(tmp_path / os.fsdecode(b"\xff\xfe/\xe9.crt"))
    done = kcert("inventory", tmp_path, "--format", form)
    assert (done.status, done.stderr) == (0, "")
    shown = done.stdout.replace("\\\\", "\\")
    assert r"\xff\xfe/\xe9.crt" in shown or form in ("json", "html", "mermaid", "svg")


@pytest.mark.thorough
def test_a_column_with_ten_thousand_names_does_not_draw_the_others_apart(ca: Pair, tmp_path: Path) -> None:
    names = [f"host-{number}.example" for number in range(10_000)]
    certificate(name("many"), ca, uses=[SERVER], names=names).put(tmp_path / "pki/many.crt")
    ca.put(tmp_path / "pki/ca.crt")
    narrow = kcert("inventory", tmp_path / "pki").stdout.splitlines()
    assert max(map(len, narrow)) < 150 + len(str(tmp_path))
    assert "many +10000 SANs" in " ".join(narrow)
    heading, *lines = kcert("inventory", tmp_path / "pki", "--wide").stdout.splitlines()
    assert lines == kcert("inventory", tmp_path / "pki", "-o", "wide").stdout.splitlines()[1:]
    assert len(heading) < 500
    assert sorted(len(line) > 100_000 for line in lines) == [False, True]


@pytest.mark.thorough
def test_ten_thousand_names_in_a_spreadsheet_and_on_a_page(ca: Pair, tmp_path: Path) -> None:
    names = [f"host-{number}.example" for number in range(10_000)]
    certificate(name("many"), ca, uses=[SERVER], names=names).put(tmp_path / "pki/many.crt")
    for form in ("xlsx", "html", "csv"):
        assert kcert("inventory", tmp_path / "pki", "--format", form, "-o", tmp_path / form).status == 0
    assert len(listed(tmp_path / "pki")[0]["san"]) == 10_000
    assert "and 9988 more" in " ".join(ESCAPES.sub("", kcert("inventory", tmp_path / "pki", columns=80).stdout).split())
