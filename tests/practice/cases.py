"""What each lab has to be told apart by: what fails at its start, and repairs that are none.

A wrong repair is a bash script, run in the lab's folder, with the lab's own placeholders in it; ``refused`` is part of
what the check says then.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wrong:
    """A repair that is none, and what the check has to say about it."""

    script: str
    refused: str


@dataclass(frozen=True)
class Case:
    """``fails`` is part of each trial, or of its reason, that fails at the start; nothing else fails."""

    fails: tuple[str, ...]
    wrong: tuple[Wrong, ...]


SIGN = (
    "openssl x509 -req -in pki/{name}.csr -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -out pki/{name}.crt "
    "-extensions v3_req -extfile pki/openssl-{name}.cnf {more}"
)


def asked(name: str, subject: str) -> str:
    """The command for a new request."""
    return (
        f'openssl req -new -key pki/{name}.key -subj "{subject}" -config pki/openssl-{name}.cnf -out pki/{name}.csr\n'
    )


def signed(name: str, more: str = "-days 365") -> str:
    """The command for a new signature."""
    return SIGN.format(name=name, more=more) + "\n"


OTHER_CA = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout pki/ca.key -subj /CN=Kubernetes-CA "
    "-config pki/openssl-ca.cnf -extensions v3_req -days 3650 -out pki/ca.crt\n"
)

KCERT_CHECK = "`kcert check"

CASES = {
    "admin-without-rights": Case(
        fails=("taken for the right user", KCERT_CHECK),
        wrong=(
            Wrong(asked("{{ name }}", "/CN={{ who }}/O={{ groups }}") + signed("{{ name }}", ""), "within 90 days"),
            Wrong(
                asked("{{ name }}", "/CN={{ who }}/O=system:masters/O=system:nodes") + signed("{{ name }}"),
                "system:nodes",
            ),
            Wrong(OTHER_CA + asked("{{ name }}", "/CN={{ who }}/O={{ groups }}") + signed("{{ name }}"), "another CA"),
            Wrong(
                asked("{{ name }}", "/CN={{ who }}/O={{ groups }}") + signed("{{ name }}") + "chmod 644 pki/*.key",
                "others may read",
            ),
        ),
    ),
}
