"""Arguments, environment and standard input reach the job as they were given."""

import sys

import pytest

from acceptance.harness import HodeiServer
from acceptance.reading import output_of

AWKWARD = [
    pytest.param([b"two words", b"  spaces  "], id="spaces"),
    pytest.param([b"'single'", b'"double"', b"`back`", b"\\"], id="quotes"),
    pytest.param([b"$HOME", b"${PATH}", b"$(id)", b"%s", b"~"], id="what a shell would expand"),
    pytest.param([b";", b"&&", b"|", b">", b"*", b"#", b"!"], id="what a shell would obey"),
    pytest.param([b"", b"", b"x", b""], id="empty ones"),
    pytest.param([b"one\ntwo\r\n", b"\ttab", b"\x01\x7f"], id="newlines and control characters"),
    pytest.param([b"-n", b"--", b"--name", b"-"], id="what looks like an option"),
    pytest.param(["größer 日本 🚀".encode()], id="utf-8"),
    pytest.param([b"\xff\xfe", b"caf\xe9", b"\x80"], id="bytes that are not utf-8"),
    pytest.param([b"x" * 100_000], id="a long one"),
]


@pytest.mark.parametrize("arguments", AWKWARD)
def test_the_sdk_hands_arguments_over_byte_for_byte(
    server: HodeiServer, arguments: list[bytes]
) -> None:
    with server.client() as client:
        job = client.submit(command=["/usr/bin/printf", "%s\\0", *arguments])
        assert client.wait(job.id).state == "SUCCEEDED"
        assert output_of(client, job.id).stdout == b"".join(each + b"\0" for each in arguments)


@pytest.mark.parametrize("arguments", AWKWARD)
def test_the_command_hands_arguments_over_byte_for_byte(
    server: HodeiServer, arguments: list[bytes]
) -> None:
    ran = server.cli("run", "--", "/usr/bin/printf", "%s\\0", *arguments)
    assert ran.code == 0, ran.errors
    assert ran.stdout == b"".join(each + b"\0" for each in arguments)


def test_the_environment_arrives_byte_for_byte(server: HodeiServer) -> None:
    wanted = {"A": "x  y'\"$HOME", "LINES": "one\ntwo", "EMPTY": "", "WIDE": "größer 日本"}
    with server.client() as client:
        job = client.submit(command=["env", "-0"], env=wanted)
        assert client.wait(job.id).state == "SUCCEEDED"
        lines = output_of(client, job.id).stdout.split(b"\0")
    for name, value in wanted.items():
        assert f"{name}={value}".encode() in lines
    assert f"HODEI_JOB_ID={job.id}".encode() in lines


def test_standard_input_arrives_byte_for_byte(server: HodeiServer) -> None:
    given = bytes(range(256)) * 1000
    with server.client() as client:
        job = client.submit(command=["cat"], stdin=given)
        assert client.wait(job.id).state == "SUCCEEDED"
        assert output_of(client, job.id).stdout == given


def test_a_job_without_standard_input_reads_an_empty_one(server: HodeiServer) -> None:
    ran = server.cli("run", "--", "wc", "-c")
    assert ran.stdout.strip() == b"0"


def test_a_job_sees_no_descriptor_but_the_standard_ones(server: HodeiServer) -> None:
    code = "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd') if int(n) > 2))"
    ran = server.cli("run", "--", sys.executable, "-c", code)
    # The one that is left is that of the listing itself.
    assert len(ran.text.split(",")) == 1, ran.text


def test_a_script_arrives_byte_for_byte(server: HodeiServer) -> None:
    script = "cat <<'END'\n$HOME `id` \\n \"quoted\" größer\nEND\nprintf 'no newline at the end'"
    with server.client() as client:
        job = client.submit(script=script)
        assert client.wait(job.id).state == "SUCCEEDED"
        got = output_of(client, job.id).stdout.decode()
    assert got == '$HOME `id` \\n "quoted" größer\nno newline at the end'
