"""A context is added to kubeconfigs of every style, or brought up to date in them, and no value of the rest changes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kcert.errors import InputError
from kcert.kubernetes import merging
from tests.running import Kcert, output, program

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.clusters import Pki

BOMB = "a: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 7))

NEW = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Y2E=
    server: https://127.0.0.1:6443
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: kube-admin
  name: lab
current-context: lab
kind: Config
preferences: {}
users:
- name: kube-admin
  user:
    client-certificate-data: Y3J0
    client-key-data: a2V5
"""

AS_KUBECTL_WRITES = """\
apiVersion: v1
clusters:
- cluster:
    server: https://192.0.2.1:6443
  name: work
contexts:
- context:
    cluster: work
    namespace: team
    user: me
  name: work
current-context: work
kind: Config
preferences: {}
users:
- name: me
  user:
    token: abc
"""

BY_HAND = """\
# my clusters, do not touch
apiVersion: v1
kind: Config
current-context: work      # most of the time

users:
    # that is me
    - name: me
      user: {token: "a b # c"}
    # and that is all

contexts:
    - {name: work, context: {cluster: work, user: me}}

clusters:
    - name: work
      cluster:
          server: https://192.0.2.1:6443
          # a comment at the very end
"""

STYLES = {
    "kubectl": AS_KUBECTL_WRITES,
    "by hand": BY_HAND,
    "windows": AS_KUBECTL_WRITES.replace("\n", "\r\n"),
    "no last line break": AS_KUBECTL_WRITES.rstrip("\n"),
    "byte order mark": "\ufeff" + AS_KUBECTL_WRITES,
    "json": json.dumps(yaml.safe_load(AS_KUBECTL_WRITES)),
    "json in lines": json.dumps(yaml.safe_load(AS_KUBECTL_WRITES), indent=2) + "\n",
    "empty lists": "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []  # none yet\nusers: null\n",
    "keys without values": "apiVersion: v1\nkind: Config\nclusters:\ncontexts:\nusers:\ncurrent-context: ''\n",
    "no lists": "kind: Config\napiVersion: v1\n",
    "json without lists": '{"kind": "Config", "apiVersion": "v1"}',
    "a document marker": f"---\n{AS_KUBECTL_WRITES}",
    "a block of text at the end": AS_KUBECTL_WRITES.replace("token: abc", "token: |\n      abc\n      def"),
    "an end marker": f"---\n{AS_KUBECTL_WRITES}...\n# over\n",
    "an end marker behind no lists": "kind: Config\napiVersion: v1\n...\n",
    "an end marker behind one list": "kind: Config\nclusters:\n- name: x\n  cluster: {}\napiVersion: v1\n...",
    "commas at the end": '{"apiVersion": "v1", "clusters": [{"name": "a", "cluster": {}},], "x": 1,}',
    "all of it indented": "".join(f"  {line}\n" for line in AS_KUBECTL_WRITES.splitlines()),
    "lists missing, all of it indented": "  apiVersion: v1\n  kind: Config\n  # no more\n",
    "tags": "--- !!map\napiVersion: !!str v1\nkind: Config\nclusters: !!seq []\nusers: !!null\n",
    "explicit keys": f"? current-context\n: x\n{AS_KUBECTL_WRITES}".replace("current-context: work\n", ""),
    "unknown keys": AS_KUBECTL_WRITES + "extensions:\n- name: x\n  extension: {a: 1}\nmine: yes\n",
}


def merge(text: str, addition: str = NEW) -> str:
    """Return what becomes of *text*."""
    return merging.merge(Path("config"), text.encode(), addition.encode(), replace=False)[0].decode()


@pytest.mark.parametrize("style", STYLES)
def test_every_style_gets_the_entries_and_keeps_the_rest(style: str) -> None:
    before: dict[str, Any] = yaml.safe_load(STYLES[style])
    new = yaml.safe_load(NEW)

    merged = merge(STYLES[style])

    after = yaml.safe_load(merged)
    for key in ("clusters", "contexts", "users"):
        assert after[key] == [*(before.get(key) or []), *new[key]]
    assert {key: after[key] for key in before if key not in new} == {
        key: before[key] for key in before if key not in new
    }
    assert after.get("current-context") == before.get("current-context")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_kubeconfig_of_another_encoding_is_read_as_kubectl_reads_it(encoding: str) -> None:
    content = merging.merge(Path("config"), AS_KUBECTL_WRITES.encode(encoding), NEW.encode(), replace=False)[0]

    assert [one["name"] for one in yaml.safe_load(content.decode())["contexts"]] == ["work", "lab"]


def test_text_that_could_be_read_as_something_else_stays_text() -> None:
    odd = [
        "y",
        "no",
        "1e3",
        "0x1f",
        "012",
        "2026-01-01",
        "~",
        "null",
        "a: b",
        "",
        " x",
        "é",
        "1_000",
        "1:30",
        "=",
        "<<",
    ]
    text = AS_KUBECTL_WRITES + "extensions: " + json.dumps([{"name": one, "extension": one} for one in odd]) + "\n"

    after = yaml.safe_load(merge(text))

    assert after["extensions"] == [{"name": one, "extension": one} for one in odd]


@pytest.mark.thorough
def test_real_kubectl_reads_what_came_out(tmp_path: Path) -> None:
    kubectl = program("kubectl")
    for number, text in enumerate(STYLES.values()):
        config = tmp_path / f"config-{number}"
        config.write_bytes(merge(text).encode())

        said = output([kubectl, "config", "get-contexts", "--output", "name"], KUBECONFIG=str(config))

        assert "lab" in said.stdout.split(), (text, said.stderr)


def test_a_cluster_that_is_there_and_the_same_is_used() -> None:
    text = merge(AS_KUBECTL_WRITES)
    second = NEW.replace("lab", "lab-jane").replace("kube-admin", "jane").replace("a2V5", "amFuZQ==")

    after = yaml.safe_load(merge(text, second))

    assert [one["name"] for one in after["clusters"]] == ["work", "kubernetes"]
    assert [one["name"] for one in after["users"]] == ["me", "kube-admin", "jane"]
    assert after["contexts"][-1] == {"name": "lab-jane", "context": {"cluster": "kubernetes", "user": "jane"}}


def test_where_others_have_the_names_the_new_ones_are_called_after_the_context() -> None:
    text = AS_KUBECTL_WRITES.replace("name: work", "name: kubernetes").replace("name: me", "name: kube-admin")

    after = yaml.safe_load(merge(text))

    assert after["contexts"][-1] == {"name": "lab", "context": {"cluster": "lab", "user": "lab"}}
    assert [one["name"] for one in after["clusters"]] == ["kubernetes", "lab"]
    assert after["clusters"][0]["cluster"] == {"server": "https://192.0.2.1:6443"}


RENEWED = NEW.replace("Y3J0", "bmV3").replace("a2V5", "b3RoZXI=")
"""The same context after a renewal: another certificate, another key."""

COMMENTED = """\
# mine
kind: "Config"
apiVersion: v1
users:
  - user:   # who I am
      client-certificate-data: Y3J0   # until spring
      client-key-data: a2V5   # a secret
    # behind it
    name: "kube-admin"

  - {"name": 'me', user: {token: "a b # c"}}
contexts:
  - name: 'lab'
    context: {cluster: kubernetes, user: "kube-admin", namespace: team}
clusters:
- cluster: {certificate-authority-data: Y2E=, server: "https://127.0.0.1:6443", proxy-url: socks5://127.0.0.1:1080}
  name: kubernetes
current-context: elsewhere
"""

OLD_STYLES = {
    "kubectl": NEW,
    "windows": NEW.replace("\n", "\r\n"),
    "no last line break": NEW.rstrip("\n"),
    "json": json.dumps(yaml.safe_load(NEW)),
    "json in lines": json.dumps(yaml.safe_load(NEW), indent=2) + "\n",
    "comments": COMMENTED,
    "quoted": NEW.replace("a2V5", '"a2V5"').replace("kube-admin", "'kube-admin'"),
    "blocks of text": NEW.replace("a2V5", "|-\n      a2V5").replace("\n", "\r\n"),
    "behind others": AS_KUBECTL_WRITES.replace("users:\n", "users:\n" + NEW.split("users:\n")[1])
    .replace("contexts:\n", "contexts:\n- {name: lab, context: {cluster: kubernetes, user: kube-admin}}\n")
    .replace("clusters:\n", "clusters:\n- {name: kubernetes, cluster: {server: 'https://127.0.0.1:6443'}}\n"),
}


def renew(text: str, addition: str = RENEWED) -> str:
    """Return what becomes of *text*, which has the context already."""
    return merging.merge(Path("config"), text.encode(), addition.encode(), replace=True)[0].decode()


@pytest.mark.parametrize("style", OLD_STYLES)
def test_a_context_is_brought_up_to_date_in_every_style(style: str) -> None:
    text = OLD_STYLES[style]
    before, new = yaml.safe_load(text), yaml.safe_load(RENEWED)

    merged = renew(text)

    after = yaml.safe_load(merged)
    assert {one["name"]: one["user"] for one in after["users"]}["kube-admin"] == new["users"][0]["user"]
    cluster = {one["name"]: one["cluster"] for one in after["clusters"]}["kubernetes"]
    assert cluster.items() >= new["clusters"][0]["cluster"].items()
    assert after["contexts"] == before["contexts"]
    assert after["current-context"] == before["current-context"]
    assert renew(merged) == merged


def test_another_server_is_put_into_the_cluster_and_the_users_own_fields_stay_there() -> None:
    after = yaml.safe_load(renew(COMMENTED, NEW.replace("127.0.0.1:6443", "192.0.2.9:6443")))

    assert after["users"] == yaml.safe_load(COMMENTED)["users"]
    assert after["clusters"][0]["cluster"] == {
        "certificate-authority-data": "Y2E=",
        "proxy-url": "socks5://127.0.0.1:1080",
        "server": "https://192.0.2.9:6443",
    }


def test_paths_make_room_for_what_is_inside_and_a_token_for_a_certificate() -> None:
    text = NEW.replace("client-certificate-data: Y3J0", "client-certificate: /a.crt").replace(
        "client-key-data", "token"
    )

    assert yaml.safe_load(renew(text)) == yaml.safe_load(RENEWED)


@pytest.mark.thorough
def test_real_kubectl_reads_what_was_renewed(tmp_path: Path) -> None:
    kubectl = program("kubectl")
    for number, text in enumerate(OLD_STYLES.values()):
        config = tmp_path / f"config-{number}"
        config.write_bytes(renew(text).encode())

        said = output([kubectl, "config", "view", "--raw", "--context=lab", "--minify"], KUBECONFIG=str(config))

        assert "client-certificate-data: bmV3" in said.stdout, (text, said.stderr)


def test_what_is_up_to_date_stays() -> None:
    found = merging.merge(Path("config"), COMMENTED.encode(), NEW.encode(), replace=True)

    assert found == (COMMENTED.encode(), ())


_SECOND = "contexts:\n- {name: night, context: {cluster: kubernetes, user: kube-admin}}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (NEW.replace("contexts:\n", _SECOND), "the user kube-admin would have to change, and night has it as well"),
        (
            NEW.replace("user: kube-admin", "user: jane"),
            "has the user 'jane', not kube-admin: it belongs",
        ),
        (NEW.replace("cluster: kubernetes", "cluster: prod"), "has the cluster 'prod', not kubernetes"),
        (NEW.replace("    user: kube-admin\n", ""), "has no user, not kube-admin"),
        (NEW.replace("- name: kube-admin", "- name: kube-admin\n- name: kube-admin"), "'kube-admin' twice in users"),
        (NEW.replace("contexts:\n", "contexts:\n- {name: lab}\n"), "'lab' twice in contexts"),
    ],
)
def test_what_cannot_be_brought_up_to_date_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        renew(text)


_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Co", "Cn")), min_size=1, max_size=12)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=6,
)


def _listed(inside: str) -> st.SearchStrategy[list[dict[str, Any]] | None]:
    entry = st.fixed_dictionaries({"name": _WORDS.map(lambda word: f"x{word}"), inside: _VALUES})
    return st.none() | st.lists(entry, max_size=3)


_CONFIGS = st.fixed_dictionaries(
    {"apiVersion": st.just("v1"), "kind": st.just("Config")},
    optional={
        "clusters": _listed("cluster"),
        "contexts": _listed("context"),
        "users": _listed("user"),
        "current-context": _WORDS,
        "preferences": _VALUES,
    },
)


@pytest.mark.thorough
@settings(max_examples=100, deadline=None)
@given(_CONFIGS, st.sampled_from([True, False, None]), st.integers(2, 6), st.booleans(), st.booleans())
def test_whatever_a_kubeconfig_holds_stays_in_it(
    config: dict[str, Any], flow: bool | None, indent: int, as_json: bool, unicode: bool
) -> None:
    if as_json:
        text = json.dumps(config, indent=indent if flow else None, ensure_ascii=False)
    else:
        text = yaml.safe_dump(config, default_flow_style=flow, indent=indent, allow_unicode=unicode, sort_keys=False)
    before, new = yaml.safe_load(text), yaml.safe_load(NEW)

    after = yaml.safe_load(merge(text))

    for key in ("clusters", "contexts", "users"):
        assert after[key] == [*(before.get(key) or []), *new[key]]
    others = [key for key in before if key not in new]
    assert [after[key] for key in others] == [before[key] for key in others]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: Config\napiVersion: v1\nusers: [{name: [a]}]\n", "name of entry 1 of users is not text"),
        ("kind: Config\napiVersion: v1\nusers: [{name: x}, {name: {a: b}}]\n", "name of entry 2 of users is not text"),
        ("kind: Config\napiVersion: v1\ncontexts: [{name: 1}]\n", "entry 1 of contexts is not text"),
        ("kind: Config\napiVersion: v1\nclusters: [{name: yes}]\n", "entry 1 of clusters is not text"),
        ("kind: Config\napiVersion: v1\nclusters: {}\n", "clusters is not a list"),
        ("kind: Config\napiVersion: v1\nclusters: ''\n", "clusters is not a list"),
        ("a: [1", r"it is not valid YAML \(line"),
        ("\t- x: 1", r"it is not valid YAML \(line 1\)"),
        ("- a\n- b\n", "is not a kubeconfig"),
        ("kind: Pod\napiVersion: v1\n", "is not a kubeconfig"),
        ("just words", "is not a kubeconfig"),
        (f"{BOMB}apiVersion: v1\nkind: Config\n", "more than 100000 values once its aliases are followed"),
        ("a: &a [*a]\napiVersion: v1\nkind: Config\n", "it is nested more than 50 levels deep"),
        ("kind: Config\napiVersion: v1\nclusters: {a: 1}\n", "clusters is not a list"),
        ("kind: Config\napiVersion: v1\nusers: [1, 2]\n", "users is not a list of entries"),
        ("a: 1\n---\nb: 2\n", "it is not valid YAML"),
        ("kind: Config\napiVersion: v1\nusers: []\nusers: []\n", "the key 'users' twice"),
        (NEW, "has a context called lab already"),
        ("a: !!python/object:os.system {}\n", "it is not valid YAML"),
        ("kind: Config\napiVersion: v1\na: !!bool zz\n", "it is not valid YAML"),
        (f"kind: Config\napiVersion: v1\na: {'[' * 4000}{']' * 4000}\n", "it is not valid YAML|is nested more than"),
    ],
)
def test_what_is_no_kubeconfig_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        merge(text)


def test_anchors_are_followed_as_kubectl_follows_them() -> None:
    text = AS_KUBECTL_WRITES.replace("clusters:\n", "x: &it {server: 'https://192.0.2.2'}\nclusters:\n", 1)
    text = text.replace("- cluster:\n", "- {name: two, cluster: *it}\n- cluster:\n", 1)

    assert yaml.safe_load(merge(text))["clusters"][0] == {"name": "two", "cluster": {"server": "https://192.0.2.2"}}


@pytest.mark.thorough
def test_the_command_merges_and_keeps_a_copy(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    config = made.home / "config"
    config.write_text(BY_HAND, encoding="utf-8")
    (made.home / "link").symlink_to(config)
    (made.home / "circle").symlink_to("circle")

    circle = kcert("kubeconfig", "admin", "--merge", "circle")
    added = kcert.done("kubeconfig", "admin", "--merge", "link")
    again = kcert("kubeconfig", "admin", "--merge", "link")
    kcert.done("kubeconfig", "kube-proxy", "--merge", "link", "--context", "proxy")

    after, before = yaml.safe_load(config.read_text(encoding="utf-8")), yaml.safe_load(BY_HAND)
    assert [one["name"] for one in after["contexts"]] == ["work", "admin@kubernetes", "proxy"]
    assert (after["users"][0], after["clusters"][0]) == (before["users"][0], before["clusters"][0])
    assert "    kubectl config use-context admin@kubernetes --kubeconfig link" in added.lines
    assert again.status == 2
    assert "--context NAME" in again.stderr
    assert (circle.status, circle.stderr) == (2, "kcert: circle cannot be read: Too many levels of symbolic links.\n")
    assert (made.home / "link").is_symlink()
    assert config.stat().st_mode & 0o777 == 0o600
    copies = sorted(path for path in made.home.iterdir() if path.name.startswith("config."))
    assert copies[0].read_text(encoding="utf-8") == BY_HAND
    assert len(copies) == 2


@pytest.mark.thorough
def test_the_command_renews_a_context_that_is_there(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    config = made.home / "config"
    config.write_text(BY_HAND, encoding="utf-8")
    kcert.done("kubeconfig", "admin", "--merge", "config", "--replace")
    old = config.read_text(encoding="utf-8")
    config.chmod(0o644)
    files = sorted(made.home.iterdir())

    same = kcert.done("kubeconfig", "admin", "--merge", "config", "--replace")
    assert (sorted(made.home.iterdir()), config.stat().st_mode & 0o777) == (files, 0o644)
    refused = kcert("kubeconfig", "admin", "--merge", "config")
    kcert.done("renew", "admin", "--quiet")
    new = kcert.done("kubeconfig", "admin", "--merge", "config", "--replace")

    assert "The context admin@kubernetes is up to date." in same.stdout
    assert (refused.status, "--replace updates it" in " ".join(refused.stderr.split())) == (2, True)
    assert "user kube-admin replaced" in " ".join(new.stdout.split())
    after = yaml.safe_load(config.read_text(encoding="utf-8"))
    renewed = base64.b64decode(after["users"][-1]["user"]["client-certificate-data"])
    assert renewed == (made.folder / "admin.crt").read_bytes()
    assert after["current-context"] == "work"
    assert config.stat().st_mode & 0o777 == 0o600
    copies = [path for path in made.home.iterdir() if path not in files]
    assert [path.read_text(encoding="utf-8") for path in copies] == [old]


@pytest.mark.thorough
def test_replace_goes_with_merge(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki()

    ended = kcert("kubeconfig", "admin", "--replace")

    assert (ended.status, "--replace needs --merge FILE" in " ".join(ended.stderr.split())) == (2, True)


def test_what_cannot_be_merged_into_stays_as_it_was(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    config = made.home / "config"
    config.write_bytes(b"\xff: broken")
    before = sorted(made.home.rglob("*"))

    ended = kcert("kubeconfig", "admin", "--merge", "config")

    assert ended.status == 2
    assert "config is not a kubeconfig: it is not valid YAML" in " ".join(ended.stderr.split())
    assert config.read_bytes() == b"\xff: broken"
    assert sorted(made.home.rglob("*")) == before


def test_several_users_are_merged_one_by_one(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    (made.home / "config").write_text(BY_HAND, encoding="utf-8")

    ended = kcert("kubeconfig", "admin", "kube-proxy", "--merge", "config")

    assert ended.status == 2
    assert "specify one of them" in ended.stderr


def test_a_kubeconfig_that_is_not_there_is_created(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    config = made.home / "home/.kube/config"

    kcert.done("kubeconfig", "admin", "--merge", "home/.kube/config")
    kcert.done("kubeconfig", "kube-proxy", "--merge", "home/.kube/config", "--server", "lb.example.com:8443")

    after = yaml.safe_load(config.read_text(encoding="utf-8"))
    assert [one["name"] for one in after["contexts"]] == ["admin@kubernetes", "kube-proxy@kubernetes"]
    assert after["current-context"] == "admin@kubernetes"
    # Another server is another cluster, which has to have another name.
    assert {one["name"]: one["cluster"]["server"] for one in after["clusters"]}["kube-proxy@kubernetes"] == (
        "https://lb.example.com:8443"
    )
    assert (config.stat().st_mode & 0o777, config.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert not list(config.parent.glob("*.lock"))
