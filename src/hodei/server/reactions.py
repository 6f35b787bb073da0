"""Which part looks again after which event."""

from collections.abc import Sequence

from hodei.application.cancel_job import CancelJob
from hodei.application.dispatch import Dispatcher
from hodei.application.drain_worker import DrainWorker
from hodei.application.log_hub import LogHub
from hodei.application.wake_due_jobs import WakeDueJobs
from hodei.domain.jobs.events import (
    JobAssigned,
    JobCancelled,
    JobCancelRequested,
    JobCreated,
    JobFailed,
    JobQueued,
    JobRetried,
    JobSucceeded,
    JobTimedOut,
)
from hodei.domain.workers.events import WorkerDrainRequested
from hodei.kernel.ids import JobId, WorkerId
from hodei.ports.stores import StoredEvent

_ENDS = (JobSucceeded, JobFailed, JobCancelled, JobTimedOut)


class Reactions:
    """A listener of the bus, after the fleet.

    A queued job wakes the dispatcher, an assigned one goes down its worker's stream, and so does the
    wish to end it, or the worker after its last; a wait wakes the clock, an end the readers of the
    log. Whichever server decided it: what a worker has to be told, the server tells that has its
    stream; what it does not hear, because its stream is down or moves, it is told when it is back.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        due: WakeDueJobs,
        hub: LogHub,
        drainer: DrainWorker,
        canceller: CancelJob,
    ) -> None:
        self._dispatcher = dispatcher
        self._drainer = drainer
        self._canceller = canceller
        self._due = due
        self._hub = hub

    def __call__(self, events: Sequence[StoredEvent]) -> None:
        """Wakes whom these events concern."""
        for stored in events:
            match stored.event:
                case JobAssigned():
                    self._dispatcher.deliver(stored)
                case JobCancelRequested():
                    self._canceller.tell(JobId(stored.stream.removeprefix("job:")))
                case WorkerDrainRequested():
                    self._drainer.tell(WorkerId(stored.stream.removeprefix("worker:")))
                case JobQueued():
                    self._dispatcher.notify()
                case JobCreated(deadline=deadline) if deadline is not None:
                    self._due.notify()
                case JobRetried(not_before=due) if due is not None:
                    self._due.notify()
                case event if isinstance(event, _ENDS):
                    if not isinstance(event, JobSucceeded):
                        # It may have left the queue, for which a worker was on its way.
                        self._dispatcher.notify()
                    self._hub.notify([JobId(stored.stream.removeprefix("job:"))])
                case _:
                    pass
