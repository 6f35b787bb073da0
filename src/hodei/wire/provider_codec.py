"""How stores keep the records of providers: as JSON, which people may have to read.

Fields may be added to a record, with a default: those that are stored lack them.
"""

from typing import Final

import msgspec

from hodei.domain.providers.record import ProviderRecord

_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(ProviderRecord)


def encode_provider(record: ProviderRecord) -> str:
    """The record."""
    return _encoder.encode(record).decode()


def decode_provider(data: str) -> ProviderRecord:
    """The record."""
    return _decoder.decode(data)
