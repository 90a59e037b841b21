"""YAML from anywhere: plain values or one named fault, and never the end of a command."""

from __future__ import annotations

import json
import math
import re
import shutil
from itertools import product
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kcert import plain_yaml
from tests.running import output, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.clusters import Pki
    from tests.running import Kcert

TAGS = (
    "bool",
    "int",
    "float",
    "null",
    "str",
    "map",
    "seq",
    "timestamp",
    "binary",
    "set",
    "omap",
    "pairs",
    "merge",
    "no",
)
CONTENTS = (
    *('""', "zz", "-", "0x", "0b2", "1:", "1:2:x", "1_", ".", "9" * 5000, "1e400:1e400", ":".join(["9"] * 400) + ".1"),
    *("2026-02-30", "2026-01-01T25:00:00Z", "é", "[]", "[[a, b], c]", "[{a: b, c: d}]", "{}", "{a: b}", "{[a]: b}"),
    *("{<<: 1}", "{<<: [1]}", "{? {a: b} : c}", "|\n  zz\n"),
)


@pytest.fixture(params=["the loader in C", "the loader in Python"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """PyYAML as it is built with libyaml, and without."""
    if request.param == "the loader in Python":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    plain_yaml._plain_loader.cache_clear()
    yield request.param
    plain_yaml._plain_loader.cache_clear()


def is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(is_plain(key) and is_plain(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(map(is_plain, value))
    return value is None or type(value) in (str, int, float, bool)


def test_whatever_stands_behind_a_tag_is_plain_or_refused(loader: str) -> None:
    refused = 0
    for tag, content in product(TAGS, CONTENTS):
        text = f"x: !!{tag} {content}\n"
        try:
            found = plain_yaml.load(text)
        except plain_yaml.NotPlainError:
            refused += 1
        else:
            assert is_plain(found), (loader, text, found)
    assert 0 < refused < len(TAGS) * len(CONTENTS)


def test_what_kubernetes_writes_is_read_as_it_means_it(loader: str) -> None:
    text = "a: 1\nb: 1.5\nc: yes\nd: ~\ne: 2026-11-25T10:00:00Z\nf: [x, {y: 'z'}]\ng: .inf\nh: !!binary aGk=\n"

    found = plain_yaml.load(text)

    assert found == {
        "a": 1,
        "b": 1.5,
        "c": True,
        "d": None,
        "e": "2026-11-25T10:00:00Z",
        "f": ["x", {"y": "z"}],
        "g": math.inf,
        "h": "aGk=",
    }, loader
    assert plain_yaml.load_all(b"a: 1\n---\n---\n- b\n") == [{"a": 1}, None, ["b"]]
    assert plain_yaml.load("") is None


def test_what_is_wrong_is_named(loader: str) -> None:
    for text, said in {
        "a: &a [b]\nc: *a\n": "aliases",
        "[" * 51 + "]" * 51: "nested more than 50 levels",
        "---\n" * 1001: "more than 1000 documents",
        "a: 1\nb: [\n": "is not valid YAML (line 3)",
        "a: 1\nb: !!set {c}\n": "is not valid YAML (line 2)",
    }.items():
        with pytest.raises(plain_yaml.NotPlainError) as error:
            plain_yaml.load_all(text)
        assert said in str(error.value), loader
    assert plain_yaml.load("a: &a [b]\nc: *a\n", aliases=True) == {"a": ["b"], "c": ["b"]}


def test_aliases_that_multiply_or_never_end_are_refused(loader: str) -> None:
    lists = "".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]\n" for n in range(1, 9))
    for text, said in {
        f"b0: &b0 [x, x]\n{lists}": "more than 100000 values",
        f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 200)}]\n": "more than 100000 values",
        "a: &a [b, *a]\n": "nested more than 50 levels",
        "a: &a {b: {c: *a}}\n": "nested more than 50 levels",
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 60)): "nested more than 50 levels",
    }.items():
        with pytest.raises(plain_yaml.NotPlainError) as error:
            plain_yaml.load(text, aliases=True)
        assert said in str(error.value), loader


HOSTILE = ("!!bool zz", "!!timestamp abc", '!!float ""', '!!int ""', "!!map x")


def test_hostile_files_among_others_stop_no_command(kcert: Kcert, own_pki: Callable[..., Pki], tmp_path: Path) -> None:
    own_pki("kubeadm")
    names = ["admin.conf", "scheduler.conf", "a.conf", "b.conf", "c.yaml"]
    for name, value in zip(names, HOSTILE, strict=True):
        (tmp_path / "pki" / name).write_text(f"apiVersion: v1\nkind: Config\nx: {value}\n", encoding="utf-8")

    checked = kcert("check", "pki")
    listed = kcert("inventory", "pki", "--format", "csv")
    planned, renewed = kcert("plan"), kcert("renew", "apiserver", "--quiet")

    assert set(re.findall(r"^(?:error|warning) (\S+)$", checked.stdout, re.MULTILINE)) == {"unreadable"}, checked.stderr
    assert set(re.findall(r"^pki/(\S+)$", checked.stdout, re.MULTILINE)) == set(names)
    assert (listed.status, "apiserver" in listed.stdout) == (0, True), listed.stderr
    assert (planned.status, "apiserver" in planned.stdout) == (0, True), planned.stderr
    assert (renewed.status, "apiserver" in renewed.stdout) == (0, True), renewed.stderr


@pytest.mark.thorough
@pytest.mark.skipif(not shutil.which("kubectl"), reason="there is no kubectl here")
def test_kubernetes_reads_the_same_text_from_what_is_dumped(tmp_path: Path) -> None:
    """Go's YAML has numbers and booleans that PyYAML leaves without quotes; a token is hexadecimal and random."""
    random = Random(7)  # noqa: S311
    names = ["12e456", "1E5", ".5e3", "0o17", "0x1f", "0b01", "1_000", "y", "N", "yes", "null", "~", "", "2026-01-01"]
    names += ["1e", "e1", "10.0.0.1", "a: b", "@id", "- x", "# x", "'", '"', "\t", "é", "1:30", "=", "<<", "0755"]
    names += ["".join(random.choices("0123456789abcdef", k=6)) for _ in range(300)]
    kubeconfig = {"apiVersion": "v1", "kind": "Config", "users": [{"name": x, "user": {"token": x}} for x in names]}
    (tmp_path / "config").write_text(plain_yaml.dump(kubeconfig), encoding="utf-8")

    ended = output([program("kubectl"), "config", "view", "--raw", "-o", "json", "--kubeconfig", tmp_path / "config"])

    assert ended.stderr == ""
    read = {user["name"]: user["user"].get("token", "") for user in json.loads(ended.stdout)["users"]}
    assert read == {name: name for name in names}
    assert plain_yaml.load(plain_yaml.dump(kubeconfig)) == kubeconfig
