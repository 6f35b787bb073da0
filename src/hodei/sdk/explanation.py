"""Where a job stands, and why."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from hodei.domain.jobs.states import JobState
from hodei.sdk.job import Attempt, AttemptDict, attempt_from_wire
from hodei.wire import hodei_all_in_one_pb2 as pb


class CandidateKind(StrEnum):
    """What was considered."""

    PROVIDER = "PROVIDER"
    """Which would have to make a worker first."""
    WORKER = "WORKER"


class CandidateDict(TypedDict):
    """What was considered, as JSON has it."""

    kind: str
    name: str
    provider: str
    fits: bool
    misfits: list[str]
    now: str | None


class ExplanationDict(TypedDict):
    """An explanation as JSON has it."""

    job_id: str
    state: str
    summary: str
    candidates: list[CandidateDict]
    attempts: list[AttemptDict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A provider or a worker that was considered for a job."""

    kind: CandidateKind
    name: str
    provider: str
    """Of a worker: who made it."""
    misfits: tuple[str, ...]
    """Every reason why it can never run the job; empty where it fits."""
    now: str
    """How one that fits is just now; empty for any other."""

    @property
    def fits(self) -> bool:
        """Whether it could run the job."""
        return not self.misfits

    def to_dict(self) -> CandidateDict:
        """As JSON has it."""
        return {
            "kind": self.kind.value,
            "name": self.name,
            "provider": self.provider,
            "fits": self.fits,
            "misfits": list(self.misfits),
            "now": self.now or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Where a job stood when the server answered."""

    job_id: str
    state: JobState
    summary: str
    """What it waits for, where it runs, or where it ended and why no other attempt followed."""
    candidates: tuple[Candidate, ...]
    """Of a job that waits: every provider, then every worker that lives."""
    attempts: tuple[Attempt, ...]
    """Where it ran."""

    def to_dict(self) -> ExplanationDict:
        """As JSON has it."""
        return {
            "job_id": self.job_id,
            "state": self.state.value,
            "summary": self.summary,
            "candidates": [each.to_dict() for each in self.candidates],
            "attempts": [each.to_dict() for each in self.attempts],
        }


def explanation_from_wire(answer: pb.ExplainJobResponse) -> Explanation:
    """The explanation of an answer."""
    return Explanation(
        job_id=answer.job_id.value,
        state=JobState(answer.state),
        summary=answer.summary,
        candidates=tuple(
            Candidate(
                kind=CandidateKind(
                    pb.CandidateKind.Name(each.kind).removeprefix("CANDIDATE_KIND_")
                ),
                name=each.name,
                provider=each.provider,
                misfits=tuple(each.misfits),
                now=each.now,
            )
            for each in answer.candidates
        ),
        attempts=tuple(map(attempt_from_wire, answer.attempts)),
    )
