"""A worker proves itself by its one-time password and gets a certificate."""

from dataclasses import dataclass

import structlog

from hodei.application.counters import Counters
from hodei.application.journal import ConflictError, Journal, worker_write
from hodei.application.one_time_passwords import OneTimePasswords
from hodei.domain.workers import decide
from hodei.domain.workers.events import CertificateRenewed, WorkerEvent, WorkerRegistered
from hodei.domain.workers.versions import Release, check_new
from hodei.domain.workers.worker import Worker
from hodei.kernel.errors import PermissionDeniedError, RefusedError, UnauthenticatedError
from hodei.kernel.ids import WorkerId
from hodei.kernel.version import VERSION
from hodei.ports.pki import CertificateAuthority, IssuedCertificate, WorkerIdentity
from hodei.ports.stores import WorkerStore

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """What a worker gets."""

    worker: Worker
    chain_pem: str


class EnrollWorker:
    """The use case behind `Register`."""

    def __init__(
        self,
        *,
        journal: Journal,
        workers: WorkerStore,
        authority: CertificateAuthority,
        passwords: OneTimePasswords,
        counters: Counters,
        version: str = VERSION,
    ) -> None:
        self._journal = journal
        self._workers = workers
        self._authority = authority
        self._passwords = passwords
        self._counters = counters
        self._version = version

    async def enroll(
        self, *, worker_id: WorkerId, password: str, csr_der: bytes, agent_version: str
    ) -> Enrolled:
        """Issues a certificate for the request's key; the same one for a repeated call.

        Raises:
            UnauthenticatedError: The password does not open the door.
            PermissionDeniedError: It was used before with another key; an alarm is logged.
            BadCsrError: The certificate request is not acceptable.
            AgentVersionError: The agent is too old or too new; the password stays good.
        """
        try:
            return await self._enroll(worker_id, password, csr_der, agent_version)
        except RefusedError as error:
            self._counters.add("enrolments_refused")
            is_alarm = isinstance(error, PermissionDeniedError)
            note = log.error if is_alarm else log.warning
            note("enrolment_refused", worker_id=worker_id, code=error.code, message=str(error))
            raise

    async def _enroll(
        self, worker_id: WorkerId, password: str, csr_der: bytes, agent_version: str
    ) -> Enrolled:
        key_hash = self._authority.key_hash(csr_der)
        otp_hmac = self._passwords.recognise(worker_id, password)
        while True:
            worker = await self._workers.load_worker(worker_id)
            now = self._journal.now()
            before = decide.admit(worker, otp_hmac=otp_hmac, key_hash=key_hash, now=now)
            if worker is None:
                raise UnauthenticatedError("the one-time password is not valid")
            if before is not None:
                return Enrolled(worker=worker, chain_pem=before.event.chain_pem)
            if check_new(agent_version, self._version) is Release.BEFORE:
                log.warning(
                    "agent_of_the_release_before", worker_id=worker_id, agent_version=agent_version
                )
            issued = self._authority.issue_worker(csr_der, worker_id, now)
            write = worker_write(worker, [_registered(issued)], now)
            try:
                await self._journal.commit(
                    at=now, workers=[write], correlation_id=worker.for_job or worker_id
                )
            except ConflictError:
                # Somebody else used the password meanwhile, or the worker moved on: look again.
                continue
            log.info("worker_enrolled", worker_id=worker_id, serial=issued.serial)
            return Enrolled(worker=write.after, chain_pem=issued.chain_pem)

    async def renew(self, identity: WorkerIdentity, csr_der: bytes) -> Enrolled:
        """Issues another certificate to a worker that shows its current one.

        Raises:
            UnauthenticatedError: The worker has ended, or the certificate is not one of its
                newest two.
            BadCsrError: The certificate request is not acceptable.
        """
        issued = self._authority.issue_worker(csr_der, identity.worker_id, self._journal.now())

        def renew(worker: Worker) -> list[WorkerEvent]:
            check_identity(worker, identity)
            return [CertificateRenewed(serial=issued.serial, not_after=issued.not_after)]

        try:
            worker = await self._journal.change_worker(identity.worker_id, renew)
        except RefusedError as error:
            self._counters.add("renewals_refused")
            log.warning("renewal_refused", worker_id=identity.worker_id, message=str(error))
            raise
        log.info("certificate_renewed", worker_id=identity.worker_id, serial=issued.serial)
        return Enrolled(worker=worker, chain_pem=issued.chain_pem)


def check_identity(worker: Worker, identity: WorkerIdentity) -> None:
    """Whether a certificate is one of the worker's own newest.

    Raises:
        UnauthenticatedError: It is not, or the worker has ended.
    """
    if worker.has_ended:
        raise UnauthenticatedError(f"worker {worker.id} has ended as {worker.state}")
    if identity.serial not in worker.serials:
        raise UnauthenticatedError(
            f"certificate {identity.serial} is not a current one of worker {worker.id}"
        )


def _registered(issued: IssuedCertificate) -> WorkerRegistered:
    return WorkerRegistered(
        key_hash=issued.key_hash,
        serial=issued.serial,
        chain_pem=issued.chain_pem,
        not_after=issued.not_after,
    )
