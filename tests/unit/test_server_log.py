"""The log of a server: lines for whoever reads them, and never a reason to fail."""

import subprocess
import sys

LOGS = """
import structlog
from hodei.lifecycle.logs import set_up_logs

set_up_logs(readable=False)
structlog.get_logger().warning("something_happened", fact=1)
print("went on")
"""


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-c", LOGS], stdout=subprocess.PIPE, stderr=full, text=True, check=True
        )
    assert done.stdout == "went on\n"


def test_a_line_of_the_log_is_one_value_of_json() -> None:
    done = subprocess.run([sys.executable, "-c", LOGS], capture_output=True, text=True, check=True)
    assert '"event": "something_happened"' in done.stderr
    assert '"fact": 1' in done.stderr
