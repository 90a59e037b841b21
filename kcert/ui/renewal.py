"""What follows when certificates have been renewed: who has to get the new files, and be started anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kcert import profiles
from kcert.certificates import ROOT, Kind
from kcert.clusters import cluster_kind_of
from kcert.durations import in_words
from kcert.kubernetes.components import restarts, user_certificates
from kcert.kubernetes.placement import unusable_key
from kcert.profiles.profile import kubeconfig_of
from kcert.quoting import quote
from kcert.roles import ROLES
from kcert.ui.console import block, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.certificates import Certificate
    from kcert.issue.context import Context, Issued, Renewal, Result
    from kcert.issue.status import CertificateStatus
    from kcert.kubernetes.components import Restart


def follows(ctx: Context, result: Result, first: CertificateStatus | None) -> None:
    """What has to happen next, for the cluster to use what is in place now.

    *first* is the certificate that ends first, where nothing had to be renewed.
    """
    if not result.issued:
        if ctx.renewal and not ctx.renewal.named and not result.kept:
            _nothing(ctx, ctx.renewal, first)
        return
    issued = [one for one in result.issued if one.plan.certificate.name != ROOT]
    done = [one.plan.certificate for one in issued]
    backup = ctx.root / ".kcert" / "backup"
    say(f"What was there before is kept in {backup}.")
    if not ctx.cluster.profile:
        kind = cluster_kind_of(ctx.root)
        say("Components that read their files only when they start use the new ones after a restart.")
        if kind and kind.restart:
            block([kind.restart], "command")
        return
    _hand_out(ctx, issued)
    if restarts(ctx.cluster, done):
        _restart(ctx, done)
    for one in issued:
        if one.plan.certificate.kind is Kind.CA:
            _authority(ctx, one)


def _nothing(ctx: Context, renewal: Renewal, first: CertificateStatus | None) -> None:
    what = [f"ends within {in_words(renewal.within)}"] if renewal.within is not None else []
    what += ["differs from kcert.yaml"] if renewal.stale else []
    say(f"Nothing to renew: no certificate in {ctx.root} {' or '.join(what) or 'is there'}.", "good")
    if first and first.x509:
        say(f"The first to end is {first.certificate.name}, on {first.x509.not_after:%Y-%m-%d}.")


def _hand_out(ctx: Context, issued: Sequence[Issued]) -> None:
    done = [one.plan.certificate for one in issued]
    owners = user_certificates(done)
    if owners:
        say(f"To be handed to their owners: {', '.join(owners)}.")
    # Whoever has a kubeconfig at home has the CA's old file in it.
    authorities = [one.plan for one in issued if one.plan.certificate.kind is Kind.CA]
    rewritten = {path for one in authorities for step in one.steps if step.late for path in step.makes}
    components = {kubeconfig_of(one) for one in ctx.specs if one.subject and not user_certificates([one])}
    if theirs := sorted(str(path) for path in rewritten - components):
        say(f"Kubeconfigs to be handed to their owners, with the CA as it is now: {', '.join(theirs)}.")
    if owners or theirs:
        name = quote(owners[0]) if len(owners) == 1 and not theirs else "NAME"
        say("What another kubeconfig has of it, it goes on using, until this brings it up to date:")
        block([f"kcert kubeconfig {name} --merge ~/.kube/config --replace{ctx.folder_option}"], "command")
    if len(owners) < len(done):
        say(
            "Bring the new files to the hosts that use them; `kcert bundle` packs them, a host at a time, and `kcert "
            "export ansible` all of them, with a play that brings them out."
        )


def _restart(ctx: Context, done: Sequence[Certificate]) -> None:
    needed = restarts(ctx.cluster, [one for one in done if not ROLES[one.role].reloaded])
    noticed = _beside(needed, restarts(ctx.cluster, [one for one in done if ROLES[one.role].reloaded]))
    if needed:
        say("Then start anew what reads its files, or some of them, only when it starts:")
        _listed(needed)
    if noticed:
        say(
            "etcd and kube-apiserver notice a new certificate by themselves, and so does a kubelet from 1.31 on. To be "
            "sure, start these anew in a quiet hour:"
        )
        _listed(noticed)
    say(profiles.PROFILES[ctx.cluster.profile].restarting)


def _beside(first: Sequence[Restart], others: Sequence[Restart]) -> list[Restart]:
    """What *others* asks for and *first* does not."""
    asked = {(one.component, host) for one in first for host in one.hosts}
    left = [
        replace(one, hosts=tuple(host for host in one.hosts if (one.component, host) not in asked)) for one in others
    ]
    return [one for one in left if one.hosts]


def _listed(wanted: Sequence[Restart]) -> None:
    width = max(len(one.component) for one in wanted)
    block([f"{one.component:<{width}}  on {', '.join(one.hosts)}" for one in wanted])


def _authority(ctx: Context, issued: Issued) -> None:
    plan = issued.plan
    name, option = plan.certificate.name, ctx.signing_option
    key = ctx.root / plan.certificate.files.key
    signs_there = name == "ca" and ctx.ca_dir is None and unusable_key(key) is None
    begins = bool(ctx.renewal and ctx.renewal.new_key)
    if plan.removes:
        backup = (ctx.ca_dir or ctx.root) / ".kcert" / "backup"
        say(
            f"{name} is one CA again. The old one's key is still in {backup}, and in what was packed "
            "before for hosts that had it (bundles, exports): whoever has it can sign for the old CA, so take it away "
            "once nothing trusts that any more.",
        )
        if signs_there:
            say("--cluster-signing-cert-file of kube-controller-manager names the CA's own file again.")
    elif not begins:
        say(
            f"{name} has the same key as before, so every certificate that it signed stays valid, with the old file "
            "and with the new one: the hosts can get it one after the other.",
        )
    else:
        alone = plan.certificate.files.crt
        say(
            f"{name} is now two: its file holds the new CA and the old. First bring that file to every host, and start "
            f"anew what is listed; only then `kcert renew --all{option}`, which lets the new CA sign all leaves; and "
            f"when these are in use, `kcert renew {name} --finish{option}`.",
            "notice",
        )
        if name == "ca":
            say(
                "Pods hold the CA that they were started with: before the leaves are renewed, start those anew that "
                "talk to the API server (kube-proxy and the network's where they are pods, CoreDNS, controllers): "
                "`kubectl rollout restart`."
            )
            _in_cluster(ctx)
        if signs_there:
            say(
                f"kube-controller-manager takes a single certificate as --cluster-signing-cert-file: give it {alone}, "
                "which holds the new CA alone, and the file with both as --root-ca-file. `kcert flags "
                f"kube-controller-manager{ctx.folder_option}` has both, and a bundle brings them."
            )


def _in_cluster(ctx: Context) -> None:
    """Where the cluster itself holds its CA: nothing in the PKI folder leads there.

    Source: https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/
    """
    copies = profiles.PROFILES[ctx.cluster.profile].ca_copies
    join = f"{copies}; " if copies else ""
    say(
        f"The cluster holds the CA as well: put the file with both into {join}the caBundle of webhooks and APIServices "
        "whose servers it signed, and the new CA alone after --finish. kube-root-ca.crt in each namespace, and "
        "ca.crt in Secrets of service accounts' tokens, are kube-controller-manager's, which writes them from "
        "--root-ca-file."
    )
