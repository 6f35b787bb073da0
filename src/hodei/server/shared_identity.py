"""What every server of an installation must have in common: its id, its root, the passwords' key.

It lies in the database, so that a further server needs nothing but the database's URL. Where the
setting `cluster_key` names a key, it is sealed with it: then who steals the database, or a backup
of it, cannot make certificates, and every server needs the key. Everything else that a server has
is its own: the intermediate, which its certificate and those of its workers come from, too.
"""

import os
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from hodei.adapters.pki import new_root_pem
from hodei.adapters.pki.sealing import KEY_BYTES, SealBrokenError, key_id, seal, unseal
from hodei.kernel.clock import IdSource
from hodei.server.config import ServerConfig
from hodei.server.data_dir import DataDir, DataDirError, Identity

_NO_KEY: Final = ""


async def share_identity(config: ServerConfig, data_dir: DataDir, ids: IdSource) -> datetime:
    """Sees to it that the data directory has what the database's other servers have.

    Returns the database's time.

    Raises:
        DataDirError: The key is missing or another one, or the directory is of another
            installation; the message says what to do.
        SchemaError: The database's schema is not one that this code can use.
        StoreUnavailableError: The database does not answer.
    """
    # The client of PostgreSQL takes 8 MB, which a server on SQLite does not carry.
    from hodei.adapters.postgres.identity import SealedIdentity, find_identity  # noqa: PLC0415

    found = await find_identity(config.database_url)
    if found.identity is None:
        own = data_dir.identity() or _new_identity(ids, found.now)
        stored_key_id, sealed = _closed(msgspec.json.encode(own), config.cluster_key)
        put = SealedIdentity(key_id=stored_key_id, sealed=sealed)
        # Of several servers that start at the same moment one is the first.
        found = await find_identity(config.database_url, or_put=put)
    assert found.identity is not None
    data_dir.adopt(_opened(found.identity.key_id, found.identity.sealed, config.cluster_key))
    return found.now


def _closed(plain: bytes, key_file: Path | None) -> tuple[str, bytes]:
    """What to store, and by which key it is sealed."""
    if key_file is None:
        return _NO_KEY, plain
    key = _read_key(key_file) or _make_key(key_file)
    return key_id(key), seal(key, plain)


def _opened(expected_key_id: str, sealed: bytes, key_file: Path | None) -> Identity:
    if expected_key_id == _NO_KEY:
        if key_file is not None:
            raise DataDirError(
                "cluster_key: what the servers of this database have in common is not sealed; take "
                "the setting out, or begin with an empty database"
            )
        return msgspec.json.decode(sealed, type=Identity)
    key = None if key_file is None else _read_key(key_file)
    if key is None or key_file is None:
        raise DataDirError(
            "cluster_key: what the servers of this database have in common is sealed with a key "
            f"that is not {'set' if key_file is None else f'at {key_file}'}: copy the key file of "
            "one of them, and name it with --set cluster_key=FILE"
        )
    try:
        return msgspec.json.decode(unseal(key, sealed), type=Identity)
    except SealBrokenError as error:
        is_right_key = key_id(key) == expected_key_id
        why = "what the database has is damaged" if is_right_key else "it is another installation's"
        raise DataDirError(
            f"cluster_key: the key in {key_file} does not open what the database has: {why}; copy "
            "the key file of a server that uses this database, or name another database"
        ) from error


def _new_identity(ids: IdSource, now: datetime) -> Identity:
    return Identity(cluster_id=ids.new(), root_pem=new_root_pem(now), otp_key=os.urandom(KEY_BYTES))


def _read_key(path: Path) -> bytes | None:
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataDirError(f"{path} cannot be read as a key: {error}") from error
    if len(key) != KEY_BYTES:
        raise DataDirError(f"{path} holds no key: {KEY_BYTES * 2} hex digits are one")
    return key


def _make_key(path: Path) -> bytes:
    key = os.urandom(KEY_BYTES)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise DataDirError(f"the key cannot be written to {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(descriptor)
    return key
