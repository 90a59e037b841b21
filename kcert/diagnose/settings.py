"""What openssl says of its settings: the openssl.cnf, the subject, the names in [alt_names]."""

from __future__ import annotations

import re

from kcert.diagnose.cause import Cause, Meaning, Saying, Wording
from kcert.diagnose.commands import file, lines, repair, which
from kcert.quoting import quote

_CONFIG = re.compile(r"config file \"([^\"]+)\"")
_NOTE = "# openssl-NAME.cnf: the file that -config or -extfile names"


def _bad_address(saying: Saying) -> Meaning:
    value = saying.word("value").strip()
    what = f"{value} stands" if value else "nothing stands"
    why = "which is no address" if value else "most likely because a shell variable was empty"
    return Meaning(
        f"In [alt_names] {what} behind an IP, {why}; a name belongs behind DNS.",
        lines(
            _NOTE,
            "grep -n 'IP' openssl-NAME.cnf",
            "openssl req -new -key NAME.key -subj /CN=NAME -config openssl-NAME.cnf -noout",
        ),
        repair(
            ("kcert all   # writes the settings from kcert.yaml", which("NAME")),
            (f"# correct the line: DNS.9 = {value}" if value else "# correct the line: IP.1 = 192.168.56.11",),
        ),
    )


def _no_value(saying: Saying) -> Meaning:
    named = _CONFIG.search(saying.before)
    path = saying.word("path") or (named[1] if named and named[1].isprintable() else "openssl-NAME.cnf")
    line = saying.word("line")
    number = f" in line {line}" if line else ""
    return Meaning(
        f"{path} uses a variable{number} that is not set.",
        lines(
            f"sed -n {line}p {file(path)}" if line else f"grep -n '\\$' {file(path)}",
            f"openssl req -new -key NAME.key -config {file(path)} -noout",
        ),
        repair(
            ("kcert all   # writes the settings from kcert.yaml",),
            ("# write the value itself into the file, or export the variable",),
        ),
    )


def _section(saying: Saying) -> Meaning | None:
    if "bad ip address" in saying.after:
        return None  # the next line says what is wrong
    section = saying.word("section")
    return Meaning(
        f"The settings have no usable section {section}: it is missing, misspelled, or holds an extension that "
        "openssl cannot make.",
        lines(
            _NOTE,
            "grep -n '^\\[' openssl-NAME.cnf",
            f"openssl req -new -key NAME.key -subj /CN=NAME -config openssl-NAME.cnf -reqexts {quote(section)} -noout",
        ),
        repair(
            ("kcert all   # writes the settings from kcert.yaml",),
            (
                (
                    f"# add [ {section} ] to the file that -extfile names, or name the section that is there with "
                    "-extensions"
                ),
            ),
        ),
    )


def _subject(saying: Saying) -> Meaning:
    given = saying.word("given")
    return Meaning(
        f"openssl cannot read the subject {given or 'given with -subj'}: it begins with a slash, and has one "
        "before each part.",
        lines(
            "# this is how a subject looks",
            "openssl req -new -key NAME.key -subj /CN=kube-admin/O=system:masters -noout -subject -config /dev/null",
        ),
        repair(("kcert client NAME",), ("# write -subj /CN=NAME/O=GROUP",)),
    )


def _no_issuer_key_id(_saying: Saying) -> Meaning:
    return Meaning(
        "The CA's certificate has no subjectKeyIdentifier (one of version 1 has none), so authorityKeyIdentifier = "
        "keyid cannot refer to it.",
        "openssl x509 -in ca.crt -noout -subject -ext subjectKeyIdentifier,basicConstraints",
        repair(
            ("kcert ca   # in a fresh folder, then kcert all", "kcert explain version-1"),
            ("# write authorityKeyIdentifier = keyid, issuer into the settings: the CA's serial number will do",),
        ),
    )


CAUSES = (
    Cause(
        "bad-ip-address",
        "san-type",
        (Wording("bad ip address", r"bad ip address(?:.*?value=(?P<value>.*))?$"),),
        _bad_address,
    ),
    Cause(
        "variable-without-value",
        "step-settings",
        (
            Wording("variable has no value", r"variable has no value(?:.*line (?P<line>\d+))?"),
            Wording("of config file", r"Error on line (?P<line>\d+) of config file \"(?P<path>[^\"]+)\""),
        ),
        _no_value,
    ),
    Cause(
        "section-missing",
        "step-settings",
        (
            Wording("Error checking", r"Error checking (?:request )?extension section (?P<section>\S+)"),
            Wording("Error Loading extension section", r"Error Loading extension section (?P<section>\S+)"),
            Wording("Error adding extensions from section", r"Error adding extensions from section (?P<section>\S+)"),
        ),
        _section,
    ),
    Cause(
        "bad-subject",
        "step-request",
        (
            Wording(
                "is expected to be in the format",
                r"is expected to be in the format .*?(?:not in that format: '(?P<given>[^']*)')?$",
            ),
            Wording("unknown subject name attribute"),
        ),
        _subject,
    ),
    Cause("issuer-without-key-id", "version-1", (Wording("unable to get issuer keyid"),), _no_issuer_key_id),
)
