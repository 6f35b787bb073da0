"""What was said to a run: kept until its code asks for it."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from hodei.durable import payloads
from hodei.durable.definitions import Signature, signature_of
from hodei.durable.events import SignalReceived
from hodei.durable.loop.event_loop import WorkflowLoop
from hodei.durable.loop.recorder import Recorder

Handler = Callable[..., Awaitable[None] | None]


class Signals:
    """Signals in the order of their arrival, by name.

    Args:
        loop: Runs the handlers.
        recorder: Says whether anything may be started.
        failed: Is told of a handler that raised.
    """

    def __init__(
        self, loop: WorkflowLoop, recorder: Recorder, failed: Callable[[BaseException], None]
    ) -> None:
        self._loop = loop
        self._recorder = recorder
        self._failed = failed
        self._kept: dict[str, deque[SignalReceived]] = {}
        self._handlers: dict[str, tuple[Handler, Signature]] = {}

    def hear(self, signal: SignalReceived) -> None:
        """Hands a signal to its handler, or keeps it."""
        if (entry := self._handlers.get(signal.name)) is not None:
            self._handle(signal, *entry)
        else:
            self._kept.setdefault(signal.name, deque()).append(signal)

    def handle_with(self, name: str, handler: Handler) -> None:
        """From now on `handler` gets the signals of this name, those that were kept first."""
        self._recorder.require_live()
        entry = (handler, signature_of(handler))
        self._handlers[name] = entry
        for signal in self._kept.pop(name, ()):
            self._handle(signal, *entry)

    async def next(self, name: str, wanted: Any) -> Any:
        """The next signal of this name, waiting for it if need be."""
        self._recorder.require_live()
        kept = self._kept.setdefault(name, deque())
        if not kept:
            await self._loop.add_condition(lambda: bool(kept))
        signal = kept.popleft()
        (value,) = payloads.decode(signal.input, tuple[wanted], what=f"signal {name}")
        return value

    def _handle(self, signal: SignalReceived, handler: Handler, signature: Signature) -> None:
        async def run() -> None:
            try:
                arguments = payloads.decode(
                    signal.input, signature.input_type, what=f"signal {signal.name}"
                )
                if (pending := handler(*arguments)) is not None:
                    await pending
            except Exception as error:  # noqa: BLE001 - whatever it is, the run fails with it
                self._failed(error)

        self._loop.create_task(run())
