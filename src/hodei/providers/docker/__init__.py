"""Workers as containers of a Docker engine, made from whatever image a job names.

Start with `provider`. What an operator decides is in `options`, the connection in `engine`, images
and their registries in `images` and `registry_logins`, the container that is asked for in
`container`, what becomes of containers in `watch`, and what the engine refuses in `refusals`.
"""

from hodei.providers.docker.engine import EngineAddress
from hodei.providers.docker.options import DockerOptions
from hodei.providers.docker.provider import DockerProvider

__all__ = ["DockerOptions", "DockerProvider", "EngineAddress"]
