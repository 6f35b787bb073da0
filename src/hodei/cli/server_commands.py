"""`hodei dev`, `hodei server` and `hodei worker`: what can be typed."""

from typing import Annotated

from typer import Option, Typer

_PORTS = "Ports (0 takes a free one and keeps it)"

DataDir = Annotated[
    str, Option("--data-dir", metavar="DIR", help="Where everything is kept. Default: .hodei")
]
DatabaseUrl = Annotated[
    str,
    Option(
        "--database-url",
        metavar="URL",
        help="PostgreSQL instead of SQLite. With a password better as HODEI_DATABASE_URL.",
    ),
]
GrpcPort = Annotated[
    str, Option("--grpc-port", metavar="PORT", help="For clients.", rich_help_panel=_PORTS)
]
WorkerPort = Annotated[
    str, Option("--worker-port", metavar="PORT", help="For workers.", rich_help_panel=_PORTS)
]
EnrollPort = Annotated[
    str, Option("--enroll-port", metavar="PORT", help="For enrolment.", rich_help_panel=_PORTS)
]
HttpPort = Annotated[
    str, Option("--http-port", metavar="PORT", help="For health.", rich_help_panel=_PORTS)
]
ReadyFile = Annotated[
    str,
    Option("--ready-file", metavar="FILE", help="Gets the addresses as JSON once it serves."),
]
Slots = Annotated[
    str, Option("--slots", metavar="N", help="Jobs that one local worker runs at once.")
]
MaxWorkers = Annotated[
    str, Option("--max-workers", metavar="N", help="Local workers at once, at most.")
]
WarmWorkers = Annotated[
    str, Option("--warm-workers", metavar="N", help="Idle local workers that are kept ready.")
]
Docker = Annotated[
    bool, Option("--docker", help="Run jobs in containers, too: those that name an image.")
]
ConfigFile = Annotated[str, Option("--config", metavar="FILE", help="A TOML file of settings.")]
Settings = Annotated[
    list[str] | None,
    Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any setting that hodei config show lists. Repeatable.",
    ),
]


def register(app: Typer) -> None:
    """Adds the commands."""
    for command in (dev, server, worker):
        app.command()(command)


def dev(
    *,
    data_dir: DataDir = "",
    database_url: DatabaseUrl = "",
    grpc_port: GrpcPort = "",
    worker_port: WorkerPort = "",
    enroll_port: EnrollPort = "",
    http_port: HttpPort = "",
    ready_file: ReadyFile = "",
    slots: Slots = "",
    max_workers: MaxWorkers = "",
    warm_workers: WarmWorkers = "",
    docker: Docker = False,
    config: ConfigFile = "",
    setting: Settings = None,
) -> None:
    """Start everything on this machine, for this machine: control plane and local workers."""
    from hodei.cli.serve import TypedServer, serve_dev

    typed = TypedServer(
        settings={
            "data_dir": (data_dir, "--data-dir"),
            "database_url": (database_url, "--database-url"),
            "grpc_port": (grpc_port, "--grpc-port"),
            "worker_port": (worker_port, "--worker-port"),
            "enroll_port": (enroll_port, "--enroll-port"),
            "http_port": (http_port, "--http-port"),
            "ready_file": (ready_file, "--ready-file"),
            "local.slots": (slots, "--slots"),
            "local.max_workers": (max_workers, "--max-workers"),
            "local.warm_workers": (warm_workers, "--warm-workers"),
            "docker.enabled": ("1" if docker else "", "--docker"),
        },
        config_file=config,
        others=setting or [],
    )
    serve_dev(typed)


def server(
    *,
    data_dir: DataDir = "",
    database_url: DatabaseUrl = "",
    name: Annotated[str, Option("--name", help="Of this server, for people.")] = "",
    listen: Annotated[
        str, Option("--listen", metavar="HOST", help="Where clients connect. Loopback only.")
    ] = "",
    worker_listen: Annotated[
        str, Option("--worker-listen", metavar="HOST", help="Where workers connect.")
    ] = "",
    advertise_address: Annotated[
        str,
        Option("--advertise-address", metavar="HOST", help="The address that workers are told."),
    ] = "",
    grpc_port: GrpcPort = "",
    worker_port: WorkerPort = "",
    enroll_port: EnrollPort = "",
    http_port: HttpPort = "",
    ready_file: ReadyFile = "",
    slots: Slots = "",
    max_workers: MaxWorkers = "",
    warm_workers: WarmWorkers = "",
    docker: Docker = False,
    config: ConfigFile = "",
    setting: Settings = None,
) -> None:
    """Start a control plane."""
    from hodei.cli.serve import TypedServer, serve_server

    typed = TypedServer(
        settings={
            "data_dir": (data_dir, "--data-dir"),
            "database_url": (database_url, "--database-url"),
            "name": (name, "--name"),
            "listen_host": (listen, "--listen"),
            "worker_listen_host": (worker_listen, "--worker-listen"),
            "advertise_host": (advertise_address, "--advertise-address"),
            "grpc_port": (grpc_port, "--grpc-port"),
            "worker_port": (worker_port, "--worker-port"),
            "enroll_port": (enroll_port, "--enroll-port"),
            "http_port": (http_port, "--http-port"),
            "ready_file": (ready_file, "--ready-file"),
            "local.slots": (slots, "--slots"),
            "local.max_workers": (max_workers, "--max-workers"),
            "local.warm_workers": (warm_workers, "--warm-workers"),
            "docker.enabled": ("1" if docker else "", "--docker"),
        },
        config_file=config,
        others=setting or [],
    )
    serve_server(typed)


def worker(
    *,
    bootstrap: Annotated[
        str,
        Option(
            "--bootstrap",
            metavar="FILE",
            help="What hodei workers invite printed. Default: stdin.",
        ),
    ] = "",
    work_dir: Annotated[
        str,
        Option(
            "--work-dir",
            metavar="DIR",
            help="Where jobs run. Default: a temporary one, removed at the end.",
        ),
    ] = "",
    name: Annotated[str, Option("--name", help="Of the worker, for people.")] = "",
    slots: Annotated[
        int | None, Option("--slots", min=1, max=256, help="Jobs that it runs at once.")
    ] = None,
    label: Annotated[
        list[str] | None, Option("--label", metavar="KEY=VALUE", help="Repeatable.")
    ] = None,
    taint: Annotated[
        list[str] | None,
        Option("--taint", metavar="KEY=VALUE:EFFECT", help="Keeps jobs away. Repeatable."),
    ] = None,
    resource: Annotated[
        list[str] | None,
        Option("--resource", metavar="NAME=COUNT", help="A countable thing. Repeatable."),
    ] = None,
) -> None:
    """Start a worker by hand, from the invitation on stdin: hodei workers invite | hodei worker."""
    from hodei.cli.worker import TypedWorker, become_worker

    become_worker(
        TypedWorker(
            bootstrap=bootstrap,
            work_dir=work_dir,
            name=name,
            slots=slots,
            labels=label or [],
            taints=taint or [],
            resources=resource or [],
        )
    )
