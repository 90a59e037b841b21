"""From when to when: certificates that have ended, or that have not begun."""

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
    sign,
    unnamed,
    which,
)


def _proof(saying: Saying) -> tuple[str, str]:
    """The command that prints the dates, and the name of the certificate."""
    path = saying.word("path") or saying.checked
    if path:
        return look(path, "subject", "dates"), name_of(path)
    if saying.client_is_judged:
        return lines(
            "# client.crt: the certificate that the client showed", look("client.crt", "subject", "dates")
        ), "NAME"
    address = saying.dialled or saying.stand_in
    return lines(unnamed(saying.dialled), look_at(address, "subject", "dates")), name_at(address)


def _whose(saying: Saying) -> str:
    if path := saying.checked:
        return f"The certificate {path}"
    if saying.client_is_judged:
        return f"The certificate of a client at {saying.caller}" if saying.caller else "A client's certificate"
    return f"The certificate of the server at {saying.dialled}" if saying.dialled else "The certificate that was shown"


def _expired(saying: Saying) -> Meaning:
    end = saying.word("end")
    proof, name = _proof(saying)
    since = f" ended at {end}" if end else " has ended"
    return Meaning(
        f"{_whose(saying)}{since}, and is refused by everybody who is shown it.",
        lines(proof, "date -u"),
        repair((f"kcert renew {name}", which(name)), (sign(name), "# then restart the component that shows it")),
    )


def _expired_or_early(saying: Saying) -> Meaning:
    proof, name = _proof(saying)
    return Meaning(
        f"{_whose(saying)} has ended or has not begun, by the clock of the machine that looked.",
        lines(proof, "date -u"),
        repair(
            (f"kcert renew {name}", which(name)), (sign(name), "# or set the clock right: timedatectl set-ntp true")
        ),
    )


def _not_yet_valid(saying: Saying) -> Meaning:
    start = saying.word("start")
    proof, name = _proof(saying)
    begins = f" begins at {start}" if start else " has not begun"
    return Meaning(
        f"{_whose(saying)}{begins}: the clock of the machine that looked is slow, or that of the one that signed "
        "was fast.",
        lines(proof, "date -u"),
        repair(
            (
                "# set the clock right on both machines first: timedatectl set-ntp true",
                f"kcert renew {name}",
                which(name),
            ),
            (sign(name),),
        ),
    )


def _kubelet_expired(saying: Saying) -> Meaning:
    path = saying.word("path") or "/var/lib/kubelet/pki/kubelet-client-current.pem"
    end = saying.word("end")
    inside = "" if path.endswith(".pem") else f"kcert show {file(path)}"
    proof = inside or look(path, "subject", "dates")
    at = f" at {end}" if end else ""
    return Meaning(
        f"The kubelet's client certificate ended{at} before it was rotated, so the kubelet cannot ask for a new one.",
        lines(proof, look("/var/lib/kubelet/pki/kubelet-client-current.pem", "subject", "dates") if inside else ""),
        repair(
            (
                "kcert renew kubelet-client-NODE   # kubeadm: kubelet",
                "# then put the new files in place and restart the kubelet",
            ),
            (sign("kubelet-client-NODE"), "systemctl restart kubelet"),
        ),
    )


CAUSES = (
    Cause(
        "kubelet-certificate-expired",
        "expired",
        (
            Wording(
                "of the existing bootstrap client certificate",
                r"[Pp]art of the existing bootstrap client certificate "
                r"(?:(?:which )?(?:located )?(?:at|in) \"?(?P<path>[^\s\"]+)\"? )?"
                r"is expired: (?P<end>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)",
            ),
            Wording("currently active client certificate has expired"),
        ),
        _kubelet_expired,
    ),
    Cause(
        "not-yet-valid",
        "not-yet-valid",
        (
            Wording(
                "certificate has expired or is not yet valid",
                r"certificate has expired or is not yet valid: current time \S+ is before (?P<start>\d[\dT:.-]+Z?)",
            ),
            Wording(
                "certificate is not yet valid",
                r"(?:num=9:|lookup: |failed: |problem: |error: |\()certificate is not yet valid",
            ),
        ),
        _not_yet_valid,
    ),
    Cause(
        "expired",
        "expired",
        (
            Wording(
                "certificate has expired or is not yet valid",
                r"certificate has expired or is not yet valid: current time \S+ is after (?P<end>\d[\dT:.-]+Z?)",
            ),
            Wording(
                "certificate has expired",
                r"(?:num=10:|lookup: |failed: |problem: |error: |\()certificate has expired(?! or)",
            ),
            Wording("tls: expired certificate"),
            Wording("alert certificate expired"),
            Wording("ALERT_CERTIFICATE_EXPIRED"),
        ),
        _expired,
    ),
    Cause(
        "expired-or-early",
        "expired",
        (Wording("certificate has expired or is not yet valid"),),
        _expired_or_early,
    ),
)
