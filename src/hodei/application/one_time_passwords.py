"""One-time passwords: drawn once, told once, remembered as an HMAC."""

import hashlib
import hmac
from datetime import datetime, timedelta

from hodei.domain.workers.events import EnrolmentOffer
from hodei.kernel.clock import IdSource
from hodei.kernel.ids import WorkerId


class OneTimePasswords:
    """Draws and recognises passwords by a key that only servers have."""

    def __init__(self, key: bytes, ids: IdSource, *, ttl_s: float) -> None:
        self._key = key
        self._ids = ids
        self._ttl = timedelta(seconds=ttl_s)

    def draw(self, worker_id: WorkerId, now: datetime) -> tuple[str, EnrolmentOffer]:
        """A new password for a worker, and what to remember of it."""
        password = self._ids.secret()
        offer = EnrolmentOffer(
            otp_hmac=self.recognise(worker_id, password), expires_at=now + self._ttl
        )
        return password, offer

    def recognise(self, worker_id: WorkerId, password: str) -> bytes:
        """What is remembered of this password; the worker id is part of it."""
        message = f"{worker_id}\0{password}".encode()
        return hmac.digest(self._key, message, hashlib.sha256)
