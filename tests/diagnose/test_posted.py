"""Logs as people post them (``posted.txt``): what they mean, and that nothing is invented and nothing harms."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from kcert.clusters import KINDS
from kcert.diagnose import Finding, causes, diagnose
from kcert.diagnose.engine import knowledge
from tests.running import representatives

_STAND_INS = re.compile(
    r"127\.0\.0\.1:6443|127\.0\.0\.1:2380|(?<![\w/-])(?<!--cert )(?:server|client)\.(?:crt|key)\b|\blocalhost:\d+"
)


class Posted(NamedTuple):
    """A log, the causes that are in it, and words of the first explanation."""

    causes: list[str]
    says: str
    lines: list[str]


def _posted() -> list[Posted]:
    text = (Path(__file__).parent / "posted.txt").read_text(encoding="utf-8")
    logs = []
    for block in text.rstrip("\n").split("\n\n")[1:]:
        head, *lines = block.split("\n")
        names, _, says = head.partition(" | ")
        logs.append(Posted([] if names == "none" else names.split(","), says, [line[4:] for line in lines]))
    return logs


POSTED = _posted()
EACH_ANSWER = sorted(
    {(tuple(log.causes), log.says[:50]): number for number, log in enumerate(POSTED) if log.causes}.values()
)
"""One log for each answer: what differs by the kind of cluster depends on nothing else."""


@cache
def findings(number: int, cluster: str = "") -> tuple[Finding, ...]:
    return diagnose([f"{line}\n".encode() for line in POSTED[number].lines], cluster).findings


def test_each_posted_log_is_understood() -> None:
    """In one test: a thousand would take ten times as long."""
    assert POSTED
    for number, posted in enumerate(POSTED):
        found = findings(number)
        assert [finding.explanation.name for finding in found] == posted.causes, posted.lines
        assert not found or posted.says in found[0].explanation.cause, posted.lines


@pytest.mark.thorough
@pytest.mark.parametrize("cluster", ["", "kcert", *KINDS])
def test_nothing_is_invented_and_every_word_that_stands_for_something_is_explained(cluster: str) -> None:
    glossary = knowledge().glossary
    for number in range(len(POSTED)) if not cluster else EACH_ANSWER:
        posted = POSTED[number]
        log = "\n".join(posted.lines)
        for finding in findings(number, cluster):
            explanation = finding.explanation
            assert not re.search(r"[{}]{2}|\[\[|\]\]|\{[a-z_]+[|}]", f"{explanation.cause}{explanation.repair}")
            for text in (explanation.proof, explanation.repair):
                assert text, (explanation.name, cluster)
                commands = "\n".join(line.partition(" # ")[0] for line in text.splitlines() if line[:1] != "#")
                invented = [word for word in _STAND_INS.findall(commands) if word not in log]
                assert not invented, (posted.lines[0], text)
                for word in re.findall(r"\b[A-Z][A-Z_]{2,}\b", commands):
                    assert word not in glossary or f"# {word}: " in text, (word, text)


@pytest.mark.parametrize("cluster", representatives(["", "kcert", *KINDS]))
def test_no_fix_harms(cluster: str) -> None:
    for number in range(len(POSTED)) if not cluster else EACH_ANSWER:
        posted = POSTED[number]
        for finding in findings(number, cluster):
            fix = finding.explanation.repair
            lines = fix.splitlines()
            for place, line in enumerate(lines):
                if "--stale" in line:
                    assert "own kcert.yaml" in "\n".join(lines[:place]), fix
                assert "rm -rf" not in line
                assert not re.match(r"kcert renew (?:ca|.*-ca)\b.*--new-key", line), fix
            if "CA" in finding.explanation.cause and "does not exist" in finding.explanation.cause:
                assert not any(line.startswith("kcert all") for line in lines), (posted.lines[0], fix)


@pytest.mark.parametrize(
    ("cluster", "foreign"),
    [
        ("k3s", r"^(?:kubeadm|kcert renew|minikube|microk8s)\b"),
        ("rke2", r"^(?:kubeadm|kcert renew|minikube|microk8s)\b"),
        ("minikube", r"^(?:k3s|rke2|kcert renew|microk8s)\b"),
        ("kcert", r"^(?:kubeadm certs|k3s|rke2|minikube|microk8s)\b"),
        ("hardway", r"^(?:kubeadm certs|k3s|rke2|minikube|microk8s)\b"),
    ],
)
def test_the_kind_of_cluster_chooses_the_fix(cluster: str, foreign: str) -> None:
    for line in (
        "Unable to connect to the server: x509: certificate has expired or is not yet valid",
        'Get "https://10.0.0.1:6443/api/v1": x509: certificate is valid for 10.0.0.2, not 10.0.0.1',
        '"Unable to authenticate the request" err="x509: certificate signed by unknown authority"',
        "Unable to connect to the server: x509: certificate signed by unknown authority",
    ):
        [finding] = diagnose([line.encode()], cluster).findings
        assert not re.search(foreign, finding.explanation.repair, re.MULTILINE), finding.explanation.repair


@pytest.mark.parametrize(
    "cluster", representatives(["k3s", "rke2", "k0s", "microk8s", "openshift", "rke1", "kops", "typhoon"])
)
def test_a_product_that_makes_its_certificates_is_not_repaired_with_kubeadm(cluster: str) -> None:
    for number in EACH_ANSWER:
        for finding in findings(number, cluster):
            assert "# with kubeadm" not in finding.explanation.repair, POSTED[number].lines


def test_no_value_from_a_line_takes_the_place_of_commands() -> None:
    """A macro is put in first: a group of the same name would print commands where a name has to be."""
    expressions = [pattern.regex for cause in causes().values() for pattern in cause.patterns]
    for cause in causes().values():
        expressions += [condition.pattern for case in cause.cases for condition in case.conditions.values()]
    groups = {name for expression in expressions for name in re.compile(expression).groupindex}
    assert groups.isdisjoint(knowledge().macros)


def test_a_line_that_names_its_cluster_needs_no_option() -> None:
    [finding] = diagnose(
        [b"Sep 19 10:50:50 n k3s: Unable to authenticate the request: x509: certificate signed by unknown authority"]
    ).findings

    assert "k3s certificate rotate" in finding.explanation.repair
    assert "kubeadm" not in finding.explanation.repair


@pytest.mark.parametrize("cluster", ["kcert", "hardway"])
def test_kcerts_own_commands_come_first(cluster: str) -> None:
    [finding] = diagnose(
        [b"Error from server: error dialing backend: x509: certificate is valid for a, not b"], cluster
    ).findings
    own, _, others = finding.explanation.repair.partition("# where kcert does not make this certificate")

    assert "serverTLSBootstrap" in others
    assert "serverTLSBootstrap" not in own
    assert [line for line in own.splitlines() if line.startswith("# with")] == ["# with kcert", "# with openssl"]


@pytest.mark.parametrize(
    "line",
    [
        'connect to {https://etcd1:2379}. Err: "authentication handshake failed: remote error: tls: bad certificate"',
        'rejected connection from "10.0.0.7:4" (error "x509: certificate signed by unknown authority", ServerName "")',
    ],
)
def test_the_certificate_of_a_client_has_no_name_of_a_server(line: str) -> None:
    [finding] = diagnose([line.encode()], "openssl").findings

    assert "-in NAME.csr" in finding.explanation.repair


def test_the_commands_of_openssl_are_all_for_one_certificate() -> None:
    for number, posted in enumerate(POSTED):
        for finding in findings(number):
            _, _, recipe = finding.explanation.repair.partition("# with openssl")
            commands = [line for line in recipe.splitlines() if not line.lstrip().startswith("#")]
            files = re.findall(r"-(?:in|key|out) (\S+)\.(?:key|csr|crt)\b", "\n".join(commands))
            assert "NAME" not in files or set(files) <= {"NAME", "ca"}, (posted.lines, recipe)


@pytest.mark.thorough
def test_every_fix_of_every_kind_is_bash() -> None:
    scripts = {
        text
        for cluster in (
            "",
            "kcert",
            "kubeadm",
            "k3s",
            "minikube",
            "microk8s",
        )  # those with most commands of their own
        for number in EACH_ANSWER
        for finding in findings(number, cluster)
        for text in (finding.explanation.proof, finding.explanation.repair)
    }
    joined = "".join(f"f{number}() {{\n:\n{script}\n}}\n" for number, script in enumerate(sorted(scripts)))
    checked = subprocess.run(["bash", "-n"], input=joined, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_every_cause_is_met_by_a_test() -> None:
    """A cause that no line of the tests has may be misspelled, and no test would show it."""
    messages = (Path(__file__).parent / "messages.txt").read_text(encoding="utf-8")
    recorded = (Path(__file__).parent / "test_recorded.py").read_text(encoding="utf-8")
    met = {name for posted in POSTED for name in posted.causes}
    unmet = [name for name in causes() if name not in met and f"\n{name} | " not in messages and name not in recorded]
    assert unmet == []
