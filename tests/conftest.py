"""What tests of every level share."""

import pytest

pytest_plugins = ["support.postgres"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
