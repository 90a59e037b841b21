"""`kcert csr`: the Certificates API, from a key to a signed certificate."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated

from kcert import profiles
from kcert.certificates import Kind
from kcert.cli import context
from kcert.cli.csr_options import (
    ClusterOptions,
    Expires,
    FetchOptions,
    File,
    MaybeName,
    MaybeSigner,
    NewName,
    ObjectName,
    Requester,
    RequestOptions,
    ShownFile,
    SignAs,
    Signer,
    SigningDuration,
    ToSign,
    Usages,
    Wait,
    checked_name,
    looked_up,
    require_no_name,
    suggesting_file,
)
from kcert.cli.options import (
    Explain,
    Force,
    Groups,
    IssueOptions,
    Output,
    Quiet,
    ReadOptions,
    ResultFormat,
    Sans,
    Signing,
    Subcommands,
    argument,
    check_format,
    load_cluster,
)
from kcert.durations import duration
from kcert.errors import InputError
from kcert.issue.adopt import detect_files
from kcert.openssl.program import openssl
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
    from kcert.kubernetes import signers
    from kcert.kubernetes.signing_request import signer_trouble

    whole = signers.full_name(signer)
    if why := signer_trouble(whole):
        raise InputError(f"--signer {signer!a}: {why}.")
    cluster = load_cluster(options.config)
    certificate = signers.subject_for(cluster, name, tuple(groups or ()), tuple(names or ()), whole)
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
    from kcert.kubernetes import manifests, signers
    from kcert.kubernetes.signing_request import text
    from kcert.ui import csr, print_path, print_text

    check_format(format, output)
    cluster = load_cluster(options.config)
    certificate = signers.of_name(cluster, name, signer)
    seconds = None if expires is None else int(duration(expires, "--expires").total_seconds())
    option = context.folder_option(options.dir, options.config)
    csr_file = options.dir / certificate.csr
    if not csr_file.is_file() and (other := signers.other_signer(options.dir, cluster, name)):
        raise InputError(
            f"{csr_file} does not exist, but a request for the signer {other} does: `kcert csr manifest {quote(name)} "
            f"--signer {other}{option}` creates the object for it."
        )
    ctx = context.signing_context(options, "csr manifest", cluster)
    written = manifests.compose(ctx, certificate, signer, usages or (), seconds, called)
    if str(output) == "-":
        print_text(text(written))
        return
    path, existing = manifests.write(replace(ctx, reporter=csr.Steps()), written, output)
    if format == "json":
        csr.as_json(existing or written, ctx.openssl, {"path": str(path), "changed": existing is None})
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
    name: Annotated[str, argument("NAME", "Name the manifest file, or the user, node or component.")],
    quiet: Quiet = False,
) -> None:
    """Create the request in the cluster: `kubectl apply -f`."""
    from kcert.kubernetes import manifests
    from kcert.ui import csr

    path = manifests.named(options.dir, name, context.folder_option(options.dir, options.config))
    csr_object = manifests.load(path)
    csr.ran(options.kubectl("apply", "-f", str(path)), quiet=quiet)
    if not quiet:
        csr.submitted(csr_object)


@app.command("list")
def list_(options: RequestOptions, *, format: ResultFormat = "text") -> None:
    """List the requests in the cluster (`kubectl get csr`), and explain those of kubelets."""
    from kcert.kubernetes.manifests import kubectl, summaries
    from kcert.ui import csr, print_json

    if format == "text":
        csr.ran(options.kubectl("get", "csr"))
    everything = kubectl(options.kubectl("get", "csr", "-o", "yaml")).stdout
    records = summaries(everything, openssl(options.openssl))
    if format == "json":
        print_json(list(records))
    else:
        csr.listed_kubelets(records)


@app.command("show")
def show(
    options: RequestOptions,
    *,
    name: MaybeName = None,
    file: ShownFile = None,
    format: ResultFormat = "text",
    output: Output = None,
    force: Force = False,
) -> None:
    """Decode a request, and explain which user or node the certificate would authenticate."""
    from kcert.kubernetes import manifests
    from kcert.ui import csr
    from kcert.ui.report import written_to

    with written_to(output, force=force):
        if file is not None:
            require_no_name(name)
            csr_object = manifests.looked_at(file)
            by_hand = manifests.by_hand(csr_object, "request")
        else:
            csr_object = looked_up(options, "show", name, quiet=format != "text")
            by_hand = manifests.decoding(options.kubectl_get(csr_object.name, "jsonpath={.spec.request}"))
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
    from kcert.kubernetes import manifests, signers, signing
    from kcert.kubernetes.signing_request import APPROVED, requested
    from kcert.ui import csr, print_path

    program = openssl(options.openssl)
    if file is None:
        csr_object = looked_up(options, "approve", name, quiet=quiet)
        request = requested(program, csr_object)
        if not quiet:
            csr.identity(csr_object, request)
        if csr_object.signer == signers.KUBELET_SERVING:
            described = load_cluster(options.config)
            if described.source is None:
                csr.not_compared()
            else:
                manifests.check_serving(described, csr_object, request)
        csr.ran(options.kubectl("certificate", "approve", csr_object.name), quiet=quiet)
        return
    require_no_name(name)
    before, after = signing.decide(file, APPROVED, program)
    if quiet:
        print_path(file)
    else:
        csr.identity(after, requested(program, after))
        csr.decided(file, before, after, APPROVED)


@app.command("deny")
def deny(options: ClusterOptions, *, name: MaybeName = None, file: File = None, quiet: Quiet = False) -> None:
    """Deny a request: `kubectl certificate deny`, or with --file in the manifest, as the API server would."""
    from kcert.kubernetes import signing
    from kcert.kubernetes.signing_request import DENIED
    from kcert.ui import csr, print_path

    if file is None:
        with suggesting_file("deny", name):
            csr.ran(options.kubectl("certificate", "deny", checked_name(name, "deny")), quiet=quiet)
        return
    require_no_name(name)
    before, after = signing.decide(file, DENIED)
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
    from kcert.ui import csr, print_json, print_path

    if name is not None and len(files) > 1:
        raise InputError(f"--as {name!a} names the certificate of one request, and there are {len(files)} files.")
    cluster = load_cluster(options.config)
    longest_life = duration(longest, "--cluster-signing-duration")
    ctx = context.signing_context(options, "csr sign", cluster)
    context.warn_of_permissions(ctx)
    terse, records = quiet or format == "json", list[dict[str, object]]()
    try:
        for file in files:
            asked = manifests.looked_at(file)
            path, called, changed = file, asked.name, asked.certificate is None
            if asked.document is None:
                certificate, request = signing.match_request(ctx, asked, name)
                steps = csr.Steps(partial(csr.begin_request, certificate, request, explain=explain), quiet=terse)
                path, x509 = signing.sign_request(replace(ctx, reporter=steps), file, certificate, request)
                called, show = certificate.name, partial(csr.signed_request, certificate, x509, path)
            elif name is not None:
                raise InputError(
                    f"--as is for a request (.csr), and {file} is a manifest, which already names its user."
                )
            elif changed:
                steps = csr.Steps(partial(csr.begin_object, asked, explain=explain), quiet=terse)
                x509 = signing.sign_object(replace(ctx, reporter=steps), file, asked, longest_life)
                show = partial(csr.signed_object, file, asked.name, x509, ctx.folder_option)
            else:
                x509, show = issued.read_issued(asked), partial(csr.is_signed, file, asked)
            records.append(csr.signed_record(called, path, x509, changed=changed))
            if not terse:
                show()
            elif format != "json":
                print_path(path)
    finally:
        if format == "json":
            print_json(records)


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
    from kcert.kubernetes import issued, manifests, signers
    from kcert.kubernetes.signing_request import parse
    from kcert.openssl.pem import pem_blocks
    from kcert.ui import csr, print_json, print_path, print_text

    quiet = quiet or format == "json"
    check_format(format, output)
    if file is not None and wait is not None:
        raise InputError("--wait cannot be combined with --file: a file is read once.")
    cluster = load_cluster(options.config)
    ctx = context.signing_context(options, "csr fetch", cluster)
    content = b"" if file is None else manifests.contents(file)
    brought = any(block.is_certificate for block in pem_blocks(content))
    certificate = signers.of_name(cluster, name, signer, by_root=brought)
    (certificate,) = detect_files(options.dir, (certificate,)) if certificate.kind is Kind.CA else (certificate,)
    usages = None
    if brought:
        pem, by_hand = content, ""
    elif file is not None:
        csr_object = parse(content, str(file))
        pem, usages = issued.certificate_of(csr_object, offline=True), csr_object.usages
        by_hand = manifests.by_hand(csr_object, "certificate")
    else:
        seconds = duration(wait, "--wait").total_seconds() if wait is not None else 0.0
        called = checked_name(called or certificate.csr.stem)
        # With -o - the certificate alone is on the screen, for another program to read.
        shows = (lambda _argv: None) if quiet or str(output) == "-" else csr.shows
        pem = issued.from_cluster(called, options.kubectl_get, seconds, shows, csr.waits_for_it)
        existing = manifests.existing_manifest(options.dir, called)
        usages = existing.usages if existing else None
        by_hand = manifests.decoding(options.kubectl_get(called, "jsonpath={.status.certificate}"))
    answer = issued.validate_issued(pem, certificate, ctx, usages)
    if str(output) == "-":
        print_text(answer.pem.decode("ascii"))
        return
    if not quiet:
        csr.unpacked(by_hand, certificate, options.dir, output)
    answer = issued.keep(replace(ctx, reporter=csr.Steps(quiet=quiet)), certificate, answer, output, needs_ca=brought)
    if format == "json":
        record = csr.signed_record(certificate.name, answer.path, answer.x509, changed=answer.is_new)
        print_json(record | {"verified": answer.verified})
    elif quiet:
        print_path(answer.path)
    else:
        csr.kept(certificate, answer, ctx.folder_option)
