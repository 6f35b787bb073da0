"""Renders the parts of the documentation that the code knows better; `--check` says what is stale.

A page asks for a part by a pair of comments, and everything between them is replaced:

    <!-- rendered: job-states -->
    <!-- end -->
"""

import argparse
import ast
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from hodei.domain.jobs import events as job_events
from hodei.domain.jobs.states import (
    ATTEMPT_TRANSITIONS,
    JOB_TRANSITIONS,
    TERMINAL,
    AttemptState,
    JobState,
)
from hodei.domain.workers import events as worker_events
from hodei.domain.workers.states import ENDED, WORKER_TRANSITIONS, WorkerState
from hodei.server.config_sources import SECTIONS, SETTINGS
from hodei.server.config_values import show_value

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SLOT = re.compile(r"(<!-- rendered: (?P<part>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def member_docs(owner: type) -> dict[str, str]:
    """The text under each attribute of a class, which Python itself throws away."""
    tree = ast.parse(inspect.getsource(owner))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    docs: dict[str, str] = {}
    for statement, following in itertools.pairwise(body):
        if not isinstance(statement, ast.Assign | ast.AnnAssign):
            continue
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        match following:
            case ast.Expr(value=ast.Constant(value=str() as text)) if isinstance(target, ast.Name):
                docs[target.id] = " ".join(text.split())
    return docs


def machine(
    states: type[StrEnum], table: Mapping[Any, frozenset[Any]], first: StrEnum, ends: frozenset[Any]
) -> str:
    """A state machine as a Mermaid diagram, and what each state means."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first.name}"]
    for state in states:
        lines += [
            f"    {state.name} --> {following.name}"
            for following in states
            if following in table[state]
        ]
        if state in ends:
            lines.append(f"    {state.name} --> [*]")
    docs = member_docs(states)
    lines += ["```", "", "| state | meaning |", "|-|-|"]
    lines += [f"| `{state.name}` | {docs.get(state.name, '')} |" for state in states]
    return "\n".join(lines)


def job_states() -> str:
    """The states of a job."""
    return machine(JobState, JOB_TRANSITIONS, JobState.QUEUED, TERMINAL)


def attempt_states() -> str:
    """The states of an attempt."""
    ends = frozenset(state for state, following in ATTEMPT_TRANSITIONS.items() if not following)
    return machine(AttemptState, ATTEMPT_TRANSITIONS, AttemptState.ASSIGNED, ends)


def worker_states() -> str:
    """The states of a worker."""
    return machine(WorkerState, WORKER_TRANSITIONS, WorkerState.REQUESTED, ENDED)


def event_table(union: UnionType) -> str:
    """The events of one kind of stream, with what each carries."""
    lines = ["| event | it says | it carries |", "|-|-|-|"]
    for event in get_args(union):
        says = inspect.getdoc(event) or ""
        carries = ", ".join(f"`{field.name}`" for field in fields(event)) or "nothing"
        lines.append(f"| `{event.__name__}` | {' '.join(says.split())} | {carries} |")
    return "\n".join(lines)


def server_settings() -> str:
    """Everything that a server can be told, by the names that it goes by."""
    docs = {section: member_docs(owner) for section, owner in SECTIONS.items()}
    lines = ["| key | environment | default | meaning |", "|-|-|-|-|"]
    for setting in SETTINGS.values():
        default = show_value(setting.default)
        meaning = docs[setting.section].get(setting.field, "")
        lines.append(
            f"| `{setting.key}` | `{setting.variable}` | {f'`{default}`' if default else '(none)'}"
            f" | {meaning} |"
        )
    return "\n".join(lines)


def make_targets() -> str:
    """What `make` can do, in the order of the Makefile."""
    found = re.findall(r"^([a-z-]+):.*## (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return "\n".join(["| target | it does |", "|-|-|", *(f"| `{n}` | {w} |" for n, w in found)])


PARTS: dict[str, Callable[[], str]] = {
    "job-states": job_states,
    "attempt-states": attempt_states,
    "worker-states": worker_states,
    "job-events": lambda: event_table(job_events.JobEvent),
    "worker-events": lambda: event_table(worker_events.WorkerEvent),
    "server-settings": server_settings,
    "make-targets": make_targets,
}


def render(text: str) -> str:
    """The page with every part that it asks for as the code has it now."""
    return SLOT.sub(
        lambda slot: f"{slot.group(1)}\n{PARTS[slot.group('part')]()}\n\n{slot.group(3)}", text
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail when stale")
    check = parser.parse_args().check
    stale: list[str] = []
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        fresh = render(text)
        if fresh != text:
            stale.append(str(page.relative_to(ROOT)))
            if not check:
                page.write_text(fresh, encoding="utf-8")
    if check and stale:
        print(f"stale: {', '.join(stale)}; run `make docs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
