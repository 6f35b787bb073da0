"""From which queue a server takes the activities that only it, or only some servers, can do."""

from dataclasses import replace
from typing import Final, TypeVar

from hodei.durable.definitions import Activity
from hodei.kernel.ids import ProviderName

T = TypeVar("T")

HOST_WITHIN_S: Final = 60.0
"""A server whose host has instances gets so long to come back for what only it can do there.

Another server waits no longer: what runs on that host ends by itself once it has no server.
"""


def provider_queue(provider: ProviderName, home: str) -> str:
    """Of what needs a provider.

    Args:
        provider: Its name.
        home: The name of the server on whose host the instances live; empty where every server that
            has the provider can see them.
    """
    return f"provider:{provider}@{home}" if home else f"provider:{provider}"


def near(activity: Activity[T], provider: ProviderName, home: str) -> Activity[T]:
    """The activity where the provider can be asked; see `provider_queue`."""
    return replace(
        activity,
        queue=provider_queue(provider, home),
        limits=replace(activity.limits, schedule_to_start_s=HOST_WITHIN_S if home else None),
    )
