"""Runs the levels of the test suite, quickest first, and ends with what each took and the sum.

The last line reads `N passed, N failed, N skipped`, whatever happened before it.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
LEVELS = ("lint", "unit", "properties", "conformance", "replay", "integration", "acceptance")
NO_TESTS_COLLECTED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a level came to."""

    level: str
    seconds: float
    ok: bool
    passed: int = 0
    failed: int = 0
    skipped: int = 0


def run_lint() -> Outcome:
    """Runs the static checks; they count as one test."""
    began = time.monotonic()
    ok = subprocess.run([sys.executable, "tools/lint.py"], cwd=ROOT, check=False).returncode == 0
    return Outcome(
        level="lint", seconds=time.monotonic() - began, ok=ok, passed=int(ok), failed=int(not ok)
    )


def run_tests(level: str, selection: list[str]) -> Outcome:
    """Runs pytest on a selection and reads the counts from its report."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "--durations=5", f"--junitxml={report}"]
        code = subprocess.run([*command, *selection], cwd=ROOT, check=False).returncode
        passed, failed, skipped = counts(report)
    # A crash of pytest itself leaves no failed test behind, and must not look like a success.
    ok = code in {0, NO_TESTS_COLLECTED}
    return Outcome(
        level=level,
        seconds=time.monotonic() - began,
        ok=ok,
        passed=passed,
        failed=max(failed, int(not ok)),
        skipped=skipped,
    )


def counts(report: Path) -> tuple[int, int, int]:
    """The passed, failed and skipped tests of a JUnit report; zeros where there is none."""
    if not report.exists():
        return 0, 0, 0
    suites = ET.parse(report).getroot().iter("testsuite")
    total = failed = skipped = 0
    for suite in suites:
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return max(total - failed - skipped, 0), failed, skipped


def run_level(level: str) -> Outcome:
    """Runs one level by its name."""
    print(f"\n=== {level} ===", flush=True)
    if level == "lint":
        return run_lint()
    if level == "soak":
        return run_tests(level, ["-m", "soak", "-s", "--timeout=0", "tests"])
    return run_tests(level, ["-m", "not soak", f"tests/{level}"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("levels", nargs="*", help=f"some of: {' '.join(LEVELS)} soak; none is all")
    chosen = parser.parse_args().levels or list(LEVELS)
    if unknown := [level for level in chosen if level not in {*LEVELS, "soak"}]:
        parser.error(f"no such level: {', '.join(unknown)}; there are {', '.join(LEVELS)} and soak")
    outcomes = [run_level(level) for level in chosen]
    print(f"\n{'level':<14}{'seconds':>9}{'passed':>9}{'failed':>9}{'skipped':>9}")
    for outcome in outcomes:
        print(
            f"{outcome.level:<14}{outcome.seconds:>9.1f}{outcome.passed:>9}{outcome.failed:>9}"
            f"{outcome.skipped:>9}"
        )
    passed, failed, skipped = (
        sum(getattr(outcome, kind) for outcome in outcomes)
        for kind in ("passed", "failed", "skipped")
    )
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if all(outcome.ok for outcome in outcomes) else 1


if __name__ == "__main__":
    raise SystemExit(main())
