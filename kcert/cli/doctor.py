"""`kcert doctor`."""

from __future__ import annotations

from kcert.cli.options import Program


def command(openssl: Program = "openssl") -> None:
    """Check which programs are installed, and what works without the others."""
    from kcert import examination
    from kcert.ui import doctor

    doctor.show(examination.examine(openssl), examination.steered())
