"""The options that the commands of `kcert csr` share, and the names of objects."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from kcert.cli.options import (
    DEFAULT_FOLDER,
    ConfigFile,
    Program,
    ReadOptions,
    argument,
    complete_certificates,
    complete_clients,
    complete_signers,
    option,
)
from kcert.errors import InputError, UnansweredError
from kcert.quoting import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.kubernetes.signing_request import SigningRequest

Requester = Annotated[
    str, argument("NAME", "Name the user, node or component that requests the certificate.", complete_clients)
]
NewName = Annotated[
    str, argument("NAME", "Name the user, node or component, as for `kcert csr new`.", complete_certificates)
]
MaybeName = Annotated[str | None, argument("NAME", "Name the CertificateSigningRequest, as `kcert csr list` shows it.")]
File = Annotated[Path | None, option("--file,-f FILE", "Use this manifest, without a cluster.")]
ShownFile = Annotated[Path | None, option("--file,-f FILE", "Read this manifest or request, without a cluster.")]
ObjectName = Annotated[str | None, option("--name NAME", "Name the CertificateSigningRequest.", show_default="NAME")]
Wait = Annotated[str | None, option("--wait TIME", "Wait for the certificate for at most this long: 60s.")]
Usages = Annotated[
    list[str] | None,
    option("--usage USAGE", "Request this usage, such as 'client auth'; repeatable.", show_default="by the signer"),
]
Expires = Annotated[str | None, option("--expires TIME", "Request a lifetime of at most this long: 24h, 30d.")]
SigningDuration = Annotated[
    str, option("--cluster-signing-duration TIME", "Limit the lifetime, as kube-controller-manager does.")
]
ToSign = Annotated[
    list[Path],
    option("--file,-f FILE", "Sign this manifest, or this request (.csr) of a certificate of the cluster; repeatable."),
]
SignAs = Annotated[
    str | None,
    option(
        "--as NAME",
        "Sign the request as this certificate of kcert.yaml: an administrator, a component or a node.",
        autocompletion=complete_certificates,
        show_default="by the file name",
    ),
]
SIGNER_HELP = (
    "Choose the signer: kube-apiserver-client for a user, kube-apiserver-client-kubelet for a kubelet's client "
    "certificate, kubelet-serving for its serving certificate, or another signer by its full name."
)
Signer = Annotated[str, option("--signer SIGNER", SIGNER_HELP, autocompletion=complete_signers)]
MaybeSigner = Annotated[
    str | None,
    option("--signer SIGNER", SIGNER_HELP, autocompletion=complete_signers, show_default="by the subject"),
]


@dataclass(frozen=True)
class ClusterOptions:
    """Options of commands that connect to a cluster."""

    kubeconfig: Annotated[str | None, option("--kubeconfig FILE", "Run kubectl with this kubeconfig.")] = None
    context: Annotated[str | None, option("--context NAME", "Run kubectl with this context of the kubeconfig.")] = None

    def kubectl(self, *words: str) -> tuple[str, ...]:
        """Return the command line that does *words* in the cluster."""
        named = (("--kubeconfig", self.kubeconfig), ("--context", self.context))
        return ("kubectl", *words, *(part for option, value in named if value for part in (option, value)))

    def kubectl_get(self, name: str, form: str) -> tuple[str, ...]:
        """Return the command line that prints the request *name* in the *form* yaml or jsonpath."""
        return self.kubectl("get", "csr", name, "-o", form)


@dataclass(frozen=True)
class RequestOptions(ClusterOptions):
    """Options of commands that read a request, in a cluster or in a manifest."""

    config: ConfigFile = None
    openssl: Program = "openssl"


@dataclass(frozen=True)
class FetchOptions(ClusterOptions, ReadOptions):
    """Options of commands that connect to a cluster and work in a PKI folder."""


def checked_name(name: str | None, verb: str = "") -> str:
    """Return *name*, checked as the name of an object; *verb* is the command that also takes a file."""
    from kcert.kubernetes.signing_request import object_name

    if name is None:
        raise InputError("specify the object in the cluster, or a manifest with --file FILE.")
    if verb and ("/" in name or (Path(name).suffix in _FILES and Path(name).is_file())):
        option = f"kcert csr {verb} --file {quote(name)}"
        raise InputError(f"{name!a} is a file, but a name is looked up in a cluster. For the file, run `{option}`.")
    if why := object_name(name):
        raise InputError(f"{name!a} cannot be the name of an object of Kubernetes: {why}.")
    return name


_FILES = (".yaml", ".yml", ".json", ".csr", ".pem")


@contextlib.contextmanager
def suggesting_file(verb: str, name: str | None) -> Iterator[None]:
    """Let the error name the manifest in the PKI folder, which needs no cluster, if no cluster answers."""
    try:
        yield
    except UnansweredError as error:
        folder = Path(os.environ.get("KCERT_DIR") or DEFAULT_FOLDER)
        made = folder / f"{name}-csr.yaml"
        if not made.is_file():
            raise
        option = f"kcert csr {verb} --file {quote(str(made))}"
        raise UnansweredError(f"{error} Without a cluster: `{option}`.") from None


def require_no_name(name: str | None) -> None:
    """Raise InputError if both an object in the cluster and a file are named."""
    if name is not None:
        raise InputError(f"{name!a} names an object in a cluster, which cannot be combined with --file.")


def looked_up(options: RequestOptions, verb: str, name: str | None, *, quiet: bool) -> SigningRequest:
    """Return the object *name* of the cluster, for the command *verb*, which shows how unless *quiet*."""
    from kcert.kubernetes import manifests
    from kcert.ui import csr

    called = checked_name(name, verb)
    argv = options.kubectl_get(called, "yaml")
    if not quiet:
        csr.shows(argv)
    with suggesting_file(verb, called):
        return manifests.looked_up(argv, called)
