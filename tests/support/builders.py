"""Jobs and workers as tests need them, each with what does not matter filled in."""

from dataclasses import replace

from hodei.application.links import Result, Started
from hodei.domain.jobs.decide import Outcome
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import ReasonCode, reason
from hodei.domain.jobs.spec import Exec, JobSpec
from hodei.domain.logs import LogChunk, LogStream
from hodei.domain.workers.events import WorkerReady
from hodei.kernel.version import VERSION
from support.chance import NOON

TRUE = JobSpec(command=Exec(argv=(b"true",)))


def spec(**changes: object) -> JobSpec:
    """The definition of `true`, changed."""
    return replace(TRUE, **changes)


def ready(**changes: object) -> WorkerReady:
    """A worker with two slots and nothing special."""
    plain: dict[str, object] = {
        "session_epoch": 0,
        "slots": 2,
        "labels": {},
        "resources": TRUE.resources,
        "taints": (),
        "agent_version": VERSION,
        "hostname": "here",
        "name": "",
    }
    return WorkerReady(**(plain | changes))


def started(job: Job) -> Started:
    """The worker runs the job's current attempt."""
    assert job.current is not None
    return Started(job_id=job.id, attempt=job.current.number, token=job.current.token)


def result(job: Job, code: ReasonCode | None = None, **changes: object) -> Result:
    """The end of the job's current attempt: an exit with 0, or what `code` says."""
    assert job.current is not None
    plain: dict[str, object] = {
        "attempt": job.current.number,
        "token": job.current.token,
        "reason": None if code is None else reason(code, "as the test says"),
        "exit_code": 0 if code is None else 1,
    }
    return Result(job_id=job.id, outcome=Outcome(**(plain | changes)))


def chunk(
    job: Job, data: bytes, *, offset: int = 0, stream: LogStream = LogStream.STDOUT
) -> LogChunk:
    """Some output of the job's newest attempt."""
    return LogChunk(
        job_id=job.id,
        attempt=len(job.attempts),
        stream=stream,
        offset=offset,
        data=data,
        at=NOON,
    )
