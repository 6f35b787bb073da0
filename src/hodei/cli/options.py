"""Options that several commands share."""

from typing import Annotated

from typer import Argument, Option

from hodei.cli.output import OutputFormat

Server = Annotated[
    str,
    Option(
        "--server",
        metavar="HOST:PORT",
        help="The server, or several with commas between. "
        "Default: HODEI_SERVER_ADDRESS, else localhost:50051.",
    ),
]
Output = Annotated[
    OutputFormat, Option("--output", help="Text for people, or one JSON value for programs.")
]
JobIdArgument = Annotated[str, Argument(metavar="JOB", help="The job's id.")]
WorkerIdArgument = Annotated[str, Argument(metavar="WORKER", help="The worker's id.")]
