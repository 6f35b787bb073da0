"""Output survives any order of reads, disk work, acknowledgements and lost streams."""

import re
from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from hodei.agent.reactor.core import Limits, Reactor
from hodei.agent.reactor.effects import (
    DropSpool,
    Effect,
    PauseReading,
    ReadSpool,
    ResumeReading,
    Send,
    WriteSpool,
)
from hodei.agent.reactor.events import (
    Acked,
    Enrolled,
    Event,
    JobKey,
    OutputEnded,
    OutputRead,
    ProcessGone,
    RunJob,
    RunJobReceived,
    Spawned,
    Spooled,
    SpoolFailed,
    StreamKey,
    StreamLost,
    Unspooled,
    Verdict,
    Welcomed,
)
from hodei.agent.reactor.messages import Chunk, Result
from hodei.domain.jobs.spec import Exec, LogPolicy
from hodei.domain.logs import LogStream

JOB = JobKey("job", 1)
OUT = StreamKey(JOB, LogStream.STDOUT)
NOTICE = re.compile(rb"\n\[hodei: (\d+) bytes of output dropped here: the log spool was full\]\n")
PRINTABLE = bytes(range(33, 127)).translate(None, b"[")
"""What the job writes, over and over: a byte tells its place, and no notice is among it."""


class World:
    """A reactor with one running job, and everything outside it: pipe, disk, server."""

    def __init__(self, policy: LogPolicy, memory: int, spool: int) -> None:
        limits = Limits(memory_bytes=memory, spool_bytes=spool)
        self.reactor = Reactor(slots=1, limits=limits, now=0.0)
        self.written = 0
        self.disk = bytearray()
        self.disk_work: deque[Effect] = deque()
        self.is_paused = False
        self.is_open = False
        self.stored = bytearray()
        self.acked = 0
        self.result: Result | None = None
        run = RunJob(
            key=JOB,
            token=1,
            command=Exec(argv=(b"x",)),
            environment={},
            working_dir="",
            stdin=None,
            timeout_s=1e9,
            grace_s=1.0,
            disconnect_timeout_s=1e9,
            log_policy=policy,
        )
        self.on(Enrolled(renew_after_s=1e9))
        self.reconnect()
        self.on(RunJobReceived(run=run, wall_ns=0), Spawned(key=JOB, pid=1, wall_ns=0))
        self.on(OutputEnded(key=StreamKey(JOB, LogStream.STDERR)))

    def on(self, *events: Event) -> None:
        for event in events:
            for effect in self.reactor.handle(event, 0.0):
                self.perform(effect)
            self.reactor.check()

    def perform(self, effect: Effect) -> None:
        match effect:
            case PauseReading():
                self.is_paused = True
            case ResumeReading():
                self.is_paused = False
            case WriteSpool() | ReadSpool() | DropSpool():
                self.disk_work.append(effect)
            case Send(message=Chunk() as chunk):
                assert self.is_open
                assert chunk.offset <= len(self.stored), "a gap"
                self.stored[chunk.offset :] = chunk.data
            case Send(message=Result() as result):
                assert result.final_offsets[LogStream.STDOUT] == len(self.stored)
                self.result = result
            case _:
                pass

    def write(self, size: int) -> None:
        """The job writes, and the agent reads."""
        if not self.is_paused:
            data = bytes(PRINTABLE[(self.written + i) % len(PRINTABLE)] for i in range(size))
            self.written += size
            self.on(OutputRead(key=OUT, data=data, wall_ns=self.written * 10**7))

    def work_disk(self, *, fails: bool = False) -> None:
        """The oldest disk work is done."""
        if not self.disk_work:
            return
        match self.disk_work.popleft():
            case WriteSpool() as work if fails:
                self.on(SpoolFailed(key=OUT, data=work.data, wall_ns=work.wall_ns))
            case WriteSpool() as work:
                self.disk += work.data
                self.on(Spooled(key=OUT, size=len(work.data), wall_ns=work.wall_ns))
            case ReadSpool() as work:
                data = bytes(self.disk[: work.size])
                assert len(data) == work.size
                del self.disk[: work.size]
                self.on(Unspooled(key=OUT, data=data))
            case DropSpool() as work:
                assert len(self.disk) >= work.size
                del self.disk[: work.size]
            case _:
                raise AssertionError

    def acknowledge(self, share: float) -> None:
        """The server has some more on its disk."""
        if self.is_open:
            self.acked += round((len(self.stored) - self.acked) * share)
            self.on(Acked(key=OUT, offset=self.acked))

    def lose(self) -> None:
        """The stream breaks; what the server has not acknowledged it may not have."""
        if self.is_open:
            self.is_open = False
            self.result = None
            del self.stored[self.acked :]
            self.on(StreamLost(detail="", chance=0.0))

    def reconnect(self) -> None:
        if not self.is_open:
            self.is_open = True
            verdict = Verdict(key=JOB, keep=True, stored={LogStream.STDOUT: len(self.stored)})
            self.on(Welcomed(session_epoch=1, verdicts=(verdict,), heartbeat_interval_s=15.0))

    def finish(self) -> None:
        """Everything goes well from here on."""
        self.reconnect()
        self.on(OutputEnded(key=OUT))
        self.on(
            ProcessGone(
                key=JOB,
                exit_code=0,
                signal=None,
                user_cpu_s=0,
                system_cpu_s=0,
                max_rss_bytes=0,
                out_of_memory=False,
                wall_ns=0,
            )
        )
        for _ in range(10_000):
            if self.result is not None:
                return
            self.acknowledge(1.0)
            self.work_disk()
        raise AssertionError("the result never came")


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 60)),
        st.tuples(st.just("disk"), st.booleans()),
        st.tuples(st.just("ack"), st.sampled_from([0.3, 1.0])),
        st.tuples(st.sampled_from(["lose", "reconnect"]), st.just(0)),
    ),
    max_size=60,
)


def walk(world: World, moves: list[tuple[str, float]]) -> None:
    for move, argument in moves:
        match move:
            case "write":
                world.write(int(argument))
            case "disk":
                world.work_disk(fails=bool(argument))
            case "ack":
                world.acknowledge(argument)
            case "lose":
                world.lose()
            case _:
                world.reconnect()
    world.finish()


@settings(max_examples=150, deadline=None)
@given(moves=steps, memory=st.integers(1, 150), spool=st.integers(0, 150))
def test_held_output_arrives_byte_for_byte(
    moves: list[tuple[str, float]], memory: int, spool: int
) -> None:
    world = World(LogPolicy.HOLD, memory, spool)

    walk(world, moves)

    expected = bytes(PRINTABLE[i % len(PRINTABLE)] for i in range(world.written))
    assert bytes(world.stored) == expected


@settings(max_examples=150, deadline=None)
@given(moves=steps, memory=st.integers(1, 150), spool=st.integers(0, 150))
def test_dropped_output_is_told_of_exactly_where_it_is_missing(
    moves: list[tuple[str, float]], memory: int, spool: int
) -> None:
    world = World(LogPolicy.DROP_OLDEST, memory, spool)

    walk(world, moves)

    position = 0
    for index, part in enumerate(NOTICE.split(bytes(world.stored))):
        if index % 2:  # the number in a notice
            position += int(part)
            continue
        for byte in part:
            assert byte == PRINTABLE[position % len(PRINTABLE)]
            position += 1
    assert position == world.written
    dropped = sum(int(size) for size in NOTICE.findall(bytes(world.stored)))
    assert world.reactor.flow.dropped == dropped
