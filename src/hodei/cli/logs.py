"""What `hodei logs` does."""

from contextlib import aclosing

from hodei.cli.asking import ask
from hodei.cli.byte_output import BOTH, write_chunk
from hodei.sdk import AsyncClient


def print_logs(
    server: str,
    job_id: str,
    *,
    follow: bool,
    attempt: int,
    stdout_offset: int,
    stderr_offset: int,
) -> None:
    """Writes a job's output to this process's own stdout and stderr."""

    async def question(client: AsyncClient) -> None:
        chunks = client.logs(
            job_id,
            follow=follow,
            attempt=attempt,
            stdout_offset=stdout_offset,
            stderr_offset=stderr_offset,
        )
        async with aclosing(chunks):
            async for chunk in chunks:
                await write_chunk(chunk, BOTH)

    ask(server, question)
