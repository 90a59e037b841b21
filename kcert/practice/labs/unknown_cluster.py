"""Somebody else's cluster: what is there, who signed it, and what ends first?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kcert.certificates import Kind, Subject
from kcert.practice.draw import ScenarioRng, values_of
from kcert.practice.lab import Check, ExpectedAnswer, Lab, Scenario
from kcert.practice.labs import kubeadm_host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from kcert.certificates import Certificate
    from kcert.practice.grading import Grader
    from kcert.practice.ground import LabBuilder

_ISSUERS = ("root", "authority", "issuing-ca", "trust", "ca-2", "platform-ca", "ca-g1")
_LIFETIMES = (200, 240, 275, 300, 330, 355, 190, 215)
"""Days that leaves have left; each is given once, so that one of them ends first."""

_SERVING = ("pki/apiserver", "pki/kube-apiserver", "pki/server", "pki/api", "pki/tls")
_ETCD_CA = ("pki/etcd/ca", "pki/etcd-ca", "pki/etcd/etcd-ca", "pki/etcd/root")
_CLIENT = ("pki/apiserver-etcd-client", "pki/etcd/client", "pki/etcd-client", "pki/to-etcd")

_FOLDER = "/etc/kubernetes"


def draws(draw: ScenarioRng) -> Scenario:
    """Whose CAs they are, how long each certificate lasts, and which of them is asked about."""
    cluster = draw.cluster("kubeadm")
    owners = draw.several(_ISSUERS, 3)
    named = {
        authority: f"{draw.pick(('acme', 'globex', 'initech', cluster.name))}-{owner}"
        for authority, owner in zip(("ca", "etcd-ca", "front-proxy-ca"), owners, strict=True)
    }
    client = f"{draw.pick(('kube-apiserver', 'api', 'apiserver'))}-to-{draw.pick(('etcd', 'store', 'etcd-main'))}"
    places = {
        "apiserver": draw.pick(_SERVING),
        "etcd-ca": draw.pick(_ETCD_CA),
        "apiserver-etcd-client": draw.pick(_CLIENT),
    }
    wishes = tuple(_moved(_renamed(one, named, client), places) for one in kubeadm_host.wishes(cluster))
    leaves = [one.name for one in wishes if one.kind not in (Kind.CA, Kind.KEY_PAIR)]
    days = dict(zip(leaves, draw.several(_LIFETIMES, len(leaves)), strict=True))
    asked = draw.pick(("apiserver", "etcd-server", "etcd-peer", "front-proxy-client"))
    first = min(days, key=lambda name: days[name])
    api = next(one for one in wishes if one.name == "apiserver")
    values = {
        **values_of(cluster),
        **{f"days_{name.replace('-', '_')}": str(count) for name, count in days.items()},
        "signer": named["ca"],
        "etcd_signer": named["etcd-ca"],
        "proxy_signer": named["front-proxy-ca"],
        "client": client,
        "asked": f"{_FOLDER}/{_file(wishes, asked)}",
        "asked_here": f"etc/kubernetes/{_file(wishes, asked)}",
        "asked_end": f"{_end(draw.now, days[asked]):%Y-%m-%d}",
        "first": f"{_FOLDER}/{_file(wishes, first)}",
        "serving": f"{_FOLDER}/{_file(wishes, 'apiserver')}",
        "serving_here": f"etc/kubernetes/{_file(wishes, 'apiserver')}",
        "etcd_ca": f"{_FOLDER}/{_file(wishes, 'etcd-ca')}",
        "client_here": f"etc/kubernetes/{_file(wishes, 'apiserver-etcd-client')}",
        "addresses": str(sum(1 for name in api.alt_names if name.type == "IP")),
        "company": draw.pick(("the company that we bought", "our Lyon office", "the team that has left")),
    }
    kept = kubeadm_host.files(wishes)
    return Scenario(cluster, draw.now, wishes, values=values, folder=kubeadm_host.FOLDER, kept=kept)


def _renamed(one: Certificate, named: dict[str, str], client: str) -> Certificate:
    if one.name in named:
        return replace(one, subject=Subject(named[one.name]))
    return replace(one, subject=Subject(client)) if one.name == "apiserver-etcd-client" else one


def _moved(one: Certificate, places: dict[str, str]) -> Certificate:
    """The same under another name than kubeadm's: it was set up by hand, after all."""
    if one.name not in places:
        return one
    stem = PurePosixPath(places[one.name])
    return replace(one, files=replace(one.files, crt=stem.with_suffix(".crt"), key=stem.with_suffix(".key")))


def _file(wishes: tuple[Certificate, ...], name: str) -> str:
    return str(next(one for one in wishes if one.name == name).files.crt)


def _end(now: datetime, days: int) -> datetime:
    return now.replace(hour=12, minute=0, second=0) + timedelta(days=days)


def builds(scene: Scenario, ground: LabBuilder) -> None:
    """A host with its manifests, each certificate with an end of its own."""
    prefix = "days_"
    begin = scene.now - timedelta(days=20)
    between = {
        one.name: (begin, _end(scene.now, int(scene.values[f"{prefix}{one.name.replace('-', '_')}"])))
        for one in scene.wishes
        if one.kind not in (Kind.CA, Kind.KEY_PAIR)
    }
    swaps = [
        (f"={_FOLDER}/{old}\n", f"={_FOLDER}/{new}\n")
        for usual, one in zip(kubeadm_host.wishes(scene.cluster), scene.wishes, strict=True)
        for old, new in ((usual.files.crt, one.files.crt), (usual.files.key, one.files.key))
        if old != new
    ]
    kubeadm_host.lay_out(scene, ground, {"kube-apiserver": swaps, "etcd": swaps}, between)


def judges(scene: Scenario, bench: Grader) -> Iterator[Check]:
    """Looking changes nothing; the rest is answers."""
    yield bench.kept("nothing in etc/kubernetes was changed")
    yield bench.rules()
    yield bench.closed()


def asks(scene: Scenario) -> tuple[ExpectedAnswer, ...]:
    """The answers, in the order of the questions."""
    values = scene.values
    return (
        ExpectedAnswer(values["serving"], "path"),
        ExpectedAnswer(values["signer"], also=(f"CN={values['signer']}", f"/CN={values['signer']}")),
        ExpectedAnswer(values["addresses"], "number"),
        ExpectedAnswer(values["etcd_ca"], "path"),
        ExpectedAnswer(values["client"], also=(f"CN={values['client']}", f"/CN={values['client']}")),
        ExpectedAnswer(values["asked_end"], "date"),
        ExpectedAnswer(values["first"], "path"),
    )


LAB = Lab("unknown-cluster", draws, builds, judges, asks)
