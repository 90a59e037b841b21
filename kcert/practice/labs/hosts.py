"""Labs on a control-plane host that kubeadm or an unknown tool set up: the options and paths of static pods."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kcert import profiles
from kcert.certificates import Certificate, Kind, Subject
from kcert.kubernetes.components import COMPONENTS, instances
from kcert.kubernetes.install import manifest
from kcert.practice.grader import AbsentError, Check, Grader
from kcert.practice.handshakes import Credentials, Side, refusal
from kcert.practice.lab import ExpectedAnswer, Lab
from kcert.practice.scenario import LabBuilder, Scenario, ScenarioRng
from kcert.store import SECRET_MODE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kcert.scan import Configuration

FOLDER = "etc/kubernetes"

_NAMES = (
    *("ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client"),
    *("etcd-ca", "etcd-server", "etcd-peer", "apiserver-etcd-client", "sa"),
)
"""The certificates that kube-apiserver and etcd read on the first control-plane host."""

_STATIC_PODS = ("kube-apiserver", "etcd")


def _host(rng: ScenarioRng) -> Scenario:
    """Return a host of kubeadm; its pair of keys is RSA, which can take a second, and nothing here asks for that."""
    scenario = rng.scenario(rng.cluster("kubeadm"), *_NAMES)
    specs = tuple(replace(spec, key=scenario.cluster.key) for spec in scenario.specs)
    return replace(scenario, folder=FOLDER, specs=specs)


def _pki_files(specs: Sequence[Certificate]) -> Iterator[PurePosixPath]:
    """Yield every file of *specs* that kubeadm keeps, relative to /etc/kubernetes."""
    for spec in specs:
        yield from filter(None, (spec.files.key, spec.files.crt, spec.files.public_key))


def _build_host(builder: LabBuilder, swaps: Sequence[tuple[str, str]]) -> None:
    """Write /etc/kubernetes; *swaps* are texts to replace in the manifests, with their replacements."""
    builder.build()
    shutil.rmtree(builder.root / FOLDER / "requests")  # kubeadm keeps none
    for component in _STATIC_PODS:
        text = manifest(instances(builder.scenario.cluster, component)[0])
        for right, instead in swaps:
            text = text.replace(right, instead)
        builder.write(f"{FOLDER}/manifests/{component}.yaml", text, SECRET_MODE)


def _options(scenario: Scenario, component: str) -> dict[str, object]:
    """Return the options of *component* in a manifest without a fault."""
    return {option.name: option.value for option in instances(scenario.cluster, component)[0].pod_options()}


# --- One path of a manifest is wrong


_SERVER = ("etcd", "--cert-file", "--key-file", "--trusted-ca-file")
_PEER = ("etcd", "--peer-cert-file", "--peer-key-file", "--peer-trusted-ca-file")
_CLIENT = ("kube-apiserver", "--etcd-certfile", "--etcd-keyfile", "--etcd-cafile")
"""Components that present a certificate, and the options for it, its key and the CA that they trust."""

_ETCD_FILES = (*_SERVER[1:], *_PEER[1:])


def etcd_does_not_start(rng: ScenarioRng) -> Scenario:
    """One letter is wrong in one of the six paths of etcd's manifest: missing, swapped; or the folder or the ending."""
    host, option = _host(rng), rng.pick(_ETCD_FILES)
    right = PurePosixPath(str(_options(host, "etcd")[option]))
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
    return host.with_values(option=option, right=str(right), wrong=str(wrong))


def apiserver_without_etcd(rng: ScenarioRng) -> Scenario:
    """kube-apiserver verifies etcd with another CA, or no CA (not etcd's own certificate: Go accepts it as a root)."""
    host, option = _host(rng), _CLIENT[-1]
    wrong = rng.pick(("ca.crt", "ca.crt", "front-proxy-ca.crt", "apiserver.crt"))
    return host.with_values(
        option=option,
        right=str(_options(host, "kube-apiserver")[option]),
        wrong=f"/etc/kubernetes/pki/{wrong}",
        restarts=str(rng.number(7, 48)),
    )


def _setup_option(builder: LabBuilder) -> None:
    option, right, wrong = (builder.scenario.values[name] for name in ("option", "right", "wrong"))
    _build_host(builder, [(f"- {option}={right}", f"- {option}={wrong}")])


def _grade_etcd_does_not_start(grader: Grader) -> Iterator[Check]:
    def missing() -> None:
        for option in _ETCD_FILES:
            _named(grader, "etcd", option)

    address = grader.scenario.cluster.control_plane[0].addresses[0]
    members = "etcd members connect to each other, with the files that the manifest names"
    yield grader.check("etcd finds every file that its manifest names", missing)
    yield _reaches_etcd(grader)
    yield grader.check(members, _refused, grader, _PEER, _PEER, address)
    yield from _as_before(grader, "etcd", "kube-apiserver")


def _grade_apiserver_without_etcd(grader: Grader) -> Iterator[Check]:
    yield _reaches_etcd(grader)
    yield from _as_before(grader, "kube-apiserver", "etcd")


def _reaches_etcd(grader: Grader) -> Check:
    what = "kube-apiserver reaches etcd, each with the files that its manifest names"
    return grader.check(what, _refused, grader, _SERVER, _CLIENT, "127.0.0.1")


def _refused(grader: Grader, server: Sequence[str], client: Sequence[str], address: str) -> str | None:
    """Return why two components do not connect, each with the files that its options name; None if they do."""

    def side(component: str, *options: str) -> Side:
        crt, key, ca = (_named(grader, component, option) for option in options)
        return Side(Credentials(crt, key), ca)

    return refusal(side(*server), side(*client), address)


def _as_before(grader: Grader, component: str, other: str) -> Iterator[Check]:
    """Check that *component* reads kubeadm's files, and that all but the option in question is as it was."""
    what = f"{component} reads the files that kubeadm keeps and renews, and no others"
    yield grader.check(what, _unknown_files, grader, component)
    for name, free in ((component, grader.scenario.values["option"]), (other, "")):
        yield grader.check(f"the other options of {name} are as they were", _changed, grader, name, free)
    yield grader.check("the kubelet starts each static pod once", _more_pods, grader)
    yield from grader.all_work()
    # Copies elsewhere do not count.
    yield grader.no_check_errors(f"{FOLDER}/pki", f"{FOLDER}/manifests")


def _configuration(grader: Grader, component: str) -> Configuration:
    """Return how the manifest starts *component*; raises AbsentError without a manifest."""
    source = grader.pki / f"manifests/{component}.yaml"
    for started in grader.survey.configurations:
        if (started.component, started.source) == (component, source):
            return started
    raise AbsentError(f"no manifest starts {component}")


def _named(grader: Grader, component: str, option: str) -> bytes:
    """Return the content of the file that an option names; raises AbsentError."""
    configuration = _configuration(grader, component)
    path = configuration.resolved.get(option)
    if path is None:
        raise AbsentError(f"{component} has no {option}")
    try:
        return grader.content(path)
    except AbsentError:
        raise AbsentError(f"open {configuration.options[option]}: no such file or directory") from None


def _more_pods(grader: Grader) -> str | None:
    known = {f"{name}.yaml" for name in COMPONENTS}
    # The kubelet reads every file there whose name does not begin with a dot, whatever its ending, and looks into no
    # folder.
    files = [path.name for path in sorted(grader.pki.glob("manifests/*")) if not path.is_dir()]
    more = [name for name in files if name[0] != "." and name not in known]
    return f"the kubelet would start {', '.join(more)} as well" if more else None


def _changed(grader: Grader, component: str, free: str) -> str | None:
    """Return which options in the manifest of *component* are not as they were; the option *free* may differ."""
    given, right = _configuration(grader, component).options, _options(grader.scenario, component)
    wrong = sorted(name for name in {*given, *right} - {free} if given.get(name) != right.get(name))
    return f"{', '.join(wrong)} was not so before" if wrong else None


def _unknown_files(grader: Grader, component: str) -> str | None:
    """Return which files the manifest names that kubeadm does not keep and renew."""
    known = {f"/etc/kubernetes/{path}" for path in _pki_files(grader.scenario.specs)}
    configuration = _configuration(grader, component)
    named = dict.fromkeys(configuration.options[name] for name in configuration.resolved)
    unknown = [path for path in named if path not in known]
    return f"kubeadm does not know {', '.join(unknown)}" if unknown else None


# --- A cluster without documentation: which certificates it has, who signed them, which expires first


_ISSUERS = ("root", "authority", "issuing-ca", "trust", "ca-2", "platform-ca", "ca-g1")
_LIFETIMES = (200, 240, 275, 300, 330, 355, 190, 215)
"""Days that certificates have left; each is given once, so that one of them expires first."""

_SERVING = ("pki/apiserver", "pki/kube-apiserver", "pki/server", "pki/api", "pki/tls")
_ETCD_CA = ("pki/etcd/ca", "pki/etcd-ca", "pki/etcd/etcd-ca", "pki/etcd/root")
_ETCD_CLIENT = ("pki/apiserver-etcd-client", "pki/etcd/client", "pki/etcd-client", "pki/to-etcd")


def unknown_cluster(rng: ScenarioRng) -> Scenario:
    """Choose the names of the CAs, how long each certificate is valid, and which ones the questions are about."""
    scenario = _host(rng)
    owners = rng.several(_ISSUERS, 3)
    named = {
        authority: f"{rng.pick(('acme', 'globex', 'initech', scenario.cluster.name))}-{owner}"
        for authority, owner in zip(("ca", "etcd-ca", "front-proxy-ca"), owners, strict=True)
    }
    client = f"{rng.pick(('kube-apiserver', 'api', 'apiserver'))}-to-{rng.pick(('etcd', 'store', 'etcd-main'))}"
    named["apiserver-etcd-client"] = client
    places = {
        "apiserver": rng.pick(_SERVING),
        "etcd-ca": rng.pick(_ETCD_CA),
        "apiserver-etcd-client": rng.pick(_ETCD_CLIENT),
    }
    specs = tuple(_by_hand(spec, named.get(spec.name), places.get(spec.name)) for spec in scenario.specs)
    scenario = replace(scenario, specs=specs)
    leaves = [spec.name for spec in specs if spec.kind not in (Kind.CA, Kind.KEY_PAIR)]
    days = dict(zip(leaves, rng.several(_LIFETIMES, len(leaves)), strict=True))
    begin, noon = rng.now - timedelta(days=20), rng.now.replace(hour=12, minute=0, second=0)
    between = {name: (begin, noon + timedelta(days=count)) for name, count in days.items()}
    asked = rng.pick(("apiserver", "etcd-server", "etcd-peer", "front-proxy-client"))
    company = rng.pick(("the company that we bought", "our Lyon office", "the team that has left"))
    file = {spec.name: f"etc/kubernetes/{spec.files.crt}" for spec in specs}
    kept = (*_pki_files(specs), *(f"manifests/{name}.yaml" for name in _STATIC_PODS))
    scenario = replace(scenario, between=between, kept=tuple(f"{FOLDER}/{path}" for path in kept))
    return scenario.with_values(
        signer=named["ca"],
        etcd_signer=named["etcd-ca"],
        proxy_signer=named["front-proxy-ca"],
        client=client,
        asked=f"/{file[asked]}",
        asked_here=file[asked],
        asked_end=f"{between[asked][1]:%Y-%m-%d}",
        first=f"/{file[min(days, key=days.__getitem__)]}",
        serving=f"/{file['apiserver']}",
        serving_here=file["apiserver"],
        etcd_ca=f"/{file['etcd-ca']}",
        client_here=file["apiserver-etcd-client"],
        addresses=str(sum(1 for name in scenario.spec("apiserver").alt_names if name.type == "IP")),
        company=company,
    )


def _by_hand(spec: Certificate, common_name: str | None, stem: str | None) -> Certificate:
    """Return the certificate with another subject, and other file names than kubeadm's, where they are given."""
    if common_name:
        spec = replace(spec, subject=Subject(common_name))
    if not stem:
        return spec
    return replace(spec, files=replace(spec.files, crt=PurePosixPath(f"{stem}.crt"), key=PurePosixPath(f"{stem}.key")))


def _setup_unknown_cluster(builder: LabBuilder) -> None:
    usual = {spec.name: spec.files for spec in profiles.certificates(builder.scenario.cluster)}
    moved = [
        pair
        for spec in builder.scenario.specs
        for pair in ((usual[spec.name].crt, spec.files.crt), (usual[spec.name].key, spec.files.key))
    ]
    _build_host(
        builder, [(f"=/etc/kubernetes/{old}\n", f"=/etc/kubernetes/{new}\n") for old, new in moved if old != new]
    )


def _grade_unknown_cluster(grader: Grader) -> Iterator[Check]:
    """Check that nothing was changed; the rest are answers."""
    yield grader.kept("nothing in etc/kubernetes was changed")
    yield grader.no_check_errors()
    yield grader.private_keys_protected()


def _asks_unknown_cluster(scenario: Scenario) -> tuple[ExpectedAnswer, ...]:
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
    Lab("etcd-does-not-start", etcd_does_not_start, _setup_option, _grade_etcd_does_not_start),
    Lab("apiserver-without-etcd", apiserver_without_etcd, _setup_option, _grade_apiserver_without_etcd),
    Lab("unknown-cluster", unknown_cluster, _setup_unknown_cluster, _grade_unknown_cluster, _asks_unknown_cluster),
)
