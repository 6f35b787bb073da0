"""Starts runs and talks to them, from any server, whoever owns them."""

from dataclasses import dataclass
from datetime import datetime

from hodei.durable import codec, payloads, planning
from hodei.durable.definitions import Workflows
from hodei.durable.events import (
    ENGINE_VERSION,
    CancelRequested,
    Closing,
    CompensationExhausted,
    Decision,
    Notification,
    OperatorDecided,
    RunCompleted,
    RunFailed,
    RunStarted,
    RunTerminated,
    SignalReceived,
)
from hodei.durable.failures import Failure, RunFailedError
from hodei.durable.recorded import Recorded, recorded
from hodei.durable.replay import NonDeterminismError, rebuild
from hodei.durable.runner.activation import Activator
from hodei.durable.runner.hints import Hints
from hodei.durable.runner.rounds import read_history
from hodei.durable.runner.shards import shard_of
from hodei.durable.runner.store_clock import StoreClock
from hodei.durable.runner.upkeep import POLL_S
from hodei.kernel.clock import IdSource
from hodei.kernel.errors import (
    AlreadyExistsError,
    InvalidFieldsError,
    NotFoundError,
    WrongStateError,
)
from hodei.kernel.ids import ID_RULE, ServerId, is_valid_id
from hodei.ports.durable import (
    Batch,
    Committed,
    DurableStore,
    Moved,
    NotOpen,
    RunFilter,
    RunPage,
    Taken,
)
from hodei.ports.durable_rows import (
    OPEN,
    Delivery,
    DeliveryKind,
    OutboxRow,
    ParkReason,
    Payload,
    RunId,
    RunRow,
    RunStatus,
)

DEFAULT_NAMESPACE = "default"
_LOOKS_FOR_A_BEGINNING = 2
"""It may move from the inbox into the history between two looks, and never back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """A run that somebody wants."""

    type: str
    """The name of the workflow."""
    workflow_id: str
    """At most one run of it is open."""
    arguments: tuple[object, ...] = ()
    namespace: str = DEFAULT_NAMESPACE
    request_id: str = ""
    """The same request starts one run, however often it is made, and even after the run's end."""
    signal: tuple[str, object] | None = None
    """A signal, by name, that the run has heard of before anything else. Where the workflow id has
    an open run, that one gets it, and no other is started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The run of a request."""

    run_id: RunId
    is_new: bool
    """False: the same request had been made before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientParts:
    """What a client works with."""

    server: ServerId
    store: DurableStore
    workflows: Workflows
    clock: StoreClock
    ids: IdSource
    hints: Hints
    activator: Activator


class DurableClient:
    """Everything that may be asked of runs. Stateless: any server answers alike."""

    def __init__(self, parts: ClientParts) -> None:
        self._parts = parts
        self._store = parts.store
        self._workflows = parts.workflows
        self._hints = parts.hints

    async def start(self, request: StartRequest) -> Started:
        """Starts a run of the newest version of a workflow.

        Raises:
            UnknownWorkflowError: There is no such workflow here.
            InvalidFieldsError: The workflow id is not one.
            UnencodableError: The arguments cannot be stored, or do not fit the workflow.
            AlreadyExistsError: The workflow id has an open run that another request started.
        """
        if not is_valid_id(request.workflow_id):
            raise InvalidFieldsError.of("workflow_id", f"an id is {ID_RULE}")
        batch = await self._starting(request)
        outcome = await self._store.commit(batch)
        if isinstance(outcome, Committed):
            self._hints.committed(batch)
            return Started(run_id=batch.new_runs[0].run_id, is_new=True)
        if not isinstance(outcome, Taken):
            raise WrongStateError(f"workflow {request.workflow_id} was not started: {outcome}")
        run = await self.describe(outcome.by)
        if request.signal is not None and run.status in OPEN:
            name, value = request.signal
            await self.signal(run.run_id, name, value, request_id=request.request_id)
            return Started(run_id=run.run_id, is_new=False)
        if not request.request_id or run.request_id != request.request_id:
            raise AlreadyExistsError(
                f"workflow {request.workflow_id!r} has an open run {run.run_id}: wait for its end, "
                "signal it, or choose another id"
            )
        return Started(run_id=run.run_id, is_new=False)

    async def signal(
        self, run_id: RunId, name: str, *arguments: object, request_id: str = "", by: str = ""
    ) -> None:
        """Tells a run something; the same request is heard once.

        Raises:
            NotFoundError: There is no such run.
            WrongStateError: It has ended.
        """
        request_id = request_id or self._parts.ids.new()
        event = SignalReceived(
            name=name,
            input=payloads.encode(arguments, what=f"signal {name}"),
            request_id=request_id,
            by=by,
        )
        await self._deliver(run_id, f"signal:{request_id}", DeliveryKind.SIGNAL, event)

    async def cancel(self, run_id: RunId, *, reason: str, by: str, request_id: str = "") -> None:
        """Asks a run to end: its code is cancelled, and undoes what it must.

        Raises:
            NotFoundError: There is no such run.
            WrongStateError: It has ended.
        """
        request_id = request_id or self._parts.ids.new()
        event = CancelRequested(reason=reason, by=by)
        await self._deliver(run_id, f"cancel:{request_id}", DeliveryKind.CANCEL, event)

    async def decide(
        self, run_id: RunId, decision: Decision, *, by: str, note: str = ""
    ) -> CompensationExhausted:
        """Says how a run goes on whose compensation has used up its retries.

        Returns:
            What was decided about.

        Raises:
            NotFoundError: There is no such run.
            WrongStateError: It waits for no decision, or another was made meanwhile.
        """
        run = await self.describe(run_id)
        if run.parked is None or run.parked.reason is not ParkReason.COMPENSATION_FAILED:
            raise WrongStateError(f"run {run_id} waits for no decision about a compensation")
        exhausted = _undecided(await self.history(run_id))
        if exhausted is None:
            raise WrongStateError(f"another decision about run {run_id} was made meanwhile")
        event = OperatorDecided(
            command_id=exhausted.command_id, decision=decision, by=by, note=note
        )
        key = f"operator:{exhausted.command_id}"
        if await self._deliver(run_id, key, DeliveryKind.OPERATOR, event):
            raise WrongStateError(f"another decision about {exhausted.name!r} was made meanwhile")
        return exhausted

    async def unpark(self, run_id: RunId) -> None:
        """Lets a parked run go on at once.

        Raises:
            NotFoundError: There is no such run.
            WrongStateError: It has ended, is not parked, or waits for `decide`.
        """
        while True:
            run = await self._open_run(run_id)
            if run.parked is None:
                raise WrongStateError(f"run {run_id} is not parked")
            if run.parked.reason is ParkReason.COMPENSATION_FAILED:
                raise WrongStateError(f"run {run_id} waits for a decision: retry or skip the step")
            batch = planning.unpark(run, now=await self._now())
            if isinstance(await self._store.commit(batch), Committed):
                self._hints.look_at(run_id)
                return

    async def terminate(self, run_id: RunId, *, reason: str, by: str) -> None:
        """Ends a run without asking its code: nothing is undone.

        Raises:
            NotFoundError: There is no such run.
            WrongStateError: It has ended.
        """
        while True:
            run = await self._open_run(run_id)
            event = RunTerminated(reason=reason, by=by)
            batch = planning.end_from_outside(run, event, now=await self._now())
            if not isinstance(await self._store.commit(batch), Moved):
                self._hints.committed(batch)
                return

    async def query(self, run_id: RunId, name: str, *arguments: object) -> Payload:
        """Asks the code of a run, open or ended, without changing anything.

        Raises:
            NotFoundError: There is no such run or query.
            WrongStateError: Its code is not loaded here, or no longer fits its history.
        """
        run = await self.describe(run_id)
        definition = self._workflows.find(run.type, run.definition_version)
        if definition is None:
            raise WrongStateError(f"{run.type} version {run.definition_version} is not loaded here")
        history = await self.history(run_id)
        if not history:
            raise WrongStateError(f"run {run_id} has not begun yet: ask again")
        asked = payloads.encode(arguments, what=f"query {name}")

        def answer() -> Payload:
            instance = rebuild(definition, history)
            try:
                return instance.ask(name, asked)
            finally:
                instance.wind_up()

        try:
            return await self._parts.activator.run(answer)
        except NonDeterminismError as error:
            raise WrongStateError(f"run {run_id} cannot be asked: {error}") from error

    async def replay(self, run_id: RunId) -> str:
        """Runs the code that is loaded here over a history; returns the difference, '' for none."""
        run = await self.describe(run_id)
        definition = self._workflows.find(run.type, run.definition_version)
        if definition is None:
            return f"{run.type} version {run.definition_version} is not loaded here"
        history = await self.history(run_id)
        try:
            await self._parts.activator.run(lambda: rebuild(definition, history).wind_up())
        except NonDeterminismError as error:
            return str(error)
        return ""

    async def result(self, run_id: RunId) -> Payload:
        """Waits for the end of a run; what its code returned.

        Raises:
            NotFoundError: There is no such run.
            RunFailedError: It failed, was cancelled or terminated.
        """
        with self._hints.end_of(run_id) as end:
            while (run := await self.describe(run_id)).status in OPEN:
                await end.wait_up_to(POLL_S)
        return result_of(run)

    async def describe(self, run_id: RunId) -> RunRow:
        """The run as it is now.

        Raises:
            NotFoundError: There is none.
        """
        run = await self._store.load_run(run_id)
        if run is None:
            raise NotFoundError("run", run_id, "look it up with `hodei workflows list`")
        return run

    async def find(self, name: str, *, namespace: str = DEFAULT_NAMESPACE) -> RunRow:
        """The run of this run id; else the open run of this workflow id, else its newest one.

        Raises:
            NotFoundError: There is none.
        """
        run = await self._store.load_run(RunId(name))
        run = run or await self._store.newest_run(namespace, name)
        if run is None:
            raise NotFoundError("run", name, "look it up with `hodei workflows list`")
        return run

    async def list_runs(self, run_filter: RunFilter, *, limit: int, cursor: str = "") -> RunPage:
        """A page of runs, newest first.

        Raises:
            InvalidFieldsError: The cursor is not one.
        """
        return await self._store.list_runs(run_filter, limit=limit, cursor=cursor)

    async def history(self, run_id: RunId) -> list[Recorded]:
        """All events of a run."""
        return await read_history(self._store, run_id)

    async def beginning(self, run_id: RunId) -> RunStarted | None:
        """How a run began, also one that nobody has moved yet; None where there is no such run."""
        for _ in range(_LOOKS_FOR_A_BEGINNING):
            for first in await self.history_page(run_id, after_seq=0, limit=1):
                if isinstance(first.event, RunStarted):
                    return first.event
            # Until it is moved, its beginning is the first of what has arrived for it.
            for arrived in await self._store.read_inbox(run_id, limit=1):
                if arrived.delivery.kind is DeliveryKind.START:
                    event = codec.decode_delivery(arrived.delivery.data)
                    assert isinstance(event, RunStarted)
                    return event
        return None

    async def history_page(self, run_id: RunId, *, after_seq: int, limit: int) -> list[Recorded]:
        """Some events of a run, in order."""
        rows = await self._store.read_history(run_id, after_seq=after_seq, limit=limit)
        return [recorded(each) for each in rows]

    async def _starting(self, request: StartRequest) -> Batch:
        definition = self._workflows.newest(request.type)
        what = f"input of {request.type}"
        given = payloads.encode(request.arguments, what=what)
        payloads.decode(given, definition.signature.input_type, what=what)
        now = await self._now()
        run_id = RunId(self._parts.ids.new())
        run = RunRow(
            run_id=run_id,
            revision=1,
            namespace=request.namespace,
            workflow_id=request.workflow_id,
            type=definition.name,
            definition_version=definition.version,
            engine_version=ENGINE_VERSION,
            shard_id=shard_of(
                request.namespace, request.workflow_id, await self._store.shard_count()
            ),
            request_id=request.request_id,
            status=RunStatus.RUNNING,
            next_seq=1,
            history_bytes=0,
            runnable_at=now,
            local_pending=False,
            crashes=0,
            failures=0,
            parked=None,
            first_run_id=run_id,
            parent=None,
            started_at=now,
            closed_at=None,
            outcome=b"",
        )
        started = RunStarted(
            run_id=run_id,
            namespace=request.namespace,
            workflow_id=request.workflow_id,
            type=definition.name,
            definition_version=definition.version,
            engine_version=ENGINE_VERSION,
            input=given,
            seed=self._parts.ids.token_bits(),
        )
        deliveries = [_delivery(run_id, "start", DeliveryKind.START, started)]
        if request.signal is not None:
            name, value = request.signal
            signal = SignalReceived(
                name=name,
                input=payloads.encode((value,), what=f"signal {name}"),
                request_id=request.request_id,
                by="",
            )
            key = f"signal:{request.request_id or 'start'}"
            deliveries.append(_delivery(run_id, key, DeliveryKind.SIGNAL, signal))
        notice = OutboxRow(topic="run.started", run_id=run_id, at=now, data=run.type.encode())
        return Batch(at=now, new_runs=(run,), deliveries=tuple(deliveries), outbox=(notice,))

    async def _deliver(
        self, run_id: RunId, key: str, kind: DeliveryKind, event: Notification
    ) -> bool:
        """Delivers, and says whether the key had been delivered before."""
        batch = Batch(at=await self._now(), deliveries=(_delivery(run_id, key, kind, event),))
        outcome = await self._store.commit(batch)
        if isinstance(outcome, NotOpen):
            await self._open_run(run_id)
        if not isinstance(outcome, Committed):
            raise WrongStateError(f"run {run_id} did not take it: {outcome}")
        self._hints.committed(batch)
        return key in outcome.repeated

    async def _open_run(self, run_id: RunId) -> RunRow:
        run = await self.describe(run_id)
        if run.status not in OPEN:
            raise WrongStateError(f"run {run_id} has ended: it is {run.status}")
        return run

    async def _now(self) -> datetime:
        clock = self._parts.clock
        if not clock.is_set:
            # A server that owns nothing learns the store's time all the same.
            await clock.renew(self._store, self._parts.server, ttl_s=POLL_S)
        return clock.now()


def result_of(run: RunRow) -> Payload:
    """What the code of a run that has ended returned.

    Raises:
        RunFailedError: It failed, was cancelled or terminated.
    """
    closing: Closing | RunTerminated = codec.decode_delivery(run.outcome)  # type: ignore[assignment]
    match closing:
        case RunCompleted(result=result):
            return result
        case RunFailed(failure=failure):
            raise RunFailedError(f"run {run.run_id}", failure)
        case _:
            failure = Failure(type=run.status, message=closing.reason, is_final=True)
            raise RunFailedError(f"run {run.run_id}", failure)


def _undecided(history: list[Recorded]) -> CompensationExhausted | None:
    waiting: dict[int, CompensationExhausted] = {}
    for each in history:
        if isinstance(each.event, CompensationExhausted):
            waiting[each.event.command_id] = each.event
        elif isinstance(each.event, OperatorDecided):
            waiting.pop(each.event.command_id, None)
    return next(iter(waiting.values()), None)


def _delivery(run_id: RunId, key: str, kind: DeliveryKind, event: Notification) -> Delivery:
    return Delivery(run_id=run_id, key=key, kind=kind, data=codec.encode_delivery(event))
