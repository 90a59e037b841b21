"""Rules about options that name a certificate and its key, or a kubeconfig, and about those that are not set.

What an option names by mistake is right for its own use: the option is changed, and no certificate is re-created.
Sources of what a component needs: the validation of options in k8s.io/apiserver (serving.go, etcd.go), and etcd's
client/pkg/transport (``TLSInfo.baseConfig``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from kcert.certificates import Kind, Role
from kcert.check import corrections, placing
from kcert.check.rule import CertificateInstance, RuleContext, Violation, error
from kcert.files import mistyped
from kcert.openssl.program import key_belongs
from kcert.quoting import in_sentence
from kcert.roles import CA_ROLES, KUBELET_ROLES, ROLES, kubeconfig_role
from kcert.scan import CertificateRef, Configuration, KeyFile, Problem
from kcert.scan.fs import cluster_root_of, lexists
from kcert.scan.layouts import FILE_OPTIONS, key_option, possible_keys


def wrong_certificate_option(ctx: RuleContext) -> Iterator[Violation]:
    """Yield options that name the certificate of another use."""
    for use, right in ctx.scan.misnamed:
        if use.configuration is None or use.source is None or right.key_path is None:
            continue
        values, own_option = use.configuration.options, key_option(use.option)
        changes = [(use.option or "", values.get(use.option or "", ""), use.path, right.path)]
        if use.key_path not in (None, right.key_path) and values.get(own_option):
            changes.append((own_option, values[own_option], use.key_path, right.key_path))
        options = " and ".join(f"{option} should name {path}" for option, *_, path in changes)
        message = (
            f"{use.option} of {use.component} is set to {changes[0][1]}, which was made for another use "
            f"({use.certificate.subject}): {options}."
        )
        fix = placing.options_changed(
            use.source, *((option, old, placing.as_written(old, *paths)) for option, old, *paths in changes)
        )
        yield Violation(use.source, message, f"{use.option}={changes[0][1]}: {use.certificate.subject}", fix)
    yield from _wrong_kubeconfigs(ctx)


def _wrong_kubeconfigs(ctx: RuleContext) -> Iterator[Violation]:
    """Yield components with the kubeconfig of another user of the cluster."""
    users = {
        use.kubeconfig.path: use for use in ctx.scan.uses if use.kubeconfig and use.role and use.kind is Kind.CLIENT
    }
    for configuration in ctx.scan.configurations:
        component, values = configuration.component, configuration.options
        known, role = FILE_OPTIONS.get(component, {}), kubeconfig_role(component)
        wrong = {
            option: path
            for option, path in configuration.resolved.items()
            if option in known and known[option].holds == "kubeconfig" and path in users
            if users[path].role not in {role, *KUBELET_ROLES}
        }
        if role is None or not wrong:
            continue
        option, first = next(iter(wrong.items()))
        own = (path for path, use in users.items() if use.role is role)
        right = next((path for path in own if cluster_root_of(path) == cluster_root_of(first)), None)
        user = in_sentence(users[first].certificate.subject.common_name or "")
        message = (
            f"{' and '.join(wrong)} of {component} {'name' if len(wrong) > 1 else 'names'} {first}, the kubeconfig of "
            f"{user}: {component} works as that user, with its rights. "
            + (f"{right} is the kubeconfig of {component}." if right else f"Make a kubeconfig for {component}.")
        )
        changes = [
            (name, values[name], placing.as_written(values[name], path, right)) for name, path in wrong.items() if right
        ]
        fix = placing.options_changed(configuration.source, *changes) if changes else ""
        yield Violation(configuration.source, message, f"{option}={values[option]}: {user}", fix)


def as_named(ctx: RuleContext, faults: Callable[[RuleContext], int]) -> RuleContext:
    """Return the context in which each option names the certificate that was made for it.

    An option may as well name another one that serves: it is taken for a mistake only where a CA is presented, or
    where *faults*, the number of faults, gets no larger although the mistake counts as one.
    """
    candidates = [(use, cert) for use in ctx.scan.uses if (cert := _made_for(ctx, use))]
    fewest = faults(ctx) if candidates else 0
    # Of two options that name each other's certificates one may be seen only once the other is corrected.
    is_corrected = True
    while is_corrected:
        is_corrected = False
        for use, cert in tuple(candidates):
            corrected = _corrected(ctx, use, cert)
            count = faults(corrected)
            if use.certificate.ca or count <= fewest:
                ctx, fewest, is_corrected = corrected, count, True
                candidates.remove((use, cert))
    return ctx


def _made_for(ctx: RuleContext, use: CertificateRef) -> CertificateInstance | None:
    """Return the certificate that the option of *use* should name; None if its own has no other place, or is alone."""
    if not key_option(use.option) or use.configuration is None or use.position or use.role in {None, *CA_ROLES}:
        return None
    if corrections.role_by_place(ctx, use.path, use.certificate) in (None, use.role):
        return None
    home = cluster_root_of(use.path)
    return next((cert for cert in leaves_for(ctx, use.role) if cluster_root_of(cert.path) == home), None)


def meant(ctx: RuleContext, problem: Problem) -> Path | None:
    """Return the file that an option should name in place of one that does not exist; None if nothing shows it.

    It is in the same folder, or in one with nearly the same name: in others the copy of a file may be missing.
    """
    option = FILE_OPTIONS.get(problem.component or "", {}).get(problem.option or "")
    if option is None or problem.source is None:
        return None
    paths: Iterable[Path] = ()
    if option.holds == "kubeconfig":
        role = kubeconfig_role(problem.component)
        paths = (use.kubeconfig.path for use in ctx.scan.uses if use.kubeconfig and use.role is role and role)
    elif option.holds == "certificate":
        paths = (cert.path for cert in leaves_for(ctx, option.role))
    elif option.holds == "authority" and option.role:
        right = ctx.owners.near(problem.source).get(option.role)
        copies = ctx.copies.get(right.sha256, ()) if right else ()
        paths = (ca.path for ca in copies if ca.has_file and _place(ctx, ca) is option.role)
    elif option.holds == "key":
        pairs = (cert for cert in ctx.found for use in cert.uses if use.source == problem.source)
        keys = (
            own_key(ctx, cert) for cert in pairs if any(key_option(use.option) == problem.option for use in cert.uses)
        )
        paths = (key.path for key in keys if key)
    folder = problem.path.parent
    near = folder if lexists(folder) else mistyped(folder)
    return next((path for path in paths if path.parent == near), None)


def leaves_for(ctx: RuleContext, role: Role | None) -> Iterator[CertificateInstance]:
    """Yield certificates with their keys that are in the usual place for *role*, whatever options name them."""
    for cert in ctx.found:
        is_leaf = cert.has_file and not cert.use.position and not cert.certificate.ca
        if role and is_leaf and _place(ctx, cert) is role and own_key(ctx, cert):
            yield cert


def _place(ctx: RuleContext, cert: CertificateInstance) -> Role | None:
    return corrections.role_by_place(ctx, cert.path, cert.certificate)


def _corrected(ctx: RuleContext, use: CertificateRef, cert: CertificateInstance) -> RuleContext:
    key, other = own_key(ctx, cert), cert.use
    right = replace(
        use,
        certificate=cert.certificate,
        path=cert.path,
        key_path=key.path if key else None,
        key=key,
        key_fits=True,
        chain=other.chain,
        issuers=other.issuers if other.role is use.role else use.issuers,
        issuer_path=other.issuer_path if other.role is use.role else use.issuer_path,
    )
    named = (use.path, use.option, use.source)
    rest = (other for other in ctx.scan.uses if (other.path, other.option, other.source) != named)
    scan = replace(ctx.scan, uses=[right, *rest], misnamed=(*ctx.scan.misnamed, (use, right)))
    return replace(ctx, scan=scan)


def own_key(ctx: RuleContext, cert: CertificateInstance) -> KeyFile | None:
    """Return the key in a usual place beside *cert* that belongs to it."""
    keys = (ctx.scan.keys.get(path) for path in possible_keys(cert.path))
    return next((key for key in keys if key and key_belongs(key.pem, cert.certificate.public_key)), None)


_STOPS = "does not start"
_HALF_A_PAIR = {
    "--kubelet-client": "presents no certificate to the kubelets, which answer Unauthorized",
    "--proxy-client": "presents no certificate to extension API servers, which reject its requests",
    "--cluster-signing": "signs no certificate signing request",
}
"""The effect of half a pair, by the beginning of the options; with others the component does not start."""


@dataclass(frozen=True)
class Need:
    """An option that a component needs beside the option ``given``, for a file of ``role``.

    ``without`` is what it does without that option: a clause that can follow its name.
    """

    component: str
    given: str
    option: str
    role: Role
    without: str


NEEDS = (
    Need(
        *("kube-apiserver", "--tls-cert-file", "--client-ca-file", Role.CLUSTER_CA),
        "recognizes no client certificate: every user and component that presents one gets Unauthorized",
    ),
    Need(
        *("kube-apiserver", "--etcd-certfile", "--etcd-cafile", Role.ETCD_CA),
        "trusts only the CAs of the operating system, and rejects etcd",
    ),
    Need(
        *("kube-apiserver", "--etcd-cafile", "--etcd-certfile", Role.APISERVER_ETCD_CLIENT),
        "presents no certificate to etcd, which rejects it",
    ),
    Need(
        *("kube-apiserver", "--client-ca-file", "--tls-cert-file", Role.APISERVER),
        "presents a self-signed certificate, which no client trusts",
    ),
    Need(
        *("kube-apiserver", "--client-ca-file", "--kubelet-client-certificate", Role.APISERVER_KUBELET_CLIENT),
        "presents no certificate to the kubelets: kubectl logs and kubectl exec get Unauthorized",
    ),
    Need(
        *("etcd", "--client-cert-auth", "--trusted-ca-file", Role.ETCD_CA),
        "trusts only the CAs of the operating system, and rejects every client",
    ),
    Need(
        *("etcd", "--peer-client-cert-auth", "--peer-trusted-ca-file", Role.ETCD_CA),
        "trusts only the CAs of the operating system, and rejects every other member",
    ),
)


def missing_option(ctx: RuleContext) -> Iterator[Violation]:
    """Yield components that lack an option which another of their options needs."""
    for configuration in ctx.scan.configurations:
        if configuration.incomplete:
            continue
        yield from _half_pairs(ctx, configuration)
        for need in NEEDS:
            if need.component == configuration.component and _is_unmet(ctx, need, configuration):
                added = _added(ctx, need, configuration)
                if added or need.role in {*CA_ROLES, Role.APISERVER_ETCD_CLIENT}:
                    yield _violation(configuration, need.given, need.option, need.without, added)


def _half_pairs(ctx: RuleContext, configuration: Configuration) -> Iterator[Violation]:
    options = configuration.options
    for name, option in FILE_OPTIONS.get(configuration.component, {}).items():
        key = option.key
        if key is None or bool(options.get(name)) == bool(options.get(key)):
            continue
        given, missing = (name, key) if options.get(name) else (key, name)
        path = configuration.resolved.get(given)
        pairs = [(cert.path, own.path) for cert in ctx.found if (own := own_key(ctx, cert)) and cert.has_file]
        other = next((pair[given == name] for pair in pairs if path == pair[given != name]), None)
        if other is None and name.startswith("--cluster-signing"):
            continue  # the key of an external CA is elsewhere
        without = next((text for begin, text in _HALF_A_PAIR.items() if name.startswith(begin)), _STOPS)
        yield _violation(configuration, given, missing, without, {missing: other} if other else {})


def _is_unmet(ctx: RuleContext, need: Need, configuration: Configuration) -> bool:
    options, verifier = configuration.options, (need.component, need.option)
    if options.get(need.given, "false") in ("", "false") or options.get(need.option):
        return False
    if need.component == "kube-apiserver" and not options.get("--etcd-servers"):
        return False  # no API server starts without it: this is an excerpt, or the rest is not here
    of_etcd = ROLES[need.role].ca is Role.ETCD_CA or need.role is Role.ETCD_CA
    if of_etcd and need.component == "kube-apiserver" and "https://" not in options.get("--etcd-servers", "https://"):
        return False
    if need.option == "--client-ca-file":
        return any(verifier in ROLES[role].verified_by for cert in ctx.leaves for role in cert.roles)
    if need.role is Role.APISERVER_ETCD_CLIENT:
        return ctx.option("etcd", "--trusted-ca-file", configuration.source) is not None
    return True


def _added(ctx: RuleContext, need: Need, configuration: Configuration) -> dict[str, Path]:
    """Return the options to add, with their files; empty if those are not here."""
    home = cluster_root_of(configuration.source)
    if need.role in CA_ROLES:
        right = ctx.owners.near(configuration.source).get(need.role)
        copies = ctx.copies.get(right.sha256, ()) if right else ()
        paths = [ca.path for ca in copies if ca.has_file and cluster_root_of(ca.path) == home]
        own = {path.parent for path in configuration.resolved.values()}
        return {need.option: min(paths, key=lambda path: path.parent not in own)} if paths else {}
    own_option = key_option(need.option)
    for cert in leaves_for(ctx, need.role):
        key = own_key(ctx, cert)
        if key and cluster_root_of(cert.path) == home and not configuration.options.get(own_option):
            return {need.option: cert.path, own_option: key.path}
    return {}


def _violation(
    configuration: Configuration, given: str, missing: str, without: str, files: dict[str, Path]
) -> Violation:
    component, source = configuration.component, configuration.source
    message = f"{given} of {component} is set, and {missing} is not: {component} {without}."
    if files:
        message += f" Set {' and '.join(f'{option} to {path}' for option, path in files.items())}."
    value, resolved = configuration.options[given], configuration.resolved
    beside = next((name for name, path in resolved.items() if str(path).endswith(configuration.options[name])), None)
    old = (configuration.options[beside], resolved[beside]) if beside else (value, source)
    added = [f"{option}={placing.as_written(*old, path)}" for option, path in files.items()]
    fix = placing.options_added(source, given, *added) if added else ""
    return Violation(source, message, f"{source} does not set {missing}", fix)


RULES = (error("wrong-certificate-option", wrong_certificate_option), error("missing-option", missing_option))
