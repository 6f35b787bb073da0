"""The numbered parameters of a statement that is put together from parts."""

from typing import LiteralString, cast


class Parameters:
    """The values of a statement; each gets the number by which the statement names it.

    Attributes:
        values: In the order of their numbers.
    """

    def __init__(self) -> None:
        self.values: list[object] = []

    def put(self, part: LiteralString, **values: object) -> LiteralString:
        """The part with the numbers of these values in it."""
        for name, value in values.items():
            self.values.append(value)
            number = cast("LiteralString", f"${len(self.values)}")
            part = part.replace(f"{{{cast('LiteralString', name)}}}", number)
        return part
