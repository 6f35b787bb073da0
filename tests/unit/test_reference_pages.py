"""The reference pages say what the code says."""

import re
from pathlib import Path

import pytest

import hodei.server.run  # noqa: F401 - all errors that there are
from hodei.domain.jobs import container_limits, limits
from hodei.domain.jobs.reasons import ReasonCode, reason
from hodei.durable.runner import tally
from hodei.kernel.errors import HodeiError, InvalidFieldsError, NotFoundError
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import provider_management_pb2 as providers_pb
from hodei.wire.errors import abort_arguments
from hodei.wire.refused_fields import REFUSED_FIELDS

FILES = (pb.DESCRIPTOR, providers_pb.DESCRIPTOR)
REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table whose head begins with `heading`, without the marks of code."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    found: list[list[str]] = []
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        head, _, *body = table.splitlines()
        if head.startswith(f"| {heading} |"):
            found += [[cell.strip() for cell in line.strip("|").split(" | ")] for line in body]
    return [[row[0].strip("| `"), *row[1:-1], row[-1].removesuffix("|").strip()] for row in found]


def test_every_reason_is_listed_with_its_advice():
    listed = {row[0]: row[2] for row in rows("reasons.md", "code")}
    assert listed == {code.value: reason(code, "").advice for code in ReasonCode}
    assert all(row[1] and row[3] for row in rows("reasons.md", "code"))


def test_every_limit_is_listed_with_its_value():
    listed = {row[0]: float(row[1].replace(",", "")) for row in rows("limits.md", "constant")}
    constants = {
        name: value
        for module in (limits, container_limits)
        for name, value in vars(module).items()
        if name.startswith(("MAX_", "MIN_"))
    }
    assert listed == constants


def test_every_call_is_listed():
    listed = {row[0] for row in rows("grpc.md", "call")}
    services = [each for file in FILES for each in file.services_by_name.values()]
    assert listed == {method.name for service in services for method in service.methods}


def test_every_refused_field_is_listed_with_its_advice():
    assert dict(rows("grpc.md", "field")) == REFUSED_FIELDS


def test_every_field_of_ours_is_listed_with_its_number():
    listed = [(row[0], int(row[1]), row[2].strip("`")) for row in rows("grpc.md", "message")]
    assert sorted(listed) == sorted(
        (name, field.number, field.name)
        for file in FILES
        for name, message in file.message_types_by_name.items()
        for field in message.fields
        if field.number >= 100
    )
    assert all(row[3] for row in rows("grpc.md", "message"))


def descendants(root: type[HodeiError]) -> set[type[HodeiError]]:
    return {root}.union(*(descendants(each) for each in root.__subclasses__()))


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (row[0], row[1].strip("`"))
        for row in rows("grpc.md", "reason")
        if not row[0].startswith("any")
    ],
)
def test_each_listed_error_has_the_listed_status(reason: str, status: str):
    kinds = {each for each in descendants(HodeiError) if vars(each).get("code") == reason}
    assert kinds
    for kind in kinds:
        # Made without its own arguments: only its kind and its code decide.
        error = kind.__new__(kind)
        if isinstance(error, NotFoundError):
            error.kind, error.name = "job", "j"
        elif issubclass(kind, InvalidFieldsError):
            error = kind.of("name", "too long")
        assert abort_arguments(error)[0].name == status, kind


def test_every_field_of_a_definition_is_described():
    page = (REFERENCE / "job-definition.md").read_text(encoding="utf-8")
    described = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)?)`", page))
    nested = {
        *("requirements", "scheduling", "selector", "timeout", "retry", "script"),
        *("job_id", "container"),
    }
    expected = {field.name for field in pb.JobDefinition.DESCRIPTOR.fields} - nested
    for name in nested:
        message = pb.JobDefinition.DESCRIPTOR.fields_by_name[name].message_type
        expected |= {f"{name}.{field.name}" for field in message.fields}
    assert expected - described == set()


def test_each_counter_of_workflows_is_listed():
    page = (REFERENCE / "grpc.md").read_text("utf-8")

    assert [name for name in tally.NAMES if f"`{name}`" not in page] == []
