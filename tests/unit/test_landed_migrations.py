"""A migration that installations may have run stays as it is: they will not run it again.

0030 was changed after it had landed once, and a database that was migrated before lacked a function
for good. What is to be different belongs in a migration of its own.
"""

from hashlib import sha256
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
LANDED: Final = ROOT / "tests/support/landed_migrations.sha256"
"""As `sha256sum` writes it. A new migration gets its line with the commit that lands it."""


def test_landed_migrations_are_not_changed() -> None:
    found = {
        str(path.relative_to(ROOT)): sha256(path.read_bytes()).hexdigest()
        for path in ROOT.glob("src/hodei/adapters/*/migrations/versions/r*.py")
    }
    lines = (line.split("  ", 1) for line in LANDED.read_text().splitlines())
    landed = {path: digest for digest, path in lines}
    assert found == landed, (
        "a migration was changed: make another one instead; or it is new:"
        f" sha256sum src/hodei/adapters/*/migrations/versions/r*.py > {LANDED.relative_to(ROOT)}"
    )
