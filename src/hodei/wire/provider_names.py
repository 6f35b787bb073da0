"""The names under which clients ask for a provider."""

import difflib
from collections.abc import Collection
from typing import Final

ALIASES: Final = {"k8s": "kubernetes", "kube": "kubernetes", "fc": "firecracker"}
"""Other names that users know, each with the one that counts."""


def resolve(name: str, known: Collection[str]) -> str | None:
    """The known provider that `name` means, whatever the case of its letters; None when none."""
    if name in known:
        return name
    lowered = name.lower()
    wanted = ALIASES.get(lowered, lowered)
    return next((each for each in known if each.lower() == wanted), None)


def advise(name: str, known: Collection[str]) -> str:
    """What to say about a name that `resolve` does not know."""
    if not known:
        return f"{name!r} is no provider of this server, which has none enabled: leave it out"
    near = difflib.get_close_matches(name.lower(), [*known, *ALIASES], n=1)
    meant = near and resolve(near[0], known)
    hint = f"did you mean {meant}? " if meant else ""
    return (
        f"{name!r} is no provider of this server: {hint}enabled are {', '.join(sorted(known))}; "
        "leave it out for any"
    )
