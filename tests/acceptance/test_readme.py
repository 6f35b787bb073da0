"""The example of the README runs, and prints what the README says."""

import re
import sys
from pathlib import Path

import pytest

from acceptance.harness import ROOT, HodeiServer, run_command

BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: Path, kind: str) -> list[str]:
    """The blocks of one kind on a page."""
    return [match["text"] for match in BLOCK.finditer(page.read_text()) if match["kind"] == kind]


def run_python(server: HodeiServer, code: str) -> str:
    """Runs a block as the program that it is."""
    ran = run_command(
        [sys.executable, "-W", "error", "-c", code],
        environment={"HODEI_SERVER_ADDRESS": server.address},
    )
    assert ran.code == 0, ran.errors
    return ran.text


def test_the_example_of_the_readme_prints_what_the_readme_says(server: HodeiServer) -> None:
    readme = ROOT / "README.md"
    (code,) = blocks(readme, "python")
    assert len(code.splitlines()) <= 15
    assert run_python(server, code) in blocks(readme, "text")


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize(
    "code",
    [
        code.replace("localhost:50051", "ADDRESS").replace('"convert", name', '"echo", name')
        for code in blocks(ROOT / "docs/how-to/use-from-python.md", "python")
    ],
    ids=str.__len__,
)
def test_the_examples_of_the_how_to_run(server: HodeiServer, code: str) -> None:
    run_python(server, code.replace("ADDRESS", server.address))


def test_make_run_s_command_shows_each_step_and_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("hodei")), "run", "--local", "--"]
    ran = run_command(
        [*command, "echo", "Hello from Hodei!"], environment={"TMPDIR": str(tmp_path)}
    )
    assert ran.code == 0, ran.errors
    assert ran.stdout == b"Hello from Hodei!\n"
    steps = ["queued", "provisioning", "worker enrolled", "assigned", "running", "succeeded"]
    found = [
        step for step in steps if re.search(rf"^ +\+\d+\.\d+ s  {step}", ran.errors, re.MULTILINE)
    ]
    assert found == steps, ran.errors
    assert len(re.findall(r"^  \S*hodei ", ran.errors, re.MULTILINE)) == 3, "three commands to try"
    assert list(tmp_path.iterdir()) == []
    failing = run_command([*command, "sh", "-c", "exit 7"], environment={"TMPDIR": str(tmp_path)})
    assert failing.code == 7
