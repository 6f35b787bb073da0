"""What sessions are called, so that whoever looks at the database sees whose they are."""

import os
import secrets
import socket


def session_name(server: str) -> str:
    """What the sessions of this server are called in `pg_stat_activity`, and those of no other.

    PostgreSQL keeps 63 characters of ASCII.
    """
    words = f"hodei {server[:20]} (process {os.getpid()} on {socket.gethostname()[:16]})"
    return f"{words.encode('ascii', 'replace').decode()} {secrets.token_hex(3)}"
