"""Images are fetched before any job asks for them."""

import pytest

from hodei.application.prepare_kinds import PrepareKinds
from hodei.domain.placement.kinds import WorkerKind
from hodei.kernel.ids import ProviderName
from hodei.lifecycle.service import TaskSet
from hodei.ports.providers import ProvisioningRefusedError
from support.fake_provider import FakeProvider
from support.settling import settle


async def test_each_kind_is_prepared_and_one_that_fails_is_tried_again_beside_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hodei.application.prepare_kinds._RETRY_AFTER_S", 0)
    provider, other = FakeProvider("docker"), FakeProvider("local")
    good, bad = WorkerKind(image="good"), WorkerKind(image="bad")

    def fail_once(kind: WorkerKind | None) -> None:
        if kind == bad and provider.prepared.count(bad) == 1:
            raise ProvisioningRefusedError("there is no such image")

    provider.on_prepare = fail_once
    tasks = TaskSet()
    kinds = {ProviderName("docker"): (bad, good)}
    tasks.start(PrepareKinds(providers=(provider, other), kinds=kinds).run(), name="prepare")
    await settle()
    await tasks.close()
    assert provider.prepared == [bad, good, bad, good]
    assert other.prepared == []
