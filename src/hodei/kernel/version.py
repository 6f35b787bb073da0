"""The version of this code: what server and agent tell one another."""

from typing import Final

VERSION: Final = "0.1.0"
"""The same as in pyproject.toml; a test compares them."""
