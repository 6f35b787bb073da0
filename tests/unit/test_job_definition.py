"""What of a definition is honoured, what is refused, and by which name."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from hodei.domain.jobs.container import ContainerOptions
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import (
    Exec,
    JobSpec,
    LogPolicy,
    Priority,
    Resources,
    RetryPolicy,
    Script,
    Selector,
    SelectorOperator,
    SelectorRequirement,
    Toleration,
)
from hodei.kernel.errors import InvalidFieldsError
from hodei.kernel.ids import JobId
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.job_definition import decode, decode_batch, difference, encode
from hodei.wire.refused_fields import REFUSED_FIELDS

PROVIDERS = ("docker", "kubernetes", "local")


def definition(**given: object) -> pb.JobDefinition:
    return pb.JobDefinition(**{"command": "true", **given})


def spec_of(message: pb.JobDefinition) -> JobSpec:
    return decode(message, known_providers=PROVIDERS)[1]


def refusals_of(message: pb.JobDefinition) -> dict[str, str]:
    with pytest.raises(InvalidFieldsError) as raised:
        decode(message, known_providers=PROVIDERS)
    return {
        each.field.removeprefix("job_definition."): each.description
        for each in raised.value.violations
    }


def test_the_quick_start_definition_has_every_default():
    message = pb.JobDefinition(
        job_id=pb.JobId(value="my-first-job"),
        name="Hello World",
        command="echo",
        arguments=["Hello from Hodei!"],
    )
    job_id, spec = decode(message, known_providers=PROVIDERS)
    assert job_id == "my-first-job"
    assert spec == JobSpec(command=Exec(argv=(b"echo", b"Hello from Hodei!")), name="Hello World")
    assert (spec.timeout_s, spec.grace_s, spec.priority) == (300.0, 10.0, Priority.NORMAL)


def test_no_id_is_none_and_left_to_the_server():
    assert decode(definition(), known_providers=PROVIDERS)[0] is None


def test_every_field_arrives():
    message = pb.JobDefinition(
        job_id=pb.JobId(value="j"),
        name="n",
        description="d\nsecond line",
        command="prog",
        arguments=["a b", "", "$HOME;", "\n"],
        environment={"A": "1", "B": ""},
        requirements=pb.ResourceRequirements(
            cpu_cores=1.5,
            memory_bytes=2**30,
            disk_bytes=5,
            gpu_count=2,
            gpu_types=["a100", "h100"],
            custom_required={"licence": 3},
        ),
        scheduling=pb.SchedulingInfo(
            priority=pb.PRIORITY_LOW,
            scheduler_name="default",
            deadline={"seconds": 3600},
            preferred_provider="local",
            required_labels={"zone": "a"},
            required_annotations={"compliance": "soc2"},
            preferred_region="eu",
        ),
        priority_set=True,
        selector=pb.LabelSelector(
            match_labels={"arch": "x86"},
            match_expressions=[
                {"key": "disk", "operator": "In", "values": ["ssd", "nvme"]},
                {"key": "old", "operator": "DoesNotExist"},
            ],
        ),
        tolerations=[{"key": "spot", "value": "yes"}, {"operator": "Exists"}],
        timeout=pb.TimeoutConfig(
            execution_timeout={"seconds": 1, "nanos": 500_000_000}, cleanup_timeout={"seconds": 0}
        ),
        tags=["t", "u"],
        working_dir="sub",
        stdin=b"\x00\xff",
        retry=pb.RetryPolicy(
            max_attempts=3,
            initial_backoff={"seconds": 2},
            backoff_factor=3,
            max_backoff={"seconds": 60},
            jitter=0,
            retry_on=["WORKER_LOST", "NON_ZERO_EXIT_CODE"],
        ),
        labels={"team": "core"},
        disconnect_timeout={"seconds": 7},
        namespace="default",
        log_policy=pb.LOG_POLICY_DROP_OLDEST,
    )
    assert spec_of(message) == JobSpec(
        command=Exec(argv=(b"prog", b"a b", b"", b"$HOME;", b"\n")),
        name="n",
        description="d\nsecond line",
        environment={"A": "1", "B": ""},
        working_dir="sub",
        stdin=b"\x00\xff",
        timeout_s=1.5,
        grace_s=0.0,
        disconnect_timeout_s=7.0,
        deadline_s=3600.0,
        retry=RetryPolicy(
            max_attempts=3,
            initial_backoff_s=2.0,
            backoff_factor=3.0,
            max_backoff_s=60.0,
            jitter=0.0,
            retry_on=frozenset({ReasonCode.WORKER_LOST, ReasonCode.NON_ZERO_EXIT_CODE}),
        ),
        priority=Priority.LOW,
        labels={"team": "core"},
        tags=("t", "u"),
        selector=Selector(
            match_labels={"arch": "x86", "zone": "a", "compliance": "soc2"},
            match_expressions=(
                SelectorRequirement(
                    key="disk", operator=SelectorOperator.IN, values=("ssd", "nvme")
                ),
                SelectorRequirement(key="old", operator=SelectorOperator.DOES_NOT_EXIST),
            ),
        ),
        tolerations=(
            Toleration(key="spot", operator="Equal", value="yes"),
            Toleration(key="", operator="Exists"),
        ),
        resources=Resources(
            cpu_millicores=1500,
            memory_bytes=2**30,
            disk_bytes=5,
            gpu_count=2,
            gpu_types=("a100", "h100"),
            custom={"licence": 3},
        ),
        preferred_provider="local",
        preferred_region="eu",
        log_policy=LogPolicy.DROP_OLDEST,
    )


def test_arguments_that_are_not_utf8_travel_raw():
    spec = spec_of(definition(arguments_raw=[b"\xff\xfe", b"plain"]))
    assert spec.command == Exec(argv=(b"true", b"\xff\xfe", b"plain"))
    encoded = encode(None, spec)
    assert list(encoded.arguments_raw) == [b"\xff\xfe", b"plain"]
    assert not encoded.arguments


def test_a_zero_timeout_is_the_default_and_a_zero_grace_is_none():
    message = definition(
        timeout=pb.TimeoutConfig(execution_timeout={"seconds": 0}, cleanup_timeout={"seconds": 0})
    )
    assert (spec_of(message).timeout_s, spec_of(message).grace_s) == (300.0, 0.0)


def test_a_priority_counts_only_when_it_is_said_to():
    assert spec_of(definition(scheduling={"priority": 3})).priority is Priority.NORMAL
    low = definition(scheduling={"priority": 0}, priority_set=True)
    assert spec_of(low).priority is Priority.LOW
    assert spec_of(definition(priority_set=True)).priority is Priority.LOW


@pytest.mark.parametrize(
    ("content", "interpreter"),
    [
        ("echo hi", "bash"),
        ("#!/bin/sh\necho hi", "/bin/sh"),
        ("#!/usr/bin/env python3\nprint()", "python3"),
        ("#! /usr/bin/perl \nprint", "/usr/bin/perl"),
        ("#!\necho hi", "bash"),
    ],
)
def test_a_script_without_an_interpreter_takes_that_of_its_first_line(
    content: str, interpreter: str
):
    spec = spec_of(pb.JobDefinition(script={"content": content}))
    assert spec.command == Script(interpreter=interpreter, content=content)


@pytest.mark.parametrize("first", ["#!/bin/bash -x", "#!/usr/bin/env -S python3 -u", "#!-x"])
def test_options_in_a_first_line_are_refused_rather_than_lost(first: str):
    script = {"content": f"{first}\ntrue"}
    assert "options" in refusals_of(pb.JobDefinition(script=script))["script.interpreter"]
    named = {"interpreter": "bash", "content": f"{first}\ntrue"}
    assert spec_of(pb.JobDefinition(script=named)).command == Script(**named)


@pytest.mark.parametrize(
    ("given", "meant"),
    [("local", "local"), ("Docker", "docker"), ("k8s", "kubernetes"), ("KUBE", "kubernetes")],
)
def test_a_provider_is_known_by_its_aliases(given: str, meant: str):
    assert spec_of(definition(scheduling={"preferred_provider": given})).preferred_provider == meant


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("dokcer", "did you mean docker?"),
        ("k8", "did you mean kubernetes?"),
        ("firecracker", "docker, kubernetes, local"),
        ("fc", "docker, kubernetes, local"),
    ],
)
def test_an_unknown_provider_is_refused_with_the_nearest_known_one(given: str, hint: str):
    message = definition(scheduling={"preferred_provider": given})
    assert hint in refusals_of(message)["scheduling.preferred_provider"]


def test_a_reader_of_accepted_definitions_knows_no_providers():
    message = definition(scheduling={"preferred_provider": "elsewhere"})
    assert decode(message, known_providers=None)[1].preferred_provider == "elsewhere"


@pytest.mark.parametrize("operator", ["In", "in", "NOTIN", "exists", "doesnotexist"])
def test_the_words_of_kubernetes_are_taken_in_any_case(operator: str):
    values = ["v"] if operator.lower() in {"in", "notin"} else []
    requirement = {"key": "k", "operator": operator, "values": values}
    (decoded,) = spec_of(
        definition(selector={"match_expressions": [requirement]})
    ).selector.match_expressions
    assert decoded.operator.lower() == operator.lower()


def test_labels_that_contradict_the_selector_are_refused():
    for name in ("required_labels", "required_annotations"):
        message = definition(
            selector={"match_labels": {"zone": "a"}}, scheduling={name: {"zone": "b"}}
        )
        assert list(refusals_of(message)) == [f"scheduling.{name}['zone']"]


UNSUPPORTED: dict[str, dict[str, Any]] = {
    "image": {"image": "debian:12"},
    "container": {"container": {"user": "nobody"}},
    "secrets": {"secrets": pb.JobSecrets()},
    "array": {"array": {"size": 2}},
    "concurrency_group": {"concurrency_group": "deploy"},
    "namespace": {"namespace": "team"},
    "scheduling.scheduler_name": {"scheduling": {"scheduler_name": "fair"}},
    "scheduling.preemption_allowed": {"scheduling": {"preemption_allowed": True}},
    "timeout.heartbeat_timeout": {"timeout": {"heartbeat_timeout": {"seconds": 1}}},
    "tolerations.toleration_seconds": {
        "tolerations": [{"operator": "Exists", "toleration_seconds": {"seconds": 1}}]
    },
}


@pytest.mark.parametrize("field", REFUSED_FIELDS)
def test_what_is_not_honoured_is_refused_by_name_with_advice(field: str):
    refused = refusals_of(definition(**UNSUPPORTED[field]))
    assert refused == {
        field.replace("tolerations.", "tolerations[0]."): REFUSED_FIELDS[field],
    }


def test_a_field_of_a_newer_contract_is_refused_by_its_number():
    unknown = b"\xb8\x3f\x01"  # field 1015
    message = pb.JobDefinition.FromString(definition().SerializeToString() + unknown)
    assert list(refusals_of(message)) == ["1015"]
    message = definition()
    message.retry.MergeFromString(unknown)
    assert list(refusals_of(message)) == ["retry.1015"]


OUT_OF_RANGE: dict[str, tuple[str, Callable[[], pb.JobDefinition]]] = {
    "nothing to run": ("command", pb.JobDefinition),
    "arguments without a command": ("command", lambda: pb.JobDefinition(arguments=["x"])),
    "a command and a script": ("script", lambda: definition(script={"content": "x"})),
    "an empty script": ("script.content", lambda: pb.JobDefinition(script={})),
    "arguments twice": (
        "arguments_raw",
        lambda: definition(arguments=["x"], arguments_raw=[b"x"]),
    ),
    "an id that is a path": ("job_id.value", lambda: definition(job_id={"value": "../x"})),
    "a long name": ("name", lambda: definition(name="x" * 257)),
    "a name with an escape": ("name", lambda: definition(name="\x1b[2J")),
    "a long description": ("description", lambda: definition(description="é" * 4097)),
    "a NUL in an argument": ("arguments[1]", lambda: definition(arguments=["x", "a\0b"])),
    "a long argument": ("arguments[0]", lambda: definition(arguments=["x" * 131072])),
    "many arguments": ("arguments", lambda: definition(arguments=["x"] * 110_000)),
    "a NUL in the environment": ("environment['A']", lambda: definition(environment={"A": "\0"})),
    "a bad variable": ("environment['A=B']", lambda: definition(environment={"A=B": "x"})),
    "a variable of ours": (
        "environment['HODEI_JOB_ID']",
        lambda: definition(environment={"HODEI_JOB_ID": "x"}),
    ),
    "a long variable": ("environment['A']", lambda: definition(environment={"A": "x" * 131070})),
    "a NUL in the directory": ("working_dir", lambda: definition(working_dir="a\0")),
    "a large stdin": ("stdin", lambda: definition(stdin=b"x" * (4 * 2**20 + 1))),
    "a large script": (
        "script.content",
        lambda: pb.JobDefinition(script={"content": "x" * (4 * 2**20 + 1)}),
    ),
    "a negative timeout": (
        "timeout.execution_timeout",
        lambda: definition(timeout={"execution_timeout": {"seconds": -1}}),
    ),
    "a timeout that rounds to nothing": (
        "timeout.execution_timeout",
        lambda: definition(timeout={"execution_timeout": {"nanos": 1}}),
    ),
    "a timeout past 30 days": (
        "timeout.execution_timeout",
        lambda: definition(timeout={"execution_timeout": {"seconds": 30 * 86400 + 1}}),
    ),
    "a grace past an hour": (
        "timeout.cleanup_timeout",
        lambda: definition(timeout={"cleanup_timeout": {"seconds": 3601}}),
    ),
    "no disconnect timeout": (
        "disconnect_timeout",
        lambda: definition(disconnect_timeout={"seconds": 0}),
    ),
    "a deadline of a century": (
        "scheduling.deadline",
        lambda: definition(scheduling={"deadline": {"seconds": 3_153_600_000}}),
    ),
    "a deadline of nothing": (
        "scheduling.deadline",
        lambda: definition(scheduling={"deadline": {"seconds": 0}}),
    ),
    "101 attempts": ("retry.max_attempts", lambda: definition(retry={"max_attempts": 101})),
    "a factor below 1": ("retry.backoff_factor", lambda: definition(retry={"backoff_factor": 0.5})),
    "a factor that is no number": (
        "retry.backoff_factor",
        lambda: definition(retry={"backoff_factor": float("nan")}),
    ),
    "a negative backoff": (
        "retry.initial_backoff",
        lambda: definition(retry={"initial_backoff": {"seconds": -1}}),
    ),
    "a first backoff past the longest": (
        "retry.initial_backoff",
        lambda: definition(retry={"initial_backoff": {"seconds": 301}}),
    ),
    "a jitter above 1": ("retry.jitter", lambda: definition(retry={"jitter": 1.01})),
    "an unknown reason": ("retry.retry_on[0]", lambda: definition(retry={"retry_on": ["LUCK"]})),
    "a reason that is never retried": (
        "retry.retry_on",
        lambda: definition(retry={"retry_on": ["CANCELLED"]}),
    ),
    "an unknown priority": (
        "scheduling.priority",
        lambda: definition(scheduling={"priority": 9}, priority_set=True),
    ),
    "an unknown log policy": ("log_policy", lambda: definition(log_policy=9)),
    "65 labels": ("labels", lambda: definition(labels={f"k{n}": "" for n in range(65)})),
    "a bad label": ("labels['a b']", lambda: definition(labels={"a b": "x"})),
    "a long label": ("labels['a']", lambda: definition(labels={"a": "x" * 257})),
    "65 tags": ("tags", lambda: definition(tags=["t"] * 65)),
    "an empty tag": ("tags[1]", lambda: definition(tags=["t", ""])),
    "a long tag": ("tags[0]", lambda: definition(tags=["x" * 129])),
    "an unknown operator": (
        "selector.match_expressions[0].operator",
        lambda: definition(selector={"match_expressions": [{"key": "k", "operator": "Near"}]}),
    ),
    "In without values": (
        "selector.match_expressions[0].values",
        lambda: definition(selector={"match_expressions": [{"key": "k", "operator": "In"}]}),
    ),
    "Exists with values": (
        "selector.match_expressions[0].values",
        lambda: definition(
            selector={"match_expressions": [{"key": "k", "operator": "Exists", "values": ["v"]}]}
        ),
    ),
    "an unknown toleration": (
        "tolerations[0].operator",
        lambda: definition(tolerations=[{"key": "k", "operator": "Like"}]),
    ),
    "Equal without a key": ("tolerations[0].key", lambda: definition(tolerations=[{"value": "v"}])),
    "Exists with a value": (
        "tolerations[0].value",
        lambda: definition(tolerations=[{"operator": "exists", "value": "v"}]),
    ),
    "negative memory": (
        "requirements.memory_bytes",
        lambda: definition(requirements={"memory_bytes": -1}),
    ),
    "a disk past a pebibyte": (
        "requirements.disk_bytes",
        lambda: definition(requirements={"disk_bytes": 2**50 + 1}),
    ),
    "negative GPUs": ("requirements.gpu_count", lambda: definition(requirements={"gpu_count": -1})),
    "types of no GPU": (
        "requirements.gpu_types",
        lambda: definition(requirements={"gpu_types": ["a100"]}),
    ),
    "too many cores": (
        "requirements.cpu_cores",
        lambda: definition(requirements={"cpu_cores": 4097}),
    ),
    "cores without end": (
        "requirements.cpu_cores",
        lambda: definition(requirements={"cpu_cores": float("inf")}),
    ),
    "cores past any number": (
        "requirements.cpu_cores",
        lambda: definition(requirements={"cpu_cores": 1.7e308}),
    ),
    "a sliver of a core": (
        "requirements.cpu_cores",
        lambda: definition(requirements={"cpu_cores": 0.0001}),
    ),
    "a negative resource": (
        "requirements.custom_required['licence']",
        lambda: definition(requirements={"custom_required": {"licence": -1}}),
    ),
    "a region that is a book": (
        "scheduling.preferred_region",
        lambda: definition(scheduling={"preferred_region": "x" * 1000}),
    ),
}


@pytest.mark.parametrize(("field", "make"), OUT_OF_RANGE.values(), ids=OUT_OF_RANGE)
def test_what_is_out_of_range_is_refused_by_name(field: str, make: Callable[[], pb.JobDefinition]):
    refused = refusals_of(make())
    assert list(refused) == [field]
    assert len(refused[field]) < 600


IN_RANGE: dict[str, pb.JobDefinition] = {
    "the longest id": definition(job_id={"value": "x" * 128}),
    "the longest name": definition(name="é" * 256),
    "the longest argument": definition(arguments=["x" * 131071]),
    "the longest variable": definition(environment={"A": "x" * 131069}),
    "1 MiB of arguments": definition(arguments=["x" * 65526] * 15 + ["x" * 65500]),
    "the longest timeout": definition(timeout={"execution_timeout": {"seconds": 30 * 86400}}),
    "the shortest timeout": definition(timeout={"execution_timeout": {"nanos": 1_000_000}}),
    "100 attempts": definition(retry={"max_attempts": 100}),
    "64 labels": definition(labels={f"hodei.io/k{n}": "feature/a b" for n in range(64)}),
    "the largest stdin": definition(stdin=b"x" * (4 * 2**20)),
    "an array of none": definition(array={"size": 0}),
}


@pytest.mark.parametrize("message", IN_RANGE.values(), ids=IN_RANGE)
def test_what_is_just_within_the_limits_is_taken(message: pb.JobDefinition):
    assert decode(encode(*decode(message, known_providers=())), known_providers=()) == decode(
        message, known_providers=()
    )


def test_all_that_is_wrong_is_said_at_once():
    refused = refusals_of(
        pb.JobDefinition(name="x" * 300, image="x", tags=[""], job_id={"value": "?"})
    )
    assert list(refused) == ["image", "job_id.value", "name", "command", "tags[0]"]


def test_a_thousand_faults_are_not_all_repeated():
    assert len(refusals_of(definition(environment={f"A-{n}": "" for n in range(1000)}))) == 100


def test_the_prefix_is_the_callers():
    with pytest.raises(InvalidFieldsError) as raised:
        decode(pb.JobDefinition(image="x"), prefix="spec", known_providers=())
    assert [each.field for each in raised.value.violations] == ["spec.image", "spec.command"]


def test_a_batch_names_each_faulty_definition():
    with pytest.raises(InvalidFieldsError) as raised:
        decode_batch(
            [definition(), definition(image="x"), definition(), pb.JobDefinition()],
            known_providers=(),
        )
    assert [each.field for each in raised.value.violations] == [
        "job_definitions[1].image",
        "job_definitions[3].command",
    ]


def test_a_batch_is_in_its_order():
    messages = [definition(job_id={"value": f"j{n}"}) for n in range(5)]
    decoded = decode_batch(messages, known_providers=())
    assert [job_id for job_id, _ in decoded] == ["j0", "j1", "j2", "j3", "j4"]


def test_a_batch_past_its_limit_names_the_limit():
    with pytest.raises(InvalidFieldsError, match=r"job_definitions: has 10001 .* at most 10000"):
        decode_batch([pb.JobDefinition()] * 10_001, known_providers=())


def test_a_batch_of_faults_stops_looking_in_time():
    with pytest.raises(InvalidFieldsError) as raised:
        decode_batch([pb.JobDefinition(image="x")] * 10_000, known_providers=())
    assert len(raised.value.violations) == 100


BASE = JobSpec(command=Exec(argv=(b"true", b"x")))
DIFFERENT: dict[str, Any] = {
    "image": "debian:12",
    "container": ContainerOptions(user="nobody"),
    "command": Exec(argv=(b"false", b"x")),
    "name": "n",
    "description": "d",
    "environment": {"A": "1"},
    "working_dir": "w",
    "stdin": b"s",
    "timeout_s": 1.0,
    "grace_s": 1.0,
    "disconnect_timeout_s": 1.0,
    "deadline_s": 1.0,
    "retry": RetryPolicy(jitter=0.5),
    "priority": Priority.HIGH,
    "labels": {"a": "b"},
    "tags": ("t",),
    "selector": Selector(match_labels={"a": "b"}),
    "tolerations": (Toleration(key="", operator="Exists"),),
    "resources": Resources(gpu_count=1),
    "preferred_provider": "local",
    "preferred_region": "eu",
    "log_policy": LogPolicy.DROP_OLDEST,
}


@pytest.mark.parametrize("field", [each.name for each in fields(JobSpec)])
def test_each_field_of_a_definition_can_differ_and_is_named(field: str):
    other = replace(BASE, **{field: DIFFERENT[field]})
    assert len(difference(BASE, other)) == 1
    assert difference(BASE, BASE) == []


def test_a_difference_is_named_as_the_wire_names_it():
    other = replace(BASE, command=Exec(argv=(b"true", b"y")), timeout_s=1.0)
    assert difference(BASE, other) == ["arguments", "timeout.execution_timeout"]
    script = replace(BASE, command=Script(interpreter="sh", content="x"))
    assert difference(BASE, script) == ["command", "script"]
    rewritten = replace(BASE, command=Script(interpreter="sh", content="y"))
    assert difference(script, rewritten) == ["script.content"]


def test_an_encoded_definition_shows_how_long_the_job_may_run():
    encoded = encode(JobId("j"), BASE)
    assert encoded.timeout.execution_timeout.seconds == 300
    assert encoded.timeout.cleanup_timeout.seconds == 10
    assert encoded.disconnect_timeout.seconds == 300
    assert not encoded.HasField("retry")
    assert not encoded.HasField("requirements")
