"""What a slot adds to a bare posix_spawn: jobs per second and processor time for each.

Both run `/bin/true` with nothing captured, one after the other and four at once, in turn, so that
a noisy machine is noisy for both. The goal is at most 150 us of processor time per job in slot
and agent beside what the bare spawn takes.
"""

import asyncio
import os
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from hodei.agent.cgroups import WorkerCgroup
from hodei.agent.slots import SlotProcess, SpawnRequest, fork_slots

JOBS = 1000
ROUNDS = 5
LIVE = 4
TRUE = b"/bin/true"
ENV = {b"PATH": b"/usr/bin:/bin", b"HODEI_JOB_ID": b"bench"}
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def bare(live: int) -> None:
    running: set[int] = set()
    for _ in range(JOBS):
        if len(running) == live:
            pid, _, _ = os.wait4(-1, 0)
            running.discard(pid)
        running.add(os.posix_spawn(TRUE, [TRUE], ENV, setsid=True, setsigmask=()))
    for pid in running:
        os.waitpid(pid, 0)


async def on_slots(slots: list[SlotProcess], null: int) -> None:
    async def run(slot: SlotProcess, count: int) -> None:
        request = SpawnRequest(
            argv=(TRUE,), env=ENV, cwd=b"/", stdin_fd=null, stdout_fd=null, stderr_fd=null
        )
        for _ in range(count):
            await slot.spawn(request)
            await slot.wait()

    async with asyncio.TaskGroup() as group:
        for slot in slots:
            group.create_task(run(slot, JOBS // len(slots)))


def own_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def cpu_of_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    cgroup = WorkerCgroup.create("bench")
    slots = fork_slots(LIVE, cgroup=cgroup, job_umask=0o022)
    null = os.open(os.devnull, os.O_RDWR)
    with asyncio.Runner() as runner:

        async def attach() -> None:
            for slot in slots:
                await slot.attach()

        runner.run(attach())
        for live in (1, LIVE):
            rates: list[tuple[float, float]] = []
            cpu = [0.0, 0.0]
            for _ in range(ROUNDS):
                before = own_cpu_s()
                bare_s = timed(lambda live=live: bare(live))
                cpu[0] += own_cpu_s() - before
                before = own_cpu_s() + sum(cpu_of_s(slot.pid) for slot in slots)
                slots_s = timed(lambda live=live: runner.run(on_slots(slots[:live], null)))
                cpu[1] += own_cpu_s() + sum(cpu_of_s(slot.pid) for slot in slots) - before
                rates.append((JOBS / bare_s, JOBS / slots_s))
            bare_rate, slot_rate = (statistics.median(each) for each in zip(*rates, strict=True))
            bare_us, slot_us = (each / ROUNDS / JOBS * 1e6 for each in cpu)
            print(
                f"{live} live: bare {bare_rate:.0f}/s, slots {slot_rate:.0f}/s,"
                f" ratio {slot_rate / bare_rate:.2f};"
                f" processor time of the parents {bare_us:.0f} us and {slot_us:.0f} us a job,"
                f" {slot_us - bare_us:+.0f} us (goal +150)"
            )
    for slot in slots:
        slot.close()
        os.waitpid(slot.pid, 0)
    if cgroup is not None:
        cgroup.remove()


if __name__ == "__main__":
    main()
