"""SQL from the files beside this module, by name."""

import re
from importlib.resources import files
from typing import Final, LiteralString, cast

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load(file_name: str) -> dict[str, LiteralString]:
    """The statements of a file, by the names above them."""
    _, *parts = _NAME.split(read(file_name))
    return {
        name: cast("LiteralString", text.strip())
        for name, text in zip(parts[::2], parts[1::2], strict=True)
    }


def read(file_name: str) -> LiteralString:
    """The text of a file, which is as fixed as a literal: it is part of the program."""
    text = files("hodei.adapters.sqlite").joinpath(file_name).read_text(encoding="utf-8")
    return cast("LiteralString", text)
