"""Runs the benchmarks one after the other, each in a process of its own."""

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = tuple(sorted(file.stem.removeprefix("bench_") for file in HERE.glob("bench_*.py")))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"some of: {' '.join(NAMES)}; none is all")
    chosen = parser.parse_args().names or list(NAMES)
    if unknown := set(chosen) - set(NAMES):
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    missed: list[str] = []
    for name in chosen:
        began = time.monotonic()
        print(f"\n=== {name} ===", flush=True)
        done = subprocess.run([sys.executable, HERE / f"bench_{name}.py"], check=False)
        print(f"({time.monotonic() - began:.0f} s)", flush=True)
        if done.returncode != 0:
            missed.append(name)
    print(f"\n{'targets missed in: ' + ', '.join(missed) if missed else 'every target met'}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
