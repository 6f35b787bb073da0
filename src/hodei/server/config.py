"""The configuration of a server process: what it is, and how the environment names it."""

from dataclasses import dataclass, field
from pathlib import Path


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
    region: str = "local"
    """The label hodei.region of its workers."""
    agent_command: tuple[str, ...] = ()
    """How an agent is started; empty means this interpreter with `-m hodei.agent`."""
    custom_resources: dict[str, int] = field(default_factory=dict[str, int])
    """Countable things that each worker has, by name."""


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
    name: str = ""
    """Of this server, for people; empty means the host's name."""
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
    log_retention_s: float = 168 * 3600.0
    """How long the output of jobs is kept."""
    local: LocalProviderConfig = LocalProviderConfig()
