"""SQL from the files beside this module, by name."""

import re
from importlib.resources import files
from typing import Final, LiteralString, cast

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load(file_name: str) -> dict[str, LiteralString]:
    """The statements of a file, by the names above them."""
    text = files("hodei.adapters.postgres").joinpath(file_name).read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    return {
        # As fixed as a literal: it is part of the program.
        name: cast("LiteralString", statement.strip())
        for name, statement in zip(parts[::2], parts[1::2], strict=True)
    }
