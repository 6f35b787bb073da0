"""What `hodei config …` does."""

from collections.abc import Sequence
from pathlib import Path

from hodei.cli.output import OutputFormat, print_json, print_table
from hodei.cli.pairs import read_pairs
from hodei.server.config_sources import EffectiveValue, load_config
from hodei.server.config_values import Value, show_value, without_password


def show_config(config_file: str, settings: Sequence[str], output: OutputFormat) -> None:
    """Prints the effective configuration."""
    effective = load_config(
        flags=typed_settings(settings), file=Path(config_file) if config_file else None
    )
    if output is OutputFormat.JSON:
        print_json(
            {
                value.key: {"value": _plain(_shown(value)), "source": value.source}
                for value in effective.values
            }
        )
        return
    print_table(
        ("SETTING", "VALUE", "FROM"),
        [(value.key, show_value(_shown(value)), value.source) for value in effective.values],
    )


def typed_settings(settings: Sequence[str]) -> dict[str, tuple[object, str]]:
    """The settings of `--set`, by key, and where they were typed."""
    pairs = read_pairs(settings, option="--set")
    return {key: (value, f"--set {key}") for key, value in pairs.items()}


def _shown(setting: EffectiveValue) -> Value:
    if setting.key == "database_url":
        return without_password(str(setting.value))
    return setting.value


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
