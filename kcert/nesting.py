"""How deep YAML is nested, found out before it is built: the C loader recurses, and too deep kills the process."""

from __future__ import annotations

DEEPEST = 50
"""Levels. Nothing that Kubernetes or kcert reads needs a fifth of it."""


def too_deep(text: str | bytes) -> bool:
    """Whether *text* is nested more than DEEPEST levels deep; YAML that breaks off before that is not.

    Events are read one by one, so that neither depth nor aliases cost memory here.
    """
    import yaml

    depth = 0
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                return True
    except yaml.YAMLError:
        pass  # whoever builds it finds the same fault, and says where
    return False
