"""YAML that somebody else wrote: manifests, kubeconfigs, component configuration.

It is read as kubectl reads it: UTF-8 or UTF-16, with a byte order mark or without, JSON, aliases, several documents.
Values that aliases share are one object, so that what reads a document must never walk all of it.
"""

from __future__ import annotations

import codecs
from typing import Any

from kcert import plain_yaml
from kcert.files import LARGEST_DOCUMENT


class NotADocumentError(Exception):
    """The text is no YAML that kcert reads; the message is a clause that can follow the file's name."""


def documents(content: bytes, largest: int = LARGEST_DOCUMENT) -> list[dict[str, Any]]:
    """Every mapping of a YAML (or JSON) file; anything else raises NotADocumentError."""
    if len(content) > largest:
        raise NotADocumentError(f"is {len(content) // 1024} KiB of YAML, more than kcert reads")
    try:
        parsed = plain_yaml.load_all(as_utf8(content).decode("utf-8-sig"), aliases=True)
    except UnicodeDecodeError:
        raise NotADocumentError("is not text") from None
    except plain_yaml.NotPlainError as error:
        raise NotADocumentError(str(error)) from None
    return [document for document in parsed if isinstance(document, dict)]


def as_utf8(content: bytes) -> bytes:
    """Return a text in UTF-16 as UTF-8; anything else comes back as it is."""
    if not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content
    return content.decode("utf-16", "replace").encode()


def text_at(document: object, *keys: str) -> str | None:
    """The text at a path of keys, or None where anything on the way is something else."""
    value = value_at(document, *keys)
    return value if isinstance(value, str) else None


def value_at(document: object, *keys: str) -> object:
    """The value at a path of keys, or None where there is none."""
    for key in keys:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document


def list_at(document: object, *keys: str) -> list[object]:
    """The list at a path of keys; empty where there is none."""
    value = value_at(document, *keys)
    return value if isinstance(value, list) else []
