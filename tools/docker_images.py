"""The images that tests run jobs in, made without a registry, of Debian's packages.

Each is a tar file under `.dev/images`, made once and imported into an engine by name:

- `STATIC`: one static program, `/busybox`, and nothing else: no shell by name, no /tmp, no users.
- `BUSYBOX`: that program with its applets under /bin, users, and /tmp. No libc, no Python.
- `MUSL`: the same with the C library musl, a program linked to it (`/bin/libc-facts`) and a library
  for LD_PRELOAD (`/lib/preload.so`), so that a loader that meets the wrong libc is noticed.
- `DEBIAN`: bash, coreutils and what they need, with glibc and `C.UTF-8`, as most images have.
"""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from docker_engine import ROOT, Engine, UnusableError, install_packages

STATIC = "hodei-test/static:1"
BUSYBOX = "hodei-test/busybox:1"
MUSL = "hodei-test/musl:1"
DEBIAN = "hodei-test/debian:1"

CACHE = ROOT / ".dev" / "images"
_RECIPE = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
"""They are made anew whenever this file changes."""

_PATH = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_USERS = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": b"root:x:0:\nnogroup:x:65534:\n",
}

_DEBIAN_PACKAGES = (
    *("base-files", "bash", "coreutils", "dash", "debianutils", "grep", "libacl1", "libattr1"),
    *("libc6", "libc-bin", "libgcc-s1", "libgmp10", "libpcre2-8-0", "libselinux1", "libtinfo6"),
    "sed",
)

_LIBC_FACTS = r"""
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void *thread(void *text) { return text; }

/* Prints what only a working C library can: a thread's answer, an address, the mapped files. */
int main(int argc, char **argv) {
    pthread_t id;
    void *answer = "no thread";
    struct addrinfo *found = NULL;
    char line[512];
    if (pthread_create(&id, NULL, thread, "threads") == 0) pthread_join(id, &answer);
    puts(answer);
    puts(getaddrinfo(argc > 1 ? argv[1] : "localhost", "1", NULL, &found) ? "no address" : "address");
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps))
        if (strchr(line, '/') && strstr(line, "r-xp")) fputs(strchr(line, '/'), stdout);
    return 0;
}
"""

_PRELOAD = r"""
#include <unistd.h>

/* Says on standard error that it was loaded, by whichever program. */
__attribute__((constructor)) static void loaded(void) { write(2, "preloaded\n", 10); }
"""


def load(engine: Engine) -> tuple[str, ...]:
    """Sees to it that an engine has all of them; returns their names.

    Raises:
        UnusableError: A package or a compiler is missing.
    """
    for name, (make, changes) in _IMAGES.items():
        recipe = ("image", "ls", "--quiet", "--filter", f"label=recipe={_RECIPE}", name)
        if not engine.docker(*recipe).strip():
            tar = _cached(name, make)
            engine.import_image(tar, name, (*changes, f"LABEL recipe={_RECIPE}"))
    return tuple(_IMAGES)


def _cached(name: str, make: Callable[[tarfile.TarFile], None]) -> Path:
    path = CACHE / f"{name.replace('/', '-').replace(':', '-')}-{_RECIPE}.tar"
    if not path.exists():
        print(f"Making the image {name}", file=sys.stderr)
        CACHE.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        with tarfile.open(partial, "w") as tar:
            make(tar)
        for old in CACHE.glob(f"{path.stem.rpartition('-')[0]}-*.tar"):
            old.unlink(missing_ok=True)
        partial.rename(path)
    return path


def _static(tar: tarfile.TarFile) -> None:
    _add(tar, "busybox", _busybox().read_bytes(), 0o755)


def _small(tar: tarfile.TarFile) -> None:
    for name in ("bin", "etc", "proc", "root", "sys", "dev"):
        _add_directory(tar, name)
    _add_directory(tar, "tmp", 0o1777)
    _add(tar, "bin/busybox", _busybox().read_bytes(), 0o755)
    listed = subprocess.run([_busybox(), "--list"], check=True, capture_output=True, text=True)
    for applet in sorted({*listed.stdout.split()} - {"busybox"}):
        _add_link(tar, f"bin/{applet}", "busybox")
    for name, content in _USERS.items():
        _add(tar, name, content, 0o644)


def _musl(tar: tarfile.TarFile) -> None:
    install_packages({"musl-gcc": "musl-tools", "gcc": "gcc"})
    _small(tar)
    _add_directory(tar, "lib")
    loader = next(Path("/lib").glob("ld-musl-*.so.1"))
    _add(tar, f"lib/{loader.name}", loader.read_bytes(), 0o755)
    for path, source, options in (
        ("bin/libc-facts", _LIBC_FACTS, ()),
        ("lib/preload.so", _PRELOAD, ("-shared", "-fPIC")),
    ):
        _add(tar, path, _compiled(source, options), 0o755)


def _compiled(source: str, options: tuple[str, ...]) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "source.c").write_text(source)
        output = Path(scratch) / "output"
        command = ["musl-gcc", "-Os", "-s", *options, "-o", output, f"{scratch}/source.c"]
        _run(command)
        return output.read_bytes()


def _debian(tar: tarfile.TarFile) -> None:
    for name in ("bin", "lib", "lib64", "sbin"):
        _add_link(tar, name, f"usr/{name}")
    with tempfile.TemporaryDirectory() as scratch:
        _download(Path(scratch))
        seen: set[str] = set()
        for package in sorted(Path(scratch).glob("*.deb")):
            content = _run(["dpkg-deb", "--fsys-tarfile", package])
            with tarfile.open(fileobj=io.BytesIO(content)) as packed:
                for member in _merged(packed, seen):
                    tar.addfile(member, packed.extractfile(member) if member.isreg() else None)
    for name, content in _USERS.items():
        _add(tar, name, content, 0o644)


def _download(into: Path) -> None:
    command = ["apt-get", "download", "-qq", *_DEBIAN_PACKAGES]
    try:
        _run(command, cwd=into)
    except UnusableError:
        # The machine's index may be missing or old.
        _run(["apt-get", "update", "-qq"])
        _run(command, cwd=into)


def _merged(packed: tarfile.TarFile, seen: set[str]) -> Iterator[tarfile.TarInfo]:
    """The members of a package as they lie in a file system with a merged /usr, each once."""
    for member in packed:
        source = member.name.removeprefix("./").rstrip(".")
        top = source.split("/", 1)[0]
        member.name = f"usr/{source}" if top in {"bin", "lib", "lib64", "sbin"} else source
        if member.islnk():
            member.linkname = member.linkname.removeprefix("./")
        is_ballast = member.name.startswith(
            ("usr/share/doc/", "usr/share/man/", "usr/share/locale/")
        )
        if member.name and member.name not in seen and not is_ballast:
            seen.add(member.name)
            yield member


def _busybox() -> Path:
    path = Path("/bin/busybox")
    if not path.exists():
        install_packages({"busybox": "busybox-static"})
    return path


def _run(command: list[str | Path], cwd: Path | None = None) -> bytes:
    done = subprocess.run(command, cwd=cwd, capture_output=True, check=False)
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip()[-600:]
        raise UnusableError(f"{' '.join(map(str, command))}: {words}")
    return done.stdout


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    tar.addfile(member, io.BytesIO(content))


def _add_directory(tar: tarfile.TarFile, name: str, mode: int = 0o755) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, mode
    tar.addfile(member)


def _add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    tar.addfile(member)


_IMAGES: dict[str, tuple[Callable[[tarfile.TarFile], None], tuple[str, ...]]] = {
    STATIC: (_static, ()),
    BUSYBOX: (_small, (_PATH, 'CMD ["sh"]')),
    MUSL: (_musl, (_PATH, 'CMD ["sh"]')),
    DEBIAN: (_debian, (_PATH, 'CMD ["bash"]')),
}
