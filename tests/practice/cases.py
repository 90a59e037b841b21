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

SCHEDULER = "system:kube-scheduler"

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
    "pods-stay-pending": Case(
        fails=("taken for the right user", KCERT_CHECK),
        wrong=(
            Wrong(
                asked("kube-scheduler", "/CN=kube-scheduler/O=system:kube-scheduler/O=system:masters")
                + signed("kube-scheduler"),
                "system:masters",
            ),
            Wrong(asked("kube-scheduler", f"/CN={SCHEDULER}") + signed("kube-scheduler"), "in no group"),
            Wrong(
                asked("kube-scheduler", f"/CN={SCHEDULER}/O={SCHEDULER}")
                + signed("kube-scheduler").replace("openssl-kube-scheduler", "openssl-kube-apiserver"),
                "unsuitable certificate purpose",
            ),
        ),
    ),
    "pods-cannot-call-home": Case(
        fails=("a pod reaches", "under every name", KCERT_CHECK),
        wrong=(
            Wrong(
                'echo "DNS.{{ next }} = {{ service_ip }}" >> pki/openssl-kube-apiserver.cnf\n'
                + signed("kube-apiserver"),
                "IP address mismatch",
            ),
            Wrong(
                "sed -i.bak '/^DNS/d; /^IP/d' pki/openssl-kube-apiserver.cnf\n"
                'echo "IP.1 = {{ service_ip }}" >> pki/openssl-kube-apiserver.cnf\n' + signed("kube-apiserver"),
                "kubectl reaches it from outside",
            ),
            Wrong(
                "openssl x509 -req -in pki/kube-apiserver.csr -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial "
                "-out pki/kube-apiserver.crt -days 365\n",
                "mismatch",
            ),
        ),
    ),
    "dialled-by-address": Case(
        fails=("the API server reaches", "under every name", KCERT_CHECK),
        wrong=(
            Wrong(
                "sed -i.bak 's/^DNS.* = {{ address }}$/IP.9 = 192.0.2.7/' pki/openssl-{{ server }}.cnf\n"
                + signed("{{ server }}"),
                "IP address mismatch",
            ),
            Wrong(
                "sed -i.bak 's/^DNS.* = .*[a-z].*$//; s/^DNS.* = {{ address }}$/IP.9 = {{ address }}/' "
                "pki/openssl-{{ server }}.cnf\n" + signed("{{ server }}"),
                "Hostname mismatch",
            ),
            Wrong(
                "sed -i.bak 's/^DNS.* = {{ address }}$/IP.9 = {{ address }}/' pki/openssl-{{ server }}.cnf\n"
                + OTHER_CA
                + signed("{{ server }}"),
                "another CA",
            ),
        ),
    ),
    "member-left-out": Case(
        fails=("dials", "accepted from a client", KCERT_CHECK),
        wrong=(
            Wrong(
                "sed -i.bak 's/= serverAuth$/= clientAuth/' pki/openssl-{{ name }}.cnf\n" + signed("{{ name }}"),
                "unsuitable certificate purpose",
            ),
            Wrong(
                "sed -i.bak 's/= serverAuth$/= serverAuth, clientAuth/' pki/openssl-{{ name }}.cnf\n"
                + signed("{{ name }}", "-days 30"),
                "within 90 days",
            ),
            Wrong(
                "other=$(ls pki/etcd-peer-*.crt | grep -v {{ name }} | head -1)\n"
                'cp "$other" pki/{{ name }}.crt\ncp "${other%.crt}.key" pki/{{ name }}.key\n',
                "mismatch",
            ),
        ),
    ),
    "copied-in-a-hurry": Case(
        fails=("is let in", "belong together", "accepted from a client", KCERT_CHECK),
        wrong=(
            Wrong(asked("{{ lost }}", "{{ subject }}") + signed("{{ lost }}"), "the same key"),
            Wrong(
                "cp pki/{{ copied }}.crt pki/{{ lost }}.crt\n",
                "taken for the right user",
            ),
            Wrong(
                "openssl ecparam -name prime256v1 -genkey -noout -out pki/{{ lost }}.key\n",
                "the key is another certificate's",
            ),
        ),
    ),
    "since-this-morning": Case(
        fails=("reaches the API server", "under every name", "lasts", KCERT_CHECK),
        wrong=(
            Wrong(signed("kube-apiserver", ""), "within 90 days"),
            Wrong(signed("{{ user }}"), "has expired"),
            Wrong(
                "openssl x509 -req -in pki/kube-apiserver.csr -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial "
                "-out pki/kube-apiserver.crt -days 365\n",
                "mismatch",
            ),
        ),
    ),
    "node-not-ready": Case(
        fails=("taken for the right user", KCERT_CHECK),
        wrong=(
            Wrong(
                asked("{{ name }}", "/CN={{ node }}/O=system:nodes") + signed("{{ name }}"), "in the group system:nodes"
            ),
            Wrong(
                asked("{{ name }}", "/CN=system:node:{{ node }}/O=system:node") + signed("{{ name }}"),
                "in the group system:node",
            ),
            Wrong(
                asked("{{ name }}", "/CN=system:node:{{ node }}/O=system:nodes/O=system:masters")
                + signed("{{ name }}"),
                "system:masters",
            ),
        ),
    ),
    "kubectl-trusts-nobody": Case(
        fails=("kubectl with", KCERT_CHECK),
        wrong=(
            Wrong("cp {{ old }}/ca.crt pki/ca.crt\n", "another CA"),
            Wrong(
                "sed -i.bak 's|certificate-authority-data: .*|insecure-skip-tls-verify: true|' "
                "pki/{{ name }}.kubeconfig\n",
                "told to look away",
            ),
            Wrong(
                'sed -i.bak "s|certificate-authority-data: .*|certificate-authority-data: '
                "$(base64 < pki/ca.crt | tr -d '\\n')|; s|server: .*|server: https://127.0.0.1:6443|\" "
                "pki/{{ name }}.kubeconfig\n",
                "it dials",
            ),
            Wrong(
                'sed -i.bak "s|certificate-authority-data: .*|certificate-authority-data: '
                "$(base64 < pki/ca.crt | tr -d '\\n')|\" pki/{{ name }}.kubeconfig\nrm pki/*.bak\n"
                "chmod 644 pki/{{ name }}.kubeconfig\n",
                "others may read",
            ),
        ),
    ),
}
