"""What `hodei db …` does."""

import asyncio
from dataclasses import asdict, dataclass
from pathlib import Path

from hodei.cli.failures import warn
from hodei.cli.output import OutputFormat, print_fields, print_json
from hodei.kernel.errors import InvalidFieldsError
from hodei.server.backup import back_up
from hodei.server.config import ServerConfig
from hodei.server.config_sources import load_config
from hodei.server.database import migrate, status


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedDatabase:
    """What was typed; empty for what was not."""

    data_dir: str = ""
    database_url: str = ""
    config_file: str = ""

    def load(self) -> ServerConfig:
        """The configuration that a server would have, from flags, environment and file.

        Raises:
            InvalidFieldsError: A setting is not known or not allowed.
        """
        typed = {
            "data_dir": (self.data_dir, "--data-dir"),
            "database_url": (self.database_url, "--database-url"),
        }
        flags: dict[str, tuple[object, str]] = {
            key: (value, flag) for key, (value, flag) in typed.items() if value
        }
        file = Path(self.config_file) if self.config_file else None
        return load_config(flags=flags, file=file).config


def migrate_database(typed: TypedDatabase, output: OutputFormat) -> None:
    """Brings the database to this version's schema and says from where."""
    done = asyncio.run(migrate(typed.load()))
    if output is OutputFormat.JSON:
        print_json(asdict(done))
    elif done.before == done.after:
        print(f"{done.place} has schema {done.after} already")
    elif done.before:
        print(f"{done.place} went from schema {done.before} to {done.after}")
    else:
        print(f"{done.place} has schema {done.after} now")


def show_status(typed: TypedDatabase, output: OutputFormat) -> None:
    """Prints what the database is like."""
    found = asyncio.run(status(typed.load()))
    if output is OutputFormat.JSON:
        print_json(asdict(found))
        return
    print_fields(
        {
            "database": found.kind,
            "place": found.place,
            "schema": found.revision or "(no tables yet)",
            "needed": found.needed,
            "to do": found.advice,
            "events": f"{found.events:,}",
            "jobs": f"{found.jobs:,}",
            "workers": f"{found.workers:,}",
            "oldest event": found.oldest_event_at,
            "size": f"{found.size_bytes:,} bytes",
            "output of jobs": f"{found.log_bytes:,} bytes",
            "oldest output": found.oldest_log_at,
            "used by": found.used_by,
        }
    )


def copy_to_postgres(source: str, to: str, output: OutputFormat) -> None:
    """Copies a data directory's database and prints what was compared."""
    # The client of PostgreSQL, which no other command needs.
    from hodei.server.database_copy import copy_database

    url = TypedDatabase(database_url=to).load().database_url
    if not url:
        raise InvalidFieldsError.of("--to", "name the PostgreSQL database to copy to")
    copied = asyncio.run(copy_database(Path(source), url, report=warn))
    if output is OutputFormat.JSON:
        print_json(asdict(copied))
        return
    print(
        f"{copied.place} has the same now, each compared: events {copied.events:,} (in "
        f"{copied.streams:,} streams), jobs {copied.jobs:,}, workers {copied.workers:,}, output of "
        f"{copied.outputs:,} jobs ({copied.output_bytes:,} bytes), runs of workflows "
        f"{copied.runs:,}; digest of all events {copied.digest}"
    )
    print(f"go on with: hodei server --data-dir {source} and HODEI_DATABASE_URL set")


def back_up_data_dir(typed: TypedDatabase, to: str, output: OutputFormat) -> None:
    """Copies a data directory and says what is in the copy."""
    config = typed.load()
    done = back_up(config.data_dir, Path(to), report=warn)
    if output is OutputFormat.JSON:
        print_json(asdict(done))
        return
    print(f"{done.place} is a whole copy ({done.size_bytes:,} bytes)")
    if not done.has_database:
        print("jobs and their output are in PostgreSQL and not in it: dump that with pg_dump")
