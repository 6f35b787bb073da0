"""How the user calls this command, so that what we advise can be typed as it stands."""

import os
import shutil
import sys
from pathlib import Path


def own_name() -> str:
    """`hodei` where that finds this very command, else its path as it was typed."""
    typed = sys.argv[0]
    found = shutil.which("hodei")
    if Path(typed).name != "hodei" or (
        found and os.path.realpath(found) == os.path.realpath(typed)
    ):
        return "hodei"
    shorter = os.path.relpath(typed)
    return shorter if len(shorter) < len(typed) else typed
