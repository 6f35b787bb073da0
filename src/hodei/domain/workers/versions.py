"""Which agents a server works with, by their versions.

A release is MAJOR.MINOR; what comes after it (a patch, a build such as `+3f2a`) never changes what
the two say to one another. Servers are upgraded before agents: see docs/explanation/agent-bundle.md.
"""

import re
from enum import StrEnum
from typing import Final

from hodei.kernel.errors import FieldViolation, RefusedError

_VERSION: Final = re.compile(r"(\d{1,9})\.(\d{1,9})(?:[.+-].*)?", re.DOTALL)


class AgentVersionError(RefusedError):
    """This server does not work with an agent of that version; says which it takes."""

    code = "AGENT_VERSION"


class Release(StrEnum):
    """How an agent's release lies to the server's."""

    SAME = "SAME"
    BEFORE = "BEFORE"
    """The one before the server's: it is served, and drained once it comes back to a new server."""
    OLDER = "OLDER"
    NEWER = "NEWER"


def check_version(field: str, version: str) -> list[FieldViolation]:
    """What is wrong with a version of an agent; `field` is its path in the request."""
    if _VERSION.fullmatch(version):
        return []
    description = f"is {version[:40]!r}: the version of the agent, such as 1.2.0"
    return [FieldViolation(field=field, description=description)]


def compare(agent: str, server: str) -> Release:
    """How an agent's release lies to the server's.

    The last release before 2.0 cannot be told from its number: all of 1.x are taken for it.

    Both have passed `check_version`.
    """
    theirs, ours = _release(agent), _release(server)
    if theirs == ours:
        return Release.SAME
    if theirs > ours:
        return Release.NEWER
    (their_major, their_minor), (our_major, our_minor) = theirs, ours
    if our_minor == 0:
        return Release.BEFORE if their_major == our_major - 1 else Release.OLDER
    is_before = their_major == our_major and their_minor == our_minor - 1
    return Release.BEFORE if is_before else Release.OLDER


def check_new(agent: str, server: str) -> Release:
    """Whether an agent that is new here may have a certificate: one that is `SAME` or `BEFORE`.

    Raises:
        AgentVersionError: It is older or newer.
    """
    release = compare(agent, server)
    if release is Release.OLDER:
        raise AgentVersionError(
            f"agent {agent} is too old for this server ({server}), which takes agents of its own"
            " release and of the one before: start the worker from this release, out of an image or"
            " an agent bundle that was built from it"
        )
    if release is Release.NEWER:
        raise AgentVersionError(
            f"agent {agent} is newer than this server ({server}): upgrade the server first, or"
            " start the worker from the server's release"
        )
    return release


def _release(version: str) -> tuple[int, int]:
    match = _VERSION.fullmatch(version)
    assert match is not None, "it was checked at the edge"
    return int(match[1]), int(match[2])
