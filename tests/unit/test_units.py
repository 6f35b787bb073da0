"""Durations and sizes as people write them."""

import pytest

from hodei.kernel.errors import InvalidFieldsError
from hodei.kernel.units import ByteSize, format_duration, parse_duration_s, parse_size_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("1s", 1.0),
        ("2m", 120.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("1d", 86400.0),
        ("0s", 0.0),
        ("1m30s500ms", 90.5),
        ("0.1s", 0.1),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration_s(text, field="timeout") == seconds


@pytest.mark.parametrize(
    "text", ["", "1", "s", "-1s", "1 s", "1S", "1w", "1s2", "1e3s", "٣s", "1.s"]
)
def test_what_is_no_duration_is_refused_by_its_field_with_an_example(text: str) -> None:
    with pytest.raises(InvalidFieldsError, match=r"timeout: .*500ms, 1s, 2m or 1h30m"):
        parse_duration_s(text, field="timeout")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.25, "250ms"),
        (0.9999, "1s"),
        (1, "1s"),
        (1.25, "1.25s"),
        (59.9999, "1m"),
        (60, "1m"),
        (90, "1m30s"),
        (5400, "1h30m"),
        (86400, "1d"),
        (90061, "1d1h1m1s"),
    ],
)
def test_a_duration_is_written_as_short_as_it_can_be(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
    assert parse_duration_s(text, field="again") == pytest.approx(seconds, abs=0.001)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1048576", 1048576),
        ("512Mi", 512 * 2**20),
        ("512MiB", 512 * 2**20),
        ("2G", 2 * 10**9),
        ("1.5K", 1500),
        ("1Ti", 2**40),
    ],
)
def test_a_size_is_read(text: str, size: int) -> None:
    assert parse_size_bytes(text, field="memory") == size


@pytest.mark.parametrize("text", ["", "B", "-1", "1 G", "1g", "1Pi", "12e3", "٣G"])
def test_what_is_no_size_is_refused_by_its_field_with_an_example(text: str) -> None:
    with pytest.raises(InvalidFieldsError, match=r"memory: .*512Mi, 2G or 1048576"):
        parse_size_bytes(text, field="memory")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0"),
        (1000, "1000"),
        (1536, "1536"),
        (2**20, "1Mi"),
        (50 * 2**30, "50Gi"),
        (2**41, "2Ti"),
    ],
)
def test_a_size_is_written_so_that_it_is_read_as_the_same(size: int, text: str) -> None:
    assert str(ByteSize(size)) == text
    assert parse_size_bytes(text, field="size") == size
