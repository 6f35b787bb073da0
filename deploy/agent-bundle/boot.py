"""Runs the agent out of its bundle: finds its modules in one file, and starts `hodei.agent`.

The file has what `tools/agent_bundle/compile_modules.py` wrote: eight bytes with the size of the
index, the index, and then the code of each module. One file instead of some 800 saves a third of
the start: no directory is listed, and nothing is looked for twice.
"""

import gc
import sys

# The objects of imports are never garbage; the agent turns the collector on when all are there.
gc.disable()

from _frozen_importlib import ModuleSpec  # noqa: E402 - see above
from _frozen_importlib_external import ExtensionFileLoader, PathFinder  # noqa: E402
from _thread import RLock  # noqa: E402
from marshal import loads  # noqa: E402
from posix import O_CLOEXEC, O_RDONLY, _exit, close, pread  # noqa: E402
from posix import open as open_fd  # noqa: E402

LIBRARIES = sys.path[-1].removesuffix("/lib-dynload")
DIRECTORY = LIBRARIES.rpartition("/lib/")[0]
"""Of the bundle; the last entry of the path is DIRECTORY/lib/pythonX.Y/lib-dynload."""
BLOB = DIRECTORY + "/hodei.blob"

LATER = frozenset(
    {
        # asyncio's and grpc's, where nobody speaks TLS through Python.
        "asyncio.sslproto",
        "ssl",
        # Of protobuf without its own machine code.
        "google.protobuf.internal.python_message",
        # For tracebacks and the like.
        "asyncio.staggered",
        "copy",
        "inspect",
        "ipaddress",
        "linecache",
        "pkgutil",
        "random",
        "shutil",
        "tempfile",
        "textwrap",
        "tokenize",
    }
)
"""Imported at every start by what hardly ever uses them."""

ModuleType = type(sys)


class Later(ModuleType):
    """A module whose code runs when something of it is first used."""

    def __getattribute__(self, name: str) -> object:
        """What it has of that name, once it is loaded."""
        if name not in FOR_IMPORTS:
            # Whoever comes while another thread loads it waits; who loads it finds what there is.
            with LOADING:
                if type(self) is Later and self not in under_way:
                    under_way.append(self)
                    try:
                        store.run(self)
                    finally:
                        under_way.remove(self)
                    self.__class__ = ModuleType
        return ModuleType.__getattribute__(self, name)


FOR_IMPORTS = frozenset(
    {
        *("__cached__", "__class__", "__file__", "__loader__", "__name__", "__package__"),
        *("__path__", "__spec__"),
    }
)
"""What importlib asks a module for."""
LOADING = RLock()
under_way: list[ModuleType] = []


class Store:
    """A finder and loader of the modules in the file."""

    def __init__(self) -> None:
        size = int.from_bytes(_read(0, 8), "little")
        self._index: dict[str, str | tuple[int, int, bool]] = loads(_read(8, size))  # noqa: S302
        self._start = 8 + size

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> object:
        """As importlib asks for it."""
        found = self._index.get(name)
        if found is None:
            return None
        if isinstance(found, str):
            file = f"{LIBRARIES}/{found}"
            spec = ModuleSpec(name, ExtensionFileLoader(name, file), origin=file)
            spec.has_location = True
            return spec
        is_package = found[2]
        spec = ModuleSpec(name, self, origin=BLOB, is_package=is_package)
        if is_package:
            spec.submodule_search_locations = [f"{LIBRARIES}/{name.replace('.', '/')}"]
        return spec

    def create_module(self, spec: ModuleSpec) -> Later | None:
        """Leaves it to importlib, but for those that wait."""
        return Later(spec.name) if spec.name in LATER else None

    def exec_module(self, module: ModuleType) -> None:
        """Runs a module's code in it, unless it waits."""
        if type(module) is not Later:
            self.run(module)

    def run(self, module: ModuleType) -> None:
        """Runs a module's code in it."""
        exec(self.get_code(module.__name__), module.__dict__)  # noqa: S102 - what a loader does

    def get_code(self, name: str) -> object:
        """The code of a module, or what else goes by the name."""
        offset, size, _ = self._index[name]
        return loads(_read(self._start + offset, size))  # noqa: S302 - our own file

    def get_source(self, _name: str) -> None:
        """There is none in a bundle."""

    def is_package(self, name: str) -> bool:
        """Whether it has modules in it."""
        return self._index[name][2]


def _read(offset: int, size: int) -> bytes:
    # Opened each time: keeper and slots close all descriptors that they do not know.
    fd = open_fd(BLOB, O_RDONLY | O_CLOEXEC)
    try:
        return pread(fd, size, offset)
    finally:
        close(fd)


def ask_files_and_dns_only() -> None:
    """Keeps glibc from loading what the image's nsswitch.conf names."""
    from ctypes import CDLL  # noqa: PLC0415 - out of the store

    configure = CDLL(None)["__nss_configure_lookup"]
    configure(b"hosts", b"files dns")
    for database in (b"passwd", b"group", b"services", b"initgroups"):
        configure(database, b"files")


store = Store()
sys.meta_path.insert(sys.meta_path.index(PathFinder), store)
# What tools that pack Python programs agree on: the executable is the program itself.
sys.frozen = True
sys.executable = DIRECTORY + "/hodei-agent"

import hodei_prepared  # noqa: E402

hodei_prepared.use(*store.get_code("#prepared"))
ask_files_and_dns_only()

from hodei.agent.main import main  # noqa: E402
from hodei.agent.program import preload, prepare  # noqa: E402

code = main(sys.argv[1:], prepare, preload)
sys.stdout.flush()
sys.stderr.flush()
# What the interpreter would tear down piece by piece ends with its process.
_exit(code)
