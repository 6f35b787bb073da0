"""The largest error that there can be arrives over a real connection, details and all."""

from typing import NoReturn

import grpc
import grpc.aio
import pytest

from hodei.kernel.errors import FieldViolation, HodeiError, InvalidFieldsError
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import hodei_all_in_one_pb2_grpc as rpc
from hodei.wire.errors import abort_arguments, from_rpc_error


class _Refusing(rpc.JobExecutionServiceServicer):
    """Refuses every job in the same way."""

    def __init__(self, error: HodeiError) -> None:
        self._error = error

    async def QueueJob(  # noqa: N802 - the name of the call
        self, request: pb.QueueJobRequest, context: grpc.aio.ServicerContext
    ) -> NoReturn:
        await context.abort(*abort_arguments(self._error))


@pytest.mark.parametrize("letter", ["x", "%", "é", "\n", "漢"])
async def test_the_largest_error_arrives_whole(letter: str):
    violations = [FieldViolation(field=letter * 500, description=letter * 5000) for _ in range(100)]
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    refusing = _Refusing(InvalidFieldsError(violations))
    rpc.add_JobExecutionServiceServicer_to_server(refusing, server)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = rpc.JobExecutionServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stub.QueueJob(pb.QueueJobRequest())
    finally:
        await server.stop(None)
    error = from_rpc_error(raised.value)
    assert isinstance(error, InvalidFieldsError), raised.value
    assert "more are not allowed" in error.violations[-1].description
