"""Workers as processes of this host, of the user who runs the server. No security boundary.

Start with `provider`. A worker's directory and what it tells are in `instance`, the process that
forks workers in `zygote`, the search for what a killed worker left behind in `leftovers`.
"""

from hodei.providers.local.provider import LocalProvider

__all__ = ["LocalProvider"]
