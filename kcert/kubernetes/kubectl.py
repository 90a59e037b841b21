"""kubectl: its command lines, and its failures in words that say what to do."""

from __future__ import annotations

from dataclasses import dataclass

from kcert.errors import KcertError, ProgramError, UnansweredError, sentence
from kcert.quoting import format_command
from kcert.shell import Command, Reading, find, read

PROGRAM = "kubectl"

_FAILURES = (
    ("(NotFound)", "The cluster has no object of that name; `kcert csr list` shows which there are."),
    (
        "group is not allowed",
        "No user may ask for this group, with any permissions: ask for another group, and bind that one with RBAC.",
    ),
    (
        "user not permitted to",
        "To approve, sign or deny takes a rule of RBAC for the signer as well: the resource signers, with this name.",
    ),
    (
        "(Forbidden)",
        "This user may not do that: `kubectl auth whoami` shows the user. A user with more permissions has to do it.",
    ),
    ("(Conflict)", "Another client changed the object at the same time: run the command again."),
    (
        "(AlreadyExists)",
        "An object of that name is there already: `kubectl delete csr NAME` takes it away, or choose another name.",
    ),
    (
        "is already",
        "What was decided stays decided: a new object with another name can be decided anew.",
    ),
    ("is invalid", "The API server names the field that it does not take."),
    ("(BadRequest)", "The API server does not understand the object."),
    (
        "the server doesn't have a resource type",
        "Is this a cluster of Kubernetes 1.19 or newer? Older ones do not have certificates.k8s.io/v1.",
    ),
    ("no matches for kind", "Older clusters than Kubernetes 1.19 do not have certificates.k8s.io/v1."),
    ("(Unauthorized)", "The API server does not know who that is: is the certificate in the kubeconfig expired?"),
    ("provide credentials", "The kubeconfig has no certificate and no token that the API server takes."),
    (
        "certificate has expired",
        "A certificate is out of date, or a clock is wrong: `kcert show HOST:PORT` shows which.",
    ),
    (
        "x509:",
        "The TLS connection failed: the kubeconfig's CA is not the one of this API server, or its name is another.",
    ),
    (
        "localhost:8080",
        "kubectl uses this address when no kubeconfig is set. Specify one with --kubeconfig FILE.",
    ),
    ("connection refused", "No API server answers there. `kubectl config view --minify` shows the configured address."),
    (
        "connection to the server",
        "No API server answers there. `kubectl config view --minify` shows the configured address.",
    ),
    ("Unable to connect", "No API server answers there. `kubectl config view --minify` shows the configured address."),
    ("no configuration has been provided", "kubectl has no kubeconfig. Specify one with --kubeconfig FILE."),
    ("does not exist", "Is the context, or the file, named right? `kubectl config get-contexts` shows what there is."),
    ("context was not found", "`kubectl config get-contexts` shows which contexts there are."),
    ("no such file", "That is the kubeconfig: is it named right?"),
)
"""What kubectl says, and what to do about it; the first that is found counts."""

_UNANSWERED = (
    "localhost:8080",
    "connection refused",
    "connection to the server",
    "Unable to connect",
    "no configuration",
)
"""What it says where no cluster answers."""


@dataclass(frozen=True)
class Cluster:
    """The cluster that kubectl connects to, if the user named one: a kubeconfig, a context."""

    kubeconfig: str | None = None
    context: str | None = None

    def command(self, *words: str) -> tuple[str, ...]:
        """The command line that does *words* there."""
        named = (("--kubeconfig", self.kubeconfig), ("--context", self.context))
        return (PROGRAM, *words, *(part for option, value in named if value for part in (option, value)))


def kubectl(argv: tuple[str, ...]) -> Reading:
    """Run a command line of kubectl for what it prints.

    Raises UnansweredError where kubectl is missing or finds no cluster, and ProgramError where it fails otherwise,
    with what can be done about it.
    """
    if find(PROGRAM) is None:
        raise UnansweredError(
            "kubectl is not on this machine, and it is what talks to a cluster. Install it, or work without a cluster: "
            "approve, deny, sign and fetch take --file FILE."
        )
    reading = read(Command(argv, asks=True))  # a plugin of the kubeconfig may ask who the user is
    if not reading.succeeded:
        raise failure(argv, reading)
    return reading


def failure(argv: tuple[str, ...], reading: Reading) -> KcertError:
    """Return what a failed command of kubectl comes to."""
    lines = [line.strip() for line in reading.stderr.splitlines() if line.strip()]
    said = next((line for line in reversed(lines) if "rror" in line or ":" in line), lines[-1] if lines else "")
    advice = next((words for sign, words in _FAILURES if sign in reading.stderr), "")
    what = f"`{format_command(argv[:3])}` failed with status {reading.status}"
    said = ascii(said)[1:-1]
    kind = UnansweredError if any(sign in reading.stderr for sign in _UNANSWERED) else ProgramError
    return kind(f"{what}: {sentence(said)} {advice}".strip())
