"""Access to the API server: who it takes the caller for, and what that one may do."""

from __future__ import annotations

from kcert.diagnose.cause import Cause, Meaning, Saying, Wording
from kcert.diagnose.commands import lines, look, repair, request, sign, which
from kcert.quoting import quote
from kcert.roles import ROLES

_SUBJECT = "openssl x509 -in client.crt -noout -subject -issuer -dates"
_CLIENT_NOTE = "# client.crt: the certificate that the caller uses (kcert show KUBECONFIG prints one that is embedded)"
_HANDSHAKE = (
    "openssl s_client -connect 127.0.0.1:6443 -CAfile ca.crt -cert client.crt -key client.key </dev/null "
    "2>/dev/null |\n"
    "  grep 'Acceptable client certificate CA names' -A 3   # the CAs whose clients the API server knows"
)
_VERBS = (
    r"get|list|watch|create|update|patch|delete|deletecollection|use|bind|escalate|impersonate|approve|sign|attest|"
    r"head|post|put|options|proxy|\*"
)
"""What RBAC can forbid; another program's users cannot do other things."""

_FORBIDDEN = (
    rf"User \"(?P<user>%s)\" cannot \"?(?P<verb>{_VERBS})\"? (?:resource|path)?\s*\"?(?P<what>[^\s\"]+)\"?"
    r"(?: in API group \"(?P<group>[^\"]*)\")?(?: in the namespace \"(?P<namespace>[^\"]*)\")?"
)
_COMPONENTS = {spec.common_name: spec.component for spec in ROLES.values() if spec.fixed_name}


def _unknown_caller(_saying: Saying) -> Meaning:
    return Meaning(
        "The API server does not know the caller: its certificate has ended or comes from another CA than "
        "--client-ca-file, or its "
        "token is not valid.",
        lines(_CLIENT_NOTE, _SUBJECT, "openssl verify -CAfile ca.crt -purpose sslclient client.crt", _HANDSHAKE),
        repair(
            ("kcert renew NAME", "kcert kubeconfig NAME", which("NAME")),
            (sign("NAME"), "# then put the new certificate into the kubeconfig"),
        ),
    )


def _anonymous(saying: Saying) -> Meaning:
    return Meaning(
        "The caller showed the API server no certificate and no token, so it was taken for system:anonymous, "
        "who may not "
        f"{_deed(saying)}.",
        lines(
            "# does the kubeconfig hold client-certificate and client-key, and are they used?",
            "kubectl config view --minify",
            _CLIENT_NOTE,
            _SUBJECT,
        ),
        repair(
            ("kcert kubeconfig NAME", which("NAME")),
            (
                (
                    "# curl: --cert client.crt --key client.key --cacert ca.crt; and --client-ca-file of the API "
                    "server must name the CA"
                ),
            ),
        ),
    )


def _deed(saying: Saying) -> str:
    where = f" in {saying.word('namespace')}" if saying.word("namespace") else ""
    return f"{saying.word('verb') or 'do that to'} {saying.word('what') or 'it'}{where}".replace("  ", " ")


def _can_i(saying: Saying, user: str) -> str:
    """The question to put to the API server as an administrator."""
    what = saying.word("what")
    group = saying.word("group")
    resource = f"{what}.{group}" if group and "/" not in what and "." not in what else what
    namespace = f" -n {quote(saying.word('namespace'))}" if saying.word("namespace") else ""
    if not (user and saying.word("verb") and what) or what.startswith("-"):
        return ""
    return f"kubectl auth can-i {quote(saying.word('verb'))} {quote(resource)}{namespace} --as {quote(user)}"


def _node_user(saying: Saying) -> Meaning:
    user = saying.word("user")
    node = user.removeprefix("system:node:")
    upper = " (node names are in lower case)" if node != node.lower() else ""
    return Meaning(
        f"The kubelet calls itself {user}, and may not {_deed(saying)}: its certificate lacks O=system:nodes, or "
        "its CN is not "
        f"system:node: and the node's own name{upper}.",
        lines(_CLIENT_NOTE, _SUBJECT, "hostname", _can_i(saying, user)),
        repair(
            ("kcert renew kubelet-client-NODE --stale   # kubeadm: kubelet", "kcert kubeconfig NODE"),
            (
                request("kubelet-client-NODE", f"/CN=system:node:{quote(node.lower() or 'NODE')}/O=system:nodes"),
                sign("kubelet-client-NODE"),
            ),
        ),
    )


def _service_account(saying: Saying) -> Meaning:
    user = saying.word("user")
    _, _, namespace, name = (*user.split(":", 3), "", "")[:4]
    return Meaning(
        f"The service account {name or user} of the namespace {namespace or '?'} may not {_deed(saying)}: no "
        "role is bound to it, and no "
        "certificate is at fault.",
        lines(
            _can_i(saying, user),
            "# a service account has a token and no certificate, so openssl has nothing to look at",
        ),
        repair(
            ("# kcert makes no roles:",),
            (
                (
                    "kubectl create rolebinding NAME --clusterrole view --serviceaccount "
                    f"{quote(f'{namespace}:{name}')} -n {quote(namespace or 'default')}"
                ),
            ),
        ),
    )


def _bootstrap_token(saying: Saying) -> Meaning:
    user = saying.word("user")
    return Meaning(
        f"The bootstrap token {user.rpartition(':')[2]} may not {_deed(saying)}: its group system:bootstrappers is not "
        "bound to the role system:node-bootstrapper. A token shows no certificate, so none is at fault.",
        lines(
            "kubectl get clusterrolebinding -o wide | grep bootstrap",
            "# what the token is to get is a certificate; is there one by now?",
            look("/var/lib/kubelet/pki/kubelet-client-current.pem", "subject", "dates"),
        ),
        repair(
            ("# kcert makes no roles:",),
            (
                "kubectl create clusterrolebinding kubelet-bootstrap --clusterrole system:node-bootstrapper \\",
                "    --group system:bootstrappers   # of kubeadm: system:bootstrappers:kubeadm:default-node-token",
            ),
        ),
    )


def _component(saying: Saying) -> Meaning:
    user = saying.word("user")
    name = _COMPONENTS[user]
    return Meaning(
        f"The API server takes the caller for {user}, who may not {_deed(saying)}: the component uses another "
        "one's certificate, or the "
        "roles it needs were changed.",
        lines(_CLIENT_NOTE, _SUBJECT, _can_i(saying, user)),
        repair(
            (f"kcert renew {name} --stale", f"kcert kubeconfig {name}"),
            (sign(name), "# roles: kubectl get clusterrolebinding " + quote(user)),
        ),
    )


def _forbidden(saying: Saying) -> Meaning:
    user = saying.word("user")
    if user.startswith("system:serviceaccount:"):
        return _service_account(saying)
    if user.startswith("system:bootstrap:"):
        return _bootstrap_token(saying)
    if user in _COMPONENTS:
        return _component(saying)
    if user == "kubernetes-admin":
        return _kubeadm_admin(saying)
    return Meaning(
        f"The API server takes the caller for {user}, whom no role lets {_deed(saying)}: the certificate's O is "
        "not the group that has "
        "rights (OU does not count), or nothing is bound to user and groups.",
        lines(_CLIENT_NOTE, f"{_SUBJECT}   # CN is the user, each O a group", _can_i(saying, user)),
        repair(
            (
                "kcert client NAME --group GROUP   # NAME: the user; GROUP: a group that has rights",
                "kcert kubeconfig NAME",
            ),
            (
                request("NAME", "/CN=NAME/O=GROUP"),
                sign("NAME"),
                f"# or grant it: kubectl create clusterrolebinding NAME --clusterrole view --user {quote(user)}",
            ),
        ),
    )


def _kubeadm_admin(saying: Saying) -> Meaning:
    return Meaning(
        f"kubernetes-admin may not {_deed(saying)}: its group kubeadm:cluster-admins is not bound to the role "
        "cluster-admin.",
        lines(
            _CLIENT_NOTE,
            _SUBJECT,
            "kubectl --kubeconfig /etc/kubernetes/super-admin.conf get clusterrolebinding kubeadm:cluster-admins",
        ),
        repair(
            ("kcert explain rbac-for-kubeadm-admins",),
            (
                (
                    "kubectl --kubeconfig /etc/kubernetes/super-admin.conf create clusterrolebinding \\\n"
                    "    kubeadm:cluster-admins --clusterrole cluster-admin --group kubeadm:cluster-admins"
                ),
            ),
        ),
    )


def _other_node(saying: Saying) -> Meaning:
    node, other = saying.word("node"), saying.word("other")
    client = f"kubelet-client-{other or 'NODE'}"
    return Meaning(
        f"A kubelet with the certificate of {node} acts for the node {other}: certificate and "
        "--hostname-override, or the host's name, differ.",
        lines(_CLIENT_NOTE, f"{_SUBJECT}   # should be CN = system:node:{other}, O = system:nodes", "hostname"),
        repair(
            (f"kcert renew {quote(client)} --stale", f"kcert kubeconfig {quote(other or 'NODE')}"),
            ("# give the kubelet the certificate of its own node:", sign(client)),
        ),
    )


def _no_node(_saying: Saying) -> Meaning:
    return Meaning(
        "The API server cannot tell which node calls: the kubelet's certificate has not CN=system:node:NAME with "
        "O=system:nodes.",
        lines(_CLIENT_NOTE, _SUBJECT, "hostname"),
        repair(("kcert renew kubelet-client-NODE --stale   # kubeadm: kubelet",), (sign("kubelet-client-NODE"),)),
    )


def _kubelet_refuses(saying: Saying) -> Meaning:
    user = saying.word("user")
    name = "apiserver-kubelet-client"
    return Meaning(
        f"A kubelet knows the API server as {user}, and lets it do nothing: its certificate lacks the group that has "
        "rights on nodes, mostly O=system:masters; or it is in kubeadm's kubeadm:cluster-admins, and no rule gives "
        "that group its rights.",
        lines(
            f"openssl x509 -in {name}.crt -noout -subject   # --kubelet-client-certificate of the API server",
            f"kubectl auth can-i get nodes/proxy --as {quote(user)}" if user else "",
        ),
        repair(
            (f"kcert renew {name} --stale", "kcert explain rbac-for-kubeadm-admins   # with kubeadm's group"),
            (request(name, "/CN=kube-apiserver-kubelet-client/O=system:masters"), sign(name)),
        ),
    )


def _masters_on_request(_saying: Saying) -> Meaning:
    return Meaning(
        "A request for a certificate with O=system:masters was refused: the Certificates API makes no administrators.",
        "openssl req -in NAME.csr -noout -subject",
        repair(
            ("kcert csr new NAME --group GROUP   # another group, with a role bound to it",),
            (request("NAME", "/CN=NAME/O=GROUP"), "# or sign it with the CA's key itself:", sign("NAME")),
        ),
    )


def _token(_saying: Saying) -> Meaning:
    return Meaning(
        "A service account's token was signed with a key that the API server does not know: "
        "--service-account-key-file does not fit "
        "the key that signed it.",
        lines(
            "# both print the same where the keys fit (one may be a certificate: openssl x509 -in FILE -noout -pubkey)",
            "openssl pkey -in service-account.key -pubout | openssl sha256   # --service-account-signing-key-file",
            "openssl pkey -pubin -in sa.pub | openssl sha256   # --service-account-key-file",
        ),
        repair(
            ("kcert flags kube-apiserver", "kcert flags kube-controller-manager"),
            (
                (
                    "openssl pkey -in service-account.key -pubout -out sa.pub   # then restart, and delete the old "
                    "token secrets"
                ),
            ),
        ),
    )


def _old_token(_saying: Saying) -> Meaning:
    return Meaning(
        "A service account's token has expired: a pod's is good for an hour and the kubelet renews it in time, so the "
        "program goes on with one that it read long ago, or a clock is wrong.",
        lines(
            "date -u   # on both machines",
            "# a service account has a token and no certificate, so openssl has only its middle part to decode:",
            "kubectl exec POD -- cat /var/run/secrets/kubernetes.io/serviceaccount/token |\n"
            "  cut -d. -f2 | tr '_-' '/+' | openssl base64 -d -A   # exp: the end, in seconds since 1970",
        ),
        repair(
            ("# kcert makes no tokens:",),
            ("kubectl delete pod POD   # it reads the token when it starts; newer client libraries do so again",),
        ),
    )


CAUSES = (
    Cause(
        "other-node",
        "wrong-cn",
        (
            Wording(
                "is not allowed to ",
                r"node \"(?P<node>[^\"]+)\" is not allowed to \w+ (?:status of )?(?:node |pods? [^\"]*)?"
                r"\"(?P<other>[^\"]+)\"",
            ),
            Wording("cannot modify node", r"node \"(?P<node>[^\"]+)\" cannot modify node \"(?P<other>[^\"]+)\""),
        ),
        _other_node,
    ),
    Cause(
        "kubelet-refuses-api-server",
        "wrong-organization",
        (
            Wording(
                "Forbidden",
                r"Forbidden \(user=(?P<user>[^,\s]+), verb=(?P<verb>[a-z]+), resource=(?P<what>[a-z]+), subresource=",
            ),
        ),
        _kubelet_refuses,
    ),
    Cause(
        "masters-on-request",
        "csr",
        (Wording("signer with system:masters group is not allowed"),),
        _masters_on_request,
    ),
    Cause(
        "not-a-node",
        "wrong-cn",
        (
            Wording("could not determine node from user"),
            Wording("unknown node for user"),
            Wording("cannot determine node name from user"),
        ),
        _no_node,
    ),
    Cause(
        "anonymous",
        "no-client-certificate",
        (Wording("system:anonymous", _FORBIDDEN % "system:anonymous"),),
        _anonymous,
    ),
    Cause(
        "forbidden-node",
        "kubelet-client",
        (Wording("system:node:", _FORBIDDEN % r"system:node:[^\"]*"),),
        _node_user,
    ),
    Cause("forbidden", "forbidden", (Wording(" cannot ", _FORBIDDEN % r"[^\"]+"),), _forbidden),
    Cause(
        "token-of-another-key",
        "service-account-key",
        (
            Wording("error in cryptographic primitive", r"(?:bearer token|go-jose).*error in cryptographic primitive"),
            Wording("crypto/rsa: verification error", r"invalid bearer token.*crypto/rsa: verification error"),
        ),
        _token,
    ),
    Cause(
        "token-expired",
        "unauthorized",
        (
            Wording("service account token has expired"),
            Wording("Token has expired", r"(?i)invalid bearer token.*token has expired"),
        ),
        _old_token,
    ),
    Cause(
        "unknown-caller",
        "unauthorized",
        (
            Wording("You must be logged in to the server"),
            Wording("the server has asked for the client to provide credentials"),
            Wording("Unauthorized", r"(?:err(?:or)?=|: |\")\"?Unauthorized\"?\s*(?:$|[,)\"]| [a-z]+=)|^Unauthorized$"),
        ),
        _unknown_caller,
    ),
)
