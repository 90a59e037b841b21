"""`kcert csr`: the Certificates API, from a key to a signed certificate."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from kcert import profiles
from kcert.certificates import Kind
from kcert.cli import context
from kcert.cli.csr_options import (
    ClusterOptions,
    Expires,
    FetchOptions,
    File,
    Groups,
    MaybeName,
    MaybeSigner,
    NewName,
    ObjectName,
    Output,
    Requester,
    RequestOptions,
    Sans,
    ShownFile,
    SignAs,
    Signer,
    SigningDuration,
    ToSign,
    Usages,
    Wait,
    checked_name,
    cluster_of,
    require_no_name,
    suggesting_file,
)
from kcert.cli.options import (
    Explain,
    Force,
    IssueOptions,
    Quiet,
    ReadOptions,
    ResultFormat,
    Signing,
    Subcommands,
    load_cluster,
)
from kcert.cli.options import Output as ReportOutput
from kcert.durations import duration
from kcert.errors import InputError
from kcert.issue.adopt import detect_files
from kcert.quoting import quote

app = Subcommands(
    no_args_is_help=True,
    help="Use the Certificates API: create a key and a request, approve it, sign it, fetch the certificate; in a "
    "cluster, or without one with --file.",
)


@app.command("new")
def new(
    options: IssueOptions,
    *,
    name: Requester,
    groups: Groups = None,
    names: Sans = None,
    signer: Signer = "kube-apiserver-client",
) -> None:
    """Create a key and a request, for a cluster to sign; an existing key is kept."""
    from kcert.issue.context import CsrTarget
    from kcert.kubernetes import csr_requests, signers
    from kcert.kubernetes.signing_request import signer_trouble

    whole = signers.full_name(signer)
    if why := signer_trouble(whole):
        raise InputError(f"--signer {signer!a}: {why}.")
    cluster = load_cluster(options.config)
    certificate = csr_requests.subject_for(cluster, name, tuple(groups or ()), tuple(names or ()), whole)
    known = profiles.certificates(cluster)
    ctx = replace(context.issue_context(options, "csr new", cluster, known), csr_target=CsrTarget.CLUSTER)
    result = context.run(ctx, (certificate,))
    if result and not result.stopped and not options.terse:
        from kcert.ui import csr

        csr.asked(certificate, ctx.folder_option)


@app.command("manifest")
def manifest(
    options: ReadOptions,
    *,
    name: NewName,
    signer: MaybeSigner = None,
    usages: Usages = None,
    expires: Expires = None,
    called: ObjectName = None,
    output: Output = None,
    explain: Explain = True,
    quiet: Quiet = False,
    format: ResultFormat = "text",
) -> None:
    """Write the CertificateSigningRequest for a request: NAME-csr.yaml in the PKI folder."""
    from kcert.kubernetes import csr_requests, manifests, signers
    from kcert.openssl.program import openssl
    from kcert.ui import csr, print_path

    cluster = load_cluster(options.config)
    certificate = csr_requests.of_name(cluster, name, signer and signers.full_name(signer))
    object_options = manifests.ObjectOptions(
        signer=signer,
        usages=tuple(usages or ()),
        expires=None if expires is None else int(duration(expires, "--expires").total_seconds()),
        name=called,
    )
    option = context.folder_option(options.dir, options.config)
    assert certificate.files.csr
    if not (options.dir / certificate.files.csr).is_file() and (
        other := csr_requests.other_signer(options.dir, cluster, name)
    ):
        raise InputError(
            f"{options.dir / certificate.files.csr} does not exist, but a request for the signer {other} does: `kcert "
            f"csr manifest {quote(name)} --signer {other}{option}` creates the object for it."
        )
    written = manifests.compose(options.dir, certificate, object_options, openssl(options.openssl), option)
    if output == "-":
        csr.bare(written)
        return
    target = None if output is None else Path(output)
    path, existing = manifests.write(options.dir, written, target, csr.Steps().on_lock_wait)
    if format == "json":
        record = {"path": str(path), "changed": existing is None}
        csr.as_json(existing or written, openssl(options.openssl), record)
    elif quiet:
        print_path(path)
    elif existing:
        csr.stays(existing, path)
    else:
        csr.wrote(options.dir, certificate, written, path, explain=explain)


@app.command("submit")
def submit(
    options: FetchOptions,
    *,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name the manifest file, or the user, node or component.")
    ],
    quiet: Quiet = False,
) -> None:
    """Create the request in the cluster: `kubectl apply -f`."""
    from kcert.kubernetes import manifests
    from kcert.ui import csr

    path = manifests.named(options.dir, name, context.folder_option(options.dir, options.config))
    csr_object = manifests.load(path)
    csr.ran(cluster_of(options).command("apply", "-f", str(path)), quiet=quiet)
    if not quiet:
        csr.submitted(csr_object)


@app.command("list")
def list_(options: RequestOptions, *, format: ResultFormat = "text") -> None:
    """List the requests in the cluster (`kubectl get csr`), and explain those of kubelets."""
    from kcert.kubernetes import csr_requests
    from kcert.kubernetes.manifests import kubectl
    from kcert.openssl.program import openssl
    from kcert.ui import csr, print_json

    cluster = cluster_of(options)
    if format == "text":
        csr.ran(cluster.command("get", "csr"))
    everything = kubectl(cluster.command("get", "csr", "-o", "yaml")).stdout
    if format == "json":
        print_json(list(csr_requests.summaries(everything, openssl(options.openssl))))
        return
    csr.listed_kubelets(csr_requests.described(everything, openssl(options.openssl)))


@app.command("show")
def show(
    options: RequestOptions,
    *,
    name: MaybeName = None,
    file: ShownFile = None,
    format: ResultFormat = "text",
    output: ReportOutput = None,
    force: Force = False,
) -> None:
    """Decode a request, and explain which user or node the certificate would authenticate."""
    from kcert.kubernetes import manifests
    from kcert.openssl.program import openssl
    from kcert.ui import csr
    from kcert.ui.report import written_to

    with written_to(output, force=force):
        if file is not None:
            require_no_name(name)
            csr_object = manifests.looked_at(file)
            by_hand = manifests.by_hand(file, csr_object, "request")
        else:
            cluster = cluster_of(options)
            argv = cluster.command("get", "csr", checked_name(name, "show"), "-o", "yaml")
            if format == "text":
                csr.shows(argv)
            with suggesting_file("show", name):
                csr_object = manifests.looked_up(argv, checked_name(name))
            by_hand = csr.out_of_cluster(cluster, csr_object.name, "spec.request")
        if format == "json":
            csr.as_json(csr_object, openssl(options.openssl))
        else:
            csr.decoded(csr_object, openssl(options.openssl), by_hand)


@app.command("approve")
def approve(options: RequestOptions, *, name: MaybeName = None, file: File = None, quiet: Quiet = False) -> None:
    """Approve a request: `kubectl certificate approve`, or with --file in the manifest, as the API server would.

    In a cluster, a kubelet's request for a serving certificate is approved only if its SANs are those of the node
    in kcert.yaml.
    """
    from kcert.kubernetes import csr_requests, manifests, signers, signing
    from kcert.kubernetes.signing_request import requested
    from kcert.openssl.program import openssl
    from kcert.ui import csr, print_path

    program = openssl(options.openssl)
    if file is None:
        cluster, called = cluster_of(options), checked_name(name, "approve")
        argv = cluster.command("get", "csr", called, "-o", "yaml")
        if not quiet:
            csr.shows(argv)
        with suggesting_file("approve", name):
            csr_object = manifests.looked_up(argv, called)
        request = requested(program, csr_object)
        if not quiet:
            csr.identity(csr_object, request)
        if csr_object.signer == signers.KUBELET_SERVING:
            described = load_cluster(options.config)
            if described.source is None:
                csr.not_compared()
            else:
                csr_requests.check_serving(described, csr_object, request)
        csr.ran(cluster.command("certificate", "approve", called), quiet=quiet)
        return
    require_no_name(name)
    before, after = manifests.decide(file, lambda undecided: signing.approve(undecided, program))
    if quiet:
        print_path(file)
    else:
        csr.approved(file, before, after, program)


@app.command("deny")
def deny(options: ClusterOptions, *, name: MaybeName = None, file: File = None, quiet: Quiet = False) -> None:
    """Deny a request: `kubectl certificate deny`, or with --file in the manifest, as the API server would."""
    from kcert.kubernetes import manifests, signing
    from kcert.kubernetes.signing_request import DENIED
    from kcert.ui import csr, print_path

    if file is None:
        with suggesting_file("deny", name):
            csr.ran(cluster_of(options).command("certificate", "deny", checked_name(name, "deny")), quiet=quiet)
        return
    require_no_name(name)
    before, after = manifests.decide(file, signing.deny)
    if quiet:
        print_path(file)
    else:
        csr.decided(file, before, after, DENIED)


@app.command("sign")
def sign(
    options: Signing,
    *,
    files: ToSign,
    name: SignAs = None,
    longest: SigningDuration = "365d",
    explain: Explain = True,
    quiet: Quiet = False,
    format: ResultFormat = "text",
) -> None:
    """Sign a manifest as kube-controller-manager would, or a bare request for a certificate that kcert.yaml describes.

    The certificate for NAME.csr is written beside it, as NAME.crt.
    """
    from kcert.kubernetes import issued, manifests, signing
    from kcert.kubernetes.signing_request import is_pem
    from kcert.openssl.program import openssl
    from kcert.ui import csr
    from kcert.ui.signing import SignatureResults

    if name is not None and len(files) > 1:
        raise InputError(f"--as {name!a} names the certificate of one request, and there are {len(files)} files.")
    program = openssl(options.openssl)
    cluster = load_cluster(options.config)
    longest_life = duration(longest, "--cluster-signing-duration")
    ctx = context.signing_context(options, "csr sign", cluster, program)
    context.warn_of_permissions(ctx)
    with SignatureResults(format, quiet=quiet) as results:
        for file in files:
            if is_pem(manifests.contents(file)):
                certificate, request = signing.match_request(ctx, file, name)
                begin = partial(csr.begin_request, certificate, request, explain=explain)
                steps = csr.Steps(begin, quiet=results.terse)
                path, x509 = signing.sign_request(replace(ctx, reporter=steps), file, certificate, request)
                results.add(certificate.name, path, x509, partial(csr.signed_request, certificate, x509, path))
                continue
            if name is not None:
                raise InputError(
                    f"--as is for a request (.csr), and {file} is a manifest, which already names its user."
                )
            csr_object = manifests.load(file)
            if csr_object.certificate is not None:
                x509 = issued.read_issued(csr_object)
                results.add(csr_object.name, file, x509, partial(csr.is_signed, file, csr_object), changed=False)
                continue
            steps = csr.Steps(partial(csr.begin_object, csr_object, explain=explain), quiet=results.terse)
            signed, x509 = signing.sign_object(replace(ctx, reporter=steps), file, csr_object, longest_life)
            shows = partial(csr.signed_object, file, signed, x509, ctx.folder_option)
            results.add(csr_object.name, file, x509, shows)


@app.command("fetch")
def fetch(
    options: FetchOptions,
    *,
    name: NewName,
    file: File = None,
    wait: Wait = None,
    called: ObjectName = None,
    signer: MaybeSigner = None,
    output: Output = None,
    quiet: Quiet = False,
    format: ResultFormat = "text",
) -> None:
    """Fetch the certificate, compare it with its key and request, and save it as NAME.crt in the PKI folder."""
    from kcert.kubernetes import csr_requests, issued, manifests, signers
    from kcert.openssl.pem import pem_blocks
    from kcert.openssl.program import openssl
    from kcert.ui import csr, print_json, print_path
    from kcert.ui.signing import signed_record

    program = openssl(options.openssl)
    quiet = quiet or format == "json"
    cluster = load_cluster(options.config)
    if file is not None and wait is not None:
        raise InputError("--wait cannot be combined with --file: a file is read once.")
    brought = file is not None and any(block.is_certificate for block in pem_blocks(manifests.contents(file)))
    certificate = csr_requests.of_name(cluster, name, signer and signers.full_name(signer), by_root=brought)
    (certificate,) = detect_files(options.dir, (certificate,)) if certificate.kind is Kind.CA else (certificate,)
    usages = None
    if file is not None:
        if brought:
            pem = manifests.contents(file)
        else:
            csr_object = manifests.load(file)
            pem, usages = issued.certificate_of(csr_object, offline=True), csr_object.usages
            by_hand = manifests.by_hand(file, csr_object, "certificate")
    else:
        seconds = duration(wait, "--wait").total_seconds() if wait is not None else 0.0
        called = checked_name(called or manifests.object_name_of(certificate))
        # With -o - the certificate alone is on the screen, for another program to read.
        shows = (lambda _argv: None) if quiet or output == "-" else csr.shows
        pem = issued.from_cluster(called, cluster_of(options), seconds, shows, csr.waits_for_it)
        usages = manifests.usages_asked(options.dir, called)
        by_hand = csr.out_of_cluster(cluster_of(options), called, "status.certificate")
    ctx = context.signing_context(options, "csr fetch", cluster, program)
    answer = issued.validate_issued(pem, certificate, ctx, usages)
    if output == "-":
        csr.bare(pem.decode("ascii", "replace"))
        return
    if not brought and not quiet:
        csr.unpacked(by_hand, certificate, options.dir, output)
    target = None if output is None else Path(output)
    ctx = replace(ctx, reporter=csr.Steps(quiet=quiet))
    kept = issued.keep(ctx, certificate, answer, target, needs_ca=brought)
    if format == "json":
        record = signed_record(certificate.name, kept.path, answer.x509, changed=kept.is_new)
        print_json(record | {"verified": kept.verified})
    elif quiet:
        print_path(kept.path)
    else:
        csr.kept(certificate, answer, kept, ctx.folder_option)
