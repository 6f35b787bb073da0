"""A worker proves itself by its one-time password, once."""

import pytest

from hodei.application.enroll_worker import EnrollWorker
from hodei.domain.workers.decide import LOST_REPLY_WINDOW
from hodei.domain.workers.versions import AgentVersionError
from hodei.kernel.errors import PermissionDeniedError, UnauthenticatedError
from hodei.kernel.ids import WorkerId
from hodei.kernel.version import VERSION
from hodei.ports.pki import WorkerIdentity
from hodei.ports.providers import Bootstrap
from support.chance import NOON
from support.plane import Plane

W = WorkerId("static-1")


@pytest.fixture
def plane() -> Plane:
    return Plane()


@pytest.fixture
def enrolment(plane: Plane) -> EnrollWorker:
    return EnrollWorker(
        journal=plane.journal,
        workers=plane.store,
        authority=plane.authority,
        passwords=plane.passwords,
        counters=plane.counters,
    )


async def invited(plane: Plane, worker_id: WorkerId = W) -> Bootstrap:
    return await plane.inviter.invite(name="", labels={}, worker_id=worker_id)


async def refused(plane: Plane, enrolment: EnrollWorker, password: str, key: bytes = b"k") -> None:
    before = plane.counters.snapshot().get("enrolments_refused", 0)
    with pytest.raises((UnauthenticatedError, PermissionDeniedError)):
        await enrolment.enroll(worker_id=W, password=password, csr_der=key, agent_version=VERSION)
    assert plane.counters.snapshot()["enrolments_refused"] == before + 1


async def test_the_right_password_gets_a_certificate_for_the_workers_own_key(
    plane: Plane, enrolment: EnrollWorker
) -> None:
    told = await invited(plane)
    enrolled = await enrolment.enroll(
        worker_id=W, password=told.otp, csr_der=b"k", agent_version=VERSION
    )
    assert enrolled.chain_pem == f"certificate 1 of {W}"
    registration = (await plane.worker(W)).registration
    assert registration is not None
    assert registration.event.key_hash == b"k"


async def test_a_lost_reply_is_repeated_for_the_same_key_for_a_while(
    plane: Plane, enrolment: EnrollWorker
) -> None:
    told = await invited(plane)
    first = await enrolment.enroll(
        worker_id=W, password=told.otp, csr_der=b"k", agent_version=VERSION
    )
    plane.clock.jump(LOST_REPLY_WINDOW.total_seconds())
    again = await enrolment.enroll(
        worker_id=W, password=told.otp, csr_der=b"k", agent_version=VERSION
    )
    assert again.chain_pem == first.chain_pem
    plane.clock.jump(1)
    await refused(plane, enrolment, told.otp)


async def test_the_password_with_another_key_is_an_alarm(
    plane: Plane, enrolment: EnrollWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    told = await invited(plane)
    await enrolment.enroll(worker_id=W, password=told.otp, csr_der=b"k", agent_version=VERSION)
    with pytest.raises(PermissionDeniedError, match="used before with another key"):
        await enrolment.enroll(
            worker_id=W, password=told.otp, csr_der=b"other", agent_version=VERSION
        )
    written = capsys.readouterr().out
    assert "error" in written
    assert "enrolment_refused" in written
    assert told.otp not in written


async def test_two_at_once_with_different_keys_get_one_certificate(
    plane: Plane, enrolment: EnrollWorker
) -> None:
    told = await invited(plane)
    got: list[str] = []

    async def enroll(key: bytes) -> None:
        try:
            enrolled = await enrolment.enroll(
                worker_id=W, password=told.otp, csr_der=key, agent_version=VERSION
            )
            got.append(enrolled.chain_pem)
        except PermissionDeniedError:
            got.append("refused")

    plane.store.gate.clear()
    plane.run(enroll(b"one"), enroll(b"two"))
    await plane.settle()
    plane.store.gate.set()
    await plane.settle()
    assert sorted(got) == [f"certificate 1 of {W}", "refused"]


async def test_a_late_a_wrong_or_anothers_password_opens_no_door(
    plane: Plane, enrolment: EnrollWorker
) -> None:
    await refused(plane, enrolment, "of nobody")
    told = await invited(plane)
    others = await invited(plane, WorkerId("static-2"))
    await refused(plane, enrolment, "")
    await refused(plane, enrolment, others.otp)
    plane.clock.jump(300)
    await refused(plane, enrolment, told.otp)
    assert (await plane.worker(W)).registration is None


async def test_a_worker_that_has_ended_does_not_come_back_by_its_password(
    plane: Plane, enrolment: EnrollWorker
) -> None:
    told = await invited(plane)
    plane.fleet.load(await plane.store.living_workers(), [])
    await plane.ender.end(W, why=None, message="no longer wanted")
    await refused(plane, enrolment, told.otp)


async def test_a_worker_that_shows_its_newest_certificate_gets_another(
    plane: Plane, enrolment: EnrollWorker
) -> None:
    told = await invited(plane)
    await enrolment.enroll(worker_id=W, password=told.otp, csr_der=b"k", agent_version=VERSION)
    for serial in ("1", "2", "2"):
        identity = WorkerIdentity(worker_id=W, serial=serial, not_after=NOON)
        await enrolment.renew(identity, b"k2")
    assert (await plane.worker(W)).serials == ("3", "4")
    with pytest.raises(UnauthenticatedError):
        await enrolment.renew(WorkerIdentity(worker_id=W, serial="1", not_after=NOON), b"k3")
    assert plane.counters.snapshot() == {"renewals_refused": 1}


async def test_an_agent_that_is_too_old_or_too_new_is_told_what_to_do_and_keeps_its_password(
    plane: Plane,
) -> None:
    enrolment = EnrollWorker(
        journal=plane.journal,
        workers=plane.store,
        authority=plane.authority,
        passwords=plane.passwords,
        counters=plane.counters,
        version="2.3.1",
    )
    told = await invited(plane)
    for version, advice in (
        ("2.1.9", "built from it"),
        ("1.9.0", "built from it"),
        ("2.4.0", "upgrade the server first"),
    ):
        with pytest.raises(AgentVersionError, match=advice):
            await enrolment.enroll(
                worker_id=W, password=told.otp, csr_der=b"k", agent_version=version
            )
    assert plane.counters.snapshot()["enrolments_refused"] == 3
    with pytest.raises(UnauthenticatedError):
        await enrolment.enroll(worker_id=W, password="wrong", csr_der=b"k", agent_version="1.0")
    enrolled = await enrolment.enroll(
        worker_id=W, password=told.otp, csr_der=b"k", agent_version="2.2.0+3f2a"
    )
    assert enrolled.chain_pem
