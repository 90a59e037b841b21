"""An address is under DNS, where a client that connects to an address does not look."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kcert.certificates import AltName
from kcert.practice.lab import Check, Lab, Scenario
from kcert.practice.rng import ScenarioRng, select_specs, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.builder import LabBuilder
    from kcert.practice.grader import Grader


def generate(rng: ScenarioRng) -> Scenario:
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


def setup(scenario: Scenario, builder: LabBuilder) -> None:
    """Make the certificate, and its config."""
    builder.lay_out(scenario)


def grade(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that it is accepted by its address, and still by its name."""
    server, address = scenario.values["server"], scenario.values["address"]
    client = "apiserver-etcd-client" if server == "etcd-server" else "apiserver-kubelet-client"
    yield grader.connects(f"the API server reaches {server} at {address}", server, client, address)
    yield from grader.all_work(server)
    yield grader.no_check_errors()


LAB = Lab("dialled-by-address", generate, setup, grade)
