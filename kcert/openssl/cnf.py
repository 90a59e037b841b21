"""openssl.cnf files, from the templates in ``openssl_templates/``."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from kcert.errors import InputError

if TYPE_CHECKING:
    from kcert.certificates import AltName, Certificate

EXTENSIONS = "v3_req"
"""The section that every template has, and that the signing command names."""

_PLACEHOLDER = re.compile(r"\{\{ *(\w+) *\}\}")


def built_in_templates() -> Path:
    """The folder of the templates that kcert brings: inside an installed kcert, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "openssl_templates"
    return installed if installed.is_dir() else package.parent / "openssl_templates"


def render(certificate: Certificate, templates: Path | None = None) -> str:
    """The openssl.cnf of *certificate*, from the template of its kind in *templates* (default: kcert's own).

    Raises InputError for a template that is missing, unreadable, or asks for what kcert does not know.
    """
    path = (templates or built_in_templates()) / f"{certificate.kind.value}.cnf"
    try:
        template = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            f"{path} is not there: a folder of templates holds ca.cnf, client.cnf, server.cnf and peer.cnf "
            f"(kcert's own, to start from, are in {built_in_templates()})."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from None
    values = {"key_usage": _key_usage(certificate), "alt_names": alt_names(certificate.alt_names)}

    def filled(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in values:
            line = template[: found.start()].count("\n") + 1
            raise InputError(f"{path}:{line}: {found.group()} is not known; there are {', '.join(values)}.")
        return values[name]

    return _PLACEHOLDER.sub(filled, template)


def alt_names(names: tuple[AltName, ...]) -> str:
    """The lines of an ``[ alt_names ]`` section; openssl wants each type counted on its own."""
    counts: Counter[str] = Counter()
    lines = []
    for name in names:
        counts[name.type] += 1
        lines.append(f"{name.type}.{counts[name.type]} = {name.value}")
    return "\n".join(lines)


def _key_usage(certificate: Certificate) -> str:
    """keyEncipherment is for RSA: only an RSA key can encrypt the key of a session (RFC 5480, section 3)."""
    return "digitalSignature, keyEncipherment" if certificate.key.algorithm == "rsa" else "digitalSignature"
