"""Keys: not the certificate's, in the wrong place, locked, or no key at all."""

from __future__ import annotations

import re

from kcert.diagnose.cause import Cause, Meaning, Saying, Wording
from kcert.diagnose.commands import file, lines, name_of, repair, request, same_key, sign, which

_NAMED = re.compile(r"Could not read .* from (\S.*?)\s*$")


def _pair(saying: Saying) -> tuple[str, str]:
    """The certificate and the key that the log told of, or names that stand for them."""
    crt = saying.file("cert-file", "tls-cert-file") or "server.crt"
    key = saying.word("key") or saying.file("key-file", "tls-private-key-file") or "server.key"
    return crt, key


def _note(saying: Saying) -> str:
    if saying.file("cert-file", "tls-cert-file"):
        return ""
    return "# server.crt, server.key: the two files that the program was given"


def _mismatch(saying: Saying) -> Meaning:
    if "CA private key" in saying.before:
        return _ca_mismatch(saying)  # openssl says the same thing twice
    crt, key = _pair(saying)
    name = name_of(crt) if saying.file("cert-file", "tls-cert-file") else "NAME"
    these = f"{crt} and {key}" if name != "NAME" else "The certificate and the private key that were given"
    return Meaning(
        f"{these} do not belong together: the key is another certificate's.",
        lines(_note(saying), same_key(crt, key)),
        repair(
            (f"kcert renew {name}   # signs a new certificate for the key that is there", which(name)),
            ("# name the right file in the option; or certify the key that is there:", request(name), sign(name)),
        ),
    )


def _ca_mismatch(_saying: Saying) -> Meaning:
    return Meaning(
        "The key given with -CAkey is not the key of the certificate given with -CA.",
        same_key("ca.crt", "ca.key"),
        repair(("kcert check",), ("# sign with the key that belongs to ca.crt:", sign("NAME"))),
    )


def _no_pem(saying: Saying) -> Meaning:
    crt, key = _pair(saying)
    kind = saying.word("kind") or "certificate"
    path = key if kind == "key" else crt
    name = name_of(path)
    return Meaning(
        f"The file given as {kind} holds no PEM block: it is empty, cut short, or something else.",
        lines(
            _note(saying),
            f"head -c 64 {file(path)}",
            f"openssl {'pkey' if kind == 'key' else 'x509'} -in {file(path)} -noout",
        ),
        repair((f"kcert renew {name}", which(name)), (sign(name),)),
    )


def _unknown_key(saying: Saying) -> Meaning:
    _, key = _pair(saying)
    return Meaning(
        f"{key} is no key that a program written in Go can read: it is locked with a passphrase, damaged, or of a kind "
        "that TLS does not use.",
        lines(_note(saying), f"head -n 2 {file(key)}   # ENCRYPTED: locked", f"openssl pkey -in {file(key)} -noout"),
        repair(
            ("kcert renew NAME --new-key   # where the passphrase is lost", which("NAME")),
            (
                f"openssl pkey -in {file(key)} -out NAME.key   # asks for the passphrase, writes the key without",
                "chmod 600 NAME.key",
            ),
        ),
    )


def _no_pem_ca(saying: Saying) -> Meaning:
    ca = saying.word("path") or saying.file("client-ca-file", "trusted-ca-file") or "ca.crt"
    return Meaning(
        f"{ca}, given as a CA file, holds no certificate.",
        lines(f"head -c 64 {file(ca)}", f"openssl x509 -in {file(ca)} -noout -subject"),
        repair(
            ("kcert check", "kcert kubeconfig admin   # where the CA stands in a kubeconfig"),
            ("# put the CA's certificate there again, from where it was made",),
        ),
    )


def _switched(saying: Saying) -> Meaning:
    crt, key = _pair(saying)
    return Meaning(
        "The two files were given in each other's place: the key as certificate, the certificate as key.",
        lines(_note(saying), f"openssl x509 -in {file(crt)} -noout -subject", f"openssl pkey -in {file(key)} -noout"),
        repair(
            ("kcert flags COMPONENT   # prints the options as they have to be",),
            ("# exchange the two paths in the options",),
        ),
    )


def _unusable(saying: Saying) -> Meaning | None:
    path, kind = saying.word("path") or "server.key", saying.word("kind") or "key"
    if "decrypt" in saying.after:
        return None  # the next line says what is wrong
    command = "req" if "request" in kind.lower() else "x509" if "cert" in kind.lower() else "pkey"
    return Meaning(
        f"openssl found no {kind} in {path}: the file is empty, holds something else, or is locked with another "
        "passphrase.",
        lines(f"head -n 1 {file(path)}", f"openssl {command} -in {file(path)} -noout"),
        repair((f"kcert renew {name_of(path)}", which(name_of(path))), ("# name the right file",)),
    )


def _no_start_line(saying: Saying) -> Meaning:
    kind = saying.word("kind")
    return Meaning(
        f"A file was to hold a PEM block{f' of the kind {kind}' if kind else ''}, and holds none.",
        lines("# FILE: the one that -in names", "head -n 1 FILE", "openssl asn1parse -in FILE"),
        repair(("kcert check",), ("# name the right file; each begins with -----BEGIN and what it is",)),
    )


def _locked(saying: Saying) -> Meaning | None:
    if "bad decrypt" in saying.before:
        return None  # openssl says the same thing twice
    named = _NAMED.search(saying.before)
    path = named[1] if named and named[1].isprintable() else ""
    key = file(path or "locked.key")
    return Meaning(
        f"{path or 'A private key'} is locked with a passphrase, and another one, or none, was given.",
        lines(
            "" if path else "# locked.key: the key that was named", f"head -n 2 {key}", f"openssl pkey -in {key} -noout"
        ),
        repair(
            ("kcert renew NAME --new-key   # where the passphrase is lost", which("NAME")),
            (
                f"openssl pkey -in {key} -out NAME.key   # asks for the passphrase, and writes the key without one",
                "chmod 600 NAME.key",
            ),
        ),
    )


def _malformed(saying: Saying) -> Meaning:
    what = saying.word("what")
    return Meaning(
        f"A certificate cannot be read{f' ({what})' if what else ''}: it was changed, cut short, or made by a "
        "program that does it wrong.",
        lines("# server.crt: the certificate that was shown or named", "openssl x509 -in server.crt -noout -text"),
        repair(("kcert renew NAME", which("NAME")), (sign("NAME"),)),
    )


CAUSES = (
    Cause(
        "ca-key-mismatch", "key-mismatch", (Wording("CA certificate and CA private key do not match"),), _ca_mismatch
    ),
    Cause(
        "key-mismatch",
        "key-mismatch",
        (
            Wording("private key does not match public key"),
            Wording("private key type does not match public key type"),
            Wording("key values mismatch"),
            Wording("unable to set private key file", r"unable to set private key file: '(?P<key>[^']+)'"),
        ),
        _mismatch,
    ),
    Cause(
        "files-switched",
        "key-mismatch",
        (
            Wording("PEM inputs may have been switched"),
            Wording("found a certificate rather than a key in the PEM for the private key"),
        ),
        _switched,
    ),
    Cause(
        "no-pem",
        "unreadable",
        (
            Wording(
                "failed to find any PEM data in", r"failed to find any PEM data in (?P<kind>certificate|key) input"
            ),
            Wording(
                "PEM block in certificate input",
                r"failed to find \"CERTIFICATE\" PEM block in (?P<kind>certificate) input",
            ),
            Wording(
                "PEM block with type ending in",
                r"failed to find PEM block with type ending in \"PRIVATE KEY\" in (?P<kind>key) input",
            ),
            Wording("[SSL] PEM lib"),
        ),
        _no_pem,
    ),
    Cause("unknown-key", "locked-key", (Wording("failed to parse private key"),), _unknown_key),
    Cause(
        "ca-file-without-certificate",
        "unreadable",
        (
            Wording(
                "unable to load root certificates",
                r"unable to load root certificates: unable to parse bytes as PEM block",
            ),
            Wording(
                "data does not contain any valid RSA or ECDSA certificates",
                r"(?:error (?:loading|reading) \"?(?P<path>/[^\s:\"]+)\"?: )?"
                r"data does not contain any valid RSA or ECDSA certificates",
            ),
            Wording("could not parse PEM as CA certificates"),
            Wording("error adding trust anchors from file", r"error adding trust anchors from file: (?P<path>\S+)"),
        ),
        _no_pem_ca,
    ),
    Cause(
        "locked-key",
        "locked-key",
        (
            Wording("bad decrypt"),
            Wording("maybe wrong password"),
            Wording("bad password read"),
            Wording("incorrect password", r"x509: decryption password incorrect"),
        ),
        _locked,
    ),
    Cause(
        "openssl-cannot-use-file",
        "unreadable",
        (
            Wording(
                "Could not read ",
                r"Could not read (?P<kind>(?:CA )?(?:private key|public key|key|certificate(?: file| request)?)) "
                r"from (?P<path>\S.*?)\s*$",
            ),
        ),
        _unusable,
    ),
    Cause(
        "no-start-line",
        "unreadable",
        (Wording("no start line", r"no start line(?:.*Expecting: (?P<kind>[A-Z ]+))?"),),
        _no_start_line,
    ),
    Cause(
        "malformed",
        "unreadable",
        (
            Wording(
                "failed to parse certificate from server",
                r"failed to parse certificate from server: (?:x509: )?(?P<what>[^\"\]]+)",
            ),
            Wording("x509: malformed", r"x509: (?P<what>malformed [^\"\]]+)"),
            Wording("x509: negative serial number", r"x509: (?P<what>negative serial number)"),
            Wording("x509: invalid", r"x509: (?P<what>invalid [^\"\]]+)"),
        ),
        _malformed,
    ),
)
