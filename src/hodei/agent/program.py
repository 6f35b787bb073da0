"""The agent that a worker runs between its keeper and its slots."""

import gc
import importlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hodei.agent import premade_key
from hodei.agent.bootstrap import parse_document
from hodei.agent.keeper import Prepared
from hodei.agent.slots import SlotProcess


def prepare(document: bytes, work_dir: Path, key_fd: int | None = None, /) -> Prepared:
    """Makes an agent of a bootstrap document, as `Prepare` says.

    Raises:
        InvalidFieldsError: It is none; names what is wrong with it.
    """
    bootstrap = parse_document(document)
    if key_fd is None:
        with suppress(OSError):  # the agent makes its own then, or fails for the same reason
            key_fd = premade_key.begin()

    def run(slots: Sequence[SlotProcess]) -> int:
        # Imported only here, grpc is in the agent alone, and not in its keeper and slots.
        preload()
        from hodei.agent.identity import ChildKeySource  # noqa: PLC0415
        from hodei.agent.premade_key import PremadeKeySource  # noqa: PLC0415
        from hodei.agent.shell import run_agent  # noqa: PLC0415

        own = ChildKeySource()
        keys = own if key_fd is None else PremadeKeySource(key_fd, later=own)
        return run_agent(bootstrap, work_dir=work_dir, slots=slots, key_source=keys)

    return Prepared(worker_id=bootstrap.worker_id, slots=bootstrap.slots, run=run, key_fd=key_fd)


def preload() -> None:
    """Imports all that an agent will need."""
    # What imports make is never garbage: looking for it there takes a tenth of their time.
    gc.disable()
    importlib.import_module("hodei.agent.shell")
    gc.freeze()
    gc.enable()
