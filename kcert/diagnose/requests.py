"""Requests for certificates that the cluster's own signers turn down."""

from __future__ import annotations

from kcert.diagnose.cause import Cause, Meaning, Saying, Wording
from kcert.diagnose.commands import lines, repair

_LIST_OF_REQUESTS = r"^(?P<request>[a-z0-9][a-z0-9.-]*) +\S+ +(?P<signer>[\w./-]+) +.*\bApproved,Failed\b"


def _not_signed(saying: Saying) -> Meaning:
    name, signer, why = saying.word("request") or "NAME", saying.word("signer"), saying.word("why")
    whose = f"The signer {signer}" if signer else "The signer of a request for a certificate"
    reason = f": {why.rstrip('. ')}" if why else ", because it breaks one of the signer's rules"
    return Meaning(
        f"{whose} refused to sign what was approved{reason}.",
        lines(
            "" if name != "NAME" else "# NAME: the request, as `kubectl get csr` lists it",
            f"kubectl get csr {name} -o jsonpath='{{.status.conditions}}'   # the message says which rule",
            f"kubectl get csr {name} -o jsonpath={{.spec.request}} | base64 -d |\n  openssl req -noout -text",
        ),
        repair(
            (
                f"kcert csr show {name}",
                "# with usages, subject and names as the signer allows them, under another name:",
            ),
            (
                "kubectl explain csr.spec.signerName   # what each signer allows",
                f"kubectl delete csr {name}   # Failed stays as it is: a corrected request is a new object",
            ),
        ),
    )


CAUSES = (
    Cause(
        "not-signed",
        "csrapproving-csrsigning",
        (
            Wording(
                "certificate signing request failed",
                r"certificate signing request failed, reason: \w+(?:, message: (?P<why>[^\"]{1,300}))?",
            ),
            Wording("Approved,Failed", _LIST_OF_REQUESTS),
            Wording("SignerValidationFailure"),
        ),
        _not_signed,
    ),
)
