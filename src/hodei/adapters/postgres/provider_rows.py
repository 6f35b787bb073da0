"""Records of providers."""

from collections.abc import Sequence
from typing import Final, LiteralString

from hodei.domain.providers.record import ProviderRecord
from hodei.kernel.ids import ProviderName
from hodei.wire.provider_codec import decode_provider, encode_provider

from .connection import Connection
from .named_sql import load
from .reader import Readers

_SQL: Final = load("providers.sql")


async def records(readers: Readers) -> list[ProviderRecord]:
    """See `ProviderStore.provider_records`."""
    return [decode_provider(data) for (data,) in await readers.fetch(_SQL["all"])]


async def put(readers: Readers, record: ProviderRecord) -> bool:
    """See `ProviderStore.put_provider`."""
    statement = _SQL["add" if record.version == 1 else "replace"]
    return await _change(readers, statement, record.name, record.version, encode_provider(record))


async def remove(readers: Readers, name: ProviderName, version: int) -> bool:
    """See `ProviderStore.remove_provider`."""
    return await _change(readers, _SQL["remove"], name, version)


async def fill(connection: Connection, found: Sequence[ProviderRecord]) -> None:
    """Writes records as they are, into a table without any."""
    rows = [(each.name, each.version, encode_provider(each)) for each in found]
    await connection.executemany(_SQL["add"], rows)


async def _change(readers: Readers, statement: LiteralString, *arguments: object) -> bool:
    async with readers.transaction() as connection:
        await connection.execute(_SQL["durably"])
        return bool(await connection.fetchval(statement, *arguments))
