"""The configuration of a server process: what it is, and how the environment names it."""

from dataclasses import dataclass, field
from pathlib import Path

from hodei.kernel.units import ByteSize


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalProviderConfig:
    """The provider that starts agents as processes on this host."""

    enabled: bool = True
    """Whether there is one. Without it, jobs run on workers that were started by hand."""
    slots: int = 4
    """Jobs that one worker runs at once; 1 to 256."""
    max_workers: int = 4
    """Workers at once; 0 to 1000."""
    warm_workers: int = 1
    """Idle workers kept ready; 0 to max_workers."""
    idle_timeout_s: float = 300.0
    """An idle worker beyond the warm ones leaves after this many seconds."""
    max_age_s: float = 3600.0
    """A worker older than this is drained and replaced."""
    enroll_timeout_s: float = 60.0
    """A worker that has not enrolled by then is taken down."""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    """Every worker gets these."""
    annotations: dict[str, str] = field(default_factory=dict[str, str])
    """What it is, such as `compliance=soc2`; every worker gets these as labels, too, so
    that jobs can ask for them."""
    required_labels: dict[str, str] = field(default_factory=dict[str, str])
    """Every worker gets these, too, and only jobs that ask for all of them run there."""
    region: str = "local"
    """The label hodei.region of its workers."""
    allowed_regions: tuple[str, ...] = ()
    """Jobs that prefer a region run there for one of these, or for its own, only; empty means for any."""
    agent_command: tuple[str, ...] = ()
    """How an agent is started; empty means this interpreter with `-m hodei.agent`."""
    custom_resources: dict[str, int] = field(default_factory=dict[str, int])
    """Countable things that each worker has, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerProviderConfig:
    """The provider that makes a container for each worker, from the image that a job names."""

    enabled: bool = False
    """Whether there is one. Its engine must be there when the server starts."""
    host: str = ""
    """Where the engine is, as `unix://PATH` or `tcp://HOST:PORT`; empty means what `DOCKER_HOST`
    says, or else the engine of the context, or else the usual socket."""
    context: str = ""
    """One of `docker context ls`; empty means the current one. Not used where there is a `host`."""
    cert_path: Path | None = None
    """A directory with `ca.pem`, `cert.pem` and `key.pem`, for an engine that speaks TLS; by default
    what `DOCKER_CERT_PATH` says where `DOCKER_TLS_VERIFY` is set."""
    agent_bundle: str = ""
    """The directory that `make agent-bundle` built, as the engine's host sees it, or the name of a
    volume of the engine with the same files; empty means the newest under `build/agent-bundle`.
    `none` means that the images bring the agent along."""
    image: str = "hodei-worker"
    """For jobs that name none; `HODEI_WORKER_IMAGE` names it too. Empty means that they have to."""
    pull: str = "missing"
    """When an image is fetched: `always`, `missing` or `never`."""
    prepull: tuple[str, ...] = ()
    """Images that are fetched at the start, and looked after, before any job asks for them."""
    registry_auth_file: Path | None = None
    """Logins of registries, as `docker login` writes them into its `config.json`."""
    max_workers: int = 10
    """Containers at once; 0 to 1000."""
    slots: int = 1
    """Jobs that one container runs at once; 1 to 256."""
    jobs_per_worker: int = 1
    """A container leaves after so many jobs, so that none finds what another left; 0 is no limit."""
    warm: dict[str, int] = field(default_factory=dict[str, int])
    """Idle containers that are kept ready, by image."""
    idle_timeout_s: float = 300.0
    """An idle container beyond the warm ones leaves after this many seconds."""
    max_age_s: float = 3600.0
    """A container older than this is drained and replaced."""
    enroll_timeout_s: float = 60.0
    """A container whose agent has not enrolled by then is taken down; its image is there by then."""
    network: str = "bridge"
    """The network of the engine that containers are in."""
    server_host: str = ""
    """The address by which containers reach this server; empty means the gateway of the network,
    where workers' and enrolment's ports are then open too."""
    cpu_millicores: int = 0
    """What one container may use, in thousandths of a core, where a job does not say; 0 is all."""
    memory: str = ""
    """As above, of memory, such as `512Mi`; empty is all."""
    pids_limit: int = 1024
    """Processes and threads in one container; 0 is no limit."""
    shm_size: str = ""
    """Of `/dev/shm`, such as `64Mi`; empty is the engine's default."""
    tmpfs: tuple[str, ...] = ()
    """File systems in memory of every container, each as `PATH` or `PATH:OPTIONS`."""
    mounts: tuple[str, ...] = ()
    """Of every container, each as `SOURCE:TARGET` or `SOURCE:TARGET:ro`."""
    extra_hosts: tuple[str, ...] = ()
    """Lines of `/etc/hosts` of every container, each as `NAME:ADDRESS`."""
    dns_servers: tuple[str, ...] = ()
    """Addresses that every container asks for names; empty means what the engine has."""
    user: str = ""
    """Of every container, where a job does not say; empty means the image's."""
    cap_add: tuple[str, ...] = ()
    """Capabilities of Linux that containers keep; all others are dropped."""
    allow_new_privileges: bool = False
    """Whether programs such as `sudo` may gain rights."""
    read_only: bool = False
    """Whether the images' files cannot be changed; a job's workspace always can."""
    runtime: str = ""
    """An OCI runtime that the engine knows, such as `runsc`; empty means the engine's default."""
    gpus: int = 0
    """How many GPUs the engine gives to containers."""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    """Every worker, and every container, gets these."""
    annotations: dict[str, str] = field(default_factory=dict[str, str])
    """What it is, such as `compliance=soc2`; every worker and container gets these as labels, too, so
    that jobs can ask for them."""
    required_labels: dict[str, str] = field(default_factory=dict[str, str])
    """Every worker and container gets these, too, and only jobs that ask for all of them run there."""
    region: str = "docker"
    """The label hodei.region of its workers."""
    allowed_regions: tuple[str, ...] = ()
    """Jobs that prefer a region run there for one of these, or for its own, only; empty means for any."""
    job_options: tuple[str, ...] = (
        *("pull", "pids_limit", "shm_bytes", "tmpfs", "user", "read_only", "platform"),
    )
    """Which fields of `container` a job may decide. `mounts`, `network`, `extra_hosts`, `cap_add`
    and `runtime` let it reach out of its container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Everything that a control plane needs to know."""

    data_dir: Path
    """Database, logs, certificates, workers' directories; made with mode 0700."""
    database_url: str = ""
    """PostgreSQL, as `postgresql://user:password@host:port/database`; empty means SQLite under
    `data_dir`. The output of jobs is where the jobs are; certificates stay in `data_dir`."""
    dev_mode: bool = False
    """Clients speak plaintext; loopback only."""
    cluster_key: Path | None = None
    """With PostgreSQL, a file with the key that seals what its servers have in common: the first
    makes it, and each needs it. Without it, who can read the database can make certificates."""
    name: str = ""
    """Of this server, among those that share a database each its own; empty means the host's name."""
    listen_host: str = "127.0.0.1"
    """Where clients connect; only loopback addresses until users can log in."""
    worker_listen_host: str = "127.0.0.1"
    """Where workers connect."""
    advertise_host: str = ""
    """The address that workers are told; empty means `worker_listen_host`."""
    grpc_port: int = 50051
    """Clients. 0 takes a free one and keeps it in the data directory."""
    worker_port: int = 50052
    """Streams of workers. 0 as above."""
    enroll_port: int = 50053
    """Enrolment. 0 as above."""
    http_port: int = 8080
    """Health. 0 as above."""
    ready_file: Path | None = None
    """Gets the addresses as JSON once the server serves."""
    heartbeat_interval_s: float = 15.0
    """How often an agent reports; 0.1 to 600."""
    lease_s: float = 60.0
    """A worker that was silent for this long is lost; at least two heartbeats."""
    otp_ttl_s: float = 300.0
    """How long a one-time password opens the door; 10 to 3600."""
    stop_grace_s: float = 30.0
    """How long a clean stop waits for running jobs before it ends them."""
    stop_workers_on_exit: bool = True
    """Whether a clean stop drains and ends local workers. A crash never does."""
    job_retention_s: float = 30 * 86400.0
    """How long jobs that have ended are kept, and with them their events; workers too. 1h or more."""
    log_retention_s: float = 30 * 86400.0
    """How long the output of jobs that have ended is kept, at most; no longer than the jobs."""
    log_max_size: ByteSize = ByteSize(50 * 2**30)  # noqa: RUF009 - it cannot be changed
    """How much output is kept of all jobs that have ended, as it is stored: beyond that, the oldest
    goes before its time. 0 means no limit."""
    workflow_retention_s: float = 30 * 86400.0
    """How long runs of workflows that have ended are kept, with their histories. 1h or more."""
    provider_strategy: str = "first-available"
    """Which of several providers that fit makes a worker: `first-available` (by priority), `lowest-cost`,
    `fastest-startup`, `most-capacity`, `round-robin` or `healthiest`."""
    worker_strategy: str = "least-loaded"
    """Which of several workers that fit and have room gets a job: `first-available` (the oldest, until it
    is full), `least-loaded`, `most-capacity`, `round-robin` or `affinity` (one that ran a job of the same
    name of late)."""
    local: LocalProviderConfig = LocalProviderConfig()
    docker: DockerProviderConfig = DockerProviderConfig()
