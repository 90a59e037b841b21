"""The base class of components, and the pieces that components are built from.

To add a component: derive a class from ``Component``, and add it to the dictionary in ``kcert.kubernetes.components``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import ClassVar

from kcert import profiles
from kcert.certificates import Certificate
from kcert.config import DUAL_STACK, Cluster, Host, Version
from kcert.profiles.profile import Part, Profile, RoleBindings, file_of


@dataclass(frozen=True)
class Reads:
    """A file of the PKI folder that a component reads: which part of which certificate, and its path there."""

    certificate: Certificate
    part: Part
    path: str

    @property
    def file(self) -> PurePosixPath:
        """The file in the PKI folder."""
        return file_of(self.certificate, self.part)


@dataclass(frozen=True)
class Option:
    """An option of a component, or a key of its configuration file (``authorization.mode``), and the file it names.

    ``mounts`` is a file on the host that its value names and a static pod has to see, where ``reads`` is none.
    """

    name: str
    value: str | bool | tuple[str, ...]
    reads: Reads | None = None
    mounts: str = ""

    @property
    def argument(self) -> str:
        """One argument of a command line."""
        return f"{self.name}={self.value}"


@dataclass(frozen=True)
class FolderState:
    """The content of the PKI folder, as far as options depend on it.

    ``ca_unusable`` is why kube-controller-manager cannot sign with the cluster's CA (None: nothing prevents it);
    ``ca_chained`` says that another CA has signed it, and that a file with both is there; ``ca_rotating`` that it is
    being replaced: its file holds the outgoing CA as well, and the new one is alone beside it. ``encrypts`` says that
    there is an encryption-config.yaml.
    """

    ca_unusable: str | None = None
    ca_chained: bool = False
    ca_rotating: bool = False
    encrypts: bool = False


@dataclass(frozen=True)
class Pod:
    """The part of a static pod that differs by component.

    ``image`` is name and tag; the kubelet asks for ``alive`` and ``ready`` at ``port`` of ``host``. ``folders`` are
    paths on the host that it needs besides those its options name, by the volume's name; ``writes`` are those among
    them that it writes to.
    """

    image: str
    cpu: str
    port: int
    alive: str
    ready: str
    host: str = "127.0.0.1"
    scheme: str = "HTTPS"
    folders: Mapping[str, str] = field(default_factory=dict)
    writes: frozenset[str] = frozenset()
    memory: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Component:
    """One program of Kubernetes on one host: its options, and what its static pod and its systemd unit say of it.

    ``prefix`` is put before the paths in the PKI folder, in place of the paths on a host; ``state`` is
    what the PKI folder holds.
    """

    NAME: ClassVar[str]
    DESCRIPTION: ClassVar[str]
    DOCUMENTATION: ClassVar[str] = "https://kubernetes.io/docs/reference/command-line-tools-reference/{}/"
    AFTER: ClassVar[tuple[str, ...]] = ("network-online.target",)
    TYPE: ClassVar[str] = "simple"
    ON_NODES: ClassVar[bool] = False

    cluster: Cluster
    host: Host
    known: Mapping[str, Certificate] = field(repr=False)
    version: Version
    prefix: str | None = None
    state: FolderState = field(default_factory=FolderState)

    @classmethod
    def hosts(cls, cluster: Cluster) -> tuple[Host, ...]:
        """Return the hosts that it runs on: those with a kubelet, or by default the control plane."""
        return profiles.PROFILES[cluster.profile].kubelet_hosts(cluster) if cls.ON_NODES else cluster.control_plane

    @property
    def profile(self) -> Profile:
        """Return the cluster's profile."""
        return profiles.PROFILES[self.cluster.profile]

    def options(self) -> Iterator[Option]:
        """Yield its options, those that belong together side by side."""
        raise NotImplementedError

    def pod_options(self) -> Iterator[Option]:
        """Yield the options of its static pod."""
        return self.options()

    def settings(self) -> Iterator[Option]:
        """Yield the keys of its configuration file: by default it has none."""
        return iter(())

    def pod(self) -> Pod | None:
        """Return its static pod; None for what is not started as one."""
        return None

    def why_no_unit(self) -> str | None:
        """Return why it cannot be started as a systemd unit in this profile; None if it can."""
        return None

    def given(self) -> tuple[Option, ...]:
        """Return its options and the keys of its configuration file."""
        return (*self.options(), *self.settings())

    def files(self) -> tuple[Reads, ...]:
        """Return the files that it reads."""
        return tuple(option.reads for option in self.given() if option.reads)

    @property
    def bindings(self) -> RoleBindings:
        """Return which certificate does what on this host."""
        return self.profile.bindings(self.cluster, self.host.name)

    @property
    def service_cidrs(self) -> str:
        """The ranges of services, as an option takes them."""
        ranges = self.cluster.service_cidrs
        return ",".join(ranges if self.version >= DUAL_STACK else ranges[:1])

    @property
    def image(self) -> str:
        """The image of a component that is released with Kubernetes."""
        return f"registry.k8s.io/{self.NAME}:v1.{self.version.minor}.{self.version.patch}"

    def file(self, name: str, certificate: str, part: Part) -> Option:
        """The option that names a part of the certificate called *certificate*, where this component finds it."""
        cert = self.known[certificate]
        if self.prefix is None:
            path = str(self.profile.install_path(cert, part, self.NAME))
        else:
            path = f"{self.prefix.rstrip('/')}/{file_of(cert, part)}"
        return Option(name, path, Reads(cert, part, path))

    def pair(self, names: tuple[str, str], certificate: str) -> Iterator[Option]:
        """The two options that name a certificate and its key."""
        yield self.file(names[0], certificate, "crt")
        yield self.file(names[1], certificate, "key")
