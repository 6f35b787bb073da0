"""Where the outcomes of attempts are taken."""

from collections.abc import Callable
from datetime import datetime

from hodei.durable import tasks
from hodei.durable.failures import Failure
from hodei.durable.runner.hints import Hints
from hodei.durable.runner.store_clock import StoreClock
from hodei.kernel.errors import StaleAttemptError
from hodei.ports.durable import Batch, Committed, DurableStore, NotOpen
from hodei.ports.durable_rows import Payload, TaskId, TaskRow


class Reports:
    """Takes the outcomes of attempts, from whichever worker, at whichever server."""

    def __init__(self, store: DurableStore, clock: StoreClock, hints: Hints) -> None:
        self._store = store
        self._clock = clock
        self._hints = hints

    async def succeeded(self, task_id: TaskId, *, token: int, result: Payload) -> None:
        """An attempt has its result.

        Raises:
            StaleAttemptError: It is not the current attempt; its result does not count.
            StoreUnavailableError: Say it again.
        """
        await self._report(
            task_id, token, lambda task, _: tasks.succeed(task, token=token, result=result)
        )

    async def failed(self, task_id: TaskId, *, token: int, failure: Failure) -> None:
        """An attempt has failed; another follows if the rule of its activity says so.

        Raises:
            StaleAttemptError: It is not the current attempt.
            StoreUnavailableError: Say it again.
        """
        await self._report(
            task_id,
            token,
            lambda task, now: tasks.fail(task, token=token, failure=failure, now=now),
        )

    async def _report(
        self, task_id: TaskId, token: int, decide: Callable[[TaskRow, datetime], tasks.TaskDecision]
    ) -> None:
        while True:
            task = tasks.require_current(await self._store.load_task(task_id), token)
            now = self._clock.now()
            decision = decide(task, now)
            deliveries = () if decision.delivery is None else (decision.delivery,)
            batch = Batch(at=now, tasks=(decision.write,), deliveries=deliveries)
            outcome = await self._store.commit(batch)
            if isinstance(outcome, Committed):
                self._hints.committed(batch)
                return
            if isinstance(outcome, NotOpen):
                raise StaleAttemptError("the run has ended: discard this attempt")
