"""Makes providers of records for a plane: fake ones, which a test finds again by their names."""

from collections.abc import Callable

from hodei.application.make_providers import Equipped
from hodei.application.pool import PoolRules
from hodei.domain.placement.admission import Admission
from hodei.domain.providers.record import ProviderRecord
from hodei.kernel.errors import FieldViolation, InvalidFieldsError
from support.fake_provider import FakeProvider

RULES = PoolRules(warm_workers=0, idle_timeout_s=300.0, max_age_s=3600.0, enroll_timeout_s=30.0)


class FakeMaker:
    """Implements `ProviderMaker`. The options `slots` and `required_labels` are read, `broken` is refused."""

    def __init__(self) -> None:
        self.made: list[FakeProvider] = []
        self.on_make: Callable[[FakeProvider], None] = lambda provider: None
        self.on_way: Callable[[], None] = lambda: None

    def check(self, record: ProviderRecord) -> list[FieldViolation]:
        if "broken" not in record.options:
            return []
        return [FieldViolation(field="options.broken", description="is broken: mend it")]

    def make(self, record: ProviderRecord) -> Equipped:
        if violations := self.check(record):
            raise InvalidFieldsError(violations)
        key, _, value = record.options.get("required_labels", "").partition("=")
        provider = FakeProvider(
            record.name,
            slots=int(record.options.get("slots", "1")),
            admission=Admission(required_labels={key: value} if key else {}),
        )
        for before in self.made:
            if before.name == record.name:
                # The infrastructure has what was made before.
                provider.instances = before.instances
        self.on_make(provider)
        self.made.append(provider)
        return Equipped(provider=provider, rules=RULES, make_way=self._make_way)

    def place(self, record: ProviderRecord) -> object:
        return record.options.get("host")

    def of(self, name: str) -> FakeProvider:
        """The newest of this name."""
        return next(each for each in reversed(self.made) if each.name == name)

    async def _make_way(self) -> None:
        self.on_way()
