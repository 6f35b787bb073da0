"""What agents are told so that they enrol."""

from dataclasses import dataclass, field

from hodei.application.doors import Doors
from hodei.application.one_time_passwords import OneTimePasswords
from hodei.domain.jobs.spec import Resources
from hodei.kernel.ids import WorkerId
from hodei.ports.pki import CertificateAuthority
from hodei.ports.providers import Bootstrap


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What an agent is told about itself."""

    name: str = ""
    slots: int = 1
    labels: dict[str, str] = field(default_factory=dict[str, str])
    resources: Resources = Resources()


class Bootstraps:
    """Writes them: where the doors are, by what to know the server, and the password."""

    def __init__(
        self, *, authority: CertificateAuthority, passwords: OneTimePasswords, doors: Doors
    ) -> None:
        self._authority = authority
        self._passwords = passwords
        self.doors = doors

    def write(self, worker_id: WorkerId, doors: Doors, shape: Shape) -> Bootstrap:
        """The one of a worker that comes by these doors. Contains a secret."""
        return Bootstrap(
            worker_id=worker_id,
            cluster_id=doors.cluster_id,
            enroll_address=doors.enroll_addresses(),
            worker_address=doors.worker_addresses(),
            ca_fingerprint=self._authority.fingerprint,
            ca_pem=self._authority.bundle_pem,
            otp=self._passwords.password(worker_id),
            name=shape.name,
            slots=shape.slots,
            labels=shape.labels,
            custom_resources=shape.resources.custom,
        )
