"""Looking at processes from outside, and waiting for what has no event."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hodei.lifecycle.processes import ProcessIdentity, stat_fields


def lives(pid: int) -> bool:
    """Whether a process is there and is more than a zombie; its first thread may be one."""
    fields = stat_fields(pid)
    return fields is not None and not (fields[0] == b"Z" and int(fields[17]) <= 1)


def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    """Returns once the condition holds; fails when it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def pids_in(directory: Path, count: int) -> list[ProcessIdentity]:
    """The processes that wrote their pid into a file each, once all of them have."""

    def found() -> list[str]:
        texts = [path.read_text() for path in directory.iterdir()]
        return [text for text in texts if text.endswith("\n")]

    until(lambda: len(found()) >= count)
    identities = [ProcessIdentity.of(int(text)) for text in found()]
    return [each for each in identities if each is not None]


def count_fds(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def open_files(pid: int) -> set[str]:
    names: set[str] = set()
    with suppress(OSError):  # it may end meanwhile, or be somebody else's
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                names.add(str(path.readlink()))
    return names


def directory_of(pid: int) -> Path:
    return Path(f"/proc/{pid}/cwd").readlink()


def has_files(directory: Path, count: int) -> bool:
    return len(list(directory.iterdir())) >= count


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


ESCAPEES = """
import os, signal, sys, time
directory = sys.argv[1]

def linger(name):
    path = os.path.join(directory, name)
    with open(path, "w") as file:
        file.write(f"{os.getpid()}\\n")
    while True:
        time.sleep(60)

def child(work):
    if os.fork() == 0:
        work()

def daemon():
    os.setsid()
    if os.fork():
        os._exit(0)
    os.environ.clear()
    linger("daemon")

def own_session():
    os.setsid()
    linger("own_session")

def stubborn():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    linger("stubborn")

def stopped():
    signal.signal(signal.SIGCONT, lambda *_: None)
    child(lambda: (time.sleep(0.02), linger("beside_stopped")))
    with open(os.path.join(directory, "stopped"), "w") as file:
        file.write(f"{os.getpid()}\\n")
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)

def leader_without_its_first_thread():
    import ctypes, threading
    threading.Thread(target=linger, args=("threads",)).start()
    ctypes.CDLL(None).pthread_exit(None)

for each in (daemon, own_session, stubborn, stopped, leader_without_its_first_thread):
    child(each)
if sys.argv[2:] == ["leave"]:
    while len([n for n in os.listdir(directory)]) < 6:
        time.sleep(0.002)
else:
    linger("main")
"""
"""A program whose processes try to outlive it; each writes its pid. `leave` ends its main one."""

ESCAPEES_COUNT = 6
