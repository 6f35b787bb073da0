"""What a client asks for, and how that becomes a definition."""

import pytest

from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import Exec, Priority, Script, Toleration
from hodei.kernel.errors import InvalidFieldsError
from hodei.sdk.job_request import JobRequest, encode_request
from hodei.wire.job_definition import decode


def test_every_field_of_a_request_arrives_in_the_definition() -> None:
    request: JobRequest = {
        "script": "echo hi",
        "interpreter": "sh",
        "id": "my-job",
        "name": "n",
        "description": "d",
        "env": {"A": "b"},
        "working_dir": "/tmp",
        "stdin": "in",
        "timeout": "1m30s",
        "grace": 2,
        "deadline": "1h",
        "disconnect_timeout": 7.5,
        "retries": 2,
        "retry_on": ["worker_lost", ReasonCode.SIGNAL_RECEIVED],
        "backoff": "500ms",
        "backoff_factor": 3,
        "max_backoff": 10,
        "jitter": 0,
        "priority": "high",
        "labels": {"team": "x"},
        "tags": ["t1", "t2"],
        "selector": {"zone": "a"},
        "tolerations": [Toleration(key="k", operator="Exists")],
        "cpu": 1.5,
        "memory": "1Gi",
        "disk": 10**9,
        "gpus": 1,
        "gpu_types": ["a100"],
        "resources": {"licence": 2},
        "provider": "local",
        "region": "here",
        "log_policy": "drop_oldest",
    }
    job_id, spec = decode(encode_request(request, new_id="unused"), known_providers=["local"])
    assert job_id == "my-job"
    assert spec.command == Script(interpreter="sh", content="echo hi")
    assert (spec.name, spec.description, spec.environment) == ("n", "d", {"A": "b"})
    assert (spec.working_dir, spec.stdin) == ("/tmp", b"in")
    assert (spec.timeout_s, spec.grace_s, spec.deadline_s) == (90, 2, 3600)
    assert spec.disconnect_timeout_s == 7.5
    retry = spec.retry
    assert (retry.max_attempts, retry.initial_backoff_s, retry.max_backoff_s) == (3, 0.5, 10)
    assert (retry.backoff_factor, retry.jitter) == (3, 0)
    assert retry.retry_on == {ReasonCode.WORKER_LOST, ReasonCode.SIGNAL_RECEIVED}
    assert spec.priority is Priority.HIGH
    assert (spec.labels, spec.tags) == ({"team": "x"}, ("t1", "t2"))
    assert spec.selector.match_labels == {"zone": "a"}
    assert spec.tolerations == (Toleration(key="k", operator="Exists"),)
    assert (spec.resources.cpu_millicores, spec.resources.memory_bytes) == (1500, 2**30)
    assert (spec.resources.disk_bytes, spec.resources.gpu_count) == (10**9, 1)
    assert (spec.resources.gpu_types, spec.resources.custom) == (("a100",), {"licence": 2})
    assert (spec.preferred_provider, spec.preferred_region) == ("local", "here")
    assert spec.log_policy == "DROP_OLDEST"


def test_a_request_without_an_id_gets_the_one_that_was_drawn() -> None:
    job_id, _ = decode(encode_request({"command": ["a"]}, new_id="drawn"), known_providers=None)
    assert job_id == "drawn"


def test_arguments_that_are_not_utf8_arrive_as_they_are() -> None:
    # "\udcff" is how sys.argv shows the byte 0xff.
    definition = encode_request({"command": ["echo", "\udcff", b"\xfe", ""]}, new_id="x")
    _, spec = decode(definition, known_providers=None)
    assert spec.command == Exec(argv=(b"echo", b"\xff", b"\xfe", b""))


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({}, "command"),
        ({"command": ["a"], "script": "b"}, "command"),
        ({"command": []}, "command"),
        ({"command": "echo hi"}, "command"),
        ({"command": ["a"], "interpreter": "sh"}, "interpreter"),
        ({"command": ["a"], "nam": "x"}, "nam"),
        ({"command": ["a"], "timeout": "3x"}, "timeout"),
        ({"command": ["a"], "timeout": 0}, "timeout"),
        ({"command": ["a"], "timeout": -1}, "timeout"),
        ({"command": ["a"], "timeout": 1e300}, "timeout"),
        ({"command": ["a"], "timeout": float("nan")}, "timeout"),
        ({"command": ["a"], "deadline": "0s"}, "deadline"),
        ({"command": ["a"], "retries": -1}, "retries"),
        ({"command": ["a"], "retry_on": ["WORKER_LOOST"]}, "retry_on"),
        ({"command": ["a"], "priority": "urgent"}, "priority"),
        ({"command": ["a"], "log_policy": "keep"}, "log_policy"),
        ({"command": ["a"], "memory": "much"}, "memory"),
        ({"command": ["a"], "memory": 2**64}, "memory"),
        ({"command": ["a"], "cpu": -1}, "cpu"),
        ({"command": ["a"], "gpus": 2**40}, "request"),
        ({"command": ["a"], "name": "\udcff"}, "name"),
        ({"command": ["a"], "env": {"A": "\udcff"}}, "env"),
        ({"script": "\udcff"}, "script"),
    ],
)
def test_what_cannot_be_is_refused_by_the_name_of_its_field(
    request_: JobRequest, field: str
) -> None:
    with pytest.raises(InvalidFieldsError) as caught:
        encode_request(request_, new_id="x")
    assert [each.field for each in caught.value.violations] == [field]


def test_a_misspelt_field_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(InvalidFieldsError, match="did you mean 'command'"):
        encode_request({"comand": ["a"]}, new_id="x")  # type: ignore[typeddict-unknown-key]
