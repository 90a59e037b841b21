"""An address stands under DNS, where nobody who dials an address looks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kcert.certificates import AltName
from kcert.practice.draw import ScenarioRng, chosen, values_of
from kcert.practice.lab import Check, Lab, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.grading import Grader
    from kcert.practice.ground import LabBuilder


def draws(draw: ScenarioRng) -> Scenario:
    """A kubelet's certificate, or etcd's."""
    cluster = draw.cluster()
    values = values_of(cluster)
    server, address = draw.pick(((values["node"], values["node_ip"]), ("etcd-server", values["plane_ip"])))
    wishes = chosen(cluster, "ca", server, "apiserver-kubelet-client", "apiserver-etcd-client")
    wish = next(one for one in wishes if one.name == server)
    under_dns = tuple(AltName("DNS", one.value) if one.value == address else one for one in wish.alt_names)
    known = [one.value for one in under_dns if one.type == "IP"]
    why = (
        f"x509: certificate is valid for {', '.join(known)}, not {address}"
        if known
        else f"x509: cannot validate certificate for {address} because it doesn't contain any IP SANs"
    )
    pod = f"{draw.pick(('web', 'shop', 'mail', 'queue'))}-{draw.number(1000, 9999)}"
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
    return Scenario(cluster, draw.now, wishes, {server: replace(wish, alt_names=under_dns)}, values)


def builds(scene: Scenario, ground: LabBuilder) -> None:
    """The certificate, and the settings that it was made with."""
    ground.lay_out(scene)


def judges(scene: Scenario, bench: Grader) -> Iterator[Check]:
    """It is found by its address, and still by its name."""
    server, address = scene.values["server"], scene.values["address"]
    client = "apiserver-etcd-client" if server == "etcd-server" else "apiserver-kubelet-client"
    yield bench.talk(f"the API server reaches {server} at {address}", server, client, address)
    yield from bench.sound(server)
    yield bench.rules()


LAB = Lab("dialled-by-address", draws, builds, judges)
