"""A case: what was found, what is known about what it should be, and the time at which it is judged."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from kcert.certificates import Certificate, Kind
from kcert.inspect.rules import ownership
from kcert.inspect.rules.demands import AUTHORITIES, DEMANDS, Demand
from kcert.inspect.rules.signatures import Signatures
from kcert.inspect.survey import Role, Survey, Use

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kcert.openssl.x509 import X509


@dataclass(frozen=True)
class Found:
    """One certificate in one place, with all that uses it there.

    ``wanted`` is what kcert.yaml says about it, where that is known.
    """

    uses: tuple[Use, ...]
    wanted: Certificate | None = None

    @property
    def use(self) -> Use:
        """The first of its uses."""
        return self.uses[0]

    @property
    def certificate(self) -> X509:
        """What it says."""
        return self.use.certificate

    @property
    def path(self) -> Path:
        """The file to open."""
        return self.use.path

    @property
    def embedded(self) -> bool:
        """True inside a kubeconfig."""
        return self.use.embedded

    @property
    def live(self) -> bool:
        """True where a server showed it: there is no file to mend."""
        return self.use.live is not None

    @property
    def roles(self) -> frozenset[Role]:
        """All that it is for."""
        return frozenset(use.role for use in self.uses if use.role is not None)

    @property
    def demands(self) -> tuple[Demand, ...]:
        """What its roles ask of it, one after the other."""
        return tuple(DEMANDS[role] for role in sorted(self.roles, key=lambda role: role.value))

    @property
    def is_authority(self) -> bool:
        """True where it is used as a CA, or says that it is one."""
        return any(use.kind is Kind.CA for use in self.uses) or bool(self.roles & AUTHORITIES)

    @property
    def only_service_account(self) -> bool:
        """True where it only carries the key that signs service accounts' tokens: nobody looks at the rest."""
        return self.roles == {Role.SERVICE_ACCOUNT}

    @property
    def made_by_kubelet(self) -> bool:
        """True for the serving certificate that a kubelet makes itself where its configuration names none."""
        own = self.certificate.self_issued or any(use.issuer_path == self.path for use in self.uses)
        return own and self.roles == {Role.KUBELET_SERVER} and not any(use.option for use in self.uses)

    @property
    def serves(self) -> bool:
        """True where others dial it."""
        if self.wanted is not None and self.wanted.kind.serves:
            return True
        return any(demand.serves for demand in self.demands) or self._named_as(Kind.SERVER, Kind.PEER)

    @property
    def dials(self) -> bool:
        """True where it is shown to a server."""
        if self.wanted is not None and self.wanted.kind.dials and not self.only_service_account:
            return True
        return any(demand.dials for demand in self.demands) or self._named_as(Kind.CLIENT, Kind.PEER)

    def _named_as(self, *kinds: Kind) -> bool:
        """True where an option uses it as one of *kinds*; what a folder's walk thinks of it is no demand."""
        return any(use.option and use.position == 0 and use.kind in kinds for use in self.uses if use.role is None)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes whose kubelet uses it, where they are known."""
        return tuple(dict.fromkeys(use.node for use in self.uses if use.node))

    @property
    def description(self) -> str:
        """Its place in words that can begin a sentence: which part of which file."""
        if self.embedded:
            return f"the {self.use.option} of {self.path}"
        return str(self.path) if self.use.position == 0 else f"certificate {self.use.position + 1} of {self.path}"


@dataclass
class Case:
    """Everything that a rule can look at.

    ``soon`` is how near an expiry counts as near. ``wanted`` is what kcert.yaml asks for, by the file's absolute path.
    """

    survey: Survey
    now: datetime
    soon: timedelta = timedelta(days=30)
    wanted: Mapping[Path, Certificate] = field(default_factory=dict)
    openssl: str = "openssl"

    @cached_property
    def found(self) -> tuple[Found, ...]:
        """Each certificate in each place once, in the order in which they were found."""
        places: dict[tuple[Path, int, str], list[Use]] = defaultdict(list)
        for use in self.survey.uses:
            places[use.path, use.position, use.certificate.sha256].append(use)
        return tuple(
            Found(tuple(uses), self.wanted_at(path) if position == 0 else None)
            for (path, position, _), uses in places.items()
        )

    def wanted_at(self, path: Path) -> Certificate | None:
        """What kcert.yaml says about the certificate at *path*."""
        return self.wanted.get(path.absolute()) if self.wanted else None

    @cached_property
    def leaves(self) -> tuple[Found, ...]:
        """What is no CA."""
        return tuple(one for one in self.found if not one.is_authority)

    @cached_property
    def authorities(self) -> tuple[Found, ...]:
        """Every CA."""
        return tuple(one for one in self.found if one.is_authority)

    @cached_property
    def worth_judging(self) -> tuple[Found, ...]:
        """``found`` with each CA once, beside its key if that is here, and without a kubelet's own CA."""
        best: dict[str, Found] = {}
        for one in self.authorities:
            other = best.setdefault(one.certificate.sha256, one)
            if _is_nearer_the_source(one, other):
                best[one.certificate.sha256] = one
        own = {one.path for one in self.leaves if one.made_by_kubelet}
        return tuple(
            one
            for one in self.found
            if not one.is_authority or (best[one.certificate.sha256] is one and one.path not in own)
        )

    @cached_property
    def copies(self) -> Mapping[str, tuple[Found, ...]]:
        """All places of a certificate, by its SHA-256."""
        places: dict[str, list[Found]] = defaultdict(list)
        for one in self.found:
            places[one.certificate.sha256].append(one)
        return {sha256: tuple(some) for sha256, some in places.items()}

    @cached_property
    def signatures(self) -> Signatures:
        """Who signed what: openssl's word."""
        return Signatures(self.openssl, [(use.certificate, use.issuers) for use in self.survey.uses])

    @cached_property
    def belonging(self) -> Mapping[Role, X509]:
        """The CA of the cluster, of etcd and of the front proxy, as far as what they signed tells."""
        return ownership.belonging(self)

    def issuer_of(self, found: Found) -> Found | None:
        """The CA that *found* answers to, in a file if it is in one; None where no CA is known."""
        for use in found.uses:
            candidates = [place for issuer in use.issuers for place in self.copies.get(issuer.sha256, ())]
            if candidates:
                # The one whose key is here is the one that can sign.
                return min(
                    candidates,
                    key=lambda place: (
                        self.signatures.verdict(found.certificate, (place.certificate,)) is not None,
                        place.embedded,
                        not any(use.key for use in place.uses),
                        place.path != found.use.issuer_path,
                    ),
                )
        return None

    def option(self, component: str, name: str) -> str | None:
        """The value of a component's option, where its configuration was found; None where it is not set or empty."""
        for configuration in self.survey.configurations:
            if configuration.component == component and configuration.options.get(name):
                return configuration.options[name]
        return None

    @cached_property
    def api_servers(self) -> tuple[Found, ...]:
        """The certificates that API servers show."""
        return tuple(one for one in self.found if Role.APISERVER in one.roles)


def _is_nearer_the_source(one: Found, other: Found) -> bool:
    def rank(found: Found) -> tuple[bool, bool]:
        return found.embedded, not any(use.key for use in found.uses)

    return rank(one) < rank(other)
