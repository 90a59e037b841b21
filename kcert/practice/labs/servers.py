"""Labs in which the certificate of a server is rejected: a wrong name, usage or date."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from kcert.certificates import AltName, Kind
from kcert.practice.lab import Check, Lab, Scenario, lay_out
from kcert.practice.rng import ScenarioRng, select_specs, service_address, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.builder import LabBuilder
    from kcert.practice.grader import Grader


# An address is under DNS, where a client that connects to an address does not look.


def generate_address_rejected(rng: ScenarioRng) -> Scenario:
    """Choose a kubelet's certificate, or etcd's."""
    cluster = rng.cluster()
    values = values_of(cluster)
    server, address = rng.pick(((values["node"], values["node_ip"]), ("etcd-server", values["plane_ip"])))
    specs = select_specs(cluster, "ca", server, "apiserver-kubelet-client", "apiserver-etcd-client")
    spec = next(spec for spec in specs if spec.name == server)
    under_dns = tuple(AltName("DNS", name.value) if name.value == address else name for name in spec.alt_names)
    known = [name.value for name in under_dns if name.type == "IP"]
    why = (
        f"x509: certificate is valid for {', '.join(known)}, not {address}"
        if known
        else f"x509: cannot validate certificate for {address} because it doesn't contain any IP SANs"
    )
    pod = f"{rng.pick(('web', 'shop', 'mail', 'queue'))}-{rng.number(1000, 9999)}"
    said = (
        f'grpc: addrConn.createTransport failed to connect to {{Addr: "{address}:2379"}}. Err: connection error: '
        f'desc = "transport: authentication handshake failed: tls: failed to verify certificate: {why}"'
        if server == "etcd-server"
        else f'Error from server: Get "https://{address}:10250/containerLogs/default/{pod}/{pod}": '
        f"tls: failed to verify certificate: {why}"
    )
    noticed = (
        "the API server does not come up any more. Its log repeats one line"
        if server == "etcd-server"
        else f"`kubectl logs {pod}` does not work any more, while the pod itself is running happily"
    )
    values |= {"server": server, "address": address, "said": said, "noticed": noticed}
    return Scenario(cluster, rng.now, specs, {server: replace(spec, alt_names=under_dns)}, values)


def grade_address_rejected(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that it is accepted by its address, and still by its name."""
    server, address = scenario.values["server"], scenario.values["address"]
    client = "apiserver-etcd-client" if server == "etcd-server" else "apiserver-kubelet-client"
    yield grader.connects(f"the API server reaches {server} at {address}", server, client, address)
    yield from grader.all_work(server)
    yield grader.no_check_errors()


# The API server's certificate lacks the address to which every pod connects.


_DEFAULT = AltName("IP", "10.96.0.1")
"""The service address of kubeadm's default range, which most tutorials have."""


def generate_pods_cannot_call_home(rng: ScenarioRng) -> Scenario:
    """Choose whether the address is missing, or replaced by that of another range."""
    cluster = rng.cluster()
    specs = select_specs(cluster, "ca", "admin", "kube-apiserver")
    spec = next(spec for spec in specs if spec.name == "kube-apiserver")
    service = AltName("IP", service_address(cluster))
    others = tuple(name for name in spec.alt_names if name != service)
    names = rng.pick((others, (*others, _DEFAULT)))
    if service in names:
        names = others
    values = {
        "addresses": ", ".join(name.value for name in names if name.type == "IP"),
        "next": str(len(names) + 1),
        "pod": rng.pick(("coredns-5d78c9869d", "metrics-server-6f6cdbf67d", "kube-state-metrics-7c8b8dd9c6")),
    }
    made = {spec.name: replace(spec, alt_names=names)}
    return Scenario(cluster, rng.now, specs, made, {**values_of(cluster), **values})


def grade_pods_cannot_call_home(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that it is accepted inside and outside of the cluster."""
    yield grader.connects(
        "a pod reaches the API server at the service address", "kube-apiserver", None, scenario.values["service_ip"]
    )
    yield grader.connects("kubectl reaches it from outside", "kube-apiserver", "admin", scenario.values["api_ip"])
    yield from grader.all_work("kube-apiserver")
    yield grader.no_check_errors()


# The peer certificate of an etcd member cannot be used as a client.


def generate_member_left_out(rng: ScenarioRng) -> Scenario:
    """Choose one of three members."""
    cluster = rng.cluster(control_planes=3)
    members = {f"etcd-peer-{host.name}": host for host in cluster.etcd}
    name = rng.pick(tuple(members))
    specs = select_specs(cluster, "ca", *members)
    spec = next(spec for spec in specs if spec.name == name)
    others = [member for member in members if member != name]
    witness = members[rng.pick(others)]
    values = {
        "name": name,
        "member": members[name].name,
        "member_ip": members[name].addresses[0],
        "witness": witness.name,
        "client_port": str(rng.number(33000, 60000)),
    }
    return Scenario(cluster, rng.now, specs, {name: replace(spec, kind=Kind.SERVER)}, {**values_of(cluster), **values})


def grade_member_left_out(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that each member connects to each other member, by its address."""
    for connecting in scenario.cluster.etcd:
        for answering in scenario.cluster.etcd:
            if connecting != answering:
                what = f"{connecting.name} connects to {answering.name}"
                names = f"etcd-peer-{answering.name}", f"etcd-peer-{connecting.name}"
                yield grader.connects(what, *names, answering.addresses[0])
    yield from grader.all_work(scenario.values["name"])
    yield grader.no_check_errors()


# The API server's certificate has expired.


def _between(scenario: Scenario) -> tuple[datetime, datetime]:
    ended = scenario.now.replace(microsecond=0) - timedelta(minutes=int(scenario.values["minutes_ago"]))
    return ended - timedelta(days=int(scenario.values["days"])), ended


def generate_since_this_morning(rng: ScenarioRng) -> Scenario:
    """Choose how long ago it expired."""
    cluster = rng.cluster(users=1)
    user = cluster.users[0].name
    specs = select_specs(cluster, "ca", "admin", user, "kube-apiserver", "apiserver-kubelet-client")
    values = {**values_of(cluster), "minutes_ago": str(rng.number(45, 300))}
    ended = _between(Scenario(cluster, rng.now, values=values))[1]
    values |= {"ended": f"{ended:%Y-%m-%dT%H:%M:%SZ}", "asked": f"{rng.now:%Y-%m-%dT%H:%M:%SZ}"}
    return Scenario(cluster, rng.now, specs, {}, values)


def setup_since_this_morning(scenario: Scenario, builder: LabBuilder) -> None:
    """Make a certificate of last year."""
    builder.lay_out(scenario, {"kube-apiserver": _between(scenario)})


def grade_since_this_morning(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that clients accept the API server again, by all its names."""
    for name in ("admin", scenario.values["user"]):
        yield grader.connects(f"{name} reaches the API server", "kube-apiserver", name, scenario.values["api_ip"])
    yield from grader.all_work("kube-apiserver")
    yield grader.no_check_errors()


LABS = (
    Lab("address-rejected", generate_address_rejected, lay_out, grade_address_rejected),
    Lab("pods-cannot-call-home", generate_pods_cannot_call_home, lay_out, grade_pods_cannot_call_home),
    Lab("member-left-out", generate_member_left_out, lay_out, grade_member_left_out),
    Lab("since-this-morning", generate_since_this_morning, setup_since_this_morning, grade_since_this_morning),
)
