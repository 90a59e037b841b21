"""Labs in which a client is rejected, or cannot verify the server: a wrong subject, key or CA."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kcert.certificates import Subject
from kcert.issue.plan import kubeconfig_for
from kcert.openssl.program import same_key
from kcert.practice.builder import LabBuilder
from kcert.practice.grader import AbsentError, Grader
from kcert.practice.handshakes import Client, Credentials, Server
from kcert.practice.lab import Check, Lab, Scenario, lay_out
from kcert.practice.rng import ScenarioRng, select_specs, values_of
from kcert.store import SECRET_MODE, Staging

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kcert.scan.result import KubeconfigUse


# The group is in OU, which the API server ignores.


def generate_admin_without_rights(rng: ScenarioRng) -> Scenario:
    """Choose the administrator, or a user whose group has rights."""
    cluster = rng.cluster(users=1)
    name = rng.pick(("admin", cluster.users[0].name))
    specs = select_specs(cluster, "ca", name, "kube-apiserver")
    spec = next(spec for spec in specs if spec.name == name)
    assert spec.subject
    common_name, groups = spec.subject.common_name, spec.subject.organizations
    given = (("CN", common_name), *(("OU", group) for group in groups))
    made = {name: replace(spec, subject=Subject(common_name, (), given))}
    values = {
        **values_of(cluster),
        "name": name,
        "who": common_name,
        "groups": groups[0],
        "resource": rng.pick(("nodes", "namespaces", "persistentvolumes")) if name == "admin" else "pods",
    }
    scope = "at the cluster scope" if name == "admin" else f'in the namespace "{groups[0]}"'
    return Scenario(cluster, rng.now, specs, made, {**values, "scope": scope})


def grade_admin_without_rights(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that it is the same user as before, and in the right group."""
    name, who = scenario.values["name"], scenario.values["who"]
    yield grader.connects(f"{who} reaches the API server", "kube-apiserver", name, scenario.values["api_ip"])
    yield from grader.all_work(name)
    yield grader.no_check_errors()


# The user name of the scheduler is not the one that has its rights.


_NEARLY = ("kube-scheduler", "system:scheduler", "system-kube-scheduler", "system:kube-schedular", "scheduler")
"""Mistaken common names for system:kube-scheduler, the only one with the scheduler's rights."""


def generate_pods_stay_pending(rng: ScenarioRng) -> Scenario:
    """Choose a CN that is nearly right."""
    cluster = rng.cluster()
    specs = select_specs(cluster, "ca", "kube-scheduler", "kube-controller-manager", "kube-apiserver")
    spec = next(spec for spec in specs if spec.name == "kube-scheduler")
    assert spec.subject
    taken_for = rng.pick(_NEARLY)
    made = {spec.name: replace(spec, subject=Subject(taken_for, spec.subject.organizations))}
    resource, kind = rng.pick((("pods", "Pod"), ("nodes", "Node"), ("services", "Service")))
    values = {
        "taken_for": taken_for,
        "resource": resource,
        "kind": kind,
        "pods": str(rng.number(3, 40)),
        "hour": str(rng.number(7, 11)),
    }
    return Scenario(cluster, rng.now, specs, made, {**values_of(cluster), **values})


def grade_pods_stay_pending(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that the API server accepts the scheduler as the right user."""
    yield grader.connects(
        "the scheduler reaches the API server", "kube-apiserver", "kube-scheduler", scenario.values["api_ip"]
    )
    yield from grader.all_work("kube-scheduler")
    yield grader.no_check_errors()


# The user name of a kubelet is not exactly the name of its node.


def generate_node_not_ready(rng: ScenarioRng) -> Scenario:
    """Choose the node, and how its name is written."""
    cluster = rng.cluster(nodes=2)
    node = rng.pick(cluster.nodes)
    name = f"kubelet-client-{node.name}"
    specs = select_specs(cluster, "ca", "kube-apiserver", *(f"kubelet-client-{host.name}" for host in cluster.nodes))
    spec = next(spec for spec in specs if spec.name == name)
    assert spec.subject
    written = rng.pick((node.name.upper(), node.name.capitalize()))
    made = {name: replace(spec, subject=Subject(f"system:node:{written}", spec.subject.organizations))}
    values = {**values_of(cluster), "node": node.name, "node_ip": node.addresses[0], "written": written, "name": name}
    return Scenario(cluster, rng.now, specs, made, values)


def grade_node_not_ready(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that the API server accepts the kubelet as its own node."""
    name, node = scenario.values["name"], scenario.values["node"]
    yield grader.connects(
        f"the kubelet of {node} reaches the API server", "kube-apiserver", name, scenario.values["api_ip"]
    )
    yield from grader.all_work(name)
    yield grader.no_check_errors()


# One certificate's key was copied over another's.


_NAMES = ("kube-scheduler", "kube-controller-manager", "kube-proxy", "apiserver-kubelet-client")
"""Certificates whose programs print the error of client-go that the story quotes."""


def generate_copied_in_a_hurry(rng: ScenarioRng) -> Scenario:
    """Choose the key that was lost, and the one that replaced it."""
    cluster = rng.cluster()
    lost, copied = rng.several(_NAMES, 2)
    specs = select_specs(cluster, "ca", "kube-apiserver", lost, copied)
    subject = next(str(spec.subject) for spec in specs if spec.name == lost)
    values = {"lost": lost, "copied": copied, "subject": subject, "minutes": str(rng.number(5, 50))}
    return Scenario(cluster, rng.now, specs, {}, {**values_of(cluster), **values})


def setup_copied_in_a_hurry(scenario: Scenario, builder: LabBuilder) -> None:
    """Make all certificates, and copy one key over another."""
    builder.lay_out(scenario)
    pki = builder.root / scenario.folder
    key = (pki / f"{scenario.values['copied']}.key").read_bytes()
    builder.put(f"{scenario.folder}/{scenario.values['lost']}.key", key, SECRET_MODE)


def grade_copied_in_a_hurry(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that both clients connect with keys of their own."""
    lost, copied = scenario.values["lost"], scenario.values["copied"]

    def shared() -> str | None:
        key = grader.shown(scenario.spec(copied)).key
        return "they have the same key" if same_key(grader.openssl, key, grader.certificate(lost).public_key) else None

    for name in (lost, copied):
        yield grader.connects(f"a client with {name}.crt connects", "kube-apiserver", name, scenario.values["api_ip"])
    yield grader.check(f"{lost} and {copied} have different keys", shared)
    yield from grader.all_work(lost)
    yield grader.no_check_errors()


# A kubeconfig still contains the previous CA.


def generate_kubectl_trusts_nobody(rng: ScenarioRng) -> Scenario:
    """Choose the user of the kubeconfig, and the folder of the previous CA."""
    cluster = rng.cluster(users=1)
    name = rng.pick(("admin", cluster.users[0].name))
    specs = select_specs(cluster, "ca", "kube-apiserver", name)
    values = {"name": name, "old": rng.pick(("old", "before", "yesterday", "backup"))}
    return Scenario(cluster, rng.now, specs, {}, {**values_of(cluster), **values})


def setup_kubectl_trusts_nobody(scenario: Scenario, builder: LabBuilder) -> None:
    """Make the new PKI, the certificate of the previous CA in a folder beside it, and a kubeconfig with that one."""
    name, old = scenario.values["name"], scenario.values["old"]
    builder.lay_out(scenario)
    builder.make([scenario.spec("ca")], old)
    for path in (builder.root / old).iterdir():
        if path.name != "ca.crt":
            path.unlink()
    cluster, spec = scenario.cluster, scenario.spec(name)
    old_ca = replace(spec, files=replace(spec.files, crt=PurePosixPath(f"../{old}/ca.crt")))
    made = replace(kubeconfig_for(spec, old_ca, cluster.name), server=cluster.endpoint, context=cluster.name)
    builder.write(f"pki/{name}.kubeconfig", made.embedded(Staging(builder.root / "pki").base64_of), SECRET_MODE)


def grade_kubectl_trusts_nobody(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that kubectl connects with the kubeconfig, and verifies the server."""
    name = scenario.values["name"]
    path = grader.pki / f"{name}.kubeconfig"

    def refused() -> str | None:
        use = _kubeconfig(grader, path)
        there = Server(grader.shown(scenario.spec("kube-apiserver")), grader.trusted())
        return grader.tls.refusal(there, _kubectl(grader, use), use.server_name or scenario.values["api_ip"])

    def unverified() -> str | None:
        return None if _kubeconfig(grader, path).verifies else "insecure-skip-tls-verify is set"

    def elsewhere() -> str | None:
        server = _kubeconfig(grader, path).server
        return None if server == scenario.values["server"] else f"it connects to {server!a}"

    yield grader.check(f"kubectl with {grader.name(path)} reaches the API server", refused)
    yield grader.check("kubectl verifies the certificate of the server", unverified)
    yield grader.check(f"kubectl connects to {scenario.values['server']}", elsewhere)
    yield from grader.all_work(name)
    yield grader.no_check_errors()


def _kubeconfig(grader: Grader, path: Path) -> KubeconfigUse:
    """Return what kubectl reads from the kubeconfig at *path*; raises AbsentError."""
    grader.content(path)
    uses = [use for use in grader.survey.kubeconfigs if use.path == path]
    if not uses or not uses[0].server:
        raise AbsentError(f"{grader.name(path)} is not a kubeconfig that kubectl can use")
    return next((use for use in uses if use.current), uses[0])


def _kubectl(grader: Grader, use: KubeconfigUse) -> Client:
    """Return kubectl with a kubeconfig, embedded or with paths; raises AbsentError if a file is missing."""
    if not use.authorities:
        raise AbsentError(f"{grader.name(use.path)} names no CA")
    if use.user is None:
        raise AbsentError(f"{grader.name(use.path)} has no client certificate")
    # A CA file that is named by its path may have its key beside it, which is not the key that kubectl uses.
    own = (ref.key for ref in grader.survey.uses if ref.kubeconfig == use and ref.certificate == use.user)
    key = next((key.pem for key in own if key), b"")
    trusted = "".join(ca.pem for ca in use.authorities).encode("ascii")
    return Client(trusted, Credentials(use.user.pem.encode("ascii"), key))


LABS = (
    Lab("admin-without-rights", generate_admin_without_rights, lay_out, grade_admin_without_rights),
    Lab("pods-stay-pending", generate_pods_stay_pending, lay_out, grade_pods_stay_pending),
    Lab("node-not-ready", generate_node_not_ready, lay_out, grade_node_not_ready),
    Lab("copied-in-a-hurry", generate_copied_in_a_hurry, setup_copied_in_a_hurry, grade_copied_in_a_hurry),
    Lab(
        "kubectl-trusts-nobody",
        generate_kubectl_trusts_nobody,
        setup_kubectl_trusts_nobody,
        grade_kubectl_trusts_nobody,
    ),
)
