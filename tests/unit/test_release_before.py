"""The release that today's code is tried beside is the one that may run beside it."""

from hodei.adapters.postgres.schema import REVISION
from hodei.domain.workers.versions import Release, compare
from hodei.kernel.version import VERSION
from support.releases import BEFORE


def test_it_is_the_one_before_todays_number() -> None:
    assert compare(BEFORE.version, VERSION) is Release.BEFORE, "move support/releases.py on"


def test_its_database_has_something_to_be_migrated() -> None:
    assert BEFORE.schema < REVISION
