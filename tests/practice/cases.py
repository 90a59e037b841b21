"""The cases that each lab has to distinguish: what fails at its start, wrong repairs, and repairs by another way.

A wrong repair is a bash script, run in the lab's folder, with the lab's own placeholders in it; ``refused`` is part of
what the check says then.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BadRepair:
    """A repair that is none, and what the check has to say about it."""

    script: str
    refused: str


@dataclass(frozen=True)
class LabCase:
    """``fails`` is part of each trial, or of its reason, that fails at the start; nothing else fails.

    ``other_way`` is a bash script that repairs it, and has little in common with the printed solution.
    """

    fails: tuple[str, ...]
    wrong: tuple[BadRepair, ...]
    other_way: str = ""


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

NEW_CA = (
    'openssl req -new -key pki/ca.key -subj "{{ subject }}" -config pki/openssl-ca.cnf -out pki/ca.csr\n'
    "openssl x509 -req -in pki/ca.csr -signkey pki/ca.key -out pki/ca.crt "
)
"""The CA of make-the-ca, as far as its key and its request go."""

CA_SETTINGS = "-extensions v3_req -extfile pki/openssl-ca.cnf"

KEY = "openssl ecparam -name prime256v1 -genkey -noout -out {}\n"

ADMIN = (
    'openssl req -new -key pki/admin.key -subj "{}" -config pki/openssl-client.cnf -out pki/admin.csr\n'
    "openssl x509 -req -in pki/admin.csr -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -out pki/admin.crt "
)

CLIENT = "-extensions v3_req -extfile pki/openssl-client.cnf"

MANIFESTS = "etc/kubernetes/manifests"
ETCD, API_SERVER = f"{MANIFESTS}/etcd.yaml", f"{MANIFESTS}/kube-apiserver.yaml"


def edited(manifest: str, command: str) -> str:
    """The commands that let *command* make a new manifest of an old one."""
    return f"{command} {manifest} > new\nmv new {manifest}\n"


CERTIFIED = (
    "openssl x509 -req -in {csr} -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -out given.crt "
    "-days 365 -extensions v3_req -extfile pki/openssl-client.cnf\n"
)


def answered(name: str, condition: str, certificate: str = "") -> str:
    """The command that decides about an object."""
    given = f" '  certificate: '\"$(openssl base64 -A -in {certificate})\"" if certificate else ""
    return (
        f"printf '%s\\n' 'status:'{given} '  conditions:' '  - type: {condition}' '    status: \"True\"' "
        f"'    reason: x' '    message: x' >> requests/{name}-csr.yaml\n"
    )


SECOND_CA = (
    "openssl ecparam -name prime256v1 -genkey -noout -out pki/ca-new.key\n"
    'openssl req -new -x509 -key pki/ca-new.key -subj "/CN=Kubernetes-CA" -config pki/openssl-ca.cnf '
    "-extensions v3_req -days 3650 -out pki/ca-new.crt\n"
)
BOTH = "cp pki/ca.crt pki/ca-old.crt\ncat pki/ca-new.crt pki/ca-old.crt > pki/ca.crt\n"
NEW_LEAVES = (
    "for name in {{ leaves }}; do openssl x509 -req -in pki/$name.csr -CA pki/ca-new.crt -CAkey pki/ca-new.key "
    "-CAcreateserial -out pki/$name.crt -days 365 -extensions v3_req -extfile pki/openssl-$name.cnf 2>/dev/null; done\n"
)
NEW_ALONE = "cp pki/ca-new.crt pki/ca.crt\ncp pki/ca-new.key pki/ca.key\n"


def rolled(number: int) -> str:
    """The command that rolls out what is in pki."""
    return f"cp -Rp pki rollouts/{number}\n"


CASES = {
    "make-the-ca": LabCase(
        fails=("pki/ca.crt does not exist", "pki/ca.key does not exist"),
        wrong=(
            BadRepair(KEY.format("pki/ca.key") + NEW_CA + CA_SETTINGS, "within"),
            # Without any extension OpenSSL 1.1.1 takes it for a CA of the oldest kind.
            BadRepair(
                KEY.format("pki/ca.key") + NEW_CA + "-days {{ ca_days }} -extfile <(echo subjectKeyIdentifier=hash)",
                "a certificate that it signs is accepted",
            ),
            # Without -extfile: version 1 before OpenSSL 3.4, and version 3 without CA:TRUE since.
            BadRepair(
                KEY.format("pki/ca.key") + NEW_CA + "-days {{ ca_days }}",
                "is an X.509 version 3 certificate with CA:TRUE",
            ),
            BadRepair(
                KEY.format("pki/ca.key") + NEW_CA + "-days {{ ca_days }} -extfile <(echo basicConstraints=CA:FALSE)",
                "CA:TRUE: basicConstraints does not say CA:TRUE",
            ),
            BadRepair(
                KEY.format("pki/ca.key")
                + NEW_CA.replace("{{ subject }}", "/CN=ca")
                + f"-days {{{{ ca_days }}}} {CA_SETTINGS}",
                "its name is CN=ca",
            ),
            BadRepair(
                KEY.format("pki/ca.key") + NEW_CA + f"-days {{{{ ca_days }}}} {CA_SETTINGS}\nchmod 644 pki/ca.key",
                "other users can read",
            ),
            BadRepair(
                KEY.format("pki/ca.key")
                + NEW_CA
                + f"-days {{{{ ca_days }}}} {CA_SETTINGS}\n"
                + KEY.format("pki/ca.key"),
                "the key belongs to another certificate",
            ),
            BadRepair(
                "openssl genrsa -aes256 -passout pass:secret -out pki/ca.key 2048\n"
                + (NEW_CA + f"-days {{{{ ca_days }}}} {CA_SETTINGS}").replace("ca.key", "ca.key -passin pass:secret"),
                "the key is encrypted with a passphrase",
            ),
        ),
        # One command, an RSA key, and no settings of ours.
        other_way="openssl req -x509 -newkey rsa:2048 -nodes -keyout pki/ca.key -subj '{{ subject }}' "
        "-days {{ ca_days }} -out pki/ca.crt",
    ),
    "admins-certificate": LabCase(
        fails=("pki/admin.crt does not exist",),
        wrong=(
            BadRepair(KEY.format("pki/admin.key") + ADMIN.format("{{ subject }}") + CLIENT, "within 90 days"),
            BadRepair(
                KEY.format("pki/admin.key") + ADMIN.format("/CN={{ who }}") + f"-days 365 {CLIENT}", "in no group"
            ),
            BadRepair(
                KEY.format("pki/admin.key")
                + ADMIN.format("{{ subject }}")
                + "-days 365 -extensions v3_req -extfile pki/openssl-kube-apiserver.cnf",
                "unsuitable certificate purpose",
            ),
            BadRepair(
                KEY.format("pki/admin.key")
                + "openssl req -new -x509 -key pki/admin.key -subj '{{ subject }}' -days 365 -out pki/admin.crt",
                "self-signed certificate",
            ),
            BadRepair(
                KEY.format("pki/admin.key")
                + ADMIN.format("{{ subject }}")
                + f"-days 365 {CLIENT}\nchmod 640 pki/admin.key",
                "other users can read",
            ),
        ),
        # An RSA key, group before user, the one extension that counts, more days, text and the CA in the file.
        other_way="openssl genrsa -out pki/admin.key 2048\n"
        "subject=$(sed -E 's#(/CN=[^/]*)(/O=.*)#/C=DE\\2\\1#' <<< '{{ subject }}')\n"
        'openssl req -new -key pki/admin.key -subj "$subject" -out admin.csr\n'
        "openssl x509 -req -in admin.csr -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 1000 -text "
        "-extfile <(echo extendedKeyUsage=clientAuth) -out pki/admin.crt\n"
        "cat pki/ca.crt >> pki/admin.crt",
    ),
    "etcd-does-not-start": LabCase(
        fails=("no such file or directory", "kubeadm does not know", KCERT_CHECK),
        wrong=(
            BadRepair(
                # The file is put where it is looked for.
                "mkdir -p $(dirname {{ wrong }} | sed 's#^/##')\n"
                "cp $(echo {{ right }} | sed 's#^/##') $(echo {{ wrong }} | sed 's#^/##')\n",
                "kubeadm does not know",
            ),
            BadRepair(
                f"sed -i.bak 's#- {{{{ option }}}}=.*#- {{{{ option }}}}={{{{ right }}}}#' {MANIFESTS}/etcd.yaml\n",
                "etcd.yaml.bak",
            ),
            BadRepair(
                edited(ETCD, "grep -v -e '- {{ option }}='"),
                "etcd has no {{ option }}",
            ),
            BadRepair(
                edited(ETCD, "sed 's#- {{ option }}=.*#- {{ option }}={{ right }}#; /client-cert-auth/d'"),
                "--client-cert-auth, --peer-client-cert-auth was not so before",
            ),
        ),
        # A copy is kept where the kubelet does not look, and the path gets quotes and a comment.
        other_way=f"cp {ETCD} etc/kubernetes/etcd.yaml.bak\ncp {ETCD} .\n"
        f"sed 's!- {{{{ option }}}}=.*!- \"{{{{ option }}}}={{{{ right }}}}\"  # mended!' etcd.yaml > {ETCD}\n",
    ),
    "apiserver-without-etcd": LabCase(
        fails=("kube-apiserver reaches etcd", KCERT_CHECK),
        wrong=(
            BadRepair(
                "cp etc/kubernetes/pki/etcd/ca.crt etc/kubernetes/pki/ca.crt\n"
                + edited(API_SERVER, "sed 's#--etcd-cafile=.*#--etcd-cafile=/etc/kubernetes/pki/ca.crt#'"),
                "it is not the CA that the machines have",
            ),
            BadRepair(
                "cat etc/kubernetes/pki/ca.crt etc/kubernetes/pki/etcd/ca.crt > etc/kubernetes/pki/both.crt\n"
                + edited(API_SERVER, "sed 's#--etcd-cafile=.*#--etcd-cafile=/etc/kubernetes/pki/both.crt#'"),
                "kubeadm does not know /etc/kubernetes/pki/both.crt",
            ),
            BadRepair(
                f"sed -i.bak 's#--etcd-cafile=.*#--etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt#' "
                f"{MANIFESTS}/kube-apiserver.yaml\n",
                "kube-apiserver.yaml.bak",
            ),
            BadRepair(
                "sed 's#--etcd-cafile=.*#--etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt#; "
                "s#--client-ca-file=.*#--client-ca-file=/etc/kubernetes/pki/etcd/ca.crt#' "
                f"{MANIFESTS}/kube-apiserver.yaml > new\nmv new {MANIFESTS}/kube-apiserver.yaml\n",
                "--client-ca-file was not so before",
            ),
        ),
    ),
    "two-requests": LabCase(
        fails=("it is neither approved nor denied", "the object contains no certificate"),
        wrong=(
            BadRepair(
                CERTIFIED.format(csr="requests/{{ user }}.csr")
                + answered("{{ user }}", "Approved", "given.crt")
                + CERTIFIED.format(csr="requests/{{ contractor }}.csr")
                + answered("{{ contractor }}", "Approved", "given.crt"),
                "the decision is not the right one",
            ),
            BadRepair(
                CERTIFIED.format(csr="requests/{{ user }}.csr")
                + answered("{{ user }}", "Approved", "given.crt")
                + "rm requests/{{ contractor }}-csr.yaml\n",
                "does not exist",
            ),
            BadRepair(
                answered("{{ user }}", "Approved") + answered("{{ contractor }}", "Denied"),
                "the object contains no certificate",
            ),
            BadRepair(
                # Somebody else's key: the certificate is right, and of no use to her who asked.
                KEY.format("new.key")
                + 'openssl req -new -key new.key -subj "/CN={{ user }}/O={{ group }}" -out new.csr\n'
                + CERTIFIED.format(csr="new.csr")
                + answered("{{ user }}", "Approved", "given.crt")
                + answered("{{ contractor }}", "Denied"),
                "another key than the request",
            ),
            BadRepair(
                CERTIFIED.format(csr="requests/{{ user }}.csr").replace("-days 365", "")
                + answered("{{ user }}", "Approved", "given.crt")
                + answered("{{ contractor }}", "Denied"),
                "within 90 days",
            ),
        ),
        # The status comes first, and the certificate is on many lines.
        other_way=CERTIFIED.format(csr="requests/{{ user }}.csr")
        + "{ printf 'status:\\n  certificate: |\\n'; openssl base64 -in given.crt | sed 's/^/    /'\n"
        "printf '  conditions:\\n  - {status: \"True\", type: Approved}\\n'\n"
        "cat requests/{{ user }}-csr.yaml; } > new\n"
        "mv new requests/{{ user }}-csr.yaml\n" + answered("{{ contractor }}", "Denied"),
    ),
    "unknown-cluster": LabCase(
        fails=("no answer yet",),
        wrong=(
            BadRepair("kcert practice answer 1 /etc/kubernetes/pki/ca.crt", "the answer is not right"),
            BadRepair("kcert practice answer 1 {{ serving }}", "question 2 is answered: no answer yet"),
            BadRepair("rm -r etc/kubernetes/pki/etcd", "`kcert check etc/kubernetes` finds no error"),
            BadRepair("echo >> etc/kubernetes/pki/front-proxy-ca.crt", "front-proxy-ca.crt was changed"),
        ),
    ),
    "rotate-the-ca": LabCase(
        fails=("trusts only a new CA", "certificates of the old CA are rejected at the end"),
        wrong=(
            # All at once.
            BadRepair(
                SECOND_CA + NEW_LEAVES + NEW_ALONE + rolled(1),
                "from rollouts/0 to rollouts/1 every client stays connected",
            ),
            # The new certificates go out together with the new trust.
            BadRepair(
                SECOND_CA + BOTH + NEW_LEAVES + rolled(1) + NEW_ALONE + rolled(2),
                "from rollouts/0 to rollouts/1 every client stays connected",
            ),
            # The old CA goes together with the last certificates that it signed.
            BadRepair(
                SECOND_CA + BOTH + rolled(1) + NEW_LEAVES + NEW_ALONE + rolled(2),
                "from rollouts/1 to rollouts/2 every client stays connected",
            ),
            # The end is missing.
            BadRepair(SECOND_CA + BOTH + rolled(1) + NEW_LEAVES + rolled(2), "ca.crt contains 2 certificates"),
            # The key stays the old one.
            BadRepair(
                SECOND_CA.replace(
                    "openssl ecparam -name prime256v1 -genkey -noout -out pki/ca-new.key",
                    "cp pki/ca.key pki/ca-new.key",
                )
                + BOTH
                + rolled(1)
                + NEW_LEAVES
                + rolled(2)
                + NEW_ALONE
                + rolled(3),
                "it still has the key of the old CA",
            ),
            # What ran when it began is told otherwise.
            BadRepair(
                SECOND_CA + NEW_LEAVES + NEW_ALONE + "rm -r rollouts/0\n" + rolled(0),
                "rollouts/0 contains the files that the machines had at the start: it was changed",
            ),
        ),
        # An RSA CA of another name, behind the old one, in more steps than are needed.
        other_way="openssl req -x509 -newkey rsa:2048 -nodes -keyout pki/ca-new.key -subj /CN=Second-CA -days 3650 "
        "-out pki/ca-new.crt\ncp pki/ca.crt pki/ca-old.crt\ncat pki/ca-new.crt >> pki/ca.crt\n"
        + rolled(1)
        + NEW_LEAVES
        + rolled(2)
        + rolled(5)
        + NEW_ALONE
        + "rm pki/ca-*\n"
        + rolled(7),
    ),
    "admin-without-rights": LabCase(
        fails=("is the right user", KCERT_CHECK),
        wrong=(
            BadRepair(asked("{{ name }}", "/CN={{ who }}/O={{ groups }}") + signed("{{ name }}", ""), "within 90 days"),
            BadRepair(
                asked("{{ name }}", "/CN={{ who }}/O=system:masters/O=system:nodes") + signed("{{ name }}"),
                "system:nodes",
            ),
            BadRepair(
                OTHER_CA + asked("{{ name }}", "/CN={{ who }}/O={{ groups }}") + signed("{{ name }}"),
                "it is not the CA that the machines have",
            ),
            BadRepair(
                # A CA of one's own besides, and a certificate by that one.
                "cp pki/ca.key first.key\ncp pki/ca.crt first.crt\n"
                + OTHER_CA
                + asked("{{ name }}", "/CN={{ who }}/O={{ groups }}")
                + signed("{{ name }}")
                + "cat first.crt pki/ca.crt > both.crt\nmv both.crt pki/ca.crt\nmv first.key pki/ca.key\n",
                "the file contains 1 more certificates",
            ),
            BadRepair(
                asked("{{ name }}", "/CN={{ who }}/O={{ groups }}") + signed("{{ name }}") + "chmod 644 pki/*.key",
                "other users can read",
            ),
        ),
    ),
    "pods-stay-pending": LabCase(
        fails=("is the right user", KCERT_CHECK),
        wrong=(
            BadRepair(
                asked("kube-scheduler", "/CN=kube-scheduler/O=system:kube-scheduler/O=system:masters")
                + signed("kube-scheduler"),
                "system:masters",
            ),
            BadRepair(asked("kube-scheduler", f"/CN={SCHEDULER}") + signed("kube-scheduler"), "in no group"),
            BadRepair(
                asked("kube-scheduler", f"/CN={SCHEDULER}/O={SCHEDULER}")
                + signed("kube-scheduler").replace("openssl-kube-scheduler", "openssl-kube-apiserver"),
                "unsuitable certificate purpose",
            ),
        ),
    ),
    "pods-cannot-call-home": LabCase(
        fails=("a pod reaches", "for every name", KCERT_CHECK),
        wrong=(
            BadRepair(
                'echo "DNS.{{ next }} = {{ service_ip }}" >> pki/openssl-kube-apiserver.cnf\n'
                + signed("kube-apiserver"),
                "IP address mismatch",
            ),
            BadRepair(
                "sed -i.bak '/^DNS/d; /^IP/d' pki/openssl-kube-apiserver.cnf\n"
                'echo "IP.1 = {{ service_ip }}" >> pki/openssl-kube-apiserver.cnf\n' + signed("kube-apiserver"),
                "kubectl reaches it from outside",
            ),
            BadRepair(
                "openssl x509 -req -in pki/kube-apiserver.csr -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial "
                "-out pki/kube-apiserver.crt -days 365\n",
                "mismatch",
            ),
        ),
        # No client connects to kubernetes.default.svc.cluster, which only the guides have.
        other_way="sed -i.bak '/default.svc.cluster$/d' pki/openssl-kube-apiserver.cnf\n"
        'echo "IP.{{ next }} = {{ service_ip }}" >> pki/openssl-kube-apiserver.cnf\n' + signed("kube-apiserver"),
    ),
    "address-rejected": LabCase(
        fails=("the API server reaches", "for every name", KCERT_CHECK),
        wrong=(
            BadRepair(
                "sed -i.bak 's/^DNS.* = {{ address }}$/IP.9 = 192.0.2.7/' pki/openssl-{{ server }}.cnf\n"
                + signed("{{ server }}"),
                "IP address mismatch",
            ),
            BadRepair(
                "sed -i.bak 's/^DNS.* = .*[a-z].*$//; s/^DNS.* = {{ address }}$/IP.9 = {{ address }}/' "
                "pki/openssl-{{ server }}.cnf\n" + signed("{{ server }}"),
                "Hostname mismatch",
            ),
            BadRepair(
                "sed -i.bak 's/^DNS.* = {{ address }}$/IP.9 = {{ address }}/' pki/openssl-{{ server }}.cnf\n"
                + OTHER_CA
                + signed("{{ server }}"),
                "it is not the CA that the machines have",
            ),
        ),
    ),
    "member-left-out": LabCase(
        fails=("connects to", "accepted from a client", KCERT_CHECK),
        wrong=(
            BadRepair(
                "sed -i.bak 's/= serverAuth$/= clientAuth/' pki/openssl-{{ name }}.cnf\n" + signed("{{ name }}"),
                "unsuitable certificate purpose",
            ),
            BadRepair(
                "sed -i.bak 's/= serverAuth$/= serverAuth, clientAuth/' pki/openssl-{{ name }}.cnf\n"
                + signed("{{ name }}", "-days 30"),
                "within 90 days",
            ),
            BadRepair(
                "other=$(ls pki/etcd-peer-*.crt | grep -v {{ name }} | head -1)\n"
                'cp "$other" pki/{{ name }}.crt\ncp "${other%.crt}.key" pki/{{ name }}.key\n',
                "mismatch",
            ),
        ),
    ),
    "copied-in-a-hurry": LabCase(
        fails=("a client with", "belong together", "accepted from a client", KCERT_CHECK),
        wrong=(
            BadRepair(asked("{{ lost }}", "{{ subject }}") + signed("{{ lost }}"), "the same key"),
            BadRepair(
                "cp pki/{{ copied }}.crt pki/{{ lost }}.crt\n",
                "is the right user",
            ),
            BadRepair(
                "openssl ecparam -name prime256v1 -genkey -noout -out pki/{{ lost }}.key\n",
                "the key belongs to another certificate",
            ),
        ),
    ),
    "since-this-morning": LabCase(
        fails=("reaches the API server", "for every name", "does not expire soon", KCERT_CHECK),
        wrong=(
            BadRepair(signed("kube-apiserver", ""), "within 90 days"),
            BadRepair(signed("{{ user }}"), "has expired"),
            BadRepair(
                "openssl x509 -req -in pki/kube-apiserver.csr -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial "
                "-out pki/kube-apiserver.crt -days 365\n",
                "mismatch",
            ),
        ),
    ),
    "node-not-ready": LabCase(
        fails=("is the right user", KCERT_CHECK),
        wrong=(
            BadRepair(
                asked("{{ name }}", "/CN={{ node }}/O=system:nodes") + signed("{{ name }}"), "in the group system:nodes"
            ),
            BadRepair(
                asked("{{ name }}", "/CN=system:node:{{ node }}/O=system:node") + signed("{{ name }}"),
                "in the group system:node",
            ),
            BadRepair(
                asked("{{ name }}", "/CN=system:node:{{ node }}/O=system:nodes/O=system:masters")
                + signed("{{ name }}"),
                "system:masters",
            ),
        ),
    ),
    "kubectl-trusts-nobody": LabCase(
        fails=("kubectl with", KCERT_CHECK),
        wrong=(
            BadRepair("cp {{ old }}/ca.crt pki/ca.crt\n", "it is not the CA that the machines have"),
            BadRepair(
                "sed -i.bak 's|certificate-authority-data: .*|insecure-skip-tls-verify: true|' "
                "pki/{{ name }}.kubeconfig\n",
                "insecure-skip-tls-verify is set",
            ),
            BadRepair(
                'sed -i.bak "s|certificate-authority-data: .*|certificate-authority-data: '
                "$(base64 < pki/ca.crt | tr -d '\\n')|; s|server: .*|server: https://127.0.0.1:6443|\" "
                "pki/{{ name }}.kubeconfig\n",
                "it connects to",
            ),
            BadRepair(
                'sed -i.bak "s|certificate-authority-data: .*|certificate-authority-data: '
                "$(base64 < pki/ca.crt | tr -d '\\n')|\" pki/{{ name }}.kubeconfig\nrm pki/*.bak\n"
                "chmod 644 pki/{{ name }}.kubeconfig\n",
                "other users can read",
            ),
        ),
        # By the path, as kubectl does it without --embed-certs; the key of the CA is beside it.
        other_way='sed -i.bak "s|certificate-authority-data: .*|certificate-authority: $PWD/pki/ca.crt\\n'
        '    insecure-skip-tls-verify: false  # as it should be|" pki/{{ name }}.kubeconfig\n',
    ),
}
