"""Faults of the keys that sign the tokens of service accounts, and of those that verify the tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kcert.certificates import Role
from kcert.check import bash, placing
from kcert.check.rule import RuleContext, Violation
from kcert.openssl.pem import pem_blocks
from kcert.openssl.program import key_belongs, public_part
from kcert.openssl.x509 import PublicKey
from kcert.scan import Configuration, KeyFile
from kcert.scan.fs import cluster_root_of

_SIGN = ("--service-account-signing-key-file", "--service-account-private-key-file")
_VERIFY = "--service-account-key-file"

PublicParts = Mapping[Path, list[PublicKey | None]]
"""Public keys by file: bare ones, and those of certificates and of private keys; None for one that cannot be read."""


@dataclass(frozen=True)
class TokenKey:
    """A key that signs tokens: *option* of *configuration* names it, or its place shows it (``sa.key``)."""

    key: KeyFile
    configuration: Configuration | None = None
    option: str = ""

    @property
    def root(self) -> Path:
        """The root of the host, or the folder, whose tokens it signs."""
        return cluster_root_of(self.configuration.source if self.configuration else self.key.path)

    def is_unknown_to(self, public: PublicParts) -> bool:
        """True if none of the *public* keys belongs to it; False where one of them cannot be read."""
        parts = [part for parts in public.values() for part in parts]
        return bool(parts) and None not in parts and all(_fits(self.key, part) is False for part in parts)


def _fits(key: KeyFile, public: PublicKey | None) -> bool | None:
    return key_belongs(key.pem, public) if public else None


def token_keys(ctx: RuleContext) -> Iterator[Violation]:
    """Yield tokens' keys that sign what no API server of the cluster accepts."""
    verifying = _verifying(ctx, _signing(ctx))
    for token_key, public in verifying:
        if not token_key.is_unknown_to(public):
            continue
        path, key = next(iter(public)), token_key.key
        message = (
            f"{path} does not contain the public key of {key.path}, which signs the tokens of service accounts: "
            "the API server answers every token that is signed with it with Unauthorized."
        )
        evidence = f"no public key in {path} belongs to {key.path}"
        if violation := _wrong_option(ctx, token_key, public, message, evidence):
            yield violation
            continue
        message += (
            " Adding the public key keeps the tokens of the other key valid; give every API server of the cluster the "
            "same files."
        )
        # The empty line ends a last line that has no newline: two blocks on one line are none for Go.
        public_key = bash.command("openssl", "pkey", "-in", key.path, "-pubout")
        added = f"{{ cat {bash.word(placing.target_of(path))} && echo && {public_key}; }}"
        # Other components read such a file as well.
        fix = "" if _has_another_use(ctx, path) else placing.rewritten(path, added)
        yield Violation(path, message, evidence, fix)
    yield from _other_hosts(ctx, verifying)


def _wrong_option(
    ctx: RuleContext, token_key: TokenKey, public: PublicParts, message: str, evidence: str
) -> Violation | None:
    """Return the fault that an option names a file of another use, where the right file is beside it."""
    configuration, option = token_key.configuration, token_key.option
    old, new = token_key.key.path, None
    if configuration and _has_another_use(ctx, old):
        parts = [part for some in public.values() for part in some]
        keys = (key for key in ctx.scan.keys.values() if cluster_root_of(key.source or key.path) == token_key.root)
        new = next((key.path for key in keys if any(_fits(key, part) for part in parts)), None)
    elif _has_another_use(ctx, old := next(iter(public))):
        option = _VERIFY
        configuration = next((some for some in ctx.scan.configurations if some.resolved.get(option) == old), None)
        beside = _public_files(ctx, token_key.root, named=False)
        by_place = (cert for cert in ctx.found if cert.only_service_account and cert.path.parent == old.parent)
        beside |= {cert.path: [cert.certificate.public_key] for cert in by_place}
        new = next((path for path, parts in beside.items() if not token_key.is_unknown_to({path: parts})), None)
    if new is None or configuration is None:
        return None
    value = configuration.options.get(option, "")
    message += f" {option} of {configuration.component} is set to {value}; it should name {new}."
    fix = placing.options_changed(configuration.source, (option, value, placing.as_written(value, old, new)))
    return Violation(configuration.source, message, evidence, fix)


def _has_another_use(ctx: RuleContext, path: Path) -> bool:
    """True for the file of a certificate, or of its key, that is for more than the tokens of service accounts."""
    return any(
        cert.path == path or any(use.key_path == path and use.key_fits for use in cert.uses)
        for cert in ctx.found
        if cert.roles - {Role.SERVICE_ACCOUNT}
    )


def _other_hosts(ctx: RuleContext, verifying: list[tuple[TokenKey, PublicParts]]) -> Iterator[Violation]:
    hosts: dict[Path, tuple[TokenKey, PublicParts]] = {}
    for token_key, public in verifying:
        if public:
            hosts.setdefault(token_key.root, (token_key, public))
    for home, (token_key, _) in hosts.items():
        cluster = ctx.owners.near(token_key.key.path).get(Role.CLUSTER_CA)
        for other_home, (other, public) in hosts.items():
            same = cluster is not None and ctx.owners.near(other.key.path).get(Role.CLUSTER_CA) == cluster
            if other_home == home or not same or not token_key.is_unknown_to(public):
                continue
            path = next(iter(public))
            message = (
                f"{path} does not contain the public key of {token_key.key.path}, although both hosts have the same "
                "CA of the cluster: tokens of service accounts that one host signs are Unauthorized on the other. "
                "Copy the pair from the correct host: its tokens stay valid, and those of the other host become "
                "invalid."
            )
            evidence = f"{token_key.key.path} and {other.key.path} are different keys"
            yield Violation(path, message, evidence, "")


def _signing(ctx: RuleContext) -> list[TokenKey]:
    """Return the keys that sign tokens, each once for a host."""
    named = [
        TokenKey(key, configuration, option)
        for configuration in ctx.scan.configurations
        for option in _SIGN
        if (path := configuration.resolved.get(option)) and (key := ctx.scan.keys.get(path))
    ]
    by_place = [TokenKey(key) for key in ctx.scan.keys.values() if key.path.stem == "sa" and key.option is None]
    first = {(token_key.key.path, token_key.root): token_key for token_key in reversed([*named, *by_place])}
    return list(reversed(first.values()))


def _verifying(ctx: RuleContext, signing: list[TokenKey]) -> list[tuple[TokenKey, PublicParts]]:
    """Return the keys with the public keys that verify their tokens: what an option of the host names, or sa.pub."""
    named = {token_key.root: _public_files(ctx, token_key.root, named=True) for token_key in signing}
    for use in ctx.scan.uses:
        if use.option == _VERIFY and (root := cluster_root_of(use.source or use.path)) in named:
            named[root].setdefault(use.path, []).append(use.certificate.public_key)
    return [(token_key, named[token_key.root] or _beside(ctx, token_key)) for token_key in signing]


def _beside(ctx: RuleContext, token_key: TokenKey) -> PublicParts:
    files = _public_files(ctx, token_key.root, named=False)
    return {path: parts for path, parts in files.items() if path.stem == token_key.key.path.stem}


def _public_files(ctx: RuleContext, root: Path, *, named: bool) -> dict[Path, list[PublicKey | None]]:
    return {
        file.path: [public_part(block) for block in pem_blocks(file.pem)]
        for file in ctx.scan.public_keys.values()
        if (file.option is not None) is named and cluster_root_of(file.source or file.path) == root
    }
