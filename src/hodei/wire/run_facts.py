"""What must hold when batches are written that were decided on before a look at what is stored."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Facts:
    """What the decisions about the batches of a group rely on.

    An expectation of what an earlier batch of the group leaves behind is none of what is stored:
    only the first of each key counts. That deliveries are new, that what is consumed is there, and
    that runs which begin are not there yet follows from the rows to be written.
    """

    shards: dict[int, tuple[str, int]] = field(default_factory=dict[int, tuple[str, int]])
    """Owner and epoch."""
    runs: dict[str, int] = field(default_factory=dict[str, int])
    """Revisions."""
    open_runs: dict[str, None] = field(default_factory=dict[str, None])
    """Runs that something is delivered to."""
    last_seqs: dict[str, int] = field(default_factory=dict[str, int])
    """Of histories."""
    tasks: dict[str, int] = field(default_factory=dict[str, int])
    """Revisions."""
    timers: dict[tuple[str, int], None] = field(default_factory=dict[tuple[str, int], None])
    """Timers that fire, by run and command."""
    read: dict[str, None] = field(default_factory=dict[str, None])
    """Runs that have read all but what the group consumes."""
