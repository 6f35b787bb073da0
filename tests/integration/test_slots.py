"""A slot starts jobs exactly as asked, tells exactly how they ended, and lets nothing survive."""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hodei.agent.cgroups import WorkerCgroup
from hodei.agent.job_process import ExitReport
from hodei.agent.slots import SlotProcess, SpawnError, SpawnRequest, fork_slots
from hodei.domain.jobs.reasons import ReasonCode
from hodei.lifecycle.processes import stat_fields
from integration.processes import (
    ESCAPEES,
    ESCAPEES_COUNT,
    count_fds,
    directory_of,
    has_files,
    lives,
    open_files,
    pids_in,
    resident_bytes,
    until,
)

PYTHON = sys.executable.encode()
LIBRARY_INTERNAL = 1 << 31 | 1 << 32
"""Signals 32 and 33: glibc ignores them in what it spawns, and takes them back as it starts."""

PATH = {b"PATH": b"/usr/bin:/bin"}


@pytest.fixture(params=["with a cgroup", "without a cgroup"])
async def slot(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SlotProcess]:
    cgroup = None
    if request.param == "with a cgroup":
        cgroup = WorkerCgroup.create(f"test-{os.getpid()}")
        if cgroup is None:
            pytest.skip("no cgroup v2 with cgroup.kill may be made here")
    [slot] = fork_slots(1, cgroup=cgroup, job_umask=0o022)
    await slot.attach()
    yield slot
    slot.close()
    await asyncio.to_thread(os.waitpid, slot.pid, 0)
    if cgroup is not None:
        cgroup.remove()
        assert not cgroup.directory.exists()


class Job:
    """Runs programs on a slot and reads what they write."""

    def __init__(self, slot: SlotProcess) -> None:
        self.slot = slot

    @contextmanager
    def fds(self) -> Iterator[tuple[int, int, int]]:
        null = os.open(os.devnull, os.O_RDWR)
        out, out_writer = os.pipe()
        try:
            yield null, out, out_writer
        finally:
            for fd in (null, out):
                os.close(fd)

    async def run(
        self, *argv: bytes, env: dict[bytes, bytes] = PATH, cwd: bytes = b"/"
    ) -> tuple[ExitReport, bytes]:
        with self.fds() as (null, out, writer):
            try:
                await self.slot.spawn(
                    SpawnRequest(
                        argv=argv, env=env, cwd=cwd, stdin_fd=null, stdout_fd=writer, stderr_fd=2
                    )
                )
            finally:
                os.close(writer)
            output = await asyncio.to_thread(_read_all, out)
            return await self.slot.wait(), output

    async def start(self, *argv: bytes, env: dict[bytes, bytes] = PATH) -> int:
        null = os.open(os.devnull, os.O_RDWR)
        try:
            return await self.slot.spawn(
                SpawnRequest(
                    argv=argv, env=env, cwd=b"/", stdin_fd=null, stdout_fd=null, stderr_fd=null
                )
            )
        finally:
            os.close(null)


def _read_all(fd: int) -> bytes:
    parts: list[bytes] = []
    while part := os.read(fd, 65536):
        parts.append(part)
    return b"".join(parts)


@pytest.fixture
def job(slot: SlotProcess) -> Job:
    return Job(slot)


async def refusal(job: Job, *argv: bytes, **options: object) -> tuple[ReasonCode, str]:
    with pytest.raises(SpawnError) as caught:
        await job.run(*argv, **options)
    return caught.value.reason_code, caught.value.message


# -- how it ends --


async def test_every_exit_code_arrives(job: Job) -> None:
    for code in range(256):
        report, _ = await job.run(b"/bin/sh", b"-c", b"exit %d" % code)
        assert (report.exit_code, report.signal) == (code, None)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, 34, 64])
async def test_the_signal_that_ended_a_job_arrives(job: Job, signum: int) -> None:
    report, _ = await job.run(b"/bin/sh", b"-c", b"kill -%d $$" % signum)
    assert (report.exit_code, report.signal) == (None, signum)
    assert not report.out_of_memory


async def test_time_and_memory_of_a_job_are_reported(job: Job) -> None:
    report, _ = await job.run(PYTHON, b"-Ic", b"b = bytes(50_000_000); [i for i in range(10**6)]")
    assert report.user_cpu_s > 0.01
    assert report.max_rss_bytes > 45_000_000


@pytest.fixture
async def small_slot() -> AsyncIterator[SlotProcess]:
    """A slot in a memory group of 600 MB.

    Large enough that the job is the largest in it when it is full: the kernel kills that one, and
    a slot that is forked from the tests' own process starts out as large as this.
    """
    own = {
        line.split(":")[1]: line.split(":")[2]
        for line in Path("/proc/self/cgroup").read_text().splitlines()  # noqa: ASYNC240
    }
    group = Path("/sys/fs/cgroup/memory" + own.get("memory", "/none")) / f"test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("600000000")
        (group / "cgroup.procs").write_text("0")
    except OSError:
        pytest.skip("no memory cgroup of version 1 may be made here")
    try:
        [slot] = fork_slots(1, cgroup=None, job_umask=0o022)
    finally:
        (group.parent / "cgroup.procs").write_text("0")
    await slot.attach()
    yield slot
    slot.close()
    await asyncio.to_thread(os.waitpid, slot.pid, 0)
    group.rmdir()


async def test_a_job_that_the_kernel_killed_for_lack_of_memory_is_known_as_such(
    small_slot: SlotProcess, tmp_path: Path
) -> None:
    job = Job(small_slot)
    report, _ = await job.run(PYTHON, b"-Ic", b"b = b'x' * 1_500_000_000")
    assert (report.signal, report.out_of_memory) == (signal.SIGKILL, True)
    report, _ = await job.run(b"/bin/sh", b"-c", b"kill -9 $$")
    assert (report.signal, report.out_of_memory) == (signal.SIGKILL, False)
    script = b"%b -Ic 'b = bytes(1_500_000_000) + bytes(1)'; > \"$1/ready\"; sleep 60" % PYTHON
    await job.start(b"/bin/bash", b"-c", script, b"bash", bytes(tmp_path))
    until((tmp_path / "ready").exists)
    job.slot.kill_tree()
    report = await job.slot.wait()
    assert (report.signal, report.out_of_memory) == (signal.SIGKILL, False), "we killed this one"


# -- what it gets --


async def test_arguments_arrive_byte_for_byte(job: Job) -> None:
    odd = [b"", b" ", b"$HOME", b"a;b", b"\n", b'"', b"'", b"\\", b"*", b"\xff\xfe", b"--", b"-n"]
    report, output = await job.run(
        b"/bin/sh", b"-c", b"exec cat /proc/$$/cmdline", b"an own name", *odd
    )
    # What sh was given, and then replaced itself with cat, is asked of a program that stays.
    _, output = await job.run(
        PYTHON,
        b"-Ic",
        b"import sys, os; os.write(1, b'\\0'.join(map(os.fsencode, sys.argv[1:])))",
        *odd,
    )
    assert report.exit_code == 0
    assert output.split(b"\0") == odd


async def test_the_environment_is_exactly_the_jobs_own(job: Job) -> None:
    env = {b"A": b"", b"B": b"x=y", b"C": b"\xff\n$A", b"lower": b"1", b"PATH": b"/bin"}
    _, output = await job.run(b"/bin/cat", b"/proc/self/environ", env=env)
    assert dict(pair.split(b"=", 1) for pair in output.split(b"\0")[:-1]) == env


async def test_more_than_a_mebibyte_of_arguments_and_environment_arrives(job: Job) -> None:
    arguments = [b"%d" % number * 60_000 for number in range(10)]
    # LC_ALL, for Python would add LC_CTYPE by itself.
    env = {b"LC_ALL": b"C.UTF-8", **{b"V%d" % number: b"v" * 100_000 for number in range(6)}}
    _, output = await job.run(
        PYTHON,
        b"-Ic",
        b"import sys, os; print(*(sum(map(len, each)) for each in (sys.argv[1:], os.environ.values())))",
        *arguments,
        env=env,
    )
    total = sum(map(len, arguments))
    assert output.split() == [b"%d" % total, b"%d" % sum(map(len, env.values()))]


async def test_a_job_has_three_descriptors_and_no_other(job: Job) -> None:
    _, output = await job.run(b"/bin/ls", b"/proc/self/fd")
    assert output.split() == [b"0", b"1", b"2", b"3"]  # 3 is the directory that ls reads


async def test_a_job_has_default_signal_handling_in_a_session_of_its_own(job: Job) -> None:
    _, output = await job.run(b"/bin/cat", b"/proc/self/status", b"/proc/self/stat")
    lines = dict(line.split(b":\t", 1) for line in output.splitlines() if b":\t" in line)
    assert (lines[b"SigBlk"], lines[b"SigCgt"]) == (b"0" * 16, b"0" * 16)
    assert int(lines[b"SigIgn"], 16) & ~LIBRARY_INTERNAL == 0
    assert lines[b"Umask"] == b"0022"
    pid, _, _, _, group, session, *_ = output.splitlines()[-1].split()
    assert pid == group == session


async def test_a_job_starts_in_its_directory_which_the_slot_lets_go_of(
    job: Job, tmp_path: Path
) -> None:
    _, output = await job.run(b"/bin/pwd", cwd=bytes(tmp_path))
    assert output.rstrip(b"\n") == bytes(tmp_path)
    until(lambda: directory_of(job.slot.pid) == Path("/"))


async def test_a_command_is_looked_up_on_the_jobs_own_path(job: Job, tmp_path: Path) -> None:
    for name, text in (("first", "not executable"), ("second", "#!/bin/sh\necho $0")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tool").write_text(text)
    (tmp_path / "second" / "tool").chmod(0o755)
    (tmp_path / "zeroth" / "tool").mkdir(parents=True)
    path = b":".join(bytes(tmp_path / name) for name in ("missing", "zeroth", "first", "second"))
    _, output = await job.run(b"tool", env={b"PATH": path})
    assert output == bytes(tmp_path / "second" / "tool") + b"\n"
    _, output = await job.run(b"tool", env={b"PATH": b":/bin"}, cwd=bytes(tmp_path / "second"))
    assert output == b"./tool\n"
    _, output = await job.run(b"echo", b"default path", env={})
    assert output == b"default path\n"


# -- why it does not start --


async def test_a_command_that_is_not_there_is_not_found(job: Job) -> None:
    code, message = await refusal(job, b"no-such-command")
    assert (code, "no-such-command" in message) == (ReasonCode.COMMAND_NOT_FOUND, True)
    assert (await refusal(job, b"/no/such/file"))[0] == ReasonCode.COMMAND_NOT_FOUND
    assert (await refusal(job, b"/bin/sh/x"))[0] == ReasonCode.COMMAND_NOT_FOUND
    assert (await refusal(job, b""))[0] == ReasonCode.COMMAND_NOT_FOUND
    report, _ = await job.run(b"true")
    assert report.exit_code == 0, "the slot goes on"


async def test_a_file_that_may_not_be_executed_is_denied(job: Job, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    code, message = await refusal(job, bytes(tmp_path / "plain"))
    assert (code, "plain" in message) == (ReasonCode.PERMISSION_DENIED, True)
    code, _ = await refusal(job, b"plain", env={b"PATH": bytes(tmp_path)})
    assert code == ReasonCode.PERMISSION_DENIED
    code, message = await refusal(job, bytes(tmp_path))
    assert (code, "is a directory" in message) == (ReasonCode.PERMISSION_DENIED, True)


async def test_a_missing_interpreter_is_named_as_such(job: Job, tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/no/such/interpreter\n")
    (tmp_path / "script").chmod(0o755)
    code, message = await refusal(job, bytes(tmp_path / "script"))
    assert (code, "interpreter" in message) == (ReasonCode.COMMAND_NOT_FOUND, True)


async def test_a_text_without_an_interpreter_line_is_refused_with_advice(
    job: Job, tmp_path: Path
) -> None:
    (tmp_path / "script").write_text("echo hello\n")
    (tmp_path / "script").chmod(0o755)
    code, message = await refusal(job, bytes(tmp_path / "script"))
    assert (code, "#!/bin/sh" in message) == (ReasonCode.PROCESS_SPAWN_FAILED, True)


async def test_a_working_directory_that_cannot_be_entered_is_named(
    job: Job, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for name in ("missing", "file", "x" * 300):
        code, message = await refusal(job, b"true", cwd=bytes(tmp_path / name))
        assert (code, name in message) == (ReasonCode.FILE_NOT_FOUND, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every directory")
async def test_a_forbidden_working_directory_is_denied(job: Job, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    code, _ = await refusal(job, b"true", cwd=bytes(tmp_path / "closed"))
    assert code == ReasonCode.PERMISSION_DENIED


async def test_what_no_program_can_be_given_is_refused(job: Job) -> None:
    for argv, env in (
        ([b"true", b"a\0b"], {}),
        ([b"true"], {b"A=B": b""}),
        ([b"true"], {b"": b""}),
        ([b"/bin/true", b"x" * 200_000], {}),
        ([b"/bin/true", *[b"x" * 100_000] * 70], {}),
    ):
        code, message = await refusal(job, *argv, env=env)
        assert code == ReasonCode.PROCESS_SPAWN_FAILED
        assert message


async def test_a_system_without_room_for_a_process_is_told_of(job: Job) -> None:
    # The address space of the slot is used up: the kernel answers ENOMEM.
    before = resource.prlimit(job.slot.pid, resource.RLIMIT_AS)
    resource.prlimit(job.slot.pid, resource.RLIMIT_AS, (1, before[1]))
    try:
        code, message = await refusal(job, b"/bin/true")
    finally:
        resource.prlimit(job.slot.pid, resource.RLIMIT_AS, before)
    assert (code, "could not be started" in message) == (ReasonCode.PROCESS_SPAWN_FAILED, True)


# -- nothing survives --


async def test_nothing_survives_the_end_of_the_main_process(job: Job, tmp_path: Path) -> None:
    report, _ = await job.run(PYTHON, b"-Ic", ESCAPEES.encode(), bytes(tmp_path), b"leave")
    escaped = pids_in(tmp_path, ESCAPEES_COUNT)
    assert report.exit_code == 0
    assert not any(lives(each.pid) for each in escaped)


async def test_killing_a_tree_ends_all_of_it(job: Job, tmp_path: Path) -> None:
    await job.start(PYTHON, b"-Ic", ESCAPEES.encode(), bytes(tmp_path))
    tree = pids_in(tmp_path, ESCAPEES_COUNT + 1)
    assert len(tree) == ESCAPEES_COUNT + 1
    job.slot.kill_tree()
    report = await job.slot.wait()
    assert (report.signal, report.out_of_memory) == (signal.SIGKILL, False)
    assert not any(lives(each.pid) for each in tree)


async def test_a_signal_reaches_each_process_once_and_spares_its_cleaning_up(
    job: Job, tmp_path: Path
) -> None:
    script = b"""
        cd "$1"
        handler() { echo "got $1" >> signals; (sleep 0.03; echo clean >> "cleaned-$1"); exit 3; }
        (setsid bash -c 'trap "echo got session >> signals; exit" TERM; > ready-1; sleep 60 & wait' &)
        (trap 'handler child' TERM; > ready-2; sleep 60 & wait) &
        trap 'handler main' TERM
        > ready-3
        wait
    """
    await job.start(b"/bin/bash", b"-c", script, b"bash", bytes(tmp_path))
    until(lambda: has_files(tmp_path, 3))
    job.slot.signal_tree(signal.SIGTERM)
    report = await job.slot.wait()
    assert report.exit_code == 3
    got = (tmp_path / "signals").read_text().splitlines()
    assert sorted(got) == ["got child", "got main", "got session"]
    assert (tmp_path / "cleaned-main").exists()


async def test_a_stopped_process_wakes_to_get_its_signal(job: Job, tmp_path: Path) -> None:
    script = b"trap 'exit 4' TERM; echo $$ > \"$1/pid\"; kill -STOP $$; exit 5"
    pid = await job.start(b"/bin/sh", b"-c", script, b"sh", bytes(tmp_path))
    until(lambda: (stat_fields(pid) or [b""])[0] == b"T")
    job.slot.signal_tree(signal.SIGTERM)
    assert (await job.slot.wait()).exit_code == 4


CHAINS = b"""
import os
for _ in range(6):
    if os.fork() == 0:
        break
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
"""
"""Forks, detaches and exits all the time: whoever looks for it finds where it was."""


async def test_what_forks_and_detaches_all_the_time_is_caught(job: Job) -> None:
    async with asyncio.timeout(10):
        for _ in range(3):
            report, _ = await job.run(PYTHON, b"-Ic", CHAINS)
            assert report.exit_code == 0


BOMB = b"""
import mmap, os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
made = mmap.mmap(-1, 4096)
while True:
    for place in range(1, 256):
        if made[place] == 0:
            made[place] = 1
            pid = os.fork()
            break
    else:
        made[0] = 1
"""


async def test_a_fork_bomb_dies(job: Job) -> None:
    await job.start(PYTHON, b"-Ic", BOMB)
    until(lambda: len(_below(job.slot.pid)) > 100)
    bomb = _below(job.slot.pid)
    job.slot.signal_tree(signal.SIGTERM)
    job.slot.kill_tree()
    async with asyncio.timeout(10):
        report = await job.slot.wait()
    assert report.signal == signal.SIGKILL
    assert not any(lives(pid) for pid in bomb)


def _below(root: int) -> set[int]:
    parents = {
        int(path.name): int(fields[1])
        for path in Path("/proc").iterdir()
        if path.name.isdigit() and (fields := stat_fields(int(path.name))) is not None
    }
    found: set[int] = set()
    waiting = [root]
    while waiting:
        parent = waiting.pop()
        children = {pid for pid, its_parent in parents.items() if its_parent == parent}
        waiting += children - found
        found |= children
    return found


async def test_orphans_are_reaped_while_the_job_runs(job: Job, tmp_path: Path) -> None:
    script = b'for i in $(seq 300); do (true & ); done; > "$1/ready"; sleep 60'
    main = await job.start(b"/bin/bash", b"-c", script, b"bash", bytes(tmp_path))
    until((tmp_path / "ready").exists)
    until(lambda: all(pid == main or lives(pid) for pid in _below(job.slot.pid)))
    job.slot.kill_tree()
    await job.slot.wait()


async def test_zombies_that_a_job_never_reaped_go_with_it(job: Job) -> None:
    script = b"import os\nfor _ in range(1000):\n    if os.fork() == 0: os._exit(0)\n"
    report, _ = await job.run(PYTHON, b"-Ic", script)
    assert report.exit_code == 0
    assert _below(job.slot.pid) == set()


# -- the slot itself --


async def test_a_thousand_jobs_leave_nothing_behind(job: Job) -> None:
    async def run(times: int) -> None:
        for _ in range(times):
            await job.start(b"/bin/true")
            await job.slot.wait()

    await run(100)
    before = (count_fds(os.getpid()), count_fds(job.slot.pid), resident_bytes(job.slot.pid))
    await run(1000)
    after = (count_fds(os.getpid()), count_fds(job.slot.pid), resident_bytes(job.slot.pid))
    assert after[:2] == before[:2]
    assert after[2] - before[2] < 500_000
    assert _below(job.slot.pid) == set()


async def test_the_end_of_the_agents_side_ends_the_slot_and_its_job(
    slot: SlotProcess, tmp_path: Path
) -> None:
    job = Job(slot)
    await job.start(PYTHON, b"-Ic", ESCAPEES.encode(), bytes(tmp_path))
    tree = pids_in(tmp_path, ESCAPEES_COUNT + 1)
    slot.close()
    until(lambda: not lives(slot.pid))
    assert not any(lives(each.pid) for each in tree)


async def test_a_slot_ignores_what_a_terminal_sends_to_everybody(job: Job) -> None:
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        os.kill(job.slot.pid, signum)
    report, _ = await job.run(b"/bin/true")
    assert report.exit_code == 0


async def test_killing_where_there_is_no_job_does_nothing(job: Job) -> None:
    job.slot.kill_tree()
    job.slot.signal_tree(signal.SIGTERM)
    report, _ = await job.run(b"/bin/sh", b"-c", b"exit 9")
    assert report.exit_code == 9
    job.slot.kill_tree()
    report, _ = await job.run(b"/bin/true")
    assert report.exit_code == 0


def test_descriptors_beyond_the_ones_to_keep_are_closed(tmp_path: Path) -> None:
    read, write = os.pipe()
    [slot] = fork_slots(1, cgroup=None, job_umask=0o022, keep=[write])
    try:
        until(lambda: count_fds(slot.pid) < 10)
        assert str(Path(f"/proc/self/fd/{write}").readlink()) in open_files(slot.pid)
    finally:
        slot.close()
        os.close(read)
        os.close(write)
        os.waitpid(slot.pid, 0)
