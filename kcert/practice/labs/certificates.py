"""Labs in which a certificate is rejected, or its owner cannot verify the server: one fault in the PKI folder."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kcert.certificates import AltName, Kind, Subject
from kcert.issue.steps import kubeconfig_for
from kcert.openssl.program import same_key
from kcert.practice.grader import AbsentError, Check, Grader
from kcert.practice.handshakes import Credentials, Side, refusal
from kcert.practice.lab import Lab
from kcert.practice.scenario import LabBuilder, Scenario, ScenarioRng, service_address
from kcert.store import SECRET_MODE, Staging

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kcert.scan import KubeconfigUse


def admin_without_rights(rng: ScenarioRng) -> Scenario:
    """The group is in OU, which the API server ignores: the administrator's, or that of a user with rights."""
    cluster = rng.cluster(users=1)
    name = rng.pick(("admin", cluster.users[0].name))
    scenario = rng.scenario(cluster, "ca", name, "kube-apiserver")
    subject = scenario.subject(name)
    who, groups = subject.common_name, subject.organizations
    given = (("CN", who), *(("OU", group) for group in groups))
    resource = rng.pick(("nodes", "namespaces", "persistentvolumes")) if name == "admin" else "pods"
    scope = "at the cluster scope" if name == "admin" else f'in the namespace "{groups[0]}"'
    scenario = scenario.with_values(name=name, who=who, groups=groups[0], resource=resource, scope=scope)
    scenario = scenario.with_connection(f"{who} reaches the API server", name)
    return scenario.with_fault(name, subject=Subject(who, (), given))


_NEARLY = ("kube-scheduler", "system:scheduler", "system-kube-scheduler", "system:kube-schedular", "scheduler")
"""Mistaken common names for system:kube-scheduler, the only one with the scheduler's rights."""


def pods_stay_pending(rng: ScenarioRng) -> Scenario:
    """The user name of the scheduler is not the one that has its rights, only nearly so."""
    scenario = rng.scenario(rng.cluster(), "ca", "kube-scheduler", "kube-controller-manager", "kube-apiserver")
    taken_for = rng.pick(_NEARLY)
    resource, kind = rng.pick((("pods", "Pod"), ("nodes", "Node"), ("services", "Service")))
    pods, hour = str(rng.number(3, 40)), str(rng.number(7, 11))
    scenario = scenario.with_values(taken_for=taken_for, resource=resource, kind=kind, pods=pods, hour=hour)
    scenario = scenario.with_connection("the scheduler reaches the API server", "kube-scheduler")
    return scenario.with_fault(
        "kube-scheduler", subject=replace(scenario.subject("kube-scheduler"), common_name=taken_for)
    )


def node_not_ready(rng: ScenarioRng) -> Scenario:
    """The user name of a kubelet is not exactly the name of its node."""
    cluster = rng.cluster(nodes=2)
    node = rng.pick(cluster.nodes)
    name = f"kubelet-client-{node.name}"
    kubelets = (f"kubelet-client-{host.name}" for host in cluster.nodes)
    scenario = rng.scenario(cluster, "ca", "kube-apiserver", *kubelets)
    written = rng.pick((node.name.upper(), node.name.capitalize()))
    scenario = scenario.with_values(node=node.name, node_ip=node.addresses[0], written=written, name=name)
    scenario = scenario.with_connection(f"the kubelet of {node.name} reaches the API server", name)
    return scenario.with_fault(name, subject=replace(scenario.subject(name), common_name=f"system:node:{written}"))


def address_rejected(rng: ScenarioRng) -> Scenario:
    """An address is under DNS, where a client that connects to an address does not look: a kubelet's, or etcd's."""
    cluster = rng.cluster()
    node, plane = cluster.nodes[0], cluster.control_plane[0]
    server, host = rng.pick(((node.name, node), ("etcd-server", plane)))
    address = host.addresses[0]
    scenario = rng.scenario(cluster, "ca", server, "apiserver-kubelet-client", "apiserver-etcd-client")
    names = scenario.spec(server).alt_names
    under_dns = tuple(AltName("DNS", name.value) if name.value == address else name for name in names)
    known = [name.value for name in under_dns if name.type == "IP"]
    why = (
        f"x509: certificate is valid for {', '.join(known)}, not {address}"
        if known
        else f"x509: cannot validate certificate for {address} because it doesn't contain any IP SANs"
    )
    pod = f"{rng.pick(('web', 'shop', 'mail', 'queue'))}-{rng.number(1000, 9999)}"
    if server == "etcd-server":
        client = "apiserver-etcd-client"
        noticed = "the API server does not come up any more. Its log repeats one line"
        said = (
            f'grpc: addrConn.createTransport failed to connect to {{Addr: "{address}:2379"}}. Err: connection error: '
            f'desc = "transport: authentication handshake failed: tls: failed to verify certificate: {why}"'
        )
    else:
        client = "apiserver-kubelet-client"
        noticed = f"`kubectl logs {pod}` does not work any more, while the pod itself is running happily"
        said = (
            f'Error from server: Get "https://{address}:10250/containerLogs/default/{pod}/{pod}": '
            f"tls: failed to verify certificate: {why}"
        )
    scenario = scenario.with_values(server=server, address=address, said=said, noticed=noticed)
    scenario = scenario.with_connection(f"the API server reaches {server} at {address}", client, server, address)
    return scenario.with_fault(server, alt_names=under_dns)


_DEFAULT = AltName("IP", "10.96.0.1")
"""The service address of kubeadm's default range, which most tutorials have."""


def pods_cannot_call_home(rng: ScenarioRng) -> Scenario:
    """The API server's certificate lacks the address to which every pod connects, or has that of another range."""
    cluster = rng.cluster()
    scenario = rng.scenario(cluster, "ca", "admin", "kube-apiserver")
    service = service_address(cluster)
    others = tuple(name for name in scenario.spec("kube-apiserver").alt_names if name.value != service)
    names = rng.pick((others, (*others, _DEFAULT)))
    if service == _DEFAULT.value:
        names = others
    scenario = scenario.with_values(
        addresses=", ".join(name.value for name in names if name.type == "IP"),
        next=str(len(names) + 1),
        pod=rng.pick(("coredns-5d78c9869d", "metrics-server-6f6cdbf67d", "kube-state-metrics-7c8b8dd9c6")),
    )
    pod = "a pod reaches the API server at the service address"
    scenario = scenario.with_connection(pod, "", "kube-apiserver", service)
    scenario = scenario.with_connection("kubectl reaches it from outside", "admin")
    return scenario.with_fault("kube-apiserver", alt_names=names)


def member_left_out(rng: ScenarioRng) -> Scenario:
    """The peer certificate of one of three etcd members cannot be used as a client."""
    cluster = rng.cluster(control_planes=3)
    members = {f"etcd-peer-{host.name}": host for host in cluster.etcd}
    name = rng.pick(tuple(members))
    witness = members[rng.pick([member for member in members if member != name])]
    port, member = str(rng.number(33000, 60000)), members[name]
    scenario = rng.scenario(cluster, "ca", *members).with_values(
        name=name, member=member.name, member_ip=member.addresses[0], witness=witness.name, client_port=port
    )
    for client, server in itertools.permutations(members, 2):
        what = f"{members[client].name} connects to {members[server].name}"
        scenario = scenario.with_connection(what, client, server, members[server].addresses[0])
    return scenario.with_fault(name, kind=Kind.SERVER)


def since_this_morning(rng: ScenarioRng) -> Scenario:
    """The API server's certificate has expired."""
    cluster = rng.cluster(users=1)
    user = cluster.users[0].name
    scenario = rng.scenario(cluster, "ca", "admin", user, "kube-apiserver", "apiserver-kubelet-client")
    minutes = rng.number(45, 300)
    ended = rng.now.replace(microsecond=0) - timedelta(minutes=minutes)
    scenario = scenario.with_values(
        minutes_ago=str(minutes), ended=f"{ended:%Y-%m-%dT%H:%M:%SZ}", asked=f"{rng.now:%Y-%m-%dT%H:%M:%SZ}"
    )
    for name in ("admin", user):
        scenario = scenario.with_connection(f"{name} reaches the API server", name)
    return replace(scenario, between={"kube-apiserver": (ended - timedelta(days=cluster.days.leaf), ended)})


_NAMES = ("kube-scheduler", "kube-controller-manager", "kube-proxy", "apiserver-kubelet-client")
"""Certificates whose programs print the error of client-go that the story quotes."""


def copied_in_a_hurry(rng: ScenarioRng) -> Scenario:
    """One certificate's key was copied over another's."""
    cluster = rng.cluster()
    lost, copied = rng.several(_NAMES, 2)
    scenario = rng.scenario(cluster, "ca", "kube-apiserver", lost, copied)
    for name in (lost, copied):
        scenario = scenario.with_connection(f"a client with {name}.crt connects", name)
    subject = str(scenario.subject(lost))
    return scenario.with_values(lost=lost, copied=copied, subject=subject, minutes=str(rng.number(5, 50)))


def _setup_copied_in_a_hurry(builder: LabBuilder) -> None:
    builder.build()
    lost, copied = (builder.scenario.values[name] for name in ("lost", "copied"))
    builder.write(f"pki/{lost}.key", (builder.root / f"pki/{copied}.key").read_bytes(), SECRET_MODE)


def _grade_copied_in_a_hurry(grader: Grader) -> Iterator[Check]:
    lost, copied = (grader.scenario.values[name] for name in ("lost", "copied"))

    def shared() -> str | None:
        key = grader.presented(copied).key
        return "they have the same key" if same_key(grader.openssl, key, grader.certificate(lost).public_key) else None

    yield from map(grader.connects, grader.scenario.connections)
    yield grader.check(f"{lost} and {copied} have different keys", shared)
    yield from grader.all_work(lost)
    yield grader.no_check_errors()


def kubectl_trusts_nobody(rng: ScenarioRng) -> Scenario:
    """A kubeconfig still contains the previous CA, whose certificate is in a folder beside the PKI folder."""
    cluster = rng.cluster(users=1)
    name = rng.pick(("admin", cluster.users[0].name))
    old = rng.pick(("old", "before", "yesterday", "backup"))
    return rng.scenario(cluster, "ca", "kube-apiserver", name, name=name, old=old)


def _setup_kubectl_trusts_nobody(builder: LabBuilder) -> None:
    scenario = builder.scenario
    name, old = scenario.values["name"], scenario.values["old"]
    builder.build()
    builder.make([scenario.spec("ca")], old)
    for path in (builder.root / old).iterdir():
        if path.name != "ca.crt":
            path.unlink()
    cluster, spec = scenario.cluster, scenario.spec(name)
    old_ca = replace(spec, files=replace(spec.files, crt=PurePosixPath(f"../{old}/ca.crt")))
    made = replace(kubeconfig_for(spec, old_ca, cluster.name), server=cluster.endpoint, context=cluster.name)
    builder.write(f"pki/{name}.kubeconfig", made.embedded(Staging(builder.root / "pki").base64_of), SECRET_MODE)


def _grade_kubectl_trusts_nobody(grader: Grader) -> Iterator[Check]:
    scenario = grader.scenario
    name, server = scenario.values["name"], scenario.values["server"]
    path = grader.pki / f"{name}.kubeconfig"

    def refused() -> str | None:
        use = _kubeconfig(grader, path)
        there = Side(grader.presented("kube-apiserver"), grader.trusted())
        return refusal(there, _kubectl(grader, use), use.server_name or scenario.values["api_ip"])

    def unverified() -> str | None:
        return None if _kubeconfig(grader, path).verifies else "insecure-skip-tls-verify is set"

    def elsewhere() -> str | None:
        named = _kubeconfig(grader, path).server
        return None if named == server else f"it connects to {named!a}"

    yield grader.check(f"kubectl with {grader.name(path)} reaches the API server", refused)
    yield grader.check("kubectl verifies the certificate of the server", unverified)
    yield grader.check(f"kubectl connects to {server}", elsewhere)
    yield from grader.grade(name)


def _kubeconfig(grader: Grader, path: Path) -> KubeconfigUse:
    """Return what kubectl reads from the kubeconfig at *path*; raises AbsentError."""
    grader.content(path)
    uses = [use for use in grader.survey.kubeconfigs if use.path == path]
    if not uses or not uses[0].server:
        raise AbsentError(f"{grader.name(path)} is not a kubeconfig that kubectl can use")
    return next((use for use in uses if use.current), uses[0])


def _kubectl(grader: Grader, use: KubeconfigUse) -> Side:
    """Return kubectl with a kubeconfig, embedded or with paths; raises AbsentError if a file is missing."""
    if not use.authorities:
        raise AbsentError(f"{grader.name(use.path)} names no CA")
    if use.user is None:
        raise AbsentError(f"{grader.name(use.path)} has no client certificate")
    # A CA file that is named by its path may have its key beside it, which is not the key that kubectl uses.
    own = (ref.key for ref in grader.survey.uses if ref.kubeconfig == use and ref.certificate == use.user)
    key = next((key.pem for key in own if key), b"")
    trusted = "".join(ca.pem for ca in use.authorities).encode("ascii")
    return Side(Credentials(use.user.pem.encode("ascii"), key), trusted)


LABS = (
    Lab("admin-without-rights", admin_without_rights),
    Lab("pods-stay-pending", pods_stay_pending),
    Lab("node-not-ready", node_not_ready),
    Lab("address-rejected", address_rejected),
    Lab("pods-cannot-call-home", pods_cannot_call_home),
    Lab("member-left-out", member_left_out),
    Lab("since-this-morning", since_this_morning),
    Lab("copied-in-a-hurry", copied_in_a_hurry, _setup_copied_in_a_hurry, _grade_copied_in_a_hurry),
    Lab("kubectl-trusts-nobody", kubectl_trusts_nobody, _setup_kubectl_trusts_nobody, _grade_kubectl_trusts_nobody),
)
