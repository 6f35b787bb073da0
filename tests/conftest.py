"""What tests of every level share."""

import pytest

pytest_plugins = ["support.bundle", "support.docker", "support.postgres"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
