"""What commands print: one JSON value, or text for people."""

import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final


class OutputFormat(StrEnum):
    """How a command answers."""

    TEXT = "text"
    JSON = "json"


def wants_json(words: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, though it may not be understood otherwise."""
    own = words[: words.index("--")] if "--" in words else words
    pairs = zip(own, [*own[1:], ""], strict=True)
    return any(
        word == "--output=json" or (word == "--output" and value == "json") for word, value in pairs
    )


def print_json(value: object) -> None:
    """Prints the command's one JSON value."""
    print(json.dumps(value, indent=2))


def print_json_line(value: object) -> None:
    """Prints one JSON value of a stream of them, at once."""
    print(json.dumps(value, separators=(",", ":")), flush=True)


def print_fields(fields: Mapping[str, str]) -> None:
    """Prints names and values under one another; an empty value is left out.

    Further lines of a value are indented, so that none of them looks like another field.
    """
    width = max(map(len, fields)) + 1
    for name, value in fields.items():
        if value:
            first, *others = map(printable, value.split("\n"))
            print(f"{name + ':':<{width}} {first}")
            for line in others:
                print(f"{'':<{width}} {line}")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table: drawn on a terminal, plain columns everywhere else. Cuts nothing short."""
    shown = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(columns, shown)
        return
    widths = [max(map(len, column)) for column in zip(columns, *shown, strict=True)]
    for row in (columns, *shown):
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def printable(text: str) -> str:
    """The text with what a terminal would act on made visible."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    console = Console()
    # As wide as it needs to be: the terminal then wraps its lines, where Rich would cut cells.
    whole = table.__rich_measure__(console, console.options.update(max_width=_WIDEST)).maximum
    console.width = max(console.width, whole)
    console.print(table)


_WIDEST: Final = 100_000

_STYLES: Final[dict[str, str]] = {
    "SUCCEEDED": "green",
    "READY": "green",
    "HEALTHY": "green",
    "DEGRADED": "yellow",
    "UNAVAILABLE": "red",
    "RUNNING": "cyan",
    "BUSY": "cyan",
    "FAILED": "red",
    "TIMED_OUT": "red",
    "LOST": "red",
    "CANCELLED": "yellow",
    "DRAINING": "yellow",
}
