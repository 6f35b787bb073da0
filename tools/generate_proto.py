"""Generates `hodei.wire` from `proto/`; with `--check`, fails when what is committed is stale."""

import argparse
import re
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
_IMPORT = re.compile(r"^from hodei[.\w]* import (?=\w+_pb2)", re.MULTILINE)
WIRE = ROOT / "src" / "hodei" / "wire"


def generate(into: Path) -> list[Path]:
    """Writes the generated modules of every proto file into the directory `into`."""
    sources = sorted((ROOT / "proto").rglob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        arguments = [
            "protoc",
            f"-I{ROOT / 'proto'}",
            f"-I{Path(grpc_tools.__file__).parent / '_proto'}",
            f"--python_out={scratch}",
            f"--pyi_out={scratch}",
            f"--grpc_python_out={scratch}",
            *map(str, sources),
        ]
        if protoc.main(arguments) != 0:
            raise SystemExit("protoc failed: see its messages above")
        written: list[Path] = []
        for path in sorted(Path(scratch).rglob("*_pb2*")):
            # protoc derives the import from the proto file's path; ours live in hodei.wire.
            text = _IMPORT.sub("from hodei.wire import ", path.read_text())
            target = into / path.name
            target.write_text(text)
            written.append(target)
        return written


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail when stale")
    options = parser.parse_args()
    if not options.check:
        for path in generate(WIRE):
            print(path.relative_to(ROOT))
        return 0
    with tempfile.TemporaryDirectory() as fresh:
        stale = [
            path.name
            for path in generate(Path(fresh))
            if not (WIRE / path.name).exists() or (WIRE / path.name).read_text() != path.read_text()
        ]
    if stale:
        print(f"stale: {', '.join(stale)}; run `make proto`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
