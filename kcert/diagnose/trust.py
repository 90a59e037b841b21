"""Who signed it: a CA that is not known, shares a name with another, or is none; signatures that nobody takes."""

from __future__ import annotations

from kcert.diagnose.cause import Cause, Meaning, Saying, Wording
from kcert.diagnose.commands import (
    file,
    lines,
    look,
    look_at,
    name_at,
    name_of,
    repair,
    shake_hands,
    sign,
    unnamed,
    verify,
    which,
)
from kcert.quoting import quote

_CLIENTS_CA = ("trusted-ca-file", "client-ca-file")
_GIVEN_CA = "# ca.crt: the CA file that the client was given (certificate-authority, --cacert, --etcd-cafile)"
_SHOWN = "# client.crt: the certificate that the client showed"
_CANDIDATE = (
    r"possibly because of \"(?P<why>[^\"]*)\" while trying to verify candidate authority certificate \"(?P<ca>[^\"]*)\""
)


def _clients_ca(saying: Saying) -> str:
    """The CA file with which a server judges its clients."""
    return saying.file(*_CLIENTS_CA) or "ca.crt"


def _who(saying: Saying) -> str:
    return f"A client at {saying.caller}" if saying.caller else "A client"


def _shown(saying: Saying) -> str:
    return f"The certificate of the server at {saying.dialled}" if saying.dialled else "The certificate that was shown"


def _unknown_authority(saying: Saying) -> Meaning:
    ca = _clients_ca(saying)
    if checked := saying.checked:
        return Meaning(
            f"{checked} was signed by a CA that is not in the CA file it was checked with.",
            lines(look(checked, "issuer"), f"openssl x509 -in {file(ca)} -noout -subject"),
            repair(
                (f"kcert renew {name_of(checked)}", which(name_of(checked))),
                ("# or check it with the CA that its issuer names", verify(checked, ca)),
            ),
        )
    if saying.client_is_judged:
        return Meaning(
            f"{_who(saying)} showed a certificate that was not signed by the CA in {ca}, the only one the server "
            "trusts.",
            lines(_SHOWN, verify("client.crt", ca, "sslclient"), look("client.crt", "issuer"), look(ca, "subject")),
            repair(
                ("kcert renew NAME", which("NAME")),
                (sign("NAME"), "# or correct the server's option: --client-ca-file, for etcd --trusted-ca-file"),
            ),
        )
    address = saying.dialled or saying.stand_in
    name = name_at(address)
    return Meaning(
        f"{_shown(saying)} was not signed by the CA that the other side was given.",
        lines(
            _GIVEN_CA,
            unnamed(saying.dialled),
            shake_hands(address, "ca.crt"),
            look_at(address, "issuer"),
            look("ca.crt", "subject"),
        ),
        repair(
            ("kcert kubeconfig admin   # where a kubeconfig holds the wrong CA", f"kcert renew {name}", which(name)),
            ("# give the client the CA that signed; or sign the server's certificate again:", sign(name)),
        ),
    )


def _webhook(saying: Saying) -> Meaning:
    webhook, address = saying.word("webhook"), saying.dialled
    return Meaning(
        f"The certificate of the webhook {webhook} was not signed by the CA in its configuration (caBundle); no "
        "certificate of the cluster's own is at fault.",
        lines(
            "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o yaml   # caBundle, in base64",
            f"openssl s_client -connect {quote(address)} -CAfile ca.crt </dev/null   # from a pod; ca.crt: the caBundle"
            if address
            else "openssl x509 -in ca.crt -noout -subject -fingerprint   # ca.crt: the caBundle",
        ),
        repair(
            ("# kcert makes no certificates for webhooks:",),
            (
                "# put the CA that signed it into caBundle: base64 < ca.crt | tr -d '\\n'",
                "# cert-manager does that by itself, where the annotation cert-manager.io/inject-ca-from is set",
            ),
        ),
    )


def _registry(saying: Saying) -> Meaning:
    registry = saying.word("registry")
    address = registry if ":" in registry else f"{registry}:443"
    return Meaning(
        f"The container runtime of the node does not know the CA that signed the certificate of the registry "
        f"{registry}; no certificate of the cluster is at fault.",
        lines(
            f"openssl s_client -connect {quote(address)} -showcerts </dev/null   # who signed it?",
            f"openssl s_client -connect {quote(address)} -CAfile ca.crt -verify_return_error </dev/null",
        ),
        repair(
            ("# kcert makes no certificates for registries:",),
            (
                f'# on each node, containerd: ca = "ca.crt" in /etc/containerd/certs.d/{registry}/hosts.toml',
                f"# docker: the CA as /etc/docker/certs.d/{registry}/ca.crt",
            ),
        ),
    )


def _not_of_this_ca(saying: Saying) -> Meaning:
    name, ca = saying.word("name"), saying.word("ca")
    folder = "/etc/kubernetes/pki"
    return Meaning(
        f"kubeadm found {name} in {folder}, and another CA than the {ca} beside it has signed it: the CA was made "
        "again, or the files come from two clusters.",
        lines(verify(f"{folder}/{name}.crt", f"{folder}/{ca}.crt"), look(f"{folder}/{name}.crt", "issuer", "dates")),
        repair(
            (f"kcert renew {name_of(name)}",),
            (
                f"# put the right {ca}.crt and {ca}.key there; or move {name}.crt and {name}.key away, and then:",
                f"kubeadm init phase certs {quote(name.replace('/', '-'))}",
            ),
        ),
    )


def _two_signers(saying: Saying) -> Meaning:
    path = saying.word("path") or "ca.crt"
    return Meaning(
        f"{path} holds several CAs, and kube-controller-manager signs with one only: its --cluster-signing-cert-file "
        "has to name a file with that CA's certificate alone.",
        lines(
            f"grep -c BEGIN {file(path)}",
            f"openssl x509 -in {file(path)} -noout -subject -dates   # the first: in a change-over the new one",
        ),
        repair(
            ("# --cluster-signing-cert-file is ca-new.crt while `kcert renew ca --new-key` is under way",),
            (f"openssl x509 -in {file(path)} -out ca-new.crt   # the first alone; --root-ca-file keeps both",),
        ),
    )


def _other_hash(_saying: Saying) -> Meaning:
    return Meaning(
        "`kubeadm join` was given the hash of another CA than the one that the cluster has: "
        "--discovery-token-ca-cert-hash is of another cluster, or of the CA before this one.",
        lines(
            "# on a control-plane host: the hash as it should be",
            "openssl x509 -in /etc/kubernetes/pki/ca.crt -noout -pubkey |\n"
            "  openssl pkey -pubin -outform DER | openssl dgst -sha256",
        ),
        repair(
            ("# kcert makes no tokens:",),
            ("kubeadm token create --print-join-command   # on a control-plane host: a new line to join with",),
        ),
    )


def _yesterdays_ca(saying: Saying) -> Meaning:
    named = saying.word("ca")
    authority = f"the CA {named}" if named else "the CA"
    if saying.client_is_judged:
        ca = _clients_ca(saying)
        return Meaning(
            f"{_who(saying)} showed a certificate of another CA that has the same name as {authority} in {ca}: "
            "most likely yesterday's, made before the CA was made again.",
            lines(_SHOWN, verify("client.crt", ca), look(ca, "subject", "dates", "fingerprint")),
            repair(("kcert renew NAME", which("NAME")), (sign("NAME"),)),
        )
    address = saying.dialled or saying.stand_in
    name = name_at(address)
    return Meaning(
        f"{_shown(saying)} was signed by another CA with the same name as {authority} that the other side knows: "
        "one of the "
        "two is yesterday's.",
        lines(
            _GIVEN_CA,
            unnamed(saying.dialled),
            shake_hands(address, "ca.crt"),
            look("ca.crt", "subject", "dates", "fingerprint"),
        ),
        repair(
            ("kcert kubeconfig admin   # where the client has the old CA", f"kcert renew {name}", which(name)),
            ("# give the client today's CA; or sign the server's certificate again:", sign(name)),
        ),
    )


def _signature_failure(saying: Saying) -> Meaning:
    checked = saying.checked or "client.crt"
    return Meaning(
        f"{checked} names a CA as its issuer whose key did not sign it: two CAs have the same name.",
        lines(verify(checked, "ca.crt"), look("ca.crt", "subject", "dates", "fingerprint")),
        repair((f"kcert renew {name_of(checked)}",), (sign(name_of(checked)),)),
    )


def _not_a_ca(saying: Saying) -> Meaning:
    named = saying.word("ca")
    the_signer = f"the holder of {named}" if named else "the holder of a certificate"
    address = saying.dialled or saying.stand_in
    return Meaning(
        f"A certificate was signed by {the_signer}, which is no CA's and may not sign others.",
        lines(
            _GIVEN_CA,
            "openssl x509 -in ca.crt -noout -subject -ext basicConstraints,keyUsage",
            "" if saying.client_is_judged else look_at(address, "subject", "issuer"),
        ),
        repair(
            ("kcert renew ca --new-key", "kcert renew --all"),
            ("openssl req -x509 -new -key ca.key -subj /CN=Kubernetes-CA -days 3650 -out ca.crt", sign("NAME")),
        ),
    )


def _self_signed(saying: Saying) -> Meaning:
    checked = saying.checked
    address = saying.dialled or saying.stand_in
    proof = verify(checked, "ca.crt") if checked else shake_hands(address, "ca.crt")
    return Meaning(
        f"{checked or 'The certificate that was shown'} signed itself, so no CA vouches for it.",
        lines(look(checked, "subject", "issuer") if checked else look_at(address, "subject", "issuer"), proof),
        repair(("kcert renew NAME", which("NAME")), (sign("NAME"),)),
    )


def _unknown_root(saying: Saying) -> Meaning:
    checked = saying.checked
    address = saying.dialled or saying.stand_in
    proof = (verify(checked, "ca.crt"),) if checked else (shake_hands(address, "ca.crt", "-showcerts"),)
    return Meaning(
        "The chain that was shown ends in a CA that is not in the CA file of the side that looked.",
        lines(_GIVEN_CA, *proof, look("ca.crt", "subject", "fingerprint")),
        repair(
            ("kcert kubeconfig admin   # where a kubeconfig holds the wrong CA",),
            ("# give the client the CA that signed; or sign with the CA that it knows:", sign("NAME")),
        ),
    )


def _weak_signature(saying: Saying) -> Meaning:
    algorithm = saying.word("algorithm")
    return Meaning(
        f"A certificate is signed with {algorithm or 'SHA-1 or MD5'}, which no current program accepts.",
        lines(
            look_at(saying.dialled or saying.stand_in, "subject"),
            "openssl x509 -in server.crt -noout -text | grep 'Signature Algorithm'",
        ),
        repair(("kcert renew NAME", which("NAME")), (f"{sign('NAME')} \\\n    -sha256",)),
    )


def _weak_key(saying: Saying) -> Meaning:
    return Meaning(
        "The key of a certificate is too short for the program that looked; RSA takes 2048 bits at least.",
        lines(
            f"openssl s_client -connect {saying.dialled or saying.stand_in} </dev/null 2>/dev/null |",
            "  openssl x509 -noout -text | grep Public-Key",
        ),
        repair(("kcert renew NAME --new-key", which("NAME")), ("openssl genrsa -out NAME.key 2048", sign("NAME"))),
    )


CAUSES = (
    Cause(
        "weak-signature",
        "weak-signature",
        (
            Wording("insecure algorithm", r"insecure algorithm (?P<algorithm>[\w-]+)"),
            Wording("digest algorithm too weak"),
            Wording("md too weak", r"\b(?i:ca|ee) md too weak"),
        ),
        _weak_signature,
    ),
    Cause(
        "weak-key",
        "weak-key",
        (
            Wording("key too weak", r"certificate key too weak"),
            Wording("ee key too small"),
            Wording("ca key too small"),
            Wording("keys are insecure", r"crypto/rsa: \d+-bit keys are insecure"),
        ),
        _weak_key,
    ),
    Cause(
        "issuer-is-no-ca",
        "not-a-ca",
        (
            Wording(
                "parent certificate cannot sign this kind of certificate",
                r"parent certificate cannot sign this kind of certificate(?=\" while trying[^\"]*\"(?P<ca>[^\"]*)\")?",
            ),
            Wording("certificate is not authorized to sign other certificates"),
            Wording("invalid CA certificate", r"(?:num=\d+:|lookup: |: |\()invalid CA certificate"),
        ),
        _not_a_ca,
    ),
    Cause(
        "authority-of-webhook",
        "unknown-authority",
        (
            Wording(
                "failed calling webhook",
                r"failed calling webhook \"?(?P<webhook>[\w.-]+)\"?.*certificate signed by unknown authority",
            ),
        ),
        _webhook,
    ),
    Cause(
        "authority-of-registry",
        "unknown-authority",
        (
            Wording(
                "pull",
                r"\bpull\b.*(?:Head|Get) \"?https://(?P<registry>[\w.:-]+)/v2/.*signed by unknown authority",
            ),
        ),
        _registry,
    ),
    Cause(
        "signed-by-another-ca",
        "wrong-issuer",
        (
            Wording(
                "not signed by CA certificate",
                r"certificate (?P<name>[\w./-]+) not signed by CA certificate (?P<ca>[\w./-]+)",
            ),
        ),
        _not_of_this_ca,
    ),
    Cause(
        "two-signing-cas",
        "step-both-authorities",
        (
            Wording(
                "expected 1 certificate, found",
                r"error reading CA cert file \"?(?P<path>[^\":]+)\"?: expected 1 certificate, found",
            ),
        ),
        _two_signers,
    ),
    Cause(
        "hash-of-another-ca",
        "unknown-authority",
        (Wording("none of the public keys", r"none of the public keys .* are pinned"),),
        _other_hash,
    ),
    Cause(
        "ca-of-the-same-name",
        "unknown-authority",
        (Wording("while trying to verify candidate authority certificate", _CANDIDATE),),
        _yesterdays_ca,
    ),
    Cause(
        "signature-of-another-ca",
        "unknown-authority",
        (Wording("certificate signature failure", r"(?:num=7:|lookup: |: |\()certificate signature failure"),),
        _signature_failure,
    ),
    Cause(
        "unknown-authority",
        "unknown-authority",
        (
            Wording("certificate signed by unknown authority"),
            Wording("unable to get local issuer certificate"),
            Wording("unable to verify the first certificate"),
            Wording("unable to get issuer certificate"),
        ),
        _unknown_authority,
    ),
    Cause(
        "unknown-root",
        "unknown-authority",
        (Wording("certificate in certificate chain", r"self[- ]signed certificate in certificate chain"),),
        _unknown_root,
    ),
    Cause(
        "self-signed",
        "self-signed-leaf",
        (Wording("signed certificate", r"(?:num=18:|lookup: |: |\()self[- ]signed certificate(?! in)"),),
        _self_signed,
    ),
)
