"""Of which kind a worker must be: workers that are made for a job are made for all of its kind.

A kind is written as jobs ask for it: what they leave out, the provider fills in, alike for all of
them. So two jobs of one kind may run on the same worker, one after the other, and workers that are
kept warm are kept by kind.
"""

from dataclasses import dataclass

from hodei.domain.jobs.container import ContainerOptions
from hodei.domain.placement.demand import Demand


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerKind:
    """Workers of one kind are alike. 0 and empty stand for the provider's default."""

    image: str = ""
    cpu_millicores: int = 0
    memory_bytes: int = 0
    gpu_count: int = 0
    gpu_types: tuple[str, ...] = ()
    container: ContainerOptions | None = None

    def __str__(self) -> str:
        sizes = (
            (self.cpu_millicores, f"{self.cpu_millicores / 1000:g} CPUs"),
            (self.memory_bytes, f"{self.memory_bytes} bytes of memory"),
            (self.gpu_count, f"{self.gpu_count} GPUs"),
        )
        size = ", ".join(text for amount, text in sizes if amount)
        options = ", ".join(self.container.asked) if self.container is not None else ""
        return (
            f"image {self.image or 'of the provider'}"
            + (f" with {size}" if size else "")
            + (f" and own {options}" if options else "")
        )


def kind_of(demand: Demand) -> WorkerKind:
    """The kind of the workers that are made for jobs of this demand."""
    return WorkerKind(
        image=demand.image,
        cpu_millicores=demand.resources.cpu_millicores,
        memory_bytes=demand.resources.memory_bytes,
        gpu_count=demand.resources.gpu_count,
        gpu_types=demand.resources.gpu_types,
        container=demand.container,
    )
