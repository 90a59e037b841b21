"""One value of kcert.yaml: its YAML node, with the checks that every key needs, and errors that name the line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kcert.errors import InputError, did_you_mean, sentence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import yaml

_TYPES = {
    "tag:yaml.org,2002:str": "text",
    "tag:yaml.org,2002:int": "a number",
    "tag:yaml.org,2002:float": "a number with a fraction",
    "tag:yaml.org,2002:bool": "yes or no",
    "tag:yaml.org,2002:null": "nothing",
    "tag:yaml.org,2002:seq": "a list",
    "tag:yaml.org,2002:map": "a group of keys",
    "tag:yaml.org,2002:timestamp": "a date",
}


@dataclass(frozen=True)
class Value:
    """One place in the file: the YAML node, where it stands, and how it is called in messages."""

    node: yaml.Node
    path: str
    file: Path

    @property
    def line(self) -> int:
        """The line of the file, counted from 1."""
        return int(self.node.start_mark.line) + 1

    @property
    def kind(self) -> str:
        """What YAML takes it for, in words."""
        return _TYPES.get(self.node.tag, self.node.tag)

    @property
    def shown(self) -> str:
        """The value as messages show it, with nothing in it that could upset a terminal."""
        text = str(self.node.value) if isinstance(self.node.value, str) else self.kind
        return ascii(text if len(text) <= 80 else text[:77] + "...")

    def refuse(self, why: str) -> InputError:
        """The error that this value cannot be taken."""
        where = f"{self.path}: " if self.path else ""
        return InputError(f"{self.file}:{self.line}: {where}{sentence(why)}")

    def text(self, reason: Callable[[str], str | None]) -> str:
        """The value as text for which *reason* finds nothing to say."""
        if self.kind in ("a list", "a group of keys"):
            raise self.refuse(f"one value belongs here, this is {self.kind}")
        value = str(self.node.value)
        if self.kind != "text":
            raise self.refuse(f"{self.shown} is read by YAML as {self.kind}, text belongs here (write it in quotes)")
        if why := reason(value):
            raise self.refuse(f"{self.shown} is not accepted: {why}")
        return value

    def number(self, least: int, most: int, unit: str) -> int:
        """The value as a whole number from *least* to *most*."""
        accepted = f"a whole number from {least} to {most} belongs here ({unit})"
        if self.kind != "a number":
            raise self.refuse(f"{self.shown} is {self.kind}; {accepted}")
        digits = str(self.node.value)
        # YAML 1.1 also reads 017, 0x1F, 1_000 and 1:30 as numbers, and not as they look: only plain ones are taken.
        plain = digits.isascii() and digits.isdigit() and (digits == "0" or not digits.startswith("0"))
        if not plain or len(digits) > 9 or not least <= int(digits) <= most:
            raise self.refuse(f"{self.shown} is not accepted; {accepted}")
        return int(digits)

    def yes_or_no(self) -> bool:
        """The value as true or false."""
        if self.kind != "yes or no":
            raise self.refuse(f"{self.shown} is not accepted: expected true or false")
        return str(self.node.value).lower() in ("true", "yes", "on", "y")

    def choice(self, accepted: tuple[str, ...]) -> str:
        """The value as one of *accepted*."""
        return self.text(lambda value: None if value in accepted else f"accepted are {', '.join(accepted)}")

    def items(self) -> list[Value]:
        """The values of a list; none for a key that is there without a value."""
        if self.kind == "nothing":
            return []
        if self.kind != "a list":
            raise self.refuse(f"a list belongs here, this is {self.kind}")
        return [Value(node, f"{self.path}[{count}]", self.file) for count, node in enumerate(self.node.value)]

    def one_or_more(self) -> list[Value]:
        """One value or a list of them."""
        values = self.items() if self.kind == "a list" else [self]
        if not values:
            raise self.refuse("the list is empty, at least one value belongs here")
        return values

    def fields(self, known: tuple[str, ...]) -> dict[str, Value]:
        """The values of a group of keys, of which only those in *known* may occur, each once."""
        if self.kind != "a group of keys":
            raise self.refuse(f"a group of keys belongs here ({', '.join(known)}), this is {self.kind}")
        found: dict[str, Value] = {}
        for key_node, value_node in self.node.value:
            key = Value(key_node, self.path or "key", self.file)
            name = str(key_node.value)
            if key.kind != "text" or name not in known:
                raise key.refuse(f"{key.shown} is not a key that is known here{_nearest(name, known)}")
            path = f"{self.path}.{name}" if self.path else name
            if name in found:
                raise Value(key_node, path, self.file).refuse(f"duplicate key, first in line {found[name].line}")
            found[name] = Value(value_node, path, self.file)
        return found


def _nearest(name: str, known: tuple[str, ...]) -> str:
    accepted = ", ".join(known)
    return f"; {did_you_mean(name, known, f'accepted are {accepted}', 1)}"
