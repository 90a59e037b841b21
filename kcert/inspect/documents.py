"""YAML that somebody else wrote: manifests, kubeconfigs, component configuration.

Aliases are refused: a few lines of them can stand for gigabytes, and nothing that Kubernetes writes has any.
"""

from __future__ import annotations

from typing import Any

LARGEST = 4 * 1024 * 1024  # bytes; the API server itself takes no object beyond 3 MiB
DEEPEST = 50  # levels
MOST = 1000  # documents in one file


class NotADocumentError(Exception):
    """The text is no YAML that kcert reads; the message is a clause that can follow the file's name."""


def documents(content: bytes) -> list[dict[str, Any]]:
    """Every mapping of a YAML (or JSON) file; anything else raises NotADocumentError."""
    import yaml

    if len(content) > LARGEST:
        raise NotADocumentError(f"is {len(content) // 1024} KiB of YAML, more than kcert reads")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text = content.decode("utf-8-sig")
        depth = count = 0
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.AliasEvent):
                raise NotADocumentError("uses YAML aliases, which kcert does not follow: write the values out")
            count += isinstance(event, yaml.DocumentStartEvent)
            if count > MOST:
                raise NotADocumentError(f"holds more than {MOST} documents")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise NotADocumentError(f"is nested more than {DEEPEST} levels deep")
        found = list(yaml.load_all(text, Loader=loader))
    except UnicodeDecodeError:
        raise NotADocumentError("is not text") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark else ""
        raise NotADocumentError(f"is not valid YAML{place}") from None
    return [document for document in found if isinstance(document, dict)]


def text_at(document: object, *keys: str) -> str | None:
    """The text at a path of keys, or None where anything on the way is something else."""
    found = value_at(document, *keys)
    return found if isinstance(found, str) else None


def value_at(document: object, *keys: str) -> object:
    """The value at a path of keys, or None where there is none."""
    for key in keys:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document


def list_at(document: object, *keys: str) -> list[object]:
    """The list at a path of keys; empty where there is none."""
    found = value_at(document, *keys)
    return found if isinstance(found, list) else []
