"""`make agent-bundle`: prints where the bundle is."""

import argparse
import sys
import time
from pathlib import Path

from agent_bundle.build import build
from agent_bundle.programs import run
from agent_bundle.recipe import ARCHITECTURES, ROOT, BuildError
from hodei.kernel.version import VERSION


def main() -> int:
    parser = argparse.ArgumentParser(prog="agent_bundle", description=__doc__)
    parser.add_argument("--arch", choices=sorted(ARCHITECTURES), help="else this machine's")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "agent-bundle")
    options = parser.parse_args()
    began = time.monotonic()
    try:
        arch = options.arch or run(["dpkg", "--print-architecture"]).strip()
        bundle = build(ARCHITECTURES[arch], options.output, VERSION)
    except BuildError as error:
        print(f"agent-bundle: {error}", file=sys.stderr)
        return 1
    print(f"{bundle.version} ({time.monotonic() - began:.1f} s)", file=sys.stderr)
    print(bundle.directory)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
