"""What tests of every level share."""

import pytest

pytest_plugins = ["support.bundle", "support.docker", "support.postgres", "support.releases"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
