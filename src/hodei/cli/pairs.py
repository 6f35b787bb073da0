"""Names and values as they are typed."""

from collections.abc import Iterable, Mapping

from hodei.kernel.errors import InvalidFieldsError


def read_pairs(texts: Iterable[str], *, option: str) -> dict[str, str]:
    """The pairs of texts such as `key=value`; the value may hold further equals signs.

    Raises:
        InvalidFieldsError: One is not a pair.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise InvalidFieldsError.of(option, f"{text!r} is not a pair; write NAME=VALUE")
        pairs[name] = value
    return pairs


def read_environment(
    texts: Iterable[str], own: Mapping[str, str], *, option: str
) -> dict[str, str]:
    """As `read_pairs`; a name alone takes the value that it has in `own`.

    Raises:
        InvalidFieldsError: A name is empty, or is alone and has no value.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name:
            raise InvalidFieldsError.of(option, f"{text!r} has no name; write NAME=VALUE or NAME")
        if not equals and name not in own:
            raise InvalidFieldsError.of(
                option, f"{name} is not set here; write {name}=VALUE, or set it first"
            )
        pairs[name] = value if equals else own[name]
    return pairs


def read_counts(texts: Iterable[str], *, option: str) -> dict[str, int]:
    """As `read_pairs`, of whole numbers.

    Raises:
        InvalidFieldsError: One is not a pair, or its value not a whole number.
    """
    pairs = read_pairs(texts, option=option)
    for name, value in pairs.items():
        if not (value.isascii() and value.isdigit()):
            raise InvalidFieldsError.of(option, f"{name}={value} is not a count; write {name}=1")
    return {name: int(value) for name, value in pairs.items()}
