"""Jobs whose processes do what they can to outlive them."""

import sys
from pathlib import Path

ESCAPE_ARTIST = '''
import os, signal, subprocess, sys, time

folder = sys.argv[1]


def note(name):
    path = os.path.join(folder, name)
    with open(path + ".tmp", "w") as file:
        file.write(str(os.getpid()))
    os.rename(path + ".tmp", path)


def linger(name):
    note(name)
    while True:
        time.sleep(60)


def child(work):
    if os.fork() == 0:
        work()
        os._exit(0)


def daemon(name, close):
    """Double-forked, in a session of its own."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    if close:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.chdir("/")
        os.environ.clear()
    linger(name)


def stubborn():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    linger("stubborn")


def own_session():
    os.setsid()
    linger("own_session")


def grandparent():
    child(lambda: linger("grandchild"))
    linger("parent_of_it")


os.makedirs(folder, exist_ok=True)
child(lambda: linger("child"))
child(grandparent)
child(own_session)
child(stubborn)
daemon("daemon", close=False)
daemon("daemon_without_a_trace", close=True)
print("all there", flush=True)
linger("main")
'''
ESCAPED = 8
"""How many processes write their ids."""


def escape_artist(folder: Path) -> list[str]:
    """A command whose processes write their ids into `folder` and never end by themselves."""
    return [sys.executable, "-c", ESCAPE_ARTIST, str(folder)]


def write_folder(parent: Path) -> Path:
    """A new folder for process ids."""
    folder = parent / "pids"
    folder.mkdir(parents=True)
    return folder
