"""The steps after a renewal or a request: which hosts need the new files, which components a restart, what to sign."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from kcert import profiles
from kcert.certificates import ROOT, Certificate, Kind
from kcert.clusters import cluster_kind_of
from kcert.durations import in_words
from kcert.issue.context import Context, Issued, Renewal, Result
from kcert.issue.external_ca import sign_by_hand, sign_by_root
from kcert.issue.status import CertificateStatus
from kcert.kubernetes.components import restarts, unusable_key
from kcert.profiles.profile import kubeconfig_of
from kcert.quoting import format_command, quote
from kcert.roles import ROLES, USER_ROLES
from kcert.ui.console import block, say, say_apart, say_commands, screen


def follows(ctx: Context, result: Result, first: CertificateStatus | None) -> None:
    """Say what has to happen for the cluster to use the new files.

    *first* is the first certificate to expire, if nothing had to be renewed.
    """
    if not result.issued:
        if ctx.renewal and not ctx.renewal.named and not result.kept:
            _nothing(ctx, ctx.renewal, first)
        return
    issued = [issue for issue in result.issued if issue.plan.certificate.name != ROOT]
    done = [issue.plan.certificate for issue in issued]
    backup = ctx.root / ".kcert" / "backup"
    say(f"The old files are kept in {backup}.")
    if not ctx.cluster.profile:
        kind = cluster_kind_of(ctx.root)
        say("Components that read their files only when they start use the new ones after a restart.")
        if kind and kind.restart:
            block([kind.restart], "command")
        return
    _hand_out(ctx, issued)
    if restarts(ctx.cluster, done):
        _restart(ctx, done)
    for issue in issued:
        if issue.plan.certificate.kind is Kind.CA:
            _authority(ctx, issue)


def _nothing(ctx: Context, renewal: Renewal, first: CertificateStatus | None) -> None:
    what = [f"expires within {in_words(renewal.within)}"] if renewal.within is not None else []
    what += ["differs from kcert.yaml"] if renewal.stale else []
    say(f"Nothing to renew: no certificate in {ctx.root} {' or '.join(what) or 'is there'}.", "good")
    if first and first.x509:
        say(f"The first to expire is {first.certificate.name}, on {first.x509.not_after:%Y-%m-%d}.")


def _hand_out(ctx: Context, issued: Sequence[Issued]) -> None:
    done = [result.plan.certificate for result in issued]
    owners = [spec.name for spec in done if spec.role in USER_ROLES]
    if owners:
        say(f"Give these certificates to their owners: {', '.join(owners)}.")
    # A kubeconfig that a user has copied still contains the old CA.
    authorities = [result.plan for result in issued if result.plan.certificate.kind is Kind.CA]
    rewritten = {path for plan in authorities for step in plan.steps if step.late for path in step.makes}
    components = {kubeconfig_of(spec) for spec in ctx.specs if spec.subject and spec.role not in USER_ROLES}
    if theirs := sorted(str(path) for path in rewritten - components):
        say(f"Give these kubeconfigs, which contain the new CA, to their owners: {', '.join(theirs)}.")
    if owners or theirs:
        name = quote(owners[0]) if len(owners) == 1 and not theirs else "NAME"
        say("Other kubeconfigs keep the old certificate until they are updated:")
        block([f"kcert kubeconfig {name} --merge ~/.kube/config --replace{ctx.folder_option}"], "command")
    if len(owners) < len(done):
        say(
            "Copy the new files to the hosts that use them: `kcert bundle` packs one archive for each host, and `kcert "
            "export ansible` writes a playbook that installs them."
        )


def _restart(ctx: Context, done: Sequence[Certificate]) -> None:
    needed = restarts(ctx.cluster, [spec for spec in done if not ROLES[spec.role].reloaded])
    others = restarts(ctx.cluster, [spec for spec in done if ROLES[spec.role].reloaded])
    left = {name: tuple(host for host in others[name] if host not in needed.get(name, ())) for name in others}
    noticed = {name: hosts for name, hosts in left.items() if hosts}
    if needed:
        say("Then restart the components that read some of their files only at start:")
        _listed(needed)
    if noticed:
        say(
            "etcd, kube-apiserver and the kubelet (1.31 and later) reload a new certificate by themselves. To be sure, "
            "restart these in a maintenance window:"
        )
        _listed(noticed)
    say(profiles.PROFILES[ctx.cluster.profile].restarting)


def _listed(wanted: dict[str, tuple[str, ...]]) -> None:
    width = max(map(len, wanted))
    block([f"{name:<{width}}  on {', '.join(hosts)}" for name, hosts in wanted.items()])


def _authority(ctx: Context, issued: Issued) -> None:
    plan = issued.plan
    name = plan.certificate.name
    key = ctx.root / plan.certificate.files.key
    signs_there = name == "ca" and ctx.ca_dir is None and unusable_key(key) is None
    begins = bool(ctx.renewal and ctx.renewal.new_key)
    if plan.removes:
        backup = (ctx.ca_dir or ctx.root) / ".kcert" / "backup"
        say(
            f"{name} is a single CA again. The key of the old CA is still in {backup}, and in earlier bundles and "
            "exports. Anyone with that key can sign for the old CA: delete it as soon as no component trusts the "
            "old CA.",
        )
        if signs_there:
            say("Set --cluster-signing-cert-file of kube-controller-manager to the CA file again.")
    elif not begins:
        say(
            f"{name} has the same key as before, so every certificate that it signed stays valid with the old and the "
            "new CA file. The hosts can get the new file one after the other.",
        )
    else:
        screen().print()
        say_apart(
            f"The file of the CA {name} now contains the new and the old CA. Complete the CA rotation in this order:",
            "notice",
        )
        for number, step in enumerate(_rotation(ctx, plan.certificate, signs_there=signs_there), start=1):
            say_apart(f"{number}. {step}")


def _rotation(ctx: Context, ca: Certificate, *, signs_there: bool) -> Iterator[str]:
    """Yield what is left to do once the file of *ca* contains both CAs."""
    option = ctx.signing_option
    yield "Copy the file to every host, and restart the components listed above."
    if signs_there:
        yield (
            "kube-controller-manager accepts one certificate in --cluster-signing-cert-file: set it to "
            f"{ca.files.crt}, which contains only the new CA, and --root-ca-file to the file with both. `kcert flags "
            f"kube-controller-manager{ctx.folder_option}` prints both options, and a bundle contains the files."
        )
    if ca.name == "ca":
        yield (
            "Pods use the CA that they were started with: restart the pods that connect to the API server (kube-proxy, "
            "network plugin, CoreDNS, controllers) with `kubectl rollout restart`."
        )
        yield _in_cluster(ctx)
    yield f"Have the new CA sign all certificates: `kcert renew --all{option}`."
    yield f"When these are in use on every host, remove the old CA: `kcert renew {ca.name} --finish{option}`."


def _in_cluster(ctx: Context) -> str:
    """Name the objects of the cluster that contain its CA, which no file of the PKI folder names.

    Source: https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/
    """
    copies = profiles.PROFILES[ctx.cluster.profile].ca_copies
    join = f"{copies}; " if copies else ""
    return (
        f"Objects in the cluster contain the CA as well: put the file with both CAs into {join}the caBundle of "
        "webhooks and APIServices whose certificates it signed, and only the new CA after --finish. "
        "kube-controller-manager updates kube-root-ca.crt in each namespace, and ca.crt in token Secrets, from "
        "--root-ca-file."
    )


# --- Requests for a CA on another machine


def to_be_signed(ctx: Context, certificates: Sequence[Certificate]) -> None:
    """Say how requests become certificates: signed where the CA is, fetched here."""
    known = {cert.name: cert for cert in ctx.specs}
    wanted = [known.get(cert.name, cert) for cert in certificates if cert.kind is not Kind.KEY_PAIR]
    if not wanted:
        say("Nothing to sign: every certificate exists and is current.", "good")
        return
    if all(cert.kind is Kind.CA for cert in wanted):
        _by_hand_at_the_root(ctx, wanted)
        say_apart(
            "Until then, `kcert all` cannot make certificates, because no CA can sign them. For a self-signed CA "
            "instead, delete its request:"
        )
        waiting = (str(ctx.root / cert.files.csr) for cert in wanted if cert.files.csr)
        block([format_command(("rm", *waiting))], "command")
        screen().print()
        return
    requests = [str(cert.files.csr) for cert in wanted]
    say_commands(
        "Next, the CA has to sign. Copy the requests and kcert.yaml, which defines the usages of each certificate, to "
        "the machine with the CA. The keys stay here.",
        ("tar", "-cf", "requests.tar", "-C", str(ctx.root), *requests),
    )
    say_commands(
        "On that machine, run (with --dir or --ca-dir for the folder of the CA):",
        ("tar", "-xf", "requests.tar"),
        ("kcert", "csr", "sign", *(word for path in requests for word in ("--file", path))),
    )
    example = wanted[0]
    if example.issuer:
        say_commands(
            f"Or by hand, with the openssl.cnf {example.files.cnf} in the same folder, for example for {example.name}:",
            sign_by_hand(example, known[example.issuer], ctx.openssl),
        )
    cas = [known[name].files.crt for name in dict.fromkeys(cert.issuer for cert in wanted) if name]
    if missing := [crt for crt in cas if crt and not (ctx.root / crt).exists()]:
        say_commands(
            "First copy the CA certificate to this machine, without the key. It verifies the certificates.",
            *(("cp", str(crt), str(ctx.root / crt)) for crt in missing),
        )
    _back_here(ctx, wanted)


def to_be_signed_again(ctx: Context, certificates: Sequence[Certificate]) -> None:
    """Say how the requests of CAs that are in use become new certificates for them."""
    crts = {cert.name: cert.files.crt for cert in ctx.specs}
    wanted = [replace(cert, files=replace(cert.files, crt=crts[cert.name])) for cert in certificates]
    _by_hand_at_the_root(ctx, wanted)
    say("Until then, the existing CA keeps signing. What it signed stays valid, because the key is the same.")


def _by_hand_at_the_root(ctx: Context, wanted: Sequence[Certificate]) -> None:
    say_commands(
        "Next, a root CA has to sign a CA that may sign certificates but no other CA (pathlen:0). Copy each request "
        "with its openssl.cnf to the machine with the root CA (root.crt, root.key), and run:",
        *(sign_by_root(cert, ctx.openssl) for cert in wanted),
    )
    say_apart("If the root certificate is appended to that file, kcert also makes `ca-chain.crt` from the two.")
    _back_here(ctx, wanted)


def _back_here(ctx: Context, wanted: Sequence[Certificate]) -> None:
    option = ("--dir", str(ctx.root)) if ctx.folder_option else ()
    beside = {
        cert.name: cert.files.csr.with_name(cert.files.crt.name) for cert in wanted if cert.files.csr and cert.files.crt
    }
    say_commands(
        "Then, back on this machine, fetch each certificate. It is compared with its key and its request first:",
        *(("kcert", "csr", "fetch", name, "--file", str(path), *option) for name, path in beside.items()),
    )
