"""Binds Hodei's own sagas to the use cases that carry out their steps."""

from collections.abc import Mapping

from hodei.application.clean_up_steps import CleanUpSteps
from hodei.application.provision_steps import ProvisionSteps
from hodei.application.standing import Standing
from hodei.durable.definitions import PLATFORM_QUEUE
from hodei.kernel.ids import ProviderName
from hodei.ports.providers import Provider
from hodei.sagas.clean_up_orphans import clean_up_orphans
from hodei.sagas.provision_worker import PROVISION_WORKER
from hodei.sagas.queues import provider_queue
from hodei.server.workflows import Registry


def built_in(
    provision: ProvisionSteps,
    clean_up: CleanUpSteps,
    *,
    providers: Mapping[ProviderName, Provider],
    standing: Standing,
) -> Registry:
    """What every server has; providers may come and go."""

    def queues() -> list[str]:
        near = [provider_queue(name, standing.home_of(each)) for name, each in providers.items()]
        return [PLATFORM_QUEUE, *near]

    return Registry(
        workflows=(*PROVISION_WORKER, clean_up_orphans),
        activities=provision.handlers() | clean_up.handlers(),
        queues=queues,
    )
