"""`kcert csr`: the Certificates API, from a key to a signed certificate."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kcert import profiles
from kcert.certificates import Kind
from kcert.cli import completion, context
from kcert.cli.options import (
    DEFAULT_FOLDER,
    ConfigFile,
    Explain,
    IssueOptions,
    Program,
    Quiet,
    ReadOptions,
    Signing,
    takes,
)
from kcert.durations import duration
from kcert.errors import InputError, UnansweredError
from kcert.issue.adopt import detect_files
from kcert.quoting import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.kubernetes.kubectl import Cluster

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Use the Certificates API: make a request, approve it, sign it, fetch the certificate. Works with a cluster, "
    "and with --file without one.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name the object, as `kcert csr list` shows it.")]
MaybeName = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="Name the object, as `kcert csr list` shows it.")
]
File = Annotated[
    Path | None, typer.Option("--file", "-f", metavar="FILE", help="Use this manifest, without a cluster.")
]
Output = Annotated[
    str | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this file; - is standard output.")
]
Kubeconfig = Annotated[
    str | None, typer.Option("--kubeconfig", metavar="FILE", help="Use this kubeconfig for kubectl.")
]
Context = Annotated[str | None, typer.Option("--context", metavar="NAME", help="Use this context of the kubeconfig.")]
SIGNER_HELP = (
    "Choose the signer: kube-apiserver-client for a user, kube-apiserver-client-kubelet for a kubelet's client "
    "certificate, kubelet-serving for its serving certificate, or the full name of another signer."
)

MaybeSigner = Annotated[
    str | None,
    typer.Option(
        "--signer", metavar="SIGNER", help=SIGNER_HELP, autocompletion=completion.signers, show_default="by the subject"
    ),
]


@dataclass(frozen=True)
class Talking:
    """Options of what talks to a cluster."""

    kubeconfig: Kubeconfig = None
    context: Context = None


@dataclass(frozen=True)
class Deciding(Talking):
    """Options of commands that read a request, in a cluster or in a manifest."""

    config: ConfigFile = None
    openssl: Program = "openssl"


@dataclass(frozen=True)
class Fetching(ReadOptions):
    """Options of what talks to a cluster and works in a PKI folder."""

    kubeconfig: Kubeconfig = None
    context: Context = None


@app.command("new")
@takes(IssueOptions)
def new(
    making: IssueOptions,
    *,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name the user, node or component that requests the certificate.",
            autocompletion=completion.clients,
        ),
    ],
    groups: Annotated[
        list[str] | None, typer.Option("--group", "-g", metavar="GROUP", help="Add the user to this group; repeatable.")
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option("--san", metavar="NAME", help="Add a DNS name or IP address to the SANs; repeatable."),
    ] = None,
    signer: Annotated[
        str, typer.Option("--signer", metavar="SIGNER", help=SIGNER_HELP, autocompletion=completion.signers)
    ] = "kube-apiserver-client",
) -> None:
    """Make a key and a request for a cluster to sign. An existing key is kept."""
    from kcert.issue.context import CsrTarget
    from kcert.kubernetes import csr_subject, signers
    from kcert.kubernetes.signing_request import signer_trouble

    whole = signers.full_name(signer)
    if why := signer_trouble(whole):
        raise InputError(f"--signer {signer!a}: {why}.")
    cluster = context.cluster(making.config)
    certificate = csr_subject.subject_for(cluster, name, tuple(groups or ()), tuple(names or ()), whole)
    known = profiles.certificates(cluster)
    ctx = replace(context.issue_context(making, "csr new", cluster, known), csr_target=CsrTarget.CLUSTER)
    result = context.run(ctx, (certificate,))
    if result and not result.stopped and not making.terse:
        from kcert.ui import csr

        csr.asked(certificate, ctx.folder_option)


@app.command("manifest")
@takes(ReadOptions)
def manifest(
    looking: ReadOptions,
    *,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Use the request of this name, as in `kcert csr new NAME`.",
            autocompletion=completion.clients,
        ),
    ],
    signer: MaybeSigner = None,
    usages: Annotated[
        list[str] | None,
        typer.Option(
            "--usage",
            metavar="USAGE",
            help="Request this key usage, such as 'client auth'; repeatable.",
            show_default="by the signer",
        ),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="TIME", help="Request at most this lifetime: 24h, 30d.")
    ] = None,
    called: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name the object.", show_default="NAME")
    ] = None,
    output: Output = None,
    explain: Explain = True,
    quiet: Quiet = False,
) -> None:
    """Write the CertificateSigningRequest object for a request: NAME-csr.yaml in the PKI folder."""
    from kcert.kubernetes import csr_subject, manifests, signers
    from kcert.openssl.program import openssl
    from kcert.ui import csr

    cluster = context.cluster(looking.config)
    certificate = csr_subject.of_name(cluster, name, signer and signers.full_name(signer))
    asked = manifests.ObjectOptions(
        signer=signer,
        usages=tuple(usages or ()),
        expires=None if expires is None else int(duration(expires, "--expires").total_seconds()),
        name=called,
    )
    option = context.folder_option(looking.dir, looking.config)
    assert certificate.files.csr
    if not (looking.dir / certificate.files.csr).is_file() and (
        other := csr_subject.other_signer(looking.dir, cluster, name)
    ):
        raise InputError(
            f"{looking.dir / certificate.files.csr} is not there, but a request for the signer {other} is: `kcert csr "
            f"manifest {quote(name)} --signer {other}{option}` makes the object for it."
        )
    written = manifests.compose(looking.dir, certificate, asked, openssl(looking.openssl), option)
    if output == "-":
        csr.bare(written)
        return
    path, there = manifests.write(
        looking.dir, written, None if output is None else Path(output), csr.Steps().on_lock_wait
    )
    if quiet:
        csr.path_alone(path)
    elif there:
        csr.stays(there, path)
    else:
        csr.wrote(looking.dir, certificate, written, path, explain=explain)


@app.command("submit")
@takes(Fetching)
def submit(
    fetching: Fetching,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Submit the manifest of this name, or this file.")],
) -> None:
    """Submit the object to the cluster: `kubectl apply -f`."""
    from kcert.kubernetes import manifests
    from kcert.ui import csr

    path = manifests.named(fetching.dir, name, context.folder_option(fetching.dir, fetching.config))
    found = manifests.load(path)
    csr.ran(_cluster(fetching).command("apply", "-f", str(path)))
    csr.submitted(found)


@app.command("list")
@takes(Deciding)
def list_(deciding: Deciding) -> None:
    """List the objects in the cluster (`kubectl get csr`), and explain the requests of kubelets."""
    from kcert.kubernetes import kubelet_requests
    from kcert.kubernetes.kubectl import kubectl
    from kcert.openssl.program import openssl
    from kcert.ui import csr

    cluster = _cluster(deciding)
    csr.ran(cluster.command("get", "csr"))
    everything = kubectl(cluster.command("get", "csr", "-o", "yaml")).stdout
    csr.listed_kubelets(kubelet_requests.described(everything, openssl(deciding.openssl)))


@app.command("show")
@takes(Deciding)
def show(
    deciding: Deciding,
    *,
    name: MaybeName = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="Read this manifest or request, without a cluster."),
    ] = None,
    format: Annotated[
        Literal["text", "json"], typer.Option("--format", help="Print the request in this format.")
    ] = "text",
) -> None:
    """Decode a request, and explain which user and groups its certificate would have."""
    from kcert.kubernetes import manifests
    from kcert.openssl.program import openssl
    from kcert.ui import csr

    if file is not None:
        _neither(name)
        found = manifests.looked_at(file)
        if format == "json":
            csr.as_json(found, openssl(deciding.openssl))
            return
        csr.decoded(found, openssl(deciding.openssl), manifests.by_hand(file, found, "request"))
    else:
        cluster = _cluster(deciding)
        argv = cluster.command("get", "csr", _object(name, "show"), "-o", "yaml")
        if format == "text":
            csr.shows(argv)
        with _asking_a_cluster("show", name):
            found = manifests.looked_up(argv, _object(name))
        if format == "json":
            csr.as_json(found, openssl(deciding.openssl))
            return
        csr.decoded(found, openssl(deciding.openssl), csr.out_of_cluster(cluster, found.name, "spec.request"))


@app.command("approve")
@takes(Deciding)
def approve(deciding: Deciding, *, name: MaybeName = None, file: File = None) -> None:
    """Approve a request: `kubectl certificate approve`; with --file, as the API server would.

    A kubelet's serving request in a cluster is approved only if its SANs are those of the node in kcert.yaml.
    """
    from kcert.kubernetes import kubelet_requests, manifests, signers, signing
    from kcert.kubernetes.signing_request import requested
    from kcert.openssl.program import openssl
    from kcert.ui import csr

    program = openssl(deciding.openssl)
    if file is None:
        cluster, called = _cluster(deciding), _object(name, "approve")
        argv = cluster.command("get", "csr", called, "-o", "yaml")
        csr.shows(argv)
        with _asking_a_cluster("approve", name):
            found = manifests.looked_up(argv, called)
        request = requested(program, found)
        csr.identity(found, request)
        if found.signer == signers.KUBELET_SERVING:
            described = context.cluster(deciding.config)
            if described.source is None:
                csr.not_compared()
            else:
                kubelet_requests.check_serving(described, found, request)
        csr.ran(cluster.command("certificate", "approve", called))
        return
    _neither(name)
    before, after = manifests.decide(file, lambda one: signing.approve(one, program))
    csr.approved(file, before, after, program)


@app.command("deny")
@takes(Talking)
def deny(talking: Talking, *, name: MaybeName = None, file: File = None) -> None:
    """Deny a request: `kubectl certificate deny`; with --file, as the API server would."""
    from kcert.kubernetes import manifests, signing
    from kcert.kubernetes.signing_request import DENIED
    from kcert.ui import csr

    if file is None:
        with _asking_a_cluster("deny", name):
            csr.ran(_cluster(talking).command("certificate", "deny", _object(name, "deny")))
        return
    _neither(name)
    before, after = manifests.decide(file, signing.deny)
    csr.decided(file, before, after, DENIED)


@app.command("sign")
@takes(Signing)
def sign(
    looking: Signing,
    *,
    files: Annotated[
        list[Path],
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="Sign this manifest, or this request (.csr) of one of the cluster's certificates; repeatable.",
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="NAME",
            help="Sign the request as this certificate of the cluster, for example admin or a node.",
            show_default="the name of the request's file",
            autocompletion=completion.certificates,
        ),
    ] = None,
    longest: Annotated[
        str,
        typer.Option("--cluster-signing-duration", metavar="TIME", help="Limit the lifetime that the signer gives."),
    ] = "365d",
    explain: Explain = True,
    quiet: Quiet = False,
) -> None:
    """Sign a manifest as kube-controller-manager does, or a request (.csr) as kcert.yaml describes the certificate.

    The certificate of NAME.csr is written beside it, as NAME.crt.
    """
    from kcert.kubernetes import manifests, signing
    from kcert.kubernetes.signing_request import is_pem
    from kcert.openssl.program import openssl
    from kcert.ui import csr

    if name is not None and len(files) > 1:
        raise InputError(f"--as {name!a} names the certificate of one request, and there are {len(files)} files.")
    program = openssl(looking.openssl)
    cluster = context.cluster(looking.config)
    longest_life = duration(longest, "--cluster-signing-duration")
    ctx = context.signing_context(looking, "csr sign", cluster, program)
    context.warn_of_permissions(ctx)
    for file in files:
        if is_pem(manifests.contents(file)):
            certificate, request = signing.match_request(ctx, file, name)
            steps = csr.Steps(partial(csr.begin_request, certificate, request, explain=explain), quiet=quiet)
            path, found = signing.sign_request(ctx, file, certificate, request, steps)
            csr.path_alone(path) if quiet else csr.signed_request(certificate, found, path)
            continue
        if name is not None:
            raise InputError(f"--as is for a request (.csr); {file} is a manifest, which names the user itself.")
        one = manifests.load(file)
        if one.certificate is not None:
            csr.path_alone(file) if quiet else csr.is_signed(file, one)
            continue
        steps = csr.Steps(partial(csr.begin_object, one, explain=explain), quiet=quiet)
        signed, found = signing.sign_object(ctx, file, one, longest_life, steps)
        csr.path_alone(file) if quiet else csr.signed_object(file, signed, found, ctx.folder_option)


@app.command("fetch")
@takes(Fetching)
def fetch(
    fetching: Fetching,
    *,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Fetch the certificate of this name, as in `kcert csr new NAME`.",
            autocompletion=completion.certificates,
        ),
    ],
    file: File = None,
    wait: Annotated[
        str | None, typer.Option("--wait", metavar="TIME", help="Wait for the certificate, at most this long: 60s.")
    ] = None,
    called: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name the object.", show_default="NAME")
    ] = None,
    signer: MaybeSigner = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Fetch the certificate, compare it with the key and the request, and save it as NAME.crt in the PKI folder."""
    from kcert.kubernetes import csr_subject, issued, manifests, signers
    from kcert.openssl.pem import pem_blocks
    from kcert.openssl.program import openssl
    from kcert.ui import csr

    program = openssl(fetching.openssl)
    cluster = context.cluster(fetching.config)
    if file is not None and wait is not None:
        raise InputError("--wait cannot be combined with --file: a file is read once.")
    brought = file is not None and any(block.is_certificate for block in pem_blocks(manifests.contents(file)))
    certificate = csr_subject.of_name(cluster, name, signer and signers.full_name(signer), by_root=brought)
    (certificate,) = detect_files(fetching.dir, (certificate,)) if certificate.kind is Kind.CA else (certificate,)
    usages = None
    if file is not None:
        if brought:
            pem = manifests.contents(file)
        else:
            found = manifests.load(file)
            pem, usages = issued.certificate_of(found, offline=True), found.usages
            by_hand = manifests.by_hand(file, found, "certificate")
    else:
        seconds = duration(wait, "--wait").total_seconds() if wait is not None else 0.0
        called = _object(called or manifests.object_name_of(certificate))
        # With -o - the certificate alone is on the screen, for another program to read.
        shows = csr.hides if quiet or output == "-" else csr.shows
        pem = issued.from_cluster(called, _cluster(fetching), seconds, shows, csr.waits_for_it)
        usages = manifests.usages_asked(fetching.dir, called)
        by_hand = csr.out_of_cluster(_cluster(fetching), called, "status.certificate")
    ctx = context.signing_context(fetching, "csr fetch", cluster, program)
    answer = issued.validate_issued(pem, certificate, ctx, usages)
    if output == "-":
        csr.bare(pem.decode("ascii", "replace"))
        return
    if not brought and not quiet:
        csr.unpacked(by_hand, certificate, fetching.dir, output)
    target = None if output is None else Path(output)
    kept = issued.keep(ctx, certificate, answer, target, csr.Steps(quiet=quiet), needs_ca=brought)
    csr.path_alone(kept.path) if quiet else csr.kept(certificate, answer, kept, ctx.folder_option)


def _cluster(options: Talking | Fetching) -> Cluster:
    from kcert.kubernetes.kubectl import Cluster

    return Cluster(options.kubeconfig, options.context)


def _object(name: str | None, verb: str = "") -> str:
    """Return *name* as the name of an object; *verb* is the command that takes a file as well."""
    from kcert.kubernetes.signing_request import object_name

    if name is None:
        raise InputError("name the object in the cluster, or a manifest with --file FILE.")
    if verb and ("/" in name or (Path(name).suffix in _FILES and Path(name).is_file())):
        option = f"kcert csr {verb} --file {quote(name)}"
        raise InputError(f"{name!a} is a file, but a name is looked up in a cluster. For the file, run `{option}`.")
    if why := object_name(name):
        raise InputError(f"{name!a} cannot be the name of an object of Kubernetes: {why}.")
    return name


_FILES = (".yaml", ".yml", ".json", ".csr", ".pem")


@contextlib.contextmanager
def _asking_a_cluster(verb: str, name: str | None) -> Iterator[None]:
    """Add the manifest in the PKI folder, which needs no cluster, to the error that no cluster answers."""
    try:
        yield
    except UnansweredError as error:
        folder = Path(os.environ.get("KCERT_DIR") or DEFAULT_FOLDER)
        made = folder / f"{name}-csr.yaml"
        if not made.is_file():
            raise
        option = f"kcert csr {verb} --file {quote(str(made))}"
        raise UnansweredError(f"{error} Without a cluster: `{option}`.") from None


def _neither(name: str | None) -> None:
    if name is not None:
        raise InputError(f"--file cannot be combined with the name {name!a}: a name is looked up in a cluster.")
