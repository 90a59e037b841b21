"""Admission webhooks: servers with certificates of their own, which neither kcert nor the cluster's CA makes."""

from __future__ import annotations

from kcert.diagnose.cause import Cause, Meaning, Saying, Wording
from kcert.diagnose.commands import lines, look_at, repair, unnamed

_CALLING = r"failed calling webhook \"?(?P<webhook>[\w.-]+)\"?.*x509: "


def _mended(saying: Saying, cause: str, *fields: str, name: str = "") -> Meaning:
    webhook, address = saying.word("webhook"), saying.dialled
    host = address.rpartition(":")[0] or name or "SERVICE.NAMESPACE.svc"
    return Meaning(
        f"The certificate of the webhook {webhook} {cause}; no certificate of the cluster's own is at fault.",
        lines(
            unnamed(address, f"{host}:443"),
            f"# from a pod, or through kubectl port-forward: {host} is a service's name",
            look_at(address or f"{host}:443", *fields),
        ),
        repair(
            ("# kcert makes no certificates for webhooks:",),
            (
                "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations   # whose webhook is it?",
                f"# a new one that holds DNS:{host} goes into the Secret which its pods mount, its CA into caBundle",
                "# cert-manager does both: kubectl get certificates -A, then cmctl renew NAME -n NAMESPACE",
            ),
        ),
    )


def _dates(saying: Saying) -> Meaning:
    end, start = saying.word("end"), saying.word("start")
    ended = f"ended at {end}" if end else "has ended or has not begun"
    return _mended(saying, f"begins at {start} only" if start else ended, "subject", "dates")


def _names(saying: Saying) -> Meaning:
    name = saying.word("name")
    dialled = f"{name}, the name that the API server dials" if name else "the name that the API server dials"
    return _mended(saying, f"does not hold {dialled}", "subject", "ext subjectAltName", name=name)


CAUSES = (
    Cause(
        "dates-of-webhook",
        "expired",
        (
            Wording(
                "failed calling webhook",
                _CALLING + r"certificate has expired or is not yet valid"
                r"(?:: current time \S+ is (?:after (?P<end>\d[\dT:.-]+Z?)|before (?P<start>\d[\dT:.-]+Z?)))?",
            ),
        ),
        _dates,
    ),
    Cause(
        "name-of-webhook",
        "missing-san",
        (
            Wording(
                "failed calling webhook", _CALLING + r"certificate is valid for [^\"]{1,4000}?, not (?P<name>[\w.:-]+)"
            ),
            Wording(
                "failed calling webhook",
                _CALLING + r"certificate is not valid for any names(?:, but wanted to match (?P<name>[\w.:-]+))?",
            ),
            Wording("failed calling webhook", _CALLING + r"certificate relies on legacy Common Name field"),
            Wording(
                "failed calling webhook",
                _CALLING + r"cannot validate certificate for (?P<name>[\w.:-]+) because it doesn't contain any IP SANs",
            ),
        ),
        _names,
    ),
)
