"""`kcert doctor`."""

from __future__ import annotations

from kcert.cli.options import Force, Output, Program, ResultFormat


def command(
    format: ResultFormat = "text",
    output: Output = None,
    force: Force = False,
    openssl: Program = "openssl",
) -> None:
    """Check which programs are installed, and what works without the others."""
    from kcert import doctor as checks
    from kcert.ui import doctor
    from kcert.ui.report import written_to

    tools, overrides = checks.check_tools(openssl), checks.openssl_env_overrides()
    with written_to(output, force=force):
        doctor.show(tools, overrides, format)
    doctor.require_openssl(tools)
