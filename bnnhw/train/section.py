"""What recipes are made of: frozen dataclasses whose entries know what they may hold, read from and written as TOML.

An entry is declared with its default and its range; construction checks every entry, so a recipe that exists is a
recipe that can be run, and a message names the table and the entry.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any


def number(default: float, above: float | None = None, least: float = 0.0, most: float = math.inf) -> Any:
    """A real entry in ``least..most``, or above ``above``."""
    return field(default=default, metadata={"kind": "number", "above": above, "least": least, "most": most})


def whole(default: int, least: int = 0) -> Any:
    """A whole entry from ``least`` on."""
    return field(default=default, metadata={"kind": "whole", "least": least})


def choice(default: str, *others: str) -> Any:
    """An entry that is one of several words."""
    return field(default=default, metadata={"kind": "choice", "words": (default, *others)})


def flag(default: bool) -> Any:
    """An entry that is true or false."""
    return field(default=default, metadata={"kind": "flag"})


def _fault(value: Any, rule: Any) -> str | None:
    """What ``value`` must be, if it is not that."""
    if rule["kind"] == "whole":
        return None if type(value) is int and value >= rule["least"] else f"a whole number from {rule['least']} on"
    if rule["kind"] == "choice":
        return None if value in rule["words"] else f"one of {', '.join(rule['words'])}"
    if rule["kind"] == "flag":
        return None if type(value) is bool else "true or false"
    above, least, most = rule["above"], rule["least"], rule["most"]
    wanted = f"a number above {above:g}" if above is not None else f"a number from {least:g}"
    wanted += "" if most == math.inf else f" to {most:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return wanted
    return None if (value > above if above is not None else value >= least) and value <= most else wanted


@dataclass(frozen=True)
class Section:
    """A table of a recipe; ValueError, naming the entry, where one is out of its range."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            if "kind" in entry.metadata:
                fault = _fault(getattr(self, entry.name), entry.metadata)
                if fault is not None:
                    value = getattr(self, entry.name)
                    raise ValueError(f"recipe: {self._title()}{entry.name} must be {fault}, not {value!r}")

    @classmethod
    def _title(cls) -> str:
        return f"{cls.__name__.lower()}."

    @classmethod
    def from_values(cls, values: Any) -> Any:
        """The section that a TOML table describes; what it leaves out keeps its default."""
        if not isinstance(values, dict):
            raise ValueError(f"recipe: {cls._title().rstrip('.')} must be a table, not {values!r}")
        known = {entry.name: entry for entry in fields(cls)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(
                f"recipe: unknown entries {', '.join(cls._title() + name for name in unknown)}: "
                f"known are {', '.join(sorted(known))}"
            )
        return cls(**{name: _read(known[name], value) for name, value in values.items()})

    def to_values(self) -> dict[str, Any]:
        """The section as a TOML table, entries before tables; ``from_values`` gives an equal one."""
        values = {entry.name: _written(getattr(self, entry.name)) for entry in fields(self)}
        return dict(sorted(values.items(), key=lambda item: isinstance(item[1], dict)))


def _read(entry: Field[Any], value: Any) -> Any:
    section: Any = entry.default_factory
    if isinstance(section, type) and issubclass(section, Section):
        return section.from_values(value)
    return tuple(value) if isinstance(value, list) else value


def _written(value: Any) -> Any:
    if isinstance(value, Section):
        return value.to_values()
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
