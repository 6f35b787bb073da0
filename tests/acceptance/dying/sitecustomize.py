"""Python runs this file first where PYTHONPATH has it: a server with DIE_AT has its death planned."""

import os
import sys

if "DIE_AT" in os.environ and "hodei.server" in sys.orig_argv:
    import death

    death.plan(os.environ["DIE_AT"])
