"""The processes below this one: who they are, how to signal them, how to end all of them.

The process that asks is their subreaper, so whoever is orphaned becomes its child: nobody can
leave the tree, and `ECHILD` proves that nobody is left in it.
"""

import os
import select
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hodei.lifecycle.processes import ProcessIdentity, boot_id, stat_fields

_LOOK_AGAIN_S = 0.05
"""How long a killed process is waited for before the tree is looked at again."""

_MISSED_S = 0.001
"""The same where no process was found although some must be there."""

_QUICK_ROUNDS = 3
"""Two hit what forked while the first round was under way; one more for luck costs 10 us."""

_WATCHED_AT_ONCE = 64
"""Children whose end is waited for in one go; more need more rounds, not more descriptors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A process of the tree."""

    identity: ProcessIdentity
    is_stopped: bool
    parent: int
    group: int
    session: int

    @property
    def pid(self) -> int:
        """Its number."""
        return self.identity.pid


def _member(pid: int) -> Member | None:
    fields = stat_fields(pid)
    # One that only waits to be reaped has no threads but the one, and no children any more.
    if fields is None or (fields[0] == b"Z" and int(fields[17]) <= 1):
        return None
    return Member(
        identity=ProcessIdentity(pid=pid, start_ticks=int(fields[19]), boot_id=boot_id()),
        is_stopped=fields[0] == b"T",
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
    )


def _children_by_task(pid: int) -> Iterator[int]:
    """Reads the kernel's own lists. They may lack one while others end: look more than once."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - names, without a Path for each
    except (FileNotFoundError, ProcessLookupError):
        return
    for task in tasks:
        with suppress(FileNotFoundError, ProcessLookupError):
            listed = Path(f"/proc/{pid}/task/{task}/children").read_bytes()
            yield from map(int, listed.split())


def _children_by_scan() -> Callable[[int], Iterable[int]]:
    """Finds children where the kernel keeps no lists (CONFIG_PROC_CHILDREN)."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - as above
        if name.isdigit() and (fields := stat_fields(int(name))) is not None:
            children.setdefault(int(fields[1]), []).append(int(name))
    return lambda pid: children.get(pid, ())


def descendants(root: int, *, but_session: int | None = None) -> list[Member]:
    """The processes below `root`, parents before their children. A snapshot that may lack some.

    Without the members of the session `but_session`, and without what is below those.
    """
    has_lists = Path(f"/proc/self/task/{os.getpid()}/children").exists()
    children = _children_by_task if has_lists else _children_by_scan()
    members: list[Member] = []
    seen = {root}
    waiting = [root]
    while waiting:
        for pid in children(waiting.pop()):
            if pid in seen or (member := _member(pid)) is None or member.session == but_session:
                continue
            seen.add(pid)
            members.append(member)
            waiting.append(pid)
    return members


def signal_descendants(signum: int) -> None:
    """Sends a signal once to each process below this one, and lets stopped ones run to get it.

    What a process starts in answer to the signal, to clean up for example, is left in peace.
    """
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    asked_at = int(time.clock_gettime(time.CLOCK_BOOTTIME) * ticks_per_s)
    signalled: set[ProcessIdentity] = set()
    first = True
    while True:
        new = [
            member
            for member in descendants(os.getpid())
            if member.identity not in signalled
            and (first or member.identity.start_ticks < asked_at)
        ]
        if not new:
            return
        for member in new:
            signalled.add(member.identity)
            with suppress(PermissionError):  # a program with more rights, such as sudo
                member.identity.send_signal(signum)
                if member.is_stopped:
                    member.identity.send_signal(signal.SIGCONT)
        first = False


def kill(members: Iterable[Member]) -> list[int]:
    """Sends SIGKILL to processes; returns pidfds of children of this process, for the caller to close.

    Process groups go first: the kernel signals one as a whole, and a fork in its middle does not
    get away. That alone ends the usual fork bomb, which no walk from process to process can.
    """
    members = list(members)
    own_session = os.getsid(0)
    for group in {each.group for each in members if each.session != own_session}:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    me = os.getpid()
    children: list[int] = []
    for member in members:
        fd = member.identity.open()
        if fd is None:
            continue
        with suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        if member.parent == me and len(children) < _WATCHED_AT_ONCE:
            children.append(fd)
        else:
            os.close(fd)
    return children


def _wait_for_any(pidfds: list[int]) -> None:
    poll = select.poll()
    for fd in pidfds:
        poll.register(fd, select.POLLIN)
    # With nobody to wait for, either there is more to reap, or the walk missed somebody.
    poll.poll(1000 * (_LOOK_AGAIN_S if pidfds else _MISSED_S))
    for fd in pidfds:
        os.close(fd)


def end_descendants(reap: Callable[[], bool], sweep: Callable[[], None] | None = None) -> None:
    """Ends every process below this one; returns when none is left.

    One that this process may not kill, such as what sudo started for an ordinary user, is waited
    for as long as it takes: a job has not ended before.

    Args:
        reap: Waits for what has ended, without blocking; returns whether no child is left.
        sweep: Another way to kill them all at once, tried before each walk.
    """
    if reap():
        return
    with _ahead_of_others():
        while True:
            if sweep is not None:
                sweep()
            _kill_own_children()
            _wait_for_any(kill(descendants(os.getpid())))
            if reap():
                return


@contextmanager
def _ahead_of_others() -> Generator[None]:
    # Sixty processes that fork, detach and exit in a loop left this one too little of the two
    # cores to catch up with them for 9 s; ahead of them it took 0.7 s. Permitted to root only.
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    with suppress(OSError):
        os.sched_setscheduler(
            0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR))
        )
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, priority)


def _kill_own_children() -> None:
    # A child keeps its pid until it is waited for, so there is nobody to take it for: this is
    # quick enough to hit what forks and exits all the time, to be somewhere else when looked for.
    for _ in range(_QUICK_ROUNDS):
        for pid in _children_by_task(os.getpid()):
            with suppress(PermissionError):
                os.kill(pid, signal.SIGKILL)


def end_strays() -> None:
    """Ends what a slot that died left to this process, its subreaper; spares living slots.

    The agent's own children are of its session. A job is always in one of its own, and no process
    can go back into another's.
    """
    own_session = os.getsid(0)
    while _reap_strays(own_session):
        _wait_for_any(kill(descendants(os.getpid(), but_session=own_session)))


def _reap_strays(own_session: int) -> bool:
    """Waits for children of other sessions that have ended; returns whether there was any.

    Also where all of them have ended: one may have handed its own children on after the list was
    read.
    """
    some = False
    for pid in _children_by_task(os.getpid()):
        fields = stat_fields(pid)
        if fields is not None and int(fields[3]) != own_session:
            some = True
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
    return some
