"""What operators ask for about a provider, decoded with every violation named at once."""

from collections.abc import Mapping, Sequence
from typing import Final

from hodei.domain.jobs.violations import Violations
from hodei.domain.providers.change import ProviderChange
from hodei.domain.providers.record import ProviderType
from hodei.kernel.errors import InvalidFieldsError
from hodei.wire import provider_management_pb2 as pb
from hodei.wire.provider_config import decode_options, pairs_text, plain_options, words_text

_PRIORITIES: Final = (-1000, 1000)
_OPTIONS_BY_FIELD: Final = ("allowed_regions", "required_labels", "annotations")
"""Fields of the original's `ProviderConfig` that are options of the same name here."""
_MOST_COST: Final = 1e6
_MOST_WORDS: Final = 64
_MOST_CHARS: Final = 256


def decode_new(request: pb.RegisterProviderRequest) -> tuple[ProviderType, ProviderChange]:
    """A provider that is to be added.

    Raises:
        InvalidFieldsError: Something in it is not allowed.
    """
    found = Violations()
    kind = _type(request.provider_type, found)
    options = decode_options(request.type_config, found)
    if request.HasField("max_workers"):
        _put(options, "max_workers", str(request.max_workers), found)
    change = ProviderChange(
        options=options,
        priority=request.priority,
        cost_per_hour=request.cost_per_hour if request.HasField("cost_per_hour") else None,
        tags=tuple(request.tags),
        metadata=dict(request.metadata),
    )
    _check(change, found)
    return kind, change


def decode_update(config: pb.ProviderConfig, before: pb.ProviderConfig) -> ProviderChange:
    """A provider that is to be changed: what it says of itself now may stand in it unchanged.

    Raises:
        InvalidFieldsError: Something in it is not allowed.
    """
    found = Violations()
    for name in ("name", "provider_type"):
        if getattr(config, name) not in {getattr(before, name), type(getattr(before, name))()}:
            found.add(name, "never changes: add another provider instead")
    options = decode_options(config.type_config, found)
    options_before = plain_options(before.type_config)
    for name in _OPTIONS_BY_FIELD:
        text = _option_text(config, name, found)
        if text != _option_text(before, name, Violations()):
            _decide(options, options_before, name, text, found)
    if config.max_workers not in {0, before.max_workers}:
        options["max_workers"] = str(config.max_workers)
    if config.HasField("preferred_region") and config.preferred_region != before.preferred_region:
        options["region"] = config.preferred_region
    change = ProviderChange(
        options=options,
        priority=config.priority,
        cost_per_hour=config.cost_per_hour if config.HasField("cost_per_hour") else None,
        tags=tuple(config.tags),
        metadata=dict(config.metadata),
    )
    _check(change, found)
    return change


def _type(number: int, found: Violations) -> ProviderType:
    word = pb.ProviderType.Name(number) if number in pb.ProviderType.values() else str(number)
    name = word.removeprefix("PROVIDER_TYPE_")
    if name in set(ProviderType):
        return ProviderType(name)
    found.add("provider_type", f"{name.lower()} cannot be added: docker or local can")
    return ProviderType.LOCAL


def _option_text(config: pb.ProviderConfig, name: str, found: Violations) -> str:
    if name == "allowed_regions":
        return words_text(config.allowed_regions)
    return pairs_text(name, getattr(config, name), found)


def _decide(
    options: dict[str, str], before: Mapping[str, str], name: str, text: str, found: Violations
) -> None:
    """Sets the option, or takes it out, as a field of its name says that was changed."""
    if options.get(name, "") not in {text, before.get(name, "")}:
        found.add(f"options.{name}", f"is said twice, and not alike: leave it or {name} as it was")
    options.pop(name, None)
    if text:
        options[name] = text


def _put(options: dict[str, str], name: str, value: str, found: Violations) -> None:
    if options.setdefault(name, value) != value:
        found.add(f"options.{name}", "is said twice, and not alike: leave one of the two out")


def _check(change: ProviderChange, found: Violations) -> None:
    least, most = _PRIORITIES
    found.check_number("priority", change.priority, least=least, most=most)
    if change.cost_per_hour is not None:
        found.check_number("cost_per_hour", change.cost_per_hour, least=0, most=_MOST_COST)
    found.check_words("tags", change.tags, at_most=_MOST_WORDS, max_chars=_MOST_CHARS)
    _check_pairs("metadata", change.metadata, found)
    if found.found:
        raise InvalidFieldsError(found.found)


def _check_pairs(field: str, pairs: Mapping[str, str], found: Violations) -> None:
    names: Sequence[str] = list(pairs)
    found.check_words(field, names, at_most=_MOST_WORDS, max_chars=_MOST_CHARS)
    for name, value in pairs.items():
        found.check_line(f"{field}.{name[:_MOST_CHARS]}", value, max_chars=_MOST_CHARS)
