"""What `hodei servers …` does."""

from hodei.cli.asking import ask
from hodei.cli.output import OutputFormat, print_json, print_table
from hodei.sdk import AsyncClient, Server
from hodei.sdk.times import rfc3339


def list_servers(server: str, output: OutputFormat) -> None:
    """Prints the servers."""

    async def question(client: AsyncClient) -> list[Server]:
        return await client.servers()

    servers = ask(server, question)
    if output is OutputFormat.JSON:
        print_json([each.to_dict() for each in servers])
        return
    print_table(
        ("NAME", "STATE", "VERSION", "ADDRESS", "STARTED", "HEARTBEAT", "STREAMS", "DUTIES"),
        [
            (
                f"{each.name} *" if each.is_self else each.name,
                each.state,
                each.version,
                each.address,
                rfc3339(each.started_at),
                rfc3339(each.heartbeat_at),
                str(each.streams),
                ", ".join(each.duties),
            )
            for each in servers
        ],
    )
