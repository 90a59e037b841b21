"""The handshake: refused by the other side, no certificate shown, HTTP where TLS was expected, nothing in common."""

from __future__ import annotations

from kcert.diagnose.cause import Cause, Meaning, Saying, Wording
from kcert.diagnose.commands import API_SERVER, lines, look, look_at, name_at, repair, shake_hands, sign, verify, which
from kcert.quoting import quote

_CLIENT = "-cert client.crt -key client.key"
_CLIENT_NOTE = "# client.crt, client.key: the pair that the client was given"


def _refused(saying: Saying) -> Meaning:
    if saying.client_is_judged:
        return _server_refused(saying)
    address = saying.dialled or saying.stand_in
    return Meaning(
        f"The server at {address} refused the client's certificate; why, stands in the server's log."
        if saying.dialled
        else "The other side refused the certificate it was shown; why, stands in its log.",
        lines(
            _CLIENT_NOTE,
            shake_hands(address, "ca.crt", _CLIENT),
            "# the CA that the server trusts, and whether it signed the client's certificate:",
            verify("client.crt", "ca.crt", "sslclient"),
        ),
        repair(
            (
                f"kcert logs {_component(address)} --diagnose   # the server's side of it",
                "kcert renew NAME",
                which("NAME"),
            ),
            (sign("NAME"),),
        ),
    )


def _component(address: str) -> str:
    return {"etcd-server": "etcd", "kube-apiserver": "kube-apiserver"}.get(name_at(address), "kube-apiserver")


def _server_refused(saying: Saying) -> Meaning:
    """In a server's log: the client looked at the server's certificate, and hung up."""
    own = saying.file("cert-file", "tls-cert-file")
    who = f"A client at {saying.caller}" if saying.caller else "A client"
    looked = look(own, "subject", "issuer", "dates") if own else look_at(API_SERVER)
    return Meaning(
        f"{who} refused this server's certificate: it knows another CA, or dialled a name that is not in the "
        "certificate.",
        lines(
            f"{looked} -ext subjectAltName",
            "# ca.crt: the CA file that the client was given",
            verify(own, "ca.crt") if own else shake_hands(API_SERVER, "ca.crt"),
        ),
        repair(
            ("kcert kubeconfig admin   # where the client has the wrong CA", "kcert renew NAME", which("NAME")),
            ("# give the client the CA that signed; or sign the server's certificate again:", sign("NAME")),
        ),
    )


def _none_shown(saying: Saying) -> Meaning:
    if not (saying.client_is_judged or "provide a certificate" in saying.text or "peer did not" in saying.text):
        return _none_given(saying)
    ca = saying.file("trusted-ca-file", "client-ca-file") or "ca.crt"
    who = f"A client at {saying.caller}" if saying.caller else "A client"
    return Meaning(
        f"{who} showed no certificate, and the server lets nobody in without one.",
        lines(
            _CLIENT_NOTE,
            shake_hands("127.0.0.1:2379" if "rejected" in saying.text else API_SERVER, ca, _CLIENT),
            verify("client.crt", ca, "sslclient"),
        ),
        repair(
            ("kcert flags kube-apiserver   # --etcd-cafile --etcd-certfile --etcd-keyfile", "kcert client NAME"),
            ("# give the client its pair: etcdctl --cacert ca.crt --cert client.crt --key client.key",),
        ),
    )


def _none_given(saying: Saying) -> Meaning:
    address = saying.dialled or saying.stand_in
    return Meaning(
        "The server wants a certificate from its client, and was shown none.",
        lines(_CLIENT_NOTE, shake_hands(address, "ca.crt", _CLIENT)),
        repair(
            ("kcert kubeconfig NAME   # for kubectl and components", which("NAME")),
            ("# give the client its pair, for instance: curl --cacert ca.crt --cert client.crt --key client.key ...",),
        ),
    )


def _http_to_tls(saying: Saying) -> Meaning:
    address = saying.dialled or saying.stand_in
    who = f"A client at {saying.caller} speaks" if saying.caller else "A client speaks"
    return Meaning(
        f"{who} plain HTTP to a port that speaks TLS: its address says http where it has to say https.",
        lines(look_at(address, "subject"), f"# it should have been: https://{address}"),
        repair(
            ("kcert kubeconfig admin   # writes https:// into the kubeconfig",),
            ("# write https:// into the client's server, --etcd-servers or --endpoints, and name the CA",),
        ),
    )


def _plain_server(saying: Saying) -> Meaning:
    if saying.caller:
        return _http_to_tls(saying)
    address = saying.dialled or saying.stand_in
    server = f"The server at {saying.dialled}" if saying.dialled else "The server"
    return Meaning(
        f"{server} does not speak TLS: it answered a TLS greeting with plain text.",
        lines(
            f"openssl s_client -connect {quote(address)} </dev/null   # says: wrong version number",
            f"curl -s -o /dev/null -w '%{{http_code}}\\n' {quote(f'http://{address}/')}",
        ),
        repair(
            (f"kcert flags {_component(address)}   # the options that turn TLS on",),
            ("# dial the port that speaks TLS; or give the server its certificate: --cert-file, --tls-cert-file",),
        ),
    )


def _nothing_in_common(saying: Saying) -> Meaning:
    address = saying.dialled or saying.stand_in
    return Meaning(
        "Client and server have no version or cipher of TLS in common; no certificate is at fault.",
        lines(
            f"openssl s_client -connect {quote(address)} -tls1_2 </dev/null",
            f"openssl s_client -connect {quote(address)} -tls1_3 </dev/null",
        ),
        repair(
            ("kcert flags kube-apiserver   # compare --tls-min-version and --tls-cipher-suites",),
            ("# allow TLS 1.2 or newer on both sides, and ciphers for the kind of key (RSA or ECDSA)",),
        ),
    )


def _handshake_failure(saying: Saying) -> Meaning:
    address = saying.dialled or saying.stand_in
    return Meaning(
        "The server broke the handshake off: it wants a client certificate and was shown none, or there is no "
        "common cipher.",
        lines(_CLIENT_NOTE, shake_hands(address, "ca.crt", _CLIENT), shake_hands(address, "ca.crt")),
        repair(
            ("kcert kubeconfig NAME   # where the client has no certificate", which("NAME")),
            ("# give the client its pair, for instance: curl --cacert ca.crt --cert client.crt --key client.key ...",),
        ),
    )


def _no_serving_certificate(_saying: Saying) -> Meaning:
    return Meaning(
        "A kubelet has no certificate to serve with yet: its request (serverTLSBootstrap) waits for approval.",
        lines(
            "kubectl get csr",
            "openssl s_client -connect 127.0.0.1:10250 </dev/null   # on the node: alert internal error",
        ),
        repair(
            ("kcert csr list", "kcert csr approve NAME"),
            (
                "kubectl certificate approve NAME",
                which("NAME").replace("certificate", "request").replace("kcert plan", "kubectl get csr"),
            ),
        ),
    )


def _not_signed_yet(_saying: Saying) -> Meaning:
    return Meaning(
        "A kubelet asked the cluster for a certificate and got none in time: nobody has approved its request, or "
        "nobody signs.",
        lines(
            "kubectl get csr   # Pending: not approved; Approved without Issued: not signed",
            look("/var/lib/kubelet/pki/kubelet-client-current.pem", "subject", "dates"),
        ),
        repair(
            ("kcert csr list", "kcert csr show NAME", "kcert csr approve NAME"),
            (
                "kubectl certificate approve NAME",
                "# NAME: the request, as `kubectl get csr` lists it",
                "# where it is approved: kube-controller-manager's --cluster-signing-cert-file and -key-file",
            ),
        ),
    )


CAUSES = (
    Cause(
        "certificate-not-signed-yet",
        "csrapproving-csrsigning",
        (
            Wording("Certificate request was not signed"),
            Wording("certificate request was not signed"),
            Wording("but subject access review was not approved"),
        ),
        _not_signed_yet,
    ),
    Cause(
        "no-client-certificate",
        "no-client-certificate",
        (
            Wording("provide a certificate", r"client didn't provide a certificate"),
            Wording("did not return a certificate"),
            Wording("PEER_DID_NOT_RETURN_A_CERTIFICATE"),
            Wording("certificate required", r"(?:remote error: tls: |alert )certificate required"),
        ),
        _none_shown,
    ),
    Cause(
        "no-serving-certificate",
        "kubelet-server",
        (
            Wording("no serving certificate available for the kubelet"),
            Wording(
                "remote error: tls: internal error",
                r"(?::10250/|error dialing backend: ).*?tls: internal error",
            ),
        ),
        _no_serving_certificate,
    ),
    Cause(
        "refused-by-the-other-side",
        "refused-by-the-other-side",
        (
            Wording(
                "remote error: ",
                r"remote error: (?:tls: )?(?:bad certificate|unknown certificate authority|unknown certificate|"
                r"revoked certificate|"
                r"access denied|error decrypting message)",
            ),
            Wording("alert unknown ca"),
            Wording("alert bad certificate"),
            Wording("alert certificate unknown"),
            Wording("alert access denied"),
            Wording("ALERT_UNKNOWN_CA"),
            Wording("ALERT_BAD_CERTIFICATE"),
            Wording("ALERT_CERTIFICATE_UNKNOWN"),
        ),
        _refused,
    ),
    Cause(
        "http-to-tls",
        "plain-http",
        (
            Wording("sent an HTTP request to an HTTPS server"),
            Wording("malformed HTTP response", r"malformed HTTP (?:response|status code) \"?\\x15\\x03"),
            Wording("http request", r"SSL routines:[^:]*:http request|\[SSL: HTTP_REQUEST\]"),
            Wording("plain HTTP request was sent to HTTPS port"),
        ),
        _http_to_tls,
    ),
    Cause(
        "server-without-tls",
        "plain-http",
        (
            Wording("server gave HTTP response to HTTPS client"),
            Wording("first record does not look like a TLS handshake"),
            Wording("wrong version number", r"(?i:SSL.*wrong version number)"),
            Wording("packet length too long", r"(?i:SSL.*packet length too long)"),
            Wording("oversized record received", r"tls: oversized record received"),
            Wording("record layer failure", r"(?i:SSL.*record layer failure)"),
        ),
        _plain_server,
    ),
    Cause(
        "nothing-in-common",
        "tls-versions",
        (
            Wording("protocol version not supported", r"tls: protocol version not supported"),
            Wording("no cipher suite supported by both client and server"),
            Wording("client offered only unsupported versions"),
            Wording("server selected unsupported protocol version"),
            Wording("no mutual cipher suite"),
            Wording("alert protocol version"),
            Wording("no shared cipher"),
            Wording("unsupported protocol", r"SSL routines:[^:]*:unsupported protocol|\[SSL: UNSUPPORTED_PROTOCOL\]"),
            Wording("no suitable signature algorithm"),
            Wording("no protocols available"),
        ),
        _nothing_in_common,
    ),
    Cause(
        "handshake-failure",
        "no-client-certificate",
        (Wording("tls: handshake failure"), Wording("alert handshake failure"), Wording("ALERT_HANDSHAKE_FAILURE")),
        _handshake_failure,
    ),
)
