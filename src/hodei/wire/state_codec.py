"""How stores keep jobs, attempts, workers and demands as they are now.

Unlike events these can be made again from the events, so that they carry no version: a change that
they cannot bear takes a migration that rebuilds them.
"""

from hashlib import blake2b
from typing import Any, Final

import msgspec

from hodei.domain.jobs.job import Attempt, Job
from hodei.domain.jobs.spec import JobSpec
from hodei.domain.placement.demand import Demand
from hodei.domain.workers.worker import Worker
from hodei.wire.mirror import mirror

_APART: Final = ("spec", "attempts")
"""What is not stored with the job: the spec is in its first event, attempts have rows."""

_StoredJob: Final = mirror(Job, leave_out=_APART)
_StoredAttempt: Final = mirror(Attempt)
_JOB_FIELDS: Final = _StoredJob.__struct_fields__
_ATTEMPT_FIELDS: Final = _StoredAttempt.__struct_fields__

_encoder: Final = msgspec.msgpack.Encoder()
# Equal demands must give equal bytes, in whatever order their labels were written.
_canonical: Final = msgspec.msgpack.Encoder(order="deterministic")
_job_decoder: Final[msgspec.msgpack.Decoder[Any]] = msgspec.msgpack.Decoder(_StoredJob)
_attempt_decoder: Final = msgspec.msgpack.Decoder(Attempt)
_worker_decoder: Final = msgspec.msgpack.Decoder(Worker)
_demand_decoder: Final = msgspec.msgpack.Decoder(Demand)


def encode_job(job: Job) -> bytes:
    """The job without its spec and its attempts."""
    return _encoder.encode(_StoredJob(**{name: getattr(job, name) for name in _JOB_FIELDS}))


def decode_job(data: bytes, *, spec: JobSpec, attempts: tuple[Attempt, ...]) -> Job:
    """The job, of all its parts."""
    stored = _job_decoder.decode(data)
    return Job(
        spec=spec, attempts=attempts, **{name: getattr(stored, name) for name in _JOB_FIELDS}
    )


def encode_attempt(attempt: Attempt) -> bytes:
    """One attempt."""
    fields = {name: getattr(attempt, name) for name in _ATTEMPT_FIELDS}
    return _encoder.encode(_StoredAttempt(**fields))


def decode_attempt(data: bytes) -> Attempt:
    """One attempt."""
    return _attempt_decoder.decode(data)


def encode_worker(worker: Worker) -> bytes:
    """A worker."""
    return _encoder.encode(worker)


def decode_worker(data: bytes) -> Worker:
    """A worker."""
    return _worker_decoder.decode(data)


def encode_demand(demand: Demand) -> bytes:
    """A demand; equal demands give equal bytes."""
    return _canonical.encode(demand)


def decode_demand(data: bytes) -> Demand:
    """A demand."""
    return _demand_decoder.decode(data)


def demand_id(encoded: bytes) -> str:
    """The name of an encoded demand, the same in every store and every process."""
    return blake2b(encoded, digest_size=16).hexdigest()
