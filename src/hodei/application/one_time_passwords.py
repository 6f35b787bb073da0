"""One-time passwords: made by a key, good for one worker, remembered as an HMAC.

A worker's password follows from its id and the key. So it is stored nowhere, and a step that is
carried out again after its server died tells the instance the same one as before. Who has the key
has the certificate authority's too, which lies beside it.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta

from hodei.domain.workers.events import EnrolmentOffer
from hodei.kernel.ids import WorkerId


class OneTimePasswords:
    """Makes and recognises passwords by a key that only servers have."""

    def __init__(self, key: bytes, *, ttl_s: float) -> None:
        self._key = key
        self._ttl = timedelta(seconds=ttl_s)

    def password(self, worker_id: WorkerId) -> str:
        """The password of a worker: 256 bits as URL-safe text. Never log it."""
        # What `recognise` signs begins with an id, so it never is this.
        drawn = hmac.digest(self._key, f"\0{worker_id}".encode(), hashlib.sha256)
        return urlsafe_b64encode(drawn).rstrip(b"=").decode()

    def offer(self, worker_id: WorkerId, now: datetime) -> EnrolmentOffer:
        """What to remember of it; it is good from `now` on, for its time."""
        otp_hmac = self.recognise(worker_id, self.password(worker_id))
        return EnrolmentOffer(otp_hmac=otp_hmac, expires_at=now + self._ttl)

    def recognise(self, worker_id: WorkerId, password: str) -> bytes:
        """What is remembered of this password; the worker id is part of it."""
        message = f"{worker_id}\0{password}".encode()
        return hmac.digest(self._key, message, hashlib.sha256)
