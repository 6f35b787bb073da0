"""The client for plain programs."""

# The two functions below are part of the class in all but place.
# pyright: reportPrivateUsage=false

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from hodei.sdk.async_client import AsyncClient
from hodei.sdk.portal import Portal

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["Client", P], T]:
    """The method of `Client` that waits for one of `AsyncClient`, with its exact signature."""

    @wraps(method)
    def call(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._portal.run(method(self._client, *args, **kwargs))

    return call


def _iterating(
    method: Callable[Concatenate[AsyncClient, P], AsyncIterator[T]],
) -> Callable[Concatenate["Client", P], Iterator[T]]:
    """The method of `Client` that yields what one of `AsyncClient` does."""

    @wraps(method)
    def call(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self._portal.iterate(method(self._client, *args, **kwargs))

    return call


class Client:
    """A client of a Hodei Jobs server. Each method is the one of `AsyncClient`, and waits.

    Use it in a `with` block, or call `close` when done. May be shared between threads.
    """

    def __init__(
        self,
        addresses: str | Sequence[str] | None = None,
        *,
        ca_file: Path | None = None,
        call_timeout: float = 60.0,
        reconnect_within: float = 60.0,
    ) -> None:
        """Takes the arguments of `AsyncClient`; nothing is connected yet.

        Raises:
            InvalidFieldsError: As `AsyncClient` does.
        """
        self._client = AsyncClient(
            addresses,
            ca_file=ca_file,
            call_timeout=call_timeout,
            reconnect_within=reconnect_within,
        )
        self._portal = Portal()

    submit = _blocking(AsyncClient.submit)
    submit_many = _blocking(AsyncClient.submit_many)
    get = _blocking(AsyncClient.get)
    wait = _blocking(AsyncClient.wait)
    cancel = _blocking(AsyncClient.cancel)
    retry = _blocking(AsyncClient.retry)
    jobs = _iterating(AsyncClient.jobs)
    logs = _iterating(AsyncClient.logs)
    events = _iterating(AsyncClient.events)
    workers = _iterating(AsyncClient.workers)
    get_worker = _blocking(AsyncClient.get_worker)
    drain_worker = _blocking(AsyncClient.drain_worker)
    invite_worker = _blocking(AsyncClient.invite_worker)
    clean_up_workers = _blocking(AsyncClient.clean_up_workers)
    server_info = _blocking(AsyncClient.server_info)
    servers = _blocking(AsyncClient.servers)
    workflows = _iterating(AsyncClient.workflows)
    get_workflow = _blocking(AsyncClient.get_workflow)
    workflow_history = _iterating(AsyncClient.workflow_history)
    signal_workflow = _blocking(AsyncClient.signal_workflow)
    cancel_workflow = _blocking(AsyncClient.cancel_workflow)
    retry_workflow_step = _blocking(AsyncClient.retry_workflow_step)
    skip_workflow_step = _blocking(AsyncClient.skip_workflow_step)
    replay_workflow = _blocking(AsyncClient.replay_workflow)
    providers = _blocking(AsyncClient.providers)
    get_provider = _blocking(AsyncClient.get_provider)
    add_provider = _blocking(AsyncClient.add_provider)
    update_provider = _blocking(AsyncClient.update_provider)
    enable_provider = _blocking(AsyncClient.enable_provider)
    disable_provider = _blocking(AsyncClient.disable_provider)
    remove_provider = _blocking(AsyncClient.remove_provider)
    test_provider = _blocking(AsyncClient.test_provider)
    explain = _blocking(AsyncClient.explain)

    def close(self) -> None:
        """Lets go of the server. Idempotent."""
        if self._portal.is_open:
            self._portal.run(self._client.close())
            self._portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
