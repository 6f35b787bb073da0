"""Runs every static check of the repository, quickest first, all of them even when one fails."""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

CHECKS: dict[str, list[str]] = {
    "format": [str(BIN / "ruff"), "format", "--check", "--quiet", "."],
    "style": [str(BIN / "ruff"), "check", "--quiet", "."],
    "locks fit pyproject.toml": [sys.executable, "tools/lock.py", "--check"],
    "what must not be in a file": [sys.executable, "tools/check_files.py"],
    "docs: links and commands": [sys.executable, "tools/check_docs.py"],
    "docs: rendered pages": [sys.executable, "tools/render_docs.py", "--check"],
    "wire: style": [str(BIN / "buf"), "lint"],
    "wire: generated code": [sys.executable, "tools/generate_proto.py", "--check"],
    "imports": [str(BIN / "lint-imports"), "--no-cache"],
    "types": [str(BIN / "pyright")],
}


def main() -> int:
    failed: list[str] = []
    for name, command in CHECKS.items():
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=ROOT,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        verdict = "ok" if done.returncode == 0 else "FAILED"
        print(f"{verdict:<8}{time.monotonic() - began:>6.1f} s  {name}", flush=True)
        if done.returncode != 0:
            print(done.stdout, flush=True)
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
