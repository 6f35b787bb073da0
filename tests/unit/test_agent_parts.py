"""The small parts of the agent: scripts, pacing, certificates, its log, its metrics, its messages."""

import io
import json
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hodei.agent import json_log
from hodei.agent.bundle import inherited_environment
from hodei.agent.certificates import BadCertificateError, fingerprint, lifetime_s, pinned
from hodei.agent.identity import make_key
from hodei.agent.key_documents import Point, private_key_pem
from hodei.agent.metrics import Sampler, Totals, group_totals, own_tree
from hodei.agent.pipes import FULL_BATCH_BYTES, LONGEST_PAUSE_S, SHORTEST_PAUSE_S, Pacing
from hodei.agent.reactor.events import JobKey
from hodei.agent.wire_messages import UNKNOWN, decode
from hodei.agent.workspace import Workspaces, strict_text, write_script
from hodei.domain.jobs.spec import Script
from hodei.wire import hodei_all_in_one_pb2 as pb

# --- Scripts and workspaces -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "content", "strict"),
    [
        ("bash", "a\nb\n", "set -euo pipefail; a\nb\n"),
        ("sh", "a", "set -eu; a"),
        ("python3", "import os", "import os"),
        ("bash", "#!/bin/bash -x\na", "#!/bin/bash -x\nset -euo pipefail; a"),
        ("sh", "#!/bin/sh", "#!/bin/sh\nset -eu; "),
        ("bash", "", "set -euo pipefail; "),
    ],
)
def test_shell_scripts_are_made_strict_without_moving_their_lines(
    program: str, content: str, strict: str
) -> None:
    assert strict_text(content, program) == strict


@pytest.mark.parametrize(
    ("interpreter", "argv", "is_strict"),
    [
        ("bash", [b"bash"], True),
        ("", [b"bash"], True),
        ("/usr/bin/env -S bash", [b"/usr/bin/env", b"-S", b"bash"], True),
        ("python3 -u", [b"python3", b"-u"], False),
        ("'/opt/my tools/sh'", [b"/opt/my tools/sh"], True),
    ],
)
def test_a_script_is_run_by_its_interpreter_from_a_private_file(
    tmp_path: Path, interpreter: str, argv: list[bytes], *, is_strict: bool
) -> None:
    path = tmp_path / "script"

    script = Script(interpreter=interpreter, content="é")

    assert write_script(path, script) == (*argv, os.fsencode(path))
    assert path.read_text(encoding="utf-8").startswith("set -eu") is is_strict
    assert path.stat().st_mode & 0o777 == 0o700


def test_a_workspace_is_used_again_only_as_it_was_made(tmp_path: Path) -> None:
    workspaces = Workspaces(tmp_path / "jobs")
    one, two, three = JobKey("one", 1), JobKey("two", 1), JobKey("three", 2)
    first = Path(os.fsdecode(workspaces.make(one)))
    assert first.name == "one.1"
    first.chmod(0o777)
    inode = first.stat().st_ino
    assert workspaces.take_back(one)
    second = Path(os.fsdecode(workspaces.make(two)))
    assert (second.stat().st_ino, second.stat().st_mode & 0o777) == (inode, 0o700)
    (second / "left").touch()
    assert not workspaces.take_back(two)
    workspaces.remove(two)
    assert not second.exists()
    assert Path(os.fsdecode(workspaces.make(three))).stat().st_ino != 0
    assert not workspaces.take_back(JobKey("never", 1))


def test_what_an_agent_before_left_behind_is_removed(tmp_path: Path) -> None:
    (tmp_path / "jobs" / "old.1" / "deep").mkdir(parents=True)

    Workspaces(tmp_path / "jobs")

    assert not list((tmp_path / "jobs").iterdir())


def test_jobs_inherit_all_but_what_is_ours() -> None:
    environment = {b"PATH": b"/bin", b"HODEI_OTP_TOKEN": b"secret", b"HODEIX": b"theirs"}

    assert inherited_environment(environment) == {b"PATH": b"/bin", b"HODEIX": b"theirs"}


# --- Pacing ---------------------------------------------------------------------------------------


def test_small_output_is_read_ever_less_often_and_large_output_at_once() -> None:
    pacing = Pacing()

    pauses = [pacing.after(10) for _ in range(6)]

    assert pauses[0] == SHORTEST_PAUSE_S
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S
    assert pacing.after(FULL_BATCH_BYTES) == 0
    assert pacing.after(10) == SHORTEST_PAUSE_S


def test_after_a_silence_the_first_bytes_are_read_soon_again() -> None:
    pacing = Pacing()
    for _ in range(6):
        pacing.after(10)

    pacing.fell_silent()

    assert pacing.after(10) == SHORTEST_PAUSE_S


# --- Certificates ---------------------------------------------------------------------------------


def certificate(not_before: datetime, not_after: datetime, serial: int) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), serial, not_before, not_after)
    return builder.sign(key, hashes.SHA256())


@pytest.mark.parametrize(
    "end", [datetime(2049, 12, 31, tzinfo=UTC), datetime(2050, 1, 2, tzinfo=UTC)]
)
@pytest.mark.parametrize("serial", [1, 2**150])
def test_the_life_of_a_certificate_is_read_from_it(end: datetime, serial: int) -> None:
    begin = end - timedelta(hours=4)
    made = certificate(begin, end, serial)
    other = certificate(begin, end + timedelta(days=1), serial)
    chain = made.public_bytes(Encoding.PEM) + other.public_bytes(Encoding.PEM)

    assert lifetime_s(chain.decode()) == 4 * 3600


@pytest.mark.parametrize(
    "chain",
    [
        "",
        "nothing",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgI=\n-----END CERTIFICATE-----\n",
    ],
)
def test_what_is_no_certificate_is_refused(chain: str) -> None:
    with pytest.raises(BadCertificateError, match="no readable certificate"):
        lifetime_s(chain)


def test_a_fingerprint_is_the_hash_of_the_certificate() -> None:
    made = certificate(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), 1)

    expected = made.fingerprint(hashes.SHA256()).hex()
    assert fingerprint(made.public_bytes(Encoding.DER)) == f"sha256:{expected}"


def test_the_root_is_told_from_other_certificates_by_its_fingerprint() -> None:
    begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    others = [certificate(begin, end, serial) for serial in (1, 2, 3)]
    pem = b"# roots\n" + b"".join(each.public_bytes(Encoding.PEM) for each in others)
    wanted = others[1].public_bytes(Encoding.DER)

    found = pinned(pem, fingerprint(wanted))
    assert found == others[1].public_bytes(Encoding.PEM)
    assert pinned(pem, fingerprint(b"another")) is None
    assert pinned(b"", fingerprint(wanted)) is None


# --- Its key --------------------------------------------------------------------------------------


def test_a_key_and_its_request_are_what_the_library_would_write() -> None:
    for _ in range(100):
        key_pem, request_der = make_key()
        key = load_pem_private_key(key_pem, password=None)
        request = x509.load_der_x509_csr(request_der)

        assert request.is_signature_valid
        assert request.public_key() == key.public_key()
        assert request.subject == x509.Name([])
        written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        assert key_pem == written
        assert request.public_bytes(Encoding.DER) == request_der


def test_numbers_with_leading_zeros_keep_their_length() -> None:
    number = next(
        each for each in range(1, 5000) if public_numbers(each).x < 2**248 and each < 2**240
    )
    point = Point(x=public_numbers(number).x, y=public_numbers(number).y)

    key = load_pem_private_key(private_key_pem(number, point), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.private_numbers().private_value == number


def public_numbers(private: int) -> ec.EllipticCurvePublicNumbers:
    key = ec.derive_private_key(private, ec.SECP256R1())
    return key.public_key().public_numbers()


# --- Its log --------------------------------------------------------------------------------------


def test_the_agent_logs_one_json_object_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "level", root.level)
    stream = io.StringIO()
    json_log.set_up(stream)

    json_log.log.info("job_started", job_id="a\nb")
    json_log.log.error("agent_broken", ValueError("wrong"), where="here")
    logging.getLogger("asyncio").warning("from %s", "elsewhere")

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["job_started", "agent_broken", "from elsewhere"]
    assert [line["level"] for line in lines] == ["info", "error", "warning"]
    assert lines[0]["job_id"] == "a\nb"
    assert "ValueError: wrong" in lines[1]["exception"]
    assert datetime.fromisoformat(lines[0]["timestamp"]).tzinfo is not None


# --- Its metrics ----------------------------------------------------------------------------------


def recorded(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="ascii")
    return root


VERSION_2 = {
    "proc/self/cgroup": "0::/docker/abc\n",
    "sys/fs/cgroup/docker/abc/memory.current": "7340032\n",
    "sys/fs/cgroup/docker/abc/cpu.stat": "usage_usec 2500000\nuser_usec 2000000\n",
    "sys/fs/cgroup/docker/abc/cgroup.procs": "10\n11\n",
    "sys/fs/cgroup/docker/abc/jobs/cgroup.procs": "12\n",
}
VERSION_1 = {
    "proc/self/cgroup": "9:name=systemd:/\n4:memory:/worker\n2:cpu,cpuacct:/worker\n",
    "sys/fs/cgroup/memory/worker/memory.usage_in_bytes": "7340032\n",
    "sys/fs/cgroup/memory/worker/cgroup.procs": "10\n11\n12\n",
    "sys/fs/cgroup/cpuacct/worker/cpuacct.usage": "2500000000\n",
    "sys/fs/cgroup/cpuacct/worker/cgroup.procs": "10\n11\n12\n",
}


@pytest.mark.parametrize("files", [VERSION_1, VERSION_2], ids=["v1", "v2"])
def test_a_control_group_of_its_own_says_what_is_used(
    tmp_path: Path, files: dict[str, str]
) -> None:
    root = recorded(tmp_path, files)

    assert group_totals(root, {10, 11, 12}) == Totals(cpu_s=2.5, memory_bytes=7 * 2**20)


@pytest.mark.parametrize("files", [VERSION_1, VERSION_2], ids=["v1", "v2"])
def test_a_control_group_with_others_in_it_does_not_count(
    tmp_path: Path, files: dict[str, str]
) -> None:
    root = recorded(tmp_path, files)

    assert group_totals(root, {10, 11}) is None


def test_without_any_control_group_there_is_none_that_counts(tmp_path: Path) -> None:
    assert group_totals(tmp_path, {10}) is None
    assert group_totals(recorded(tmp_path, {"proc/self/cgroup": "0::/\n"}), {10}) is None


def test_the_tree_of_processes_is_added_up() -> None:
    pids, totals = own_tree()

    assert os.getpid() in pids
    assert totals.memory_bytes > 2**20
    assert totals.cpu_s > 0


def test_a_sample_is_of_the_time_since_the_one_before(tmp_path: Path) -> None:
    cpu_s = iter([10.0, 1000.0, 1000.0])
    sampler = Sampler(
        tmp_path, root=tmp_path, tree=lambda: ({1}, Totals(cpu_s=next(cpu_s), memory_bytes=5))
    )

    samples = [sampler.sample() for _ in range(3)]

    assert samples[0].cpu_percent == 0
    assert samples[1].cpu_percent > 1000
    assert samples[2].cpu_percent == 0
    assert samples[0].memory_bytes == 5
    assert samples[0].disk_bytes > 0


# --- Its messages ---------------------------------------------------------------------------------


def test_a_batch_is_taken_apart_in_order_and_the_unknown_in_it_is_counted() -> None:
    message = pb.ServerMessage()
    message.batch.messages.add().drain.terminate = True
    message.batch.messages.add()
    message.batch.messages.add().keep_alive.SetInParent()
    message.batch.messages.add().result_ack.job_id = "job"

    first, unknown, last = decode(message, 0)

    assert unknown is UNKNOWN
    assert (type(first).__name__, type(last).__name__) == ("DrainReceived", "ResultAcked")


def test_a_server_that_says_little_of_a_job_means_the_usual() -> None:
    message = pb.ServerMessage()
    message.run_job.job_id = "job"
    message.run_job.command.shell.cmd = "true"

    (event,) = decode(message, 0)

    run = event.run  # pyright: ignore[reportAttributeAccessIssue]
    assert (run.timeout_s, run.grace_s, run.disconnect_timeout_s) == (300.0, 10.0, 300.0)
    assert run.stdin is None
    assert run.refusal == ""
    assert run.command.argv == (b"true",)


@pytest.mark.parametrize("field", ["inputs", "outputs", "secrets_json"])
def test_what_this_agent_cannot_give_a_job_is_refused_not_left_out(field: str) -> None:
    message = pb.ServerMessage()
    message.run_job.job_id = "job"
    message.run_job.command.shell.cmd = "true"
    if field == "secrets_json":
        message.run_job.secrets_json = "{}"
    else:
        getattr(message.run_job, field).add()

    (event,) = decode(message, 0)

    assert "artifacts nor secrets" in event.run.refusal  # pyright: ignore[reportAttributeAccessIssue]
