"""The examples run on real input, by the command lines that their pages give."""

import hashlib
import json
import re
import shlex
from pathlib import Path

import pytest

from acceptance.harness import BIN, HODEI, ROOT, HodeiServer, run_command

EXAMPLES = ROOT / "examples"


def command_of(page: str) -> list[str]:
    """The first command line of an example's page, without the program's name."""
    text = (EXAMPLES / page / "README.md").read_text()
    block = re.search(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert block is not None
    words = shlex.split(block[1].replace("\\\n", " "))
    assert words[0] == "hodei"
    return words[1:]


@pytest.mark.timeout(400)
def test_the_ci_job_tests_a_public_package(server: HodeiServer) -> None:
    ran = server.cli(*command_of("ci_job"), cwd=ROOT, within_s=350)
    assert ran.code == 0, ran.text + ran.errors
    assert "toolz-1.1.0.tar.gz" in ran.text
    passed = re.search(r"(\d+) passed", ran.text)
    assert passed is not None
    assert int(passed[1]) > 100


@pytest.mark.timeout(300)
def test_the_data_job_describes_the_largest_library(server: HodeiServer) -> None:
    ran = server.cli(*command_of("data_job"), cwd=ROOT, within_s=250)
    assert ran.code == 0, ran.text + ran.errors
    facts = dict(re.findall(r"^(\w[\w ]*?) {2,}(\S+)$", ran.text, re.MULTILINE))
    file = Path(facts["file"])
    assert int(facts["bytes"]) == file.stat().st_size
    with file.open("rb") as opened:
        assert facts["sha256"] == hashlib.file_digest(opened, "sha256").hexdigest()
    counts = [int(count) for count in re.findall(r"^ +(\d+) [A-Za-z]{8,}$", ran.text, re.MULTILINE)]
    assert len(counts) == 10
    assert counts == sorted(counts, reverse=True)


def test_three_failures_have_three_reasons_and_exit_codes(server: HodeiServer) -> None:
    ran = run_command(
        ["bash", str(EXAMPLES / "three_failures" / "fail.sh")],
        environment={
            "HODEI": HODEI,
            "HODEI_SERVER_ADDRESS": server.address,
            "PATH": f"{BIN}:/usr/bin:/bin",
        },
    )
    assert ran.code == 0, ran.text + ran.errors
    assert re.findall(r"^exit code (\d+)$", ran.text, re.MULTILINE) == ["3", "124", "127"]
    assert ran.text.count("trying") == 3
    jobs = json.loads(server.cli("jobs", "list", "--output", "json").stdout)
    by_name = {job["name"]: job for job in jobs}
    reasons = {
        "exits-with-3": "NON_ZERO_EXIT_CODE",
        "takes-too-long": "EXECUTION_TIMEOUT",
        "is-not-there": "COMMAND_NOT_FOUND",
    }
    for name, code in reasons.items():
        assert by_name[name]["reason"]["code"] == code
        assert by_name[name]["reason"]["advice"]
