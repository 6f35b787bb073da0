import msgspec
import pytest

from hodei.domain.jobs.events import JobAccepted, JobAssigned
from hodei.kernel.ids import FencingToken, WorkerId
from hodei.wire import event_codec
from hodei.wire.event_codec import EncodedEvent, Event, EventCodec, UnreadableEventError
from replay.event_samples import SAMPLES


@pytest.mark.parametrize("event", SAMPLES.values(), ids=SAMPLES)
def test_an_event_is_read_as_it_was_written(event: Event):
    assert event_codec.decode(*event_codec.encode(event)) == event


def test_an_event_is_stored_with_all_its_fields_so_that_a_later_default_does_not_change_it():
    plain = SAMPLES["JobCreated.script"]

    for field in (b"timeout_s", b"grace_s", b"max_attempts", b"priority", b"log_policy"):
        assert field in event_codec.encode(plain).data


def test_the_names_of_types_are_those_that_are_stored_already():
    assert event_codec.encode(JobAccepted(attempt=1)) == EncodedEvent(
        "JobAccepted", 1, b"\x81\xa7attempt\x01"
    )


class TestOlderVersions:
    codec = EventCodec(
        (JobAccepted, JobAssigned),
        versions={"JobAssigned": 3},
        upcasters={
            ("JobAssigned", 1): lambda old: {**old, "worker_id": f"w-{old['worker']}"},
            ("JobAssigned", 2): lambda old: {**old, "token": old["token"] + 1},
        },
    )
    current = JobAssigned(attempt=1, worker_id=WorkerId("w-7"), token=FencingToken(5))

    def test_are_brought_up_step_by_step(self):
        first = msgspec.msgpack.encode({"attempt": 1, "worker": "7", "token": 4})
        second = msgspec.msgpack.encode({"attempt": 1, "worker_id": "w-7", "token": 4})

        assert self.codec.decode("JobAssigned", 1, first) == self.current
        assert self.codec.decode("JobAssigned", 2, second) == self.current

    def test_are_not_written_any_more(self):
        stored = self.codec.encode(self.current)

        assert stored.version == 3
        assert self.codec.decode(*stored) == self.current


class TestUnreadable:
    def test_is_a_type_of_a_newer_hodei(self):
        with pytest.raises(
            UnreadableEventError, match="JobFrozen version 1 is not known here: use"
        ):
            event_codec.decode("JobFrozen", 1, b"\x80")

    def test_is_a_version_of_a_newer_hodei(self):
        with pytest.raises(UnreadableEventError, match="JobQueued version 2 is not known"):
            event_codec.decode("JobQueued", 2, b"\x80")

    @pytest.mark.parametrize("data", [b"", b"\xc1", b"\x80", b"\x81\xa7attempt\xa1x"])
    def test_is_what_is_damaged(self, data: bytes):
        with pytest.raises(UnreadableEventError, match="damaged"):
            event_codec.decode("JobAccepted", 1, data)
