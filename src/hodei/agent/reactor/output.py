"""Where the bytes of a job's output are, from its pipe to the server's disk.

Each stream is one queue with up to three parts, oldest first:

1. *chunks*: in memory, with offsets, sent or about to be, kept until the server has them on disk;
2. *spool*: on the agent's disk, without offsets yet, because the oldest may still be dropped;
3. *held*: at most one piece that was read and has no room; the pipe is then paused.

Bytes go to the first part only while the others are empty. All streams of an agent share the
room in memory and on disk, and a stream without any chunk may always take one, so that none can
starve another.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from hodei.agent.reactor.effects import (
    DropSpool,
    Effect,
    PauseReading,
    ReadSpool,
    ResumeReading,
    Send,
    WriteSpool,
)
from hodei.agent.reactor.events import StreamKey
from hodei.agent.reactor.messages import Chunk
from hodei.domain.jobs.spec import LogPolicy

LOAD_BYTES: Final = 256 * 1024
"""Read back from the spool at once: as much as one read of a pipe gives."""

MARK_NS: Final = 100_000_000
"""Spooled bytes that were read within this time share one timestamp."""

MAX_MARKS: Final = 1024
"""Timestamps kept per stream; past that the last one stands for what follows, so that a day
without a server does not fill the memory."""


def dropped_notice(size: int) -> bytes:
    """What a log shows in the place of `size` bytes that were dropped."""
    return b"\n[hodei: %d bytes of output dropped here: the log spool was full]\n" % size


@dataclass(slots=True, kw_only=True)
class Flow:
    """What all streams share: the room, whether the server listens, and where effects go."""

    memory_limit: int
    spool_limit: int
    effects: list[Effect]
    memory: int = 0
    spool: int = 0
    dropped: int = 0
    is_open: bool = False

    def has_memory(self, size: int) -> bool:
        """Whether `size` bytes more may be kept in memory."""
        return self.memory + size <= self.memory_limit


@dataclass(slots=True)
class _Mark:
    """Bytes in the spool that were read at about the same time."""

    size: int
    wall_ns: int


@dataclass(slots=True, kw_only=True)
class Output:
    """One stream of one attempt."""

    key: StreamKey
    policy: LogPolicy
    flow: Flow
    acked: int = 0
    sent: int = 0
    end: int = 0
    """The offset that the next chunk gets."""
    is_ended: bool = False
    """Nothing more comes out of the pipe."""
    chunks: deque[Chunk] = field(default_factory=deque[Chunk])
    _marks: deque[_Mark] = field(default_factory=deque[_Mark])
    _writing: int = 0
    _loading: _Mark | None = None
    _held: tuple[bytes, int] | None = None
    _dropped: int = 0
    """Bytes dropped before the first mark, which the log does not tell yet."""
    _dropped_ns: int = 0
    _is_paused: bool = False

    # --- What others ask ------------------------------------------------------------------------

    @property
    def is_whole(self) -> bool:
        """Every byte that will ever be has its offset."""
        return self.is_ended and not self._is_behind

    @property
    def is_waiting(self) -> bool:
        """Something of it waits for room."""
        return bool(self._marks) or self._dropped > 0 or self._held is not None

    @property
    def _is_behind(self) -> bool:
        return self.is_waiting or self._writing > 0 or self._loading is not None

    # --- From the pipe --------------------------------------------------------------------------

    def take(self, data: bytes, wall_ns: int) -> None:
        """Finds a place for bytes that came out of the pipe."""
        if not self._is_behind and (self.flow.has_memory(len(data)) or not self.chunks):
            self._keep(data, wall_ns)
        else:
            self._to_spool(data, wall_ns)

    def _keep(self, data: bytes, wall_ns: int) -> None:
        chunk = Chunk(key=self.key, offset=self.end, data=data, wall_ns=wall_ns)
        self.chunks.append(chunk)
        self.end = chunk.end
        self.flow.memory += len(data)
        if self.flow.is_open:
            self.flow.effects.append(Send(message=chunk))
            self.sent = chunk.end

    def _to_spool(self, data: bytes, wall_ns: int) -> None:
        room = self.flow.spool_limit - self.flow.spool
        if len(data) > room:
            if self.policy is LogPolicy.HOLD:
                self._held = (data, wall_ns)
                self._pause()
                return
            data = self._drop_for(data, wall_ns, room)
            if not data:
                return
        self._writing = len(data)
        self.flow.spool += len(data)
        # One piece at a time is on its way to disk; meanwhile the pipe is the buffer.
        self._pause()
        self.flow.effects.append(WriteSpool(key=self.key, data=data, wall_ns=wall_ns))

    # --- To and from the spool ------------------------------------------------------------------

    def spooled(self, size: int, wall_ns: int) -> None:
        """Notes that a piece is on disk."""
        self._writing = 0
        last = self._marks[-1] if self._marks else None
        if last and (wall_ns - last.wall_ns < MARK_NS or len(self._marks) >= MAX_MARKS):
            last.size += size
        else:
            self._marks.append(_Mark(size, wall_ns))
        self._resume()
        self.refill()

    def spool_failed(self, data: bytes, wall_ns: int) -> None:
        """Does without the disk: holds the piece, or drops it with all that is older."""
        self._writing = 0
        self.flow.spool -= len(data)
        if self.policy is LogPolicy.HOLD:
            self._held = (data, wall_ns)
        else:
            self._drop_spooled(sum(mark.size for mark in self._marks), wall_ns)
            self._note_dropped(len(data), wall_ns)
            self._resume()
        # Not to the disk again at once: it would be asked in a tight loop.
        self.refill(may_spool=False)

    def refill(self, *, may_spool: bool = True) -> None:
        """Moves what waits into memory, as far as there is room: the notice first, then bytes.

        Args:
            may_spool: Whether a held piece may go to the spool where memory has no room for it.
        """
        if self._loading is not None:
            return
        if self.chunks and not self.flow.has_memory(self._next_size()):
            if may_spool:
                self._place_held(into_memory=False)
            return
        if self._dropped:
            notice, self._dropped = dropped_notice(self._dropped), 0
            self._keep(notice, self._dropped_ns)
        if self._marks:
            self._load(min(self._marks[0].size, LOAD_BYTES))
        self._place_held(into_memory=True)

    def _next_size(self) -> int:
        """Bytes of what would move up next."""
        if self._marks:
            return min(self._marks[0].size, LOAD_BYTES)
        return len(self._held[0]) if self._held else len(dropped_notice(self._dropped))

    def unspooled(self, data: bytes) -> None:
        """Takes bytes back from the disk. Missing ones are lost, and the log says so."""
        loading = self._loading
        assert loading is not None
        self._loading = None
        self.flow.memory -= loading.size
        if data:
            self._keep(data, loading.wall_ns)
        if len(data) < loading.size:
            self._note_dropped(loading.size - len(data), loading.wall_ns)
        self.refill()

    def _load(self, size: int) -> None:
        mark = self._marks[0]
        mark.size -= size
        if mark.size == 0:
            self._marks.popleft()
        self._loading = _Mark(size, mark.wall_ns)
        self.flow.spool -= size
        self.flow.memory += size
        self.flow.effects.append(ReadSpool(key=self.key, size=size))

    def _place_held(self, *, into_memory: bool) -> None:
        if self._held is None or self._writing:
            return
        (data, wall_ns), self._held = self._held, None
        if into_memory:
            self.take(data, wall_ns)
        else:
            self._to_spool(data, wall_ns)
        if self._held is None and not self._writing:
            self._resume()

    # --- Dropping -------------------------------------------------------------------------------

    def _drop_for(self, data: bytes, wall_ns: int, room: int) -> bytes:
        """Drops this stream's oldest spooled bytes, then of `data`; returns what then fits."""
        missing = len(data) - room
        missing -= self._drop_spooled(missing, wall_ns)
        if missing:
            self._note_dropped(missing, wall_ns)
        return data[missing:]

    def _drop_spooled(self, at_most: int, wall_ns: int) -> int:
        left = at_most
        while left and self._marks:
            part = min(left, self._marks[0].size)
            self._marks[0].size -= part
            left -= part
            if self._marks[0].size == 0:
                self._marks.popleft()
        size = at_most - left
        if size:
            self.flow.spool -= size
            self.flow.effects.append(DropSpool(key=self.key, size=size))
            self._note_dropped(size, wall_ns)
        return size

    def _note_dropped(self, size: int, wall_ns: int) -> None:
        self._dropped += size
        self._dropped_ns = wall_ns
        self.flow.dropped += size

    # --- To the server --------------------------------------------------------------------------

    def acknowledge(self, offset: int) -> None:
        """Lets go of what is on the server's disk."""
        self.acked = max(self.acked, min(offset, self.end))
        while self.chunks and self.chunks[0].end <= self.acked:
            self.flow.memory -= len(self.chunks.popleft().data)

    def send_again(self, stored: int) -> None:
        """Sends everything from `stored` on, over a stream that was just opened."""
        self.acknowledge(stored)
        self.sent = self.acked
        for chunk in self.chunks:
            self.flow.effects.append(Send(message=_cut(chunk, self.sent)))
            self.sent = chunk.end

    def release(self) -> None:
        """Gives its room back; the stream is not used after that."""
        self.flow.memory -= sum(len(chunk.data) for chunk in self.chunks)
        self.flow.memory -= self._loading.size if self._loading else 0
        self.flow.spool -= sum(mark.size for mark in self._marks) + self._writing

    def rooms(self) -> tuple[int, int]:
        """What it takes of memory and of the spool; for the check of the invariants."""
        loading = self._loading.size if self._loading else 0
        memory = sum(len(chunk.data) for chunk in self.chunks) + loading
        return memory, sum(mark.size for mark in self._marks) + self._writing

    def _pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self.flow.effects.append(PauseReading(key=self.key))

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self.flow.effects.append(ResumeReading(key=self.key))


def _cut(chunk: Chunk, offset: int) -> Chunk:
    """The part of a chunk from `offset` on."""
    if offset <= chunk.offset:
        return chunk
    rest = chunk.data[offset - chunk.offset :]
    return Chunk(key=chunk.key, offset=offset, data=rest, wall_ns=chunk.wall_ns)
