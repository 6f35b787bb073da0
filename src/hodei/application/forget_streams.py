"""Records that streams are down of which nobody else will say so.

The server that has a stream says when it ends. One that has died cannot, and one whose store was
away at that moment has not; and as long as a worker seems to be connected to a server that lives,
nobody counts its silence.
"""

from hodei.application.fleet import Fleet, Member
from hodei.application.journal import Journal
from hodei.domain.workers import decide


class ForgetStreams:
    """The use case of what is seen of other servers."""

    def __init__(self, *, journal: Journal, fleet: Fleet) -> None:
        self._journal = journal
        self._fleet = fleet
        self._standing = fleet.standing

    async def forget(self) -> None:
        """Records it for streams that are this server's to tell of. Idempotent.

        Raises:
            StoreUnavailableError: Some may be left; call it again.
        """
        for member in self._fleet.members():
            if message := self._is_down(member):
                epoch = member.worker.session_epoch
                silent_s = self._fleet.silence_s(member)
                await self._journal.change_worker(
                    member.worker.id,
                    lambda worker, message=message, epoch=epoch, silent_s=silent_s: (
                        decide.disconnect(
                            worker, session_epoch=epoch, message=message, silent_s=silent_s
                        )
                    ),
                )

    def _is_down(self, member: Member) -> str:
        """Why it is; empty where it is not, or where that is for another to say."""
        worker = member.worker
        if not worker.connected or member.is_connected or member.opening:
            return ""
        if worker.server == self._standing.me:
            return "the stream ended while the store was away"
        return "its server is gone" if self._standing.judges(worker) else ""
