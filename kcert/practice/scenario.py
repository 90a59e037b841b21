"""The scenario that follows from a seed (names, machines, addresses, users, what is broken), and the files of it."""

from __future__ import annotations

import ipaddress
import json
import os
import random
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from kcert import profiles
from kcert.certificates import Certificate, Key, Subject
from kcert.config import ApiServer, Cluster, Host, User
from kcert.issue.context import Context, CsrTarget, IssuancePlan
from kcert.issue.execute import Executor
from kcert.issue.service import plan, plan_new
from kcert.issue.steps import Step
from kcert.openssl import commands
from kcert.store import OWN_FOLDER, PUBLIC_MODE, Staging, Workspace
from kcert.store.atomic import atomic_replace

LARGEST_SEED = 2**31 - 1

Anything = TypeVar("Anything")

_CLUSTERS = ("kubernetes", "orchard", "harbour", "lantern", "quarry", "meadow", "foundry", "cinder", "delta", "willow")
_CONTROL_PLANES = ("controlplane", "master", "cp", "control", "kube-master")
_NODES = ("node", "worker", "kube-node", "compute")
_USERS = ("jane", "olga", "pierre", "amina", "rafael", "yuki", "marek", "sofia", "tom", "ingrid")
GROUPS = ("developers", "testers", "operators", "analysts", "team-blue", "platform")
_DOMAINS = ("cluster.local", "cluster.local", "kube.internal", "prod.local")


@dataclass(frozen=True)
class Connection:
    """A client (empty: without a certificate), a server, and the name that the client connects to.

    ``what`` is the check that it succeeds, in the present tense.
    """

    client: str
    server: str
    server_name: str
    what: str = ""


@dataclass(frozen=True)
class Scenario:
    """One start of a lab: everything that follows from its seed and the time of its start.

    ``specs`` are the certificates of the lab as they have to be, a CA before what it signs; ``made`` those among
    them that are made with a fault, by name, and ``between`` the time for which some are valid. ``values`` are for the
    placeholders of the lab's words, ``connections`` have to succeed when the lab is solved. ``folder`` is the PKI
    folder, below the lab's. ``kept`` are files, relative to the lab's folder, that must not change.
    """

    cluster: Cluster
    now: datetime
    specs: tuple[Certificate, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    made: Mapping[str, Certificate] = field(default_factory=dict)
    between: Mapping[str, tuple[datetime, datetime]] = field(default_factory=dict)
    connections: tuple[Connection, ...] = ()
    folder: str = "pki"
    kept: tuple[str, ...] = ()

    def spec(self, name: str) -> Certificate:
        """Return the certificate called *name*, as it has to be."""
        return next(spec for spec in self.specs if spec.name == name)

    def subject(self, name: str) -> Subject:
        """Return the subject of the certificate called *name*, as it has to be."""
        subject = self.spec(name).subject
        assert subject
        return subject

    def with_fault(self, name: str, **fields: Any) -> Scenario:
        """Return the scenario with other *fields* in the certificate called *name*."""
        return replace(self, made={**self.made, name: replace(self.spec(name), **fields)})

    def with_values(self, **values: str) -> Scenario:
        """Return the scenario with more *values* for the words."""
        return replace(self, values={**self.values, **values})

    def with_connection(
        self, what: str, client: str, server: str = "kube-apiserver", server_name: str | None = None
    ) -> Scenario:
        """Return the scenario with another connection that has to succeed; by default, to the API server's address."""
        connection = Connection(client, server, server_name or self.values["api_ip"], what)
        return replace(self, connections=(*self.connections, connection))


class ScenarioRng:
    """The random choices of a lab: the same for the same seed."""

    def __init__(self, lab: str, seed: int, now: datetime) -> None:
        self.seed = seed
        self.now = now
        self._random = random.Random(f"{lab} {seed}")  # noqa: S311 - an exercise, not a secret

    def pick(self, choices: Sequence[Anything]) -> Anything:
        """Return one of *choices*."""
        return self._random.choice(choices)

    def several(self, choices: Sequence[Anything], count: int) -> list[Anything]:
        """Return *count* different *choices*, in random order."""
        return self._random.sample(choices, count)

    def number(self, low: int, high: int) -> int:
        """Return a number from *low* to *high*, both included."""
        return self._random.randint(low, high)

    def cluster(self, profile: str = "course", *, control_planes: int = 1, nodes: int = 1, users: int = 0) -> Cluster:
        """Return a cluster with so many machines; etcd runs on the control plane."""
        network = self.pick(("192.168", "10.20", "10.30", "172.16", "172.20"))
        subnet, last = self.number(1, 250), self.number(10, 20)
        prefix = f"{network}.{subnet}"
        digits = self.pick(("{stem}{number:02}", "{stem}-{number}", "{stem}{number}"))

        def hosts(stem: str, count: int, begin: int) -> tuple[Host, ...]:
            return tuple(
                Host(digits.format(stem=stem, number=number), (f"{prefix}.{begin + number}",))
                for number in range(1, count + 1)
            )

        planes = hosts(self.pick(_CONTROL_PLANES), control_planes, last)
        workers = hosts(self.pick(_NODES), nodes, last + 40)
        address = planes[0].addresses[0] if control_planes == 1 else f"{prefix}.{last + 30}"
        host = None if control_planes == 1 else self.pick(("loadbalancer", "api", "lb"))
        return Cluster(
            name=self.pick(_CLUSTERS),
            profile=profile,
            api_server=ApiServer(host or planes[0].name, (address,)),
            service_cidrs=(f"10.{self.number(64, 127)}.0.0/{self.pick((16, 20, 24))}",),  # never the default of kubeadm
            dns_domain=self.pick(_DOMAINS),
            control_plane=planes,
            nodes=workers,
            etcd=planes,
            users=tuple(User(name, (self.pick(GROUPS),)) for name in self.several(_USERS, users)),
            key=Key("ecdsa"),
            days=profiles.PROFILES[profile].lifetimes,
        )

    def scenario(self, cluster: Cluster, *names: str, **values: str) -> Scenario:
        """Return a scenario with the certificates *names* of *cluster*, in the order in which they are made.

        *values* are for the words of the lab.
        """
        specs = tuple(spec for spec in profiles.certificates(cluster) if spec.name in names)
        return Scenario(cluster, self.now, specs, {**_values_of(cluster), **values})


def service_address(cluster: Cluster) -> str:
    """The address of the service kubernetes: the first of the range."""
    return str(ipaddress.ip_network(cluster.service_cidrs[0])[1])


def as_yaml(cluster: Cluster) -> str:
    """Return *cluster* as the text of a kcert.yaml."""

    def hosts(some: Sequence[Host]) -> str:
        return json.dumps([{"name": host.name, "ip": host.addresses[0]} for host in some])

    users = [{"name": user.name, "groups": list(user.groups)} for user in cluster.users]
    api = {"host": cluster.api_server.host, "ip": cluster.api_server.addresses[0], "port": cluster.api_server.port}
    return f"""\
# The cluster of this lab, as it was planned.
cluster: {cluster.name}
profile: {cluster.profile}
api_server: {json.dumps(api)}
service_cidr: {cluster.service_cidrs[0]}
dns_domain: {cluster.dns_domain}
control_plane: {hosts(cluster.control_plane)}
nodes: {hosts(cluster.nodes)}
etcd: []
users: {json.dumps(users)}
key: {{algorithm: ecdsa, curve: P-256}}
days: {{ca: {cluster.days.ca}, leaf: {cluster.days.leaf}}}
"""


def _values_of(cluster: Cluster) -> dict[str, str]:
    """Return the values for the placeholders that every lab has."""
    plane, api = cluster.control_plane[0], cluster.api_server
    return {
        "cluster": cluster.name,
        "server": cluster.endpoint,
        "port": str(api.port),
        "api_host": api.host or "",
        "api_ip": api.addresses[0],
        "plane": plane.name,
        "plane_ip": plane.addresses[0],
        "service_cidr": cluster.service_cidrs[0],
        "service_ip": service_address(cluster),
        "domain": cluster.dns_domain,
        "days": str(cluster.days.leaf),
        "ca_days": str(cluster.days.ca),
        **({"node": cluster.nodes[0].name, "node_ip": cluster.nodes[0].addresses[0]} if cluster.nodes else {}),
        **({"user": cluster.users[0].name, "group": cluster.users[0].groups[0]} if cluster.users else {}),
    }


SIGNER = PurePosixPath("signer")
"""The folder of `openssl ca`, as in openssl_templates/sign.cnf."""


@dataclass(frozen=True)
class LabBuilder:
    """The folder of a lab while it is being built, its scenario, and the openssl.

    No history stays: it would show what was broken. An interrupted lab is deleted and built from the start.
    """

    root: Path
    scenario: Scenario
    openssl: str

    def build(self) -> None:
        """Write kcert.yaml, and make every certificate, the broken ones as they have to be broken."""
        self.write_config()
        self.make(self.scenario.made.get(spec.name, spec) for spec in self.scenario.specs)

    def write_config(self) -> None:
        """Write kcert.yaml, the plan of the cluster."""
        self.write("kcert.yaml", as_yaml(self.scenario.cluster))

    def write(self, name: str, content: str | bytes, mode: int = PUBLIC_MODE) -> None:
        """Write a file below the lab's folder; its mode is set before its content."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_replace(path, content.encode() if isinstance(content, str) else content, mode)

    def make(self, certificates: Iterable[Certificate], folder: str | None = None) -> None:
        """Make *certificates*, a CA before what it signs, in *folder* (None: the PKI folder)."""
        by_name = {certificate.name: certificate for certificate in certificates}
        ctx = self._context(folder or self.scenario.folder, tuple(by_name.values()))
        plans = [plan_new(ctx, spec, by_name.get(spec.issuer or ""), days=spec.days) for spec in ctx.specs]
        between = self.scenario.between
        self._execute(ctx, [_dated(plan, self.openssl, between.get(plan.certificate.name)) for plan in plans])

    def make_request(self, certificate: Certificate, folder: str = "pki") -> None:
        """Make the key and the request of *certificate*, which the learner signs."""
        asked = (replace(certificate, files=replace(certificate.files, crt=None)),)
        ctx = replace(self._context(folder, asked), csr_target=CsrTarget.CA)
        self._execute(ctx, plan(ctx, asked).plans)

    def _context(self, folder: str, specs: tuple[Certificate, ...]) -> Context:
        jobs = os.cpu_count() or 1
        return Context(self.scenario.cluster, self.root / folder, specs, "kcert practice", self.openssl, jobs=jobs)

    def _execute(self, ctx: Context, plans: Sequence[IssuancePlan]) -> None:
        with Workspace.open(ctx.root, ctx.command, ctx.reporter.on_lock_wait) as store:
            Executor(ctx, store).run_in_parallel(plans)
        shutil.rmtree(ctx.root / OWN_FOLDER)


def _dated(plan: IssuancePlan, openssl: str, between: tuple[datetime, datetime] | None) -> IssuancePlan:
    """Return *plan* with a signature for exactly this time, which only `openssl ca` can give; None: as it is."""
    if between is None:
        return plan
    certificate, issuer = plan.certificate, plan.issuer
    files = certificate.files
    assert issuer and files.csr and files.crt
    config = SIGNER / "openssl.cnf"

    def perform(staging: Staging, _root: Path) -> None:
        staging.write(config, commands.render_dated(certificate))
        staging.write(SIGNER / "index.txt", "")
        staging.write(SIGNER / "serial", secrets.token_hex(16))

    argv = commands.signature_between(openssl, files.csr, ca=issuer, out=files.crt, between=between, cnf=config)
    instead = {
        "signature": (Step("signer-files", perform=perform), Step("signature", (files.crt,), argv)),
        "verify": (),  # one that has expired does not verify
    }
    return replace(plan, steps=tuple(new for step in plan.steps for new in instead.get(step.action, (step,))))
