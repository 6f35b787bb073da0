"""Records of providers."""

import sqlite3
from typing import Final

from hodei.domain.providers.record import ProviderRecord
from hodei.kernel.ids import ProviderName
from hodei.wire.provider_codec import decode_provider, encode_provider

from .named_sql import load

_SQL: Final = load("providers.sql")


def records(connection: sqlite3.Connection) -> list[ProviderRecord]:
    """See `ProviderStore.provider_records`."""
    return [decode_provider(data) for (data,) in connection.execute(_SQL["all"])]


def put(connection: sqlite3.Connection, record: ProviderRecord) -> bool:
    """See `ProviderStore.put_provider`."""
    statement = _SQL["add" if record.version == 1 else "replace"]
    row = {"name": record.name, "version": record.version, "data": encode_provider(record)}
    return connection.execute(statement, row).rowcount == 1


def remove(connection: sqlite3.Connection, name: ProviderName, version: int) -> bool:
    """See `ProviderStore.remove_provider`."""
    return connection.execute(_SQL["remove"], {"name": name, "version": version}).rowcount == 1
