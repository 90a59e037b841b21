"""Labs on a host of kubeadm, or of an unknown tool: the options and paths of components."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kcert.certificates import Certificate, Kind, Subject
from kcert.practice.lab import Check, ExpectedAnswer, Lab, Scenario
from kcert.practice.labs import kubeadm_host
from kcert.practice.rng import ScenarioRng, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.builder import LabBuilder
    from kcert.practice.grader import Grader


# One letter is wrong in one of the six paths of etcd's manifest.


OPTIONS = {
    "--cert-file": "server.crt",
    "--key-file": "server.key",
    "--trusted-ca-file": "ca.crt",
    "--peer-cert-file": "peer.crt",
    "--peer-key-file": "peer.key",
    "--peer-trusted-ca-file": "ca.crt",
}


def generate_etcd_does_not_start(rng: ScenarioRng) -> Scenario:
    """Choose the option, and how its path is mistyped: a letter missing, two swapped, another folder or ending."""
    cluster = rng.cluster("kubeadm")
    option = rng.pick(tuple(OPTIONS))
    right = PurePosixPath("/etc/kubernetes/pki/etcd", OPTIONS[option])
    stem = right.stem
    lost = rng.number(0, len(stem) - 1)
    wrong = rng.pick(
        (
            right.with_name(f"{stem[:lost]}{stem[lost + 1 :]}{right.suffix}"),
            right.with_name(f"{stem[1]}{stem[0]}{stem[2:]}{right.suffix}"),
            right.with_suffix(".pem"),
            right.parent.with_name("etdc") / right.name,
            right.with_name(f"etcd-{right.name}"),
        )
    )
    values = {**values_of(cluster), "option": option, "right": str(right), "wrong": str(wrong)}
    return Scenario(cluster, rng.now, kubeadm_host.specs(cluster), values=values, folder=kubeadm_host.FOLDER)


def setup_etcd_does_not_start(scenario: Scenario, builder: LabBuilder) -> None:
    """Make the host's /etc/kubernetes, with one path mistyped."""
    values = scenario.values
    swap = (f"- {values['option']}={values['right']}", f"- {values['option']}={values['wrong']}")
    kubeadm_host.lay_out(scenario, builder, {"etcd": [swap]})


def grade_etcd_does_not_start(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that etcd names the right files, and that nothing else has changed."""
    yield grader.check("etcd finds every file that its manifest names", lambda: _missing(grader))
    yield kubeadm_host.reaches_etcd(grader)
    yield kubeadm_host.meets_peers(grader)
    yield kubeadm_host.kubeadms_own(grader, "etcd")
    yield kubeadm_host.as_planned(grader, "etcd", scenario.values["option"])
    yield kubeadm_host.as_planned(grader, "kube-apiserver")
    yield kubeadm_host.static_pods(grader)
    yield from grader.all_work()
    yield kubeadm_host.no_check_errors(grader)


def _missing(grader: Grader) -> None:
    for option in OPTIONS:
        kubeadm_host.named(grader, "etcd", option)


# kube-apiserver verifies etcd with the wrong CA.


RIGHT = "/etc/kubernetes/pki/etcd/ca.crt"


def generate_apiserver_without_etcd(rng: ScenarioRng) -> Scenario:
    """Choose another CA, or a certificate that is not a CA (not etcd's own, which Go accepts as a root)."""
    cluster = rng.cluster("kubeadm")
    wrong = rng.pick(("ca.crt", "ca.crt", "front-proxy-ca.crt", "apiserver.crt"))
    values = {**values_of(cluster), "wrong": f"/etc/kubernetes/pki/{wrong}", "restarts": str(rng.number(7, 48))}
    return Scenario(cluster, rng.now, kubeadm_host.specs(cluster), values=values, folder=kubeadm_host.FOLDER)


def setup_apiserver_without_etcd(scenario: Scenario, builder: LabBuilder) -> None:
    """Make the host's /etc/kubernetes, with one option changed."""
    swap = (f"--etcd-cafile={RIGHT}", f"--etcd-cafile={scenario.values['wrong']}")
    kubeadm_host.lay_out(scenario, builder, {"kube-apiserver": [swap]})


def grade_apiserver_without_etcd(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that it reaches etcd with the files of its manifest, and that nothing else has changed."""
    yield kubeadm_host.reaches_etcd(grader)
    yield kubeadm_host.kubeadms_own(grader, "kube-apiserver")
    yield kubeadm_host.as_planned(grader, "kube-apiserver", "--etcd-cafile")
    yield kubeadm_host.as_planned(grader, "etcd")
    yield kubeadm_host.static_pods(grader)
    yield from grader.all_work()
    yield kubeadm_host.no_check_errors(grader)


# A cluster without documentation: which certificates it has, who signed them, which expires first.


_ISSUERS = ("root", "authority", "issuing-ca", "trust", "ca-2", "platform-ca", "ca-g1")
_LIFETIMES = (200, 240, 275, 300, 330, 355, 190, 215)
"""Days that certificates have left; each is given once, so that one of them expires first."""

_SERVING = ("pki/apiserver", "pki/kube-apiserver", "pki/server", "pki/api", "pki/tls")
_ETCD_CA = ("pki/etcd/ca", "pki/etcd-ca", "pki/etcd/etcd-ca", "pki/etcd/root")
_CLIENT = ("pki/apiserver-etcd-client", "pki/etcd/client", "pki/etcd-client", "pki/to-etcd")

_FOLDER = "/etc/kubernetes"


def generate_unknown_cluster(rng: ScenarioRng) -> Scenario:
    """Choose the names of the CAs, how long each certificate is valid, and which ones the questions are about."""
    cluster = rng.cluster("kubeadm")
    owners = rng.several(_ISSUERS, 3)
    named = {
        authority: f"{rng.pick(('acme', 'globex', 'initech', cluster.name))}-{owner}"
        for authority, owner in zip(("ca", "etcd-ca", "front-proxy-ca"), owners, strict=True)
    }
    client = f"{rng.pick(('kube-apiserver', 'api', 'apiserver'))}-to-{rng.pick(('etcd', 'store', 'etcd-main'))}"
    places = {
        "apiserver": rng.pick(_SERVING),
        "etcd-ca": rng.pick(_ETCD_CA),
        "apiserver-etcd-client": rng.pick(_CLIENT),
    }
    specs = tuple(_moved(_renamed(spec, named, client), places) for spec in kubeadm_host.specs(cluster))
    leaves = [spec.name for spec in specs if spec.kind not in (Kind.CA, Kind.KEY_PAIR)]
    days = dict(zip(leaves, rng.several(_LIFETIMES, len(leaves)), strict=True))
    asked = rng.pick(("apiserver", "etcd-server", "etcd-peer", "front-proxy-client"))
    first = min(days, key=lambda name: days[name])
    api = next(spec for spec in specs if spec.name == "apiserver")
    values = {
        **values_of(cluster),
        **{f"days_{name.replace('-', '_')}": str(count) for name, count in days.items()},
        "signer": named["ca"],
        "etcd_signer": named["etcd-ca"],
        "proxy_signer": named["front-proxy-ca"],
        "client": client,
        "asked": f"{_FOLDER}/{_file(specs, asked)}",
        "asked_here": f"etc/kubernetes/{_file(specs, asked)}",
        "asked_end": f"{_end(rng.now, days[asked]):%Y-%m-%d}",
        "first": f"{_FOLDER}/{_file(specs, first)}",
        "serving": f"{_FOLDER}/{_file(specs, 'apiserver')}",
        "serving_here": f"etc/kubernetes/{_file(specs, 'apiserver')}",
        "etcd_ca": f"{_FOLDER}/{_file(specs, 'etcd-ca')}",
        "client_here": f"etc/kubernetes/{_file(specs, 'apiserver-etcd-client')}",
        "addresses": str(sum(1 for name in api.alt_names if name.type == "IP")),
        "company": rng.pick(("the company that we bought", "our Lyon office", "the team that has left")),
    }
    kept = kubeadm_host.files(specs)
    return Scenario(cluster, rng.now, specs, values=values, folder=kubeadm_host.FOLDER, kept=kept)


def _renamed(spec: Certificate, named: dict[str, str], client: str) -> Certificate:
    if spec.name in named:
        return replace(spec, subject=Subject(named[spec.name]))
    return replace(spec, subject=Subject(client)) if spec.name == "apiserver-etcd-client" else spec


def _moved(spec: Certificate, places: dict[str, str]) -> Certificate:
    """Return the certificate with other file names than kubeadm's: the cluster was set up by hand."""
    if spec.name not in places:
        return spec
    stem = PurePosixPath(places[spec.name])
    return replace(spec, files=replace(spec.files, crt=stem.with_suffix(".crt"), key=stem.with_suffix(".key")))


def _file(specs: tuple[Certificate, ...], name: str) -> str:
    return str(next(spec for spec in specs if spec.name == name).files.crt)


def _end(now: datetime, days: int) -> datetime:
    return now.replace(hour=12, minute=0, second=0) + timedelta(days=days)


def setup_unknown_cluster(scenario: Scenario, builder: LabBuilder) -> None:
    """Make a host with its manifests, where each certificate expires at another time."""
    prefix = "days_"
    begin = scenario.now - timedelta(days=20)
    between = {
        spec.name: (begin, _end(scenario.now, int(scenario.values[f"{prefix}{spec.name.replace('-', '_')}"])))
        for spec in scenario.specs
        if spec.kind not in (Kind.CA, Kind.KEY_PAIR)
    }
    swaps = [
        (f"={_FOLDER}/{old}\n", f"={_FOLDER}/{new}\n")
        for usual, spec in zip(kubeadm_host.specs(scenario.cluster), scenario.specs, strict=True)
        for old, new in ((usual.files.crt, spec.files.crt), (usual.files.key, spec.files.key))
        if old != new
    ]
    kubeadm_host.lay_out(scenario, builder, {"kube-apiserver": swaps, "etcd": swaps}, between)


def grade_unknown_cluster(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that nothing was changed; the rest are answers."""
    yield grader.kept("nothing in etc/kubernetes was changed")
    yield grader.no_check_errors()
    yield grader.private_keys_protected()


def asks_unknown_cluster(scenario: Scenario) -> tuple[ExpectedAnswer, ...]:
    """Return the answers, in the order of the questions."""
    values = scenario.values
    return (
        ExpectedAnswer(values["serving"], "path"),
        ExpectedAnswer(values["signer"], also=(f"CN={values['signer']}", f"/CN={values['signer']}")),
        ExpectedAnswer(values["addresses"], "number"),
        ExpectedAnswer(values["etcd_ca"], "path"),
        ExpectedAnswer(values["client"], also=(f"CN={values['client']}", f"/CN={values['client']}")),
        ExpectedAnswer(values["asked_end"], "date"),
        ExpectedAnswer(values["first"], "path"),
    )


LABS = (
    Lab("etcd-does-not-start", generate_etcd_does_not_start, setup_etcd_does_not_start, grade_etcd_does_not_start),
    Lab(
        "apiserver-without-etcd",
        generate_apiserver_without_etcd,
        setup_apiserver_without_etcd,
        grade_apiserver_without_etcd,
    ),
    Lab(
        "unknown-cluster", generate_unknown_cluster, setup_unknown_cluster, grade_unknown_cluster, asks_unknown_cluster
    ),
)
