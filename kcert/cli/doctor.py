"""`kcert doctor`."""

from __future__ import annotations

from kcert.cli.options import Program


def command(openssl: Program = "openssl") -> None:
    """Which programs are on this machine, and what works without the others."""
    from kcert import doctor as checks
    from kcert.ui import doctor

    doctor.show(checks.check_tools(openssl), checks.openssl_env_overrides())
