"""What goes over the wire comes back the same, for whatever there may be."""

import string
from contextlib import suppress
from datetime import UTC, datetime

from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from hodei.domain.jobs import container_limits, decide, limits
from hodei.domain.jobs.container import ContainerOptions, Mount, PullPolicy
from hodei.domain.jobs.decide import Outcome
from hodei.domain.jobs.events import JobEvent
from hodei.domain.jobs.evolve import evolve
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import NEVER_RETRIED, ReasonCode, reason
from hodei.domain.jobs.spec import (
    Command,
    Exec,
    JobSpec,
    LogPolicy,
    Priority,
    Resources,
    RetryPolicy,
    Script,
    Selector,
    SelectorOperator,
    SelectorRequirement,
    Toleration,
)
from hodei.domain.logs import LogChunk, LogEntry, LogStream
from hodei.kernel.errors import InvalidFieldsError
from hodei.kernel.ids import JobId, WorkerId
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.events_view import state_after
from hodei.wire.job_definition import decode, difference, encode
from hodei.wire.log_views import LineSplitter
from hodei.wire.timestamps import from_timestamp, to_duration, to_seconds, to_timestamp

WORDS = string.ascii_letters + string.digits
ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True).map(JobId)
lines = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
keys = st.text(WORDS, min_size=1, max_size=12)
variables = st.text(string.ascii_uppercase, min_size=1, max_size=8).filter(
    lambda name: not name.startswith("HODEI_")
)
arguments = st.binary(max_size=20).filter(lambda argument: b"\0" not in argument)
labels = st.dictionaries(keys, lines, max_size=3)


def seconds(least: float, most: float) -> st.SearchStrategy[float]:
    """Whole microseconds, which is what the wire keeps."""
    return st.integers(round(least * 1e6), round(most * 1e6)).map(lambda us: us / 1e6)


@st.composite
def retries(draw: st.DrawFn) -> RetryPolicy:
    longest = draw(seconds(0, limits.MAX_BACKOFF_S))
    return RetryPolicy(
        max_attempts=draw(st.integers(1, limits.MAX_ATTEMPTS)),
        initial_backoff_s=draw(seconds(0, longest)),
        backoff_factor=draw(st.floats(1, limits.MAX_BACKOFF_FACTOR)),
        max_backoff_s=longest,
        jitter=draw(st.floats(0, 1)),
        retry_on=draw(st.frozensets(st.sampled_from(sorted(set(ReasonCode) - NEVER_RETRIED)))),
    )


def requirements(operator: SelectorOperator) -> st.SearchStrategy[SelectorRequirement]:
    has_values = operator in {SelectorOperator.IN, SelectorOperator.NOT_IN}
    values = st.lists(lines, min_size=1, max_size=3) if has_values else st.just([])
    return st.builds(
        SelectorRequirement, key=keys, operator=st.just(operator), values=values.map(tuple)
    )


selectors = st.builds(
    Selector,
    match_labels=labels,
    match_expressions=st.lists(
        st.sampled_from(SelectorOperator).flatmap(requirements), max_size=3
    ).map(tuple),
)
tolerations = st.one_of(
    st.builds(Toleration, key=keys, operator=st.just("Equal"), value=lines),
    st.builds(Toleration, key=keys | st.just(""), operator=st.just("Exists")),
)


@st.composite
def resources(draw: st.DrawFn) -> Resources:
    gpus = draw(st.integers(0, limits.MAX_GPUS))
    types = st.lists(lines.filter(bool), max_size=3).map(tuple) if gpus else st.just(())
    return Resources(
        cpu_millicores=draw(st.integers(0, limits.MAX_CPU_MILLICORES)),
        memory_bytes=draw(st.integers(0, limits.MAX_MEMORY_BYTES)),
        disk_bytes=draw(st.integers(0, limits.MAX_DISK_BYTES)),
        gpu_count=gpus,
        gpu_types=draw(types),
        custom=draw(
            st.dictionaries(keys, st.integers(0, limits.MAX_CUSTOM_RESOURCE_COUNT), max_size=3)
        ),
    )


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,9}", fullmatch=True)
paths = st.from_regex(r"/[a-z]{1,5}(/[a-z]{1,5})?", fullmatch=True)
images = st.from_regex(
    r"([a-z]{1,5}\.[a-z]{2}(:[0-9]{2,4})?/)?[a-z0-9]{1,5}(:[a-z0-9]{1,5})?", fullmatch=True
)
containers = st.builds(
    ContainerOptions,
    pull=st.none() | st.sampled_from(PullPolicy),
    pids_limit=st.integers(0, container_limits.MAX_PIDS),
    shm_bytes=st.integers(0, container_limits.MAX_SHM_BYTES),
    tmpfs=st.lists(paths | paths.map(lambda path: f"{path}:size=1m"), max_size=2).map(tuple),
    mounts=st.lists(
        st.builds(Mount, source=paths | names, target=paths, read_only=st.booleans()), max_size=2
    ).map(tuple),
    network=st.just("") | names,
    extra_hosts=st.lists(names.map(lambda name: f"{name}:10.0.0.1"), max_size=2).map(tuple),
    user=st.sampled_from(["", "0", "nobody", "1000:100"]),
    cap_add=st.lists(st.sampled_from(["CHOWN", "NET_ADMIN"]), max_size=2).map(tuple),
    read_only=st.booleans(),
    platform=st.sampled_from(["", "linux/amd64", "linux/arm/v7"]),
    runtime=st.just("") | names,
).filter(lambda options: options != ContainerOptions())
commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(
        lambda program, rest: Exec(argv=(program.encode(), *rest)),
        texts.filter(bool),
        st.lists(arguments, max_size=4),
    ),
    st.builds(Script, interpreter=texts.filter(bool), content=texts.filter(bool)),
)
specs = st.builds(
    JobSpec,
    command=commands,
    name=lines,
    description=texts,
    environment=st.dictionaries(variables, texts, max_size=3),
    working_dir=texts,
    stdin=st.none() | st.binary(min_size=1, max_size=20),
    timeout_s=seconds(limits.MIN_TIMEOUT_S, limits.MAX_TIMEOUT_S),
    grace_s=seconds(0, limits.MAX_GRACE_S),
    disconnect_timeout_s=seconds(limits.MIN_TIMEOUT_S, limits.MAX_DISCONNECT_TIMEOUT_S),
    deadline_s=st.none() | seconds(limits.MIN_TIMEOUT_S, limits.MAX_DEADLINE_S),
    retry=retries(),
    priority=st.sampled_from(Priority),
    labels=labels,
    tags=st.lists(lines.filter(bool), max_size=3).map(tuple),
    selector=selectors,
    tolerations=st.lists(tolerations, max_size=3).map(tuple),
    resources=resources(),
    preferred_provider=st.sampled_from(["", "docker"]),
    preferred_region=lines,
    log_policy=st.sampled_from(LogPolicy),
    image=st.just("") | images,
    container=st.none() | containers,
)


@given(job_id=st.none() | ids, spec=specs)
def test_a_definition_comes_back_the_same(job_id: JobId | None, spec: JobSpec):
    message = pb.JobDefinition.FromString(encode(job_id, spec).SerializeToString())
    known = ("local", "docker")
    decoded = decode(message, known_providers=known, image_providers=("docker",))
    assert decoded == (job_id, spec)


@given(one=specs, other=specs)
def test_two_definitions_differ_exactly_when_a_difference_is_named(one: JobSpec, other: JobSpec):
    assert bool(difference(one, other)) == (one != other)
    assert difference(one, one) == []


@given(data=st.binary(max_size=200))
def test_no_bytes_that_parse_make_decoding_fail_in_another_way(data: bytes):
    with suppress(DecodeError, InvalidFieldsError):
        decode(pb.JobDefinition.FromString(data), known_providers=())


@given(
    message=st.builds(
        lambda numbers: pb.JobDefinition(command="x", **numbers),
        st.fixed_dictionaries(
            {},
            optional={
                "timeout": st.fixed_dictionaries(
                    {
                        "execution_timeout": st.fixed_dictionaries(
                            {
                                "seconds": st.integers(-(2**63), 2**63 - 1),
                                "nanos": st.integers(-(2**31), 2**31 - 1),
                            }
                        )
                    }
                ),
                "requirements": st.fixed_dictionaries(
                    {
                        "cpu_cores": st.floats(),
                        "memory_bytes": st.integers(-(2**63), 2**63 - 1),
                        "gpu_count": st.integers(-(2**31), 2**31 - 1),
                    }
                ),
                "retry": st.fixed_dictionaries(
                    {
                        "max_attempts": st.integers(0, 2**32 - 1),
                        "backoff_factor": st.floats(),
                        "jitter": st.floats(),
                    }
                ),
                "log_policy": st.integers(-(2**31), 2**31 - 1),
            },
        ),
    )
)
def test_numbers_at_the_ends_of_their_types_are_taken_within_limits_or_refused(
    message: pb.JobDefinition,
):
    try:
        job_id, spec = decode(message, known_providers=())
    except InvalidFieldsError:
        return
    assert limits.check(job_id, spec) == []
    assert decode(encode(job_id, spec), known_providers=()) == (job_id, spec)


@given(at=st.datetimes(timezones=st.just(UTC)))
def test_an_instant_comes_back(at: datetime):
    message = to_timestamp(at)
    assert from_timestamp(message, field="x") == at
    assert message.ToDatetime(UTC) == at


@given(value=seconds(-limits.MAX_DEADLINE_S, limits.MAX_DEADLINE_S))
def test_a_duration_comes_back(value: float):
    assert to_seconds(to_duration(value)) == value


# --- Lines ----------------------------------------------------------------------------------------

parts = st.lists(
    st.tuples(
        st.sampled_from(LogStream), st.text("ab\n\ré", min_size=1, max_size=8).map(str.encode)
    ),
    max_size=12,
)


def as_entries(given_parts: list[tuple[LogStream, bytes]]) -> list[LogEntry]:
    ends = dict.fromkeys(LogStream, 0)
    sequence = 0
    made: list[LogEntry] = []
    for stream, data in given_parts:
        sequence += len(data)
        chunk = LogChunk(
            job_id=JobId("j"),
            attempt=1,
            stream=stream,
            offset=ends[stream],
            data=data,
            at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        ends[stream] += len(data)
        made.append(LogEntry(chunk=chunk, sequence=sequence))
    return made


@given(given_parts=parts, flushes=st.sets(st.integers(0, 11)))
def test_lines_lose_no_byte_and_never_run_ahead_of_their_sequence(
    given_parts: list[tuple[LogStream, bytes]], flushes: set[int]
):
    splitter = LineSplitter()
    told: list[pb.JobLogEntry] = []
    for index, entry in enumerate(as_entries(given_parts)):
        told += splitter.split(entry)
        if index in flushes:
            told += splitter.flush()
    told += splitter.flush()
    sequence = 0
    ends = {False: 0, True: 0}
    for each in told:
        sequence += len(each.data)
        assert each.sequence == sequence, "a reader that goes on from here would lose or repeat"
        assert each.offset == ends[each.is_stderr]
        ends[each.is_stderr] += len(each.data)
        assert b"\n" not in each.data[:-1]
        assert "\n" not in each.line
    assert sequence == sum(len(data) for _, data in given_parts)


# --- Events ---------------------------------------------------------------------------------------


def next_events(job: Job, choice: str) -> list[JobEvent]:  # noqa: PLR0911 - one arm a choice
    at = datetime(2030, 1, 1, tzinfo=UTC)
    current = job.current
    match choice:
        case "assign" if job.state == "QUEUED":
            return decide.assign(job, worker_id=WorkerId("w"), draw=1)
        case "accept" if current:
            return decide.accept(job, attempt=current.number, token=current.token)
        case "lose" if current:
            return decide.lose(job, attempt=current.number, message="gone", now=at, draw=0.0)
        case "succeed" | "fail" | "expire" if current:
            codes = {"fail": ReasonCode.IO_ERROR, "expire": ReasonCode.EXECUTION_TIMEOUT}
            why = reason(codes[choice], "x") if choice in codes else None
            outcome = Outcome(attempt=current.number, token=current.token, reason=why)
            return decide.finish(job, outcome, now=at, draw=0.0)
        case "cancel" if not job.is_terminal:
            return decide.cancel(job, by="x", message="")
        case "retry" if job.is_terminal and job.state != "SUCCEEDED":
            return decide.retry(job, by="x")
        case "due":
            return decide.fall_due(job, now=datetime(2031, 1, 1, tzinfo=UTC))
        case _:
            return []


@given(
    choices=st.lists(
        st.sampled_from(
            ["assign", "accept", "lose", "succeed", "fail", "expire", "cancel", "retry", "due"]
        ),
        max_size=25,
    ),
    backoff_s=st.sampled_from([0.0, 1.0]),
)
def test_the_state_that_an_event_is_told_with_is_the_one_it_leads_to(
    choices: list[str], backoff_s: float
):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    retry = RetryPolicy(max_attempts=3, initial_backoff_s=backoff_s)
    spec = JobSpec(command=Exec(argv=(b"true",)), retry=retry)
    events = decide.submit(JobId("j"), spec, queued_by="", now=at)
    job: Job | None = None
    for choice in ["", *choices]:
        if job is not None:
            events = next_events(job, choice)
        for event in events:
            job = evolve(job, event, at)
            assert state_after(event) in {"", job.state}
