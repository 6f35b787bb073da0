"""What an agent accepts as its bootstrap, and what it says of anything else."""

import json

import pytest

from hodei.agent.bootstrap import (
    Bootstrap,
    from_environment,
    parse_document,
    split_address,
    split_addresses,
)
from hodei.kernel.errors import InvalidFieldsError

FINGERPRINT = "sha256:" + "0a" * 32
SMALLEST: dict[str, object] = {
    "worker_id": "w-1",
    "enroll_address": "127.0.0.1:50053",
    "ca_fingerprint": FINGERPRINT,
    "otp": "s3cret",
}


def parse(**changes: object) -> Bootstrap:
    return parse_document(json.dumps({**SMALLEST, **changes}).encode())


def test_the_smallest_document_is_enough() -> None:
    assert parse() == Bootstrap(
        worker_id="w-1",
        enroll_address="127.0.0.1:50053",
        ca_fingerprint=FINGERPRINT,
        otp="s3cret",
        slots=1,
    )


def test_every_field_is_taken() -> None:
    bootstrap = parse(
        cluster_id="c",
        worker_address="[::1]:50052",
        name="a name",
        slots=256,
        labels={"zone": "a"},
        taints=["gpu=yes:NoSchedule", "old:NoExecute"],
        custom_resources={"licence": 2},
    )

    assert bootstrap.taints == ("gpu=yes:NoSchedule", "old:NoExecute")
    assert (bootstrap.labels, bootstrap.custom_resources) == ({"zone": "a"}, {"licence": 2})
    assert split_address(bootstrap.worker_address) == ("::1", 50052)
    assert split_address(bootstrap.enroll_address) == ("127.0.0.1", 50053)


def test_several_servers_are_several_addresses() -> None:
    bootstrap = parse(enroll_address="a:1,[::1]:2", worker_address="a:3,b:4")

    assert split_addresses(bootstrap.enroll_address) == ("a:1", "[::1]:2")
    assert split_addresses(bootstrap.worker_address) == ("a:3", "b:4")
    assert split_addresses("") == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("worker_id", "../evil"),
        ("worker_id", 7),
        ("enroll_address", "127.0.0.1"),
        ("enroll_address", "a:1,"),
        ("enroll_address", "a:1 b:2"),
        ("enroll_address", "host:0"),
        ("enroll_address", "host:65536"),
        ("enroll_address", "::1:50053"),
        ("enroll_address", "https://host:50053"),
        ("worker_address", "nowhere"),
        ("ca_fingerprint", "sha256:12"),
        ("ca_fingerprint", "md5:" + "0a" * 32),
        ("ca_pem", None),
        ("otp", ""),
        ("name", None),
        ("slots", 0),
        ("slots", 257),
        ("slots", True),
        ("slots", "4"),
        ("labels", ["a"]),
        ("labels", {"a": 1}),
        ("taints", ["no effect"]),
        ("taints", "a=b:NoSchedule"),
        ("custom_resources", {"a": -1}),
    ],
)
def test_a_field_that_is_not_allowed_is_named(field: str, value: object) -> None:
    with pytest.raises(InvalidFieldsError) as refused:
        parse(**{field: value})

    assert [each.field for each in refused.value.violations] == [field]


def test_missing_and_unknown_fields_are_named_together() -> None:
    with pytest.raises(InvalidFieldsError) as refused:
        parse_document(b'{"worker_id": "w", "enrol_address": "h:1", "otp": "s3cret"}')

    named = [each.field for each in refused.value.violations]
    assert named == ["enroll_address", "ca_fingerprint", "enrol_address"]
    assert "s3cret" not in str(refused.value)


def test_what_only_a_newer_server_says_is_ignored() -> None:
    assert parse(of_tomorrow="1").worker_id == parse().worker_id


@pytest.mark.parametrize("document", [b"", b"[]", b"{", b"\xff"])
def test_what_is_no_document_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidFieldsError, match="bootstrap"):
        parse_document(document)


def test_the_environment_may_say_it_and_is_named_where_it_is_wrong() -> None:
    environment = {
        "HODEI_WORKER_ID": "w-1",
        "HODEI_SERVER_ADDRESS": "host:50053",
        "HODEI_CA_FINGERPRINT": FINGERPRINT,
        "HODEI_OTP_TOKEN": "s3cret",
        "HODEI_WORKER_NAME": "mine",
        "HODEI_OTHER": "ignored",
    }
    assert from_environment(environment).name == "mine"

    with pytest.raises(InvalidFieldsError) as refused:
        from_environment({**environment, "HODEI_SERVER_ADDRESS": "host"})
    assert [each.field for each in refused.value.violations] == ["HODEI_SERVER_ADDRESS"]


def test_the_password_is_not_in_its_text() -> None:
    assert "s3cret" not in repr(parse())
