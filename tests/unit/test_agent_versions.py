"""Which agents a server works with."""

import pytest

from hodei.domain.workers.versions import (
    AgentVersionError,
    Release,
    check_new,
    check_version,
    compare,
)
from hodei.kernel.version import VERSION


@pytest.mark.parametrize(
    ("agent", "server", "expected"),
    [
        ("0.1.0", "0.1.0", Release.SAME),
        ("0.1.9+3f2a4b", "0.1.0", Release.SAME),
        ("0.1", "0.1.3", Release.SAME),
        ("0.2.0-rc1", "0.2.0", Release.SAME),
        ("0.1.7", "0.2.0", Release.BEFORE),
        ("1.9.0", "1.10.0", Release.BEFORE),
        ("1.4.0", "2.0.0", Release.BEFORE),
        ("0.1.0", "0.3.0", Release.OLDER),
        ("1.9.0", "2.1.0", Release.OLDER),
        ("1.9.0", "3.0.0", Release.OLDER),
        ("0.2.0", "0.1.9", Release.NEWER),
        ("2.0.0", "1.9.0", Release.NEWER),
        ("1.10.0", "1.9.0", Release.NEWER),
    ],
)
def test_an_agents_release_lies_so_to_the_servers(
    agent: str, server: str, expected: Release
) -> None:
    assert compare(agent, server) is expected


@pytest.mark.parametrize("version", ["", "1", "one.two", "1.x", "v1.2", "1.2x", "9" * 40 + ".1"])
def test_what_is_no_version_is_named(version: str) -> None:
    (violation,) = check_version("hello.agent_version", version)
    assert violation.field == "hello.agent_version"
    assert "such as 1.2.0" in violation.description
    assert check_version("hello.agent_version", VERSION) == []


def test_a_new_agent_is_of_the_servers_release_or_the_one_before() -> None:
    assert check_new("1.2.0", "1.2.3") is Release.SAME
    assert check_new("1.1.0", "1.2.3") is Release.BEFORE
    with pytest.raises(AgentVersionError, match=r"agent 1\.0\.0 is too old .* \(1\.2\.3\)"):
        check_new("1.0.0", "1.2.3")
    with pytest.raises(AgentVersionError, match=r"agent 1\.3\.0 is newer .* \(1\.2\.3\)"):
        check_new("1.3.0", "1.2.3")
