"""The files of a control-plane host that kubeadm set up, for the labs about static pods."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from kcert.kubernetes.components import COMPONENTS, instances
from kcert.kubernetes.install import manifest
from kcert.practice.grader import AbsentError, Grader
from kcert.practice.handshakes import Client, Credentials, Server
from kcert.practice.rng import select_specs
from kcert.store import SECRET_MODE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from kcert.certificates import Certificate
    from kcert.config import Cluster
    from kcert.practice.builder import LabBuilder
    from kcert.practice.lab import Check, Scenario
    from kcert.scan.result import Configuration

FOLDER = "etc/kubernetes"

_NAMES = (
    *("ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client"),
    *("etcd-ca", "etcd-server", "etcd-peer", "apiserver-etcd-client", "sa"),
)
_STATIC_PODS = ("kube-apiserver", "etcd")


def specs(cluster: Cluster) -> tuple[Certificate, ...]:
    """Return the certificates that kube-apiserver and etcd read on the first control-plane host."""
    return select_specs(cluster, *_NAMES)


def files(specs: Sequence[Certificate]) -> tuple[str, ...]:
    """Return every file of the host, relative to the lab's folder."""
    pki = [path for spec in specs for path in (spec.files.key, spec.files.crt, spec.files.public_key) if path]
    return (*(f"{FOLDER}/{path}" for path in pki), *(f"{FOLDER}/manifests/{name}.yaml" for name in _STATIC_PODS))


def lay_out(
    scenario: Scenario,
    builder: LabBuilder,
    swaps: Mapping[str, Sequence[tuple[str, str]]],
    between: Mapping[str, tuple[datetime, datetime]] | None = None,
) -> None:
    """Write /etc/kubernetes; *swaps* are texts to replace in the manifest of a component, with their replacements.

    *between* is as for ``LabBuilder.lay_out``.
    """
    builder.lay_out(scenario, between)
    shutil.rmtree(builder.root / scenario.folder / "requests")  # kubeadm keeps none
    for component in _STATIC_PODS:
        text = manifest(instances(scenario.cluster, component)[0])
        for right, instead in swaps.get(component, ()):
            text = text.replace(right, instead)
        builder.write(f"{scenario.folder}/manifests/{component}.yaml", text, SECRET_MODE)


def no_check_errors(grader: Grader) -> Check:
    """Check that `kcert check` finds no error in the folders that are read; copies elsewhere do not count."""
    return grader.no_check_errors(f"{FOLDER}/pki", f"{FOLDER}/manifests")


def reaches_etcd(grader: Grader) -> Check:
    """Check that kube-apiserver connects to etcd, each with the files of its manifest."""

    def refused() -> str | None:
        def read(component: str, crt: str, key: str) -> Credentials:
            return Credentials(named(grader, component, crt), named(grader, component, key))

        etcd = Server(read("etcd", "--cert-file", "--key-file"), named(grader, "etcd", "--trusted-ca-file"))
        shown = read("kube-apiserver", "--etcd-certfile", "--etcd-keyfile")
        return grader.tls.refusal(etcd, Client(named(grader, "kube-apiserver", "--etcd-cafile"), shown), "127.0.0.1")

    return grader.check("kube-apiserver reaches etcd, each with the files that its manifest names", refused)


def meets_peers(grader: Grader) -> Check:
    """Check that an etcd member connects to another with the files for peers."""

    def refused() -> str | None:
        shown = Credentials(named(grader, "etcd", "--peer-cert-file"), named(grader, "etcd", "--peer-key-file"))
        ca = named(grader, "etcd", "--peer-trusted-ca-file")
        address = grader.scenario.cluster.control_plane[0].addresses[0]
        return grader.tls.refusal(Server(shown, ca), Client(ca, shown), address)

    return grader.check("etcd members connect to each other, with the files that the manifest names", refused)


def _manifests(grader: Grader) -> Path:
    """The folder of the static pods."""
    return grader.pki / "manifests"


def _configuration(grader: Grader, component: str) -> Configuration:
    """Return how the manifest starts *component*; raises AbsentError without a manifest."""
    source = _manifests(grader) / f"{component}.yaml"
    for started in grader.survey.configurations:
        if (started.component, started.source) == (component, source):
            return started
    raise AbsentError(f"no manifest starts {component}")


def named(grader: Grader, component: str, option: str) -> bytes:
    """Return the content of the file that an option names; raises AbsentError."""
    configuration = _configuration(grader, component)
    path = configuration.resolved.get(option)
    if path is None:
        raise AbsentError(f"{component} has no {option}")
    try:
        return grader.content(path)
    except AbsentError:
        raise AbsentError(f"open {configuration.options[option]}: no such file or directory") from None


def static_pods(grader: Grader) -> Check:
    """Check that the folder of manifests has no file that the kubelet would start as well."""

    def besides() -> str | None:
        known = {f"{name}.yaml" for name in COMPONENTS}
        # The kubelet reads every file there whose name does not begin with a dot, whatever its ending, and looks
        # into no folder.
        files = [path.name for path in sorted(_manifests(grader).glob("*")) if not path.is_dir()]
        more = [name for name in files if name[0] != "." and name not in known]
        return f"the kubelet would start {', '.join(more)} as well" if more else None

    return grader.check("the kubelet starts each static pod once", besides)


def as_planned(grader: Grader, component: str, *free: str) -> Check:
    """Check that the manifest of *component* has the options it had; the options *free* may differ."""

    def differs() -> str | None:
        given = _configuration(grader, component).options
        instance = instances(grader.scenario.cluster, component)[0]
        right = {option.name: option.value for option in COMPONENTS[component].pod_options(instance)}
        wrong = sorted(name for name in {*given, *right} - set(free) if given.get(name) != right.get(name))
        return f"{', '.join(wrong)} was not so before" if wrong else None

    return grader.check(f"the other options of {component} are as they were", differs)


def kubeadms_own(grader: Grader, component: str) -> Check:
    """Check that the manifest names only files that kubeadm keeps and renews."""

    def others() -> str | None:
        known = {
            f"/etc/kubernetes/{path}"
            for spec in grader.scenario.specs
            for path in (spec.files.key, spec.files.crt, spec.files.public_key)
            if path
        }
        configuration = _configuration(grader, component)
        strange = [
            configuration.options[name] for name in configuration.resolved if configuration.options[name] not in known
        ]
        return f"kubeadm does not know {', '.join(dict.fromkeys(strange))}" if strange else None

    return grader.check(f"{component} reads the files that kubeadm keeps and renews, and no others", others)
