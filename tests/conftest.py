"""What tests of every level share."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
