"""The engine: reads the causes (``causes/*.yaml``) and turns a matching line into explanation and commands.

``causes/README.md`` describes the format. The commands are text and are never run. Every value that comes out of a
log is quoted for bash; what is not printable, or looks like an option, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from kcert import plain_yaml
from kcert.certificates import is_address
from kcert.clusters import KINDS
from kcert.diagnose import functions
from kcert.diagnose.context import KIND, ROLES, SERVER_NAME, LogMatch, Target
from kcert.quoting import quote

FOLDER = Path(__file__).parent / "causes"

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]+)(?:\|([^{}]*))?\}")
_OPTIONAL = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
_NAME = re.compile(r"\bNAME\b")
_THE_CERTIFICATE = re.compile(r"^ *# NAME: ([a-z-]+)\n", re.MULTILINE)
"""The line in which a recipe says for which certificate its commands are."""
_WORD = re.compile(r"\b[A-Z][A-Z_]{2,}\b")
_LOGICAL_LINE = re.compile(r"(?<![\\|])\n")
_LONGEST_NAMES = 300
"""Characters of a list of SANs that is repeated in an explanation."""

_PATHS = frozenset(("path", "checked", "cert", "key", "ca", "folder", "meant", "shown_ca"))
_BASES = {"rke2": "k3s", "minikube": "kubeadm", "kind": "kubeadm", "kubespray": "kubeadm"}
_UNKNOWN = ("kubeadm", "kcert", "openssl")
"""The fixes to print where nothing shows the kind of the cluster."""

_TARGET_WORDS = frozenset(("noun", "patterns", "port", "role", "component", "note"))
"""The keys of an entry of targets.yaml that are not fixes."""

_ONE_CERTIFICATE = frozenset(("kube-apiserver", "etcd-server"))
"""The roles of servers that have one certificate, of the same name; of the others each host has its own."""

_PRINTED_BY_HAND = ("kcert", "hardway")
"""Kinds whose certificates are made with openssl, so that the fix with openssl is printed as well."""


@dataclass(frozen=True)
class Explanation:
    """The ``name`` of a cause, its ``lesson``, what it means (``cause``); ``proof`` and ``repair`` are for bash."""

    name: str
    lesson: str
    cause: str
    proof: str
    repair: str


@dataclass(frozen=True)
class Pattern:
    """One wording: ``literal`` is plain text that every such line holds, ``regex`` has groups for what it says."""

    literal: str
    regex: str

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.regex)

    def search(self, text: str) -> re.Match[str] | None:
        """Search *text*, which holds the literal, for this wording."""
        return self._compiled.search(text)


@dataclass(frozen=True)
class Case:
    """The meaning of a cause under conditions: ``when`` are facts, ``line``, ``before`` and ``after`` expressions."""

    when: tuple[str, ...]
    conditions: Mapping[str, re.Pattern[str]]
    says: str
    proof: str
    fix: str | Mapping[str, str]
    silent: bool


@dataclass(frozen=True)
class Cause:
    """An entry of the data: its name, the topic of its lesson, its wordings, and what they mean case by case."""

    name: str
    lesson: str
    patterns: tuple[Pattern, ...]
    cases: tuple[Case, ...]
    values: str = ""

    def explain(self, match: LogMatch, cluster: str = "") -> Explanation | None:
        """Return what the line means; None if no case applies, or the line means nothing after all."""
        kind = cluster or kind_of_line(match.context) or match.known.get(KIND, "")
        values = _values(match, kind)
        if self.values:
            more = functions.FUNCTIONS[self.values](match)
            if more is None:
                return None
            values.update(more)
        facts = _facts(match, kind, values)
        for candidate in self.cases:
            if not all(_holds(wanted, facts) for wanted in candidate.when):
                continue
            groups = _search(candidate.conditions, match)
            if groups is None:
                continue
            if candidate.silent:
                return None
            return Explanation(self.name, self.lesson, *_Renderer(match, kind, {**values, **groups}).texts(candidate))
        return None


@dataclass(frozen=True)
class Knowledge:
    """All of the data: causes and targets by name, macros, the placeholders for what a log does not say."""

    causes: Mapping[str, Cause]
    targets: Mapping[str, Target]
    macros: Mapping[str, str]
    glossary: Mapping[str, str]
    clients: tuple[tuple[re.Pattern[str], str], ...]
    kinds: Mapping[str, re.Pattern[str]]


@cache
def knowledge() -> Knowledge:
    """Read the data, once."""
    common = _read("common")
    causes = [(name, _cause(name, entry)) for file in common["order"] for name, entry in _read(file).items()]
    return Knowledge(
        dict(causes),
        {name: _target(name, entry) for name, entry in _read("targets").items()},
        common["macros"],
        common["glossary"],
        tuple((re.compile(client["says"]), client["hint"]) for client in common["clients"]),
        {kind: re.compile(pattern) for kind, pattern in common["kinds"].items()},
    )


def kind_of_line(text: str) -> str:
    """Return the kind of cluster that a line names; empty if it names none."""
    return next((kind for kind, pattern in knowledge().kinds.items() if pattern.search(text)), "")


def _read(name: str) -> dict[str, Any]:
    entries: dict[str, Any] = plain_yaml.load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), aliases=True)
    return entries


def _target(name: str, entry: Mapping[str, Any]) -> Target:
    fixes = {verb: _by_kind(recipes) for verb, recipes in entry.items() if verb not in _TARGET_WORDS}
    words = {key: str(entry.get(key, "")) for key in ("port", "role", "component", "note")}
    patterns = tuple(re.compile(pattern) for pattern in entry["patterns"])
    return Target(name, entry["noun"], patterns, fixes=fixes, **words)


def _by_kind(recipes: Mapping[str, str]) -> dict[str, str]:
    """Return *recipes*, whose keys name one or several kinds of cluster, by each of them."""
    return {kind: text for kinds, text in recipes.items() for kind in kinds.split()}


def _cause(name: str, entry: Mapping[str, Any]) -> Cause:
    common = {key: entry[key] for key in ("says", "proof", "fix") if key in entry}
    cases = tuple(_case({**common, **fields}) for fields in entry.get("cases", ()))
    if "says" in entry:
        cases += (_case(common),)
    patterns = tuple(_pattern(pattern) for pattern in entry["patterns"])
    return Cause(name, entry["lesson"], patterns, cases, entry.get("values", ""))


def _pattern(entry: str | Mapping[str, str]) -> Pattern:
    if isinstance(entry, str):
        return Pattern(entry, re.escape(entry))
    ((literal, regex),) = entry.items()
    return Pattern(literal, regex)


def _case(entry: Mapping[str, Any]) -> Case:
    fix = entry.get("fix", "")
    return Case(
        tuple(str(entry.get("when", "")).split()),
        {key: re.compile(entry[key]) for key in ("line", "before", "after") if key in entry},
        " ".join(entry.get("says", "").split()),
        entry.get("proof", "").rstrip("\n"),
        fix if isinstance(fix, str) else _by_kind(fix),
        entry.get("silent", False),
    )


def _values(match: LogMatch, kind: str) -> dict[str, str]:
    """The placeholders that every text may use; empty if the log does not say."""
    groups = {name: match.word(name) for name in match.match.groupdict()}
    role = "" if match.server_log else match.target.role
    host, _, port = match.address.rpartition(":")
    own = match.file("cert-file", "tls-cert-file", "peer-cert-file")
    name = groups["name"] = match.word("name") or match.word("ip")
    return {
        "address": match.address,
        "host": host,
        "port": port or match.target.port,
        "caller": match.caller,
        "checked": match.checked,
        "cert": own,
        "key": match.file("key-file", "tls-private-key-file"),
        "ca": match.file("trusted-ca-file", "client-ca-file") if match.server_log else "",
        "component": match.target.component,
        "distro": "rke2" if kind == "rke2" else "k3s" if kind == "k3s" else "",
        "unit": KINDS[kind].unit or "" if kind in KINDS else "",
        "san": f"{'IP' if is_address(name) else 'DNS'}:{name}" if name else "",
        "!verify_option": f"-verify_{'ip' if is_address(name) else 'hostname'}" if name else "",
        "short_names": groups.get("names", "") if len(groups.get("names", "")) < _LONGEST_NAMES else "",
        "server_name": (SERVER_NAME.search(match.text) or ("", ""))[1],
        "client_hint": next((hint for pattern, hint in knowledge().clients if pattern.search(match.text)), ""),
        "registry": match.address.removesuffix(":443"),
        "kcert_name": functions.kcert_name(own),
        "certificate": functions.kcert_name(own) or (role if role in _ONE_CERTIFICATE else ""),
        "kubeadm_name": functions.kubeadm_name(own),
        "kubeadm_serving": functions.kubeadm_name_of(role),
        **groups,
    }


def _facts(match: LogMatch, kind: str, values: Mapping[str, str]) -> frozenset[str]:
    given = {f"has-{name}" for name, value in values.items() if value}
    side = "server-log" if match.server_log else "client-log"
    return frozenset({match.target.name, side, f"kind-{kind}", *given})


def _holds(wanted: str, facts: frozenset[str]) -> bool:
    return wanted[1:] not in facts if wanted.startswith("!") else not facts.isdisjoint(wanted.split("|"))


def _search(conditions: Mapping[str, re.Pattern[str]], match: LogMatch) -> dict[str, str] | None:
    """The groups of the conditions, which all have to match; None if one does not."""
    groups: dict[str, str] = {}
    texts = {"line": f"{match.message.program}: {match.text}", "before": match.around[0], "after": match.around[1]}
    for where, pattern in conditions.items():
        result = pattern.search(texts[where])
        if result is None:
            return None
        groups.update((name, value) for name, value in result.groupdict().items() if value and value.isprintable())
    return groups


def _nouns(match: LogMatch, values: Mapping[str, str]) -> dict[str, str]:
    server = match.target.noun + (f" {values['node']}" if values.get("node") else "")
    server += f" at {values['address']}" if values["address"] else ""
    client = f"a client at {values['caller']}" if values["caller"] else "a client"
    owner = f"of {client if match.server_log else server}"
    return {
        "server": server,
        "Server": _capital(server),
        "client": client,
        "Client": _capital(client),
        "Certificate": f"The certificate {values.get('path') or values['checked'] or owner}",
        "note": match.target.note,
    }


class _Renderer:
    """Fills the texts of a case with what the log says."""

    def __init__(self, match: LogMatch, kind: str, values: Mapping[str, str]) -> None:
        self.target, self.kind, self.values = match.target, kind, values
        self.words = {**values, **_nouns(match, values)}
        self.roles = frozenset(match.known.get(ROLES, "").split())
        self.is_product = kind in KINDS and kind not in _PRINTED_BY_HAND
        # {look}: at the file that the line names, or at what was presented.
        presented = "look_client" if match.server_log else "at"
        look = "look_checked" if values["checked"] else "look_path" if values.get("path") else presented
        self.macros = {**knowledge().macros, "look": knowledge().macros[look]}

    def texts(self, chosen: Case) -> tuple[str, str, str]:
        """Return what it says, and the commands that confirm and fix it."""
        says, repair = " ".join(self._sentence(chosen.says).split()), "\n".join(self._fix(chosen.fix))
        return says, self._with_glossary(self._commands(chosen.proof)), self._with_glossary(repair)

    def _sentence(self, text: str) -> str:
        text = _OPTIONAL.sub(lambda part: self._sentence(part[1]) if self._complete(part[1]) else "", text)
        return _PLACEHOLDER.sub(lambda word: self.words.get(word[1]) or word[2] or "", text)

    def _complete(self, text: str) -> bool:
        return all(self.words.get(word[1]) for word in _PLACEHOLDER.finditer(text))

    def _commands(self, text: str, values: Mapping[str, str] | None = None) -> str:
        """The lines of *text*; one with a value that the log does not say and that has no default is left out."""
        text, values = text.rstrip("\n"), self.values if values is None else values
        for _ in range(3):
            text = _PLACEHOLDER.sub(lambda word: self.macros.get(word[1], word[0]).rstrip("\n"), text)
        shown = (self._command(line, values) for line in _LOGICAL_LINE.split(text))
        return "\n".join(line for line in shown if line)

    def _command(self, line: str, values: Mapping[str, str]) -> str:
        missing = False

        def argument(word: re.Match[str]) -> str:
            nonlocal missing
            if f"!{word[1]}" in values:
                command = values[f"!{word[1]}"]
                missing = missing or not command
                return command
            value = values.get(word[1], "")
            if word[1] in _PATHS and value:
                return functions.file_argument(value)
            if value and not value.startswith("-"):
                return quote(value)
            if word[1] == "address" and not word[2]:
                return f"HOST:{self.target.port or 'PORT'}"
            missing = missing or word[2] is None
            return word[2] or ""

        line = _OPTIONAL.sub(lambda part: part[1] if self._complete(part[1]) else "", line)
        shown = _PLACEHOLDER.sub(argument, line)
        return "" if missing else shown

    def _with_glossary(self, text: str) -> str:
        """Return *text* after comments on its placeholders, the words in capitals for what the log does not say."""
        used = dict.fromkeys(_WORD.findall("\n".join(line.partition(" # ")[0] for line in text.splitlines())))
        glossary = knowledge().glossary
        notes = [f"# {word}: {glossary[word]}" for word in used if word in glossary and f"# {word}: " not in text]
        return "\n".join((*notes, text))

    def _fix(self, fix: str | Mapping[str, str]) -> Iterator[str]:
        recipes = self._by_product(fix, self._recipes(fix))
        if always := recipes.get("any"):
            yield self._commands(always)
        for name in self._chosen(recipes):
            roles = self.roles if name == "kcert" else frozenset()
            recipe, values = recipes[name], dict(self.values)
            if certificate := _THE_CERTIFICATE.search(recipe):
                recipe, values["certificate"] = recipe.replace(certificate[0], ""), certificate[1]
            elif fix in ("client", "resign") or _NAME.search(_PLACEHOLDER.sub("", recipe)):
                values["certificate"] = ""  # of a client, or one that the reader knows
            text = self._commands(recipe, values)
            if text := functions.with_names_here(text, roles):
                kind = self.kind if name == _BASES.get(self.kind) else name
                yield f"# with {KINDS[kind].title if kind in KINDS else kind}"
                yield text
        if "others" in recipes:
            yield "# where kcert does not make this certificate (the profile kubeadm, another cluster)"
            yield self._commands(recipes["others"])

    def _recipes(self, fix: str | Mapping[str, str]) -> Mapping[str, str]:
        if not isinstance(fix, str):
            return fix
        if "\n" in fix or " " in fix or not fix:
            return {"any": fix}
        verb, _, other = fix.partition("@")
        targets = knowledge().targets
        target, generic = targets.get(other, self.target), targets["server"]
        recipes = target.fixes.get(verb) or generic.fixes[verb]
        if verb not in target.fixes and "any" in target.fixes.get("renew", ()):
            recipes = target.fixes["renew"]  # no certificate of the cluster's own
        result = dict(recipes)
        if verb == "trust" and self.values["client_hint"]:
            result["any"] = f"# {self.values['client_hint']}\n{result.get('any', '')}"
        if verb in ("renew", "client", "resign") and self.kind in KINDS and not {self.kind, "any"} & result.keys():
            result[self.kind] = functions.renewal(self.kind, target.role if verb == "renew" else "")
        if "others" in result and self.kind not in _PRINTED_BY_HAND:
            others = result.pop("others")
            result |= {} if self._own(result) else {"any": result.get("any", "") + others}
        return result

    def _by_product(self, fix: str | Mapping[str, str], recipes: Mapping[str, str]) -> Mapping[str, str]:
        """*recipes* without kubeadm's where the cluster is of a product that makes its certificates itself."""
        if not self.is_product or self._own(recipes) or "kubeadm" not in recipes:
            return recipes
        verb = fix if isinstance(fix, str) else "trust" if "own_kubeconfig" in recipes["kubeadm"] else ""
        is_api_server = self.target.name in ("server", "apiserver", "pod-apiserver")
        known = knowledge().targets["apiserver"].fixes.get(verb, {}) if is_api_server else {}
        own = known.get(self._own(known)) or functions.renewal(self.kind, "")
        return {**{name: text for name, text in recipes.items() if name == "any"}, self.kind: own}

    def _own(self, recipes: Mapping[str, str]) -> str:
        """The kind whose recipe is the cluster's own; empty if there is none."""
        return next((kind for kind in (self.kind, _BASES.get(self.kind, "")) if kind in recipes), "")

    def _chosen(self, recipes: Mapping[str, str]) -> list[str]:
        """The kinds whose recipe is printed: the cluster's own, or, if that is unknown, the usual ones."""
        if own := self._own(recipes):
            by_hand = ["openssl"] if self.kind in _PRINTED_BY_HAND and "openssl" in recipes else []
            return [own, *by_hand]
        usual = ("kcert", "openssl") if self.kind in _PRINTED_BY_HAND else _UNKNOWN
        if self.kind and self.kind not in _PRINTED_BY_HAND and "any" in recipes:
            return []
        chosen = [name for name in usual if name in recipes]
        return chosen if chosen or "any" in recipes else list(recipes)


def _capital(noun: str) -> str:
    """*noun* as it begins a sentence; the name of a program stays as it is."""
    return noun[0].upper() + noun[1:] if noun.startswith(("the ", "a ")) else noun
