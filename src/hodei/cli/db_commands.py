"""`hodei db …`: what can be typed."""

from typing import Annotated

from typer import Option, Typer

from hodei.cli.options import Output
from hodei.cli.output import OutputFormat
from hodei.cli.server_commands import ConfigFile, DatabaseUrl, DataDir

app = Typer(help="Look after the database of a server.")


@app.command()
def migrate(
    *,
    data_dir: DataDir = "",
    database_url: DatabaseUrl = "",
    config: ConfigFile = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """Bring the database to the schema of this version, or make its tables. May be repeated."""
    from hodei.cli.db import TypedDatabase, migrate_database

    typed = TypedDatabase(data_dir=data_dir, database_url=database_url, config_file=config)
    migrate_database(typed, output)


@app.command()
def status(
    *,
    data_dir: DataDir = "",
    database_url: DatabaseUrl = "",
    config: ConfigFile = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """Show which database it is, its schema, what is in it and which server uses it."""
    from hodei.cli.db import TypedDatabase, show_status

    typed = TypedDatabase(data_dir=data_dir, database_url=database_url, config_file=config)
    show_status(typed, output)


@app.command()
def copy(
    *,
    source: Annotated[
        str, Option("--from", metavar="DIR", help="The data directory of a server that is stopped.")
    ],
    to: Annotated[
        str,
        Option(
            "--to",
            metavar="URL",
            help="A PostgreSQL database with tables (hodei db migrate) and no jobs. Default: "
            "HODEI_DATABASE_URL.",
        ),
    ] = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """Move an installation from SQLite to PostgreSQL, and prove that nothing is missing there."""
    from hodei.cli.db import copy_to_postgres

    copy_to_postgres(source, to, output)


@app.command()
def backup(
    *,
    to: Annotated[
        str, Option("--to", metavar="DIR", help="Where the copy is made; must not be there yet.")
    ],
    data_dir: DataDir = "",
    config: ConfigFile = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """Copy a server's data directory while it runs, whole and of one moment."""
    from hodei.cli.db import TypedDatabase, back_up_data_dir

    back_up_data_dir(TypedDatabase(data_dir=data_dir, config_file=config), to, output)
