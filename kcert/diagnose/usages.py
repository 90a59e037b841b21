"""What it may be used for: a client's certificate without clientAuth, a server's without serverAuth."""

from __future__ import annotations

from kcert.diagnose.cause import Cause, Meaning, Saying, Wording
from kcert.diagnose.commands import (
    file,
    lines,
    look_at,
    name_at,
    name_of,
    repair,
    sign,
    unnamed,
    verify,
    which,
)

_FIX = "# put extendedKeyUsage = {} into openssl-{}.cnf, then"


_WORDINGS = (
    Wording("certificate specifies an incompatible key usage"),
    Wording("certificate purpose", r"(?:unsuitable|unsupported) certificate purpose"),
)


def _server(saying: Saying) -> Meaning:
    address = saying.dialled or saying.stand_in
    name = name_at(address)
    whose = f"The certificate of the server at {saying.dialled}" if saying.dialled else "The server's certificate"
    return Meaning(
        f"{whose} is not meant for servers: its extendedKeyUsage lacks serverAuth.",
        lines(unnamed(saying.dialled), f"{look_at(address, 'subject')} -ext extendedKeyUsage"),
        repair((f"kcert renew {name} --stale", which(name)), (_FIX.format("serverAuth", name), sign(name))),
    )


def _client(saying: Saying) -> Meaning | None:
    if saying.checked:
        return _file(saying.checked)
    if not saying.client_is_judged:
        return None
    own = saying.file("cert-file", "peer-cert-file")
    who = f" at {saying.caller}" if saying.caller else ""
    shown = own if own and saying.caller.startswith("127.") else "client.crt"
    note = (
        "# etcd dials itself with the certificate it serves with"
        if shown == own
        else "# client.crt: the certificate that the client showed"
    )
    name = name_of(shown) if shown == own else "NAME"
    return Meaning(
        f"A client{who} showed a certificate that is not meant for clients: its extendedKeyUsage lacks clientAuth.",
        lines(
            note,
            f"openssl x509 -in {file(shown)} -noout -subject -ext extendedKeyUsage",
            verify(shown, saying.file("trusted-ca-file", "client-ca-file") or "ca.crt", "sslclient"),
        ),
        repair((f"kcert renew {name} --stale", which(name)), (_FIX.format("clientAuth", name), sign(name))),
    )


def _file(path: str) -> Meaning:
    name = name_of(path)
    return Meaning(
        f"{path} is not meant for the use it was checked for: its extendedKeyUsage says otherwise.",
        verify(path, "ca.crt", "sslserver"),
        repair((f"kcert renew {name} --stale", which(name)), (_FIX.format("serverAuth, clientAuth", name), sign(name))),
    )


def _refused_usage(_saying: Saying) -> Meaning:
    name = "NAME"
    return Meaning(
        "The other side refused the certificate because it is not meant for this use: extendedKeyUsage lacks "
        "clientAuth or serverAuth.",
        lines(
            "# client.crt: the certificate that was shown",
            "openssl x509 -in client.crt -noout -subject -ext extendedKeyUsage",
        ),
        repair((f"kcert renew {name} --stale", which(name)), (_FIX.format("clientAuth", name), sign(name))),
    )


CAUSES = (
    Cause("no-client-auth", "missing-client-auth", _WORDINGS, _client),
    Cause("no-server-auth", "missing-server-auth", _WORDINGS, _server),
    Cause(
        "usage-refused",
        "missing-client-auth",
        (
            Wording("alert unsupported certificate"),
            Wording("tls: unsupported certificate", r"remote error: tls: unsupported certificate(?! )"),
        ),
        _refused_usage,
    ),
)
