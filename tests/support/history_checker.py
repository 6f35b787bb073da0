"""Whether what clients and followers saw of a cluster is possible.

Clients note each call with the time before it and after it, followers each event as it came, and
the jobs themselves what they did, in files. From these alone it is decided: nothing is asked of the
servers here. Jobs do not depend on one another, so that each has a history of its own:

- A job whose submission was answered is found by every call that began afterwards.
- A call that began after another had ended sees the job at least as far on as that one did: no fewer
  attempts, and an end that was seen once is seen by everybody, the same one.
- Every follower hears the same events in the same order, each once, whoever told it.
- The events of a job are one life: created first, each attempt assigned once and ended once, the
  next one only after that, one end at most after each beginning, and nothing after the last. What
  calls showed of a job that had ended has as many attempts.
- What the job did outside fits: it ran as often as attempts of it may have, never twice at once, and
  one that succeeded came to its end.
- An attempt is lost only with its worker, of which somebody has killed something: a worker whose
  server goes, or whose stream ends, goes on with what it has.
- What was kept of an attempt's output is what it wrote: all of it, where it came to its end, and
  else its beginning.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

TERMINAL: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A call that was answered. Times are of one clock."""

    began: float
    ended: float
    server: str
    job_id: str
    state: str
    """Empty where the job was not found."""
    attempts: int = 0

    @property
    def is_end(self) -> bool:
        """Whether the job had ended."""
        return self.state in TERMINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An event as a follower was told it."""

    position: str
    job_id: str
    kind: str
    attempt: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Did:
    """What a job noted of itself."""

    runs: int
    """How often it began."""
    ends: int
    """How often it came to its last line."""
    overlaps: int
    """How often it found itself running already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrote:
    """The output of an attempt, as it was read when all was over."""

    job_id: str
    attempt: int
    text: str
    whole: str
    """What an attempt of the job writes when nothing ends it before its last line."""
    came_to_its_end: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """An attempt whose worker is said to be gone, as it was read when all was over."""

    job_id: str
    attempt: int
    worker_id: str
    why: str


@dataclass(slots=True, kw_only=True)
class History:
    """All that was noted."""

    submitted: dict[str, float] = field(default_factory=dict[str, float])
    """When the submission of a job had been answered."""
    seen: list[Seen] = field(default_factory=list[Seen])
    heard: dict[str, list[Heard]] = field(default_factory=dict[str, list[Heard]])
    """By follower."""
    did: dict[str, Did] = field(default_factory=dict[str, Did])
    wrote: list[Wrote] = field(default_factory=list[Wrote])
    lost: list[Lost] = field(default_factory=list[Lost])
    harmed: set[str] = field(default_factory=set[str])
    """The workers of which something was killed."""


def faults_of(history: History) -> list[str]:
    """Everything that cannot be; nothing where all of it can."""
    return [
        *_lost(history),
        *_gone_back(history.seen),
        *_told_differently(history.heard),
        *_impossible_lives(history),
        *_lost_output(history.wrote),
        *_lost_for_nothing(history),
    ]


def _by_job(seen: Iterable[Seen]) -> Mapping[str, list[Seen]]:
    jobs: defaultdict[str, list[Seen]] = defaultdict(list)
    for each in seen:
        jobs[each.job_id].append(each)
    return jobs


def _lost(history: History) -> Iterator[str]:
    for each in history.seen:
        answered = history.submitted.get(each.job_id)
        if not each.state and answered is not None and each.began > answered:
            yield f"{each.job_id}: {each.server} did not know it after it had been accepted"


def _gone_back(seen: Sequence[Seen]) -> Iterator[str]:
    """Calls that saw less than one that had ended before they began."""
    for job_id, calls in _by_job(each for each in seen if each.state).items():
        done: list[Seen] = []
        by_end = sorted(calls, key=lambda each: each.ended)
        most: Seen | None = None
        for call in sorted(calls, key=lambda each: each.began):
            while by_end and by_end[0].ended < call.began:
                done.append(by_end.pop(0))
                most = _further(most, done[-1])
            if most is not None and _is_behind(call, most):
                yield (
                    f"{job_id}: {call.server} showed {call.state} with {call.attempts} attempts "
                    f"after {most.server} had shown {most.state} with {most.attempts}"
                )


def _further(one: Seen | None, other: Seen) -> Seen:
    if one is None:
        return other
    return max(one, other, key=lambda each: (each.attempts, each.is_end))


def _is_behind(call: Seen, most: Seen) -> bool:
    if call.attempts != most.attempts:
        return call.attempts < most.attempts
    return most.is_end and call.state != most.state


def _told_differently(heard: Mapping[str, Sequence[Heard]]) -> Iterator[str]:
    order: dict[str, Heard] = {}
    for name, events in sorted(heard.items(), key=lambda item: -len(item[1])):
        positions = [each.position for each in events]
        if len(set(positions)) < len(positions):
            yield f"{name} was told an event twice"
        if not order:
            order = {each.position: each for each in events}
            places = {position: place for place, position in enumerate(positions)}
            continue
        for each in events:
            if each.position in order and order[each.position] != each:
                yield f"{name} was told another event at {each.position}"
        known = [places[each.position] for each in events if each.position in places]
        if any(later < earlier for earlier, later in pairwise(known)):
            yield f"{name} was told events in another order"
        if known and len(known) < max(known) - min(known) + 1:
            yield f"{name} was not told all events"


_ENDS_ATTEMPT: Final = frozenset(
    {"JobSucceeded", "JobFailed", "JobCancelled", "JobTimedOut", "JobRetried", "JobDispatchFailed"}
)


def _impossible_lives(history: History) -> Iterator[str]:
    whole = max(history.heard.values(), key=len, default=[])
    jobs: defaultdict[str, list[Heard]] = defaultdict(list)
    for each in whole:
        if each.job_id:
            jobs[each.job_id].append(each)
    for job_id, events in jobs.items():
        yield from (f"{job_id}: {fault}" for fault in _faults_of_life(events))
    for job_id, did in history.did.items():
        yield from (f"{job_id}: {fault}" for fault in _faults_outside(did, jobs.get(job_id, [])))
    for each in history.seen:
        given = sum(event.kind == "JobAssigned" for event in jobs.get(each.job_id, []))
        if each.is_end and each.attempts != given:
            yield (
                f"{each.job_id}: {each.server} showed {each.attempts} attempts in the end, and it was "
                f"given away {given} times"
            )


def _faults_of_life(events: Sequence[Heard]) -> Iterator[str]:
    if events[0].kind != "JobCreated":
        yield f"began with {events[0].kind}"
    open_attempt = assigned = 0
    has_ended = False
    for each in events:
        if has_ended and each.kind != "JobRetryRequested":
            yield f"{each.kind} after its end"
        has_ended = each.state in TERMINAL
        if each.kind == "JobAssigned":
            assigned += 1
            if open_attempt:
                yield f"attempt {assigned} was given away while {open_attempt} was open"
            if each.attempt != assigned:
                yield f"attempt {each.attempt} was given away as number {assigned}"
            open_attempt = assigned
        elif each.kind in _ENDS_ATTEMPT or each.kind == "JobAccepted":
            if each.attempt != open_attempt:
                yield f"{each.kind} of attempt {each.attempt} while {open_attempt or 'none'} was open"
            open_attempt = each.attempt if each.kind == "JobAccepted" else 0
    if not has_ended:
        yield f"never ended: {events[-1].kind} was its last event"


def _faults_outside(did: Did, events: Sequence[Heard]) -> Iterator[str]:
    assigned = sum(each.kind == "JobAssigned" for each in events)
    if did.overlaps:
        yield f"ran {did.overlaps} times beside itself"
    if did.runs > assigned:
        yield f"ran {did.runs} times, and was given away {assigned} times"
    if events and events[-1].state == "SUCCEEDED" and not did.ends:
        yield "succeeded without coming to its end"


def _lost_output(wrote: Iterable[Wrote]) -> Iterator[str]:
    for each in wrote:
        who = f"{each.job_id}: attempt {each.attempt}"
        if each.came_to_its_end and each.text != each.whole:
            yield f"{who} wrote {len(each.whole)} bytes, of which other {len(each.text)} were kept"
        elif not each.whole.startswith(each.text):
            yield f"{who} never wrote what was kept of it"


def _lost_for_nothing(history: History) -> Iterator[str]:
    for each in history.lost:
        if each.worker_id not in history.harmed:
            yield (
                f"{each.job_id}: attempt {each.attempt} was lost, and nobody had harmed its worker "
                f"{each.worker_id}: {each.why}"
            )
