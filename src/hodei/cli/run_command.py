"""`hodei run`: what can be typed."""

from typing import Annotated

from typer import Argument, Exit, Option, Typer

from hodei.cli.options import Output, Server
from hodei.cli.output import OutputFormat

_JOB = "The job"
_RETRIES = "Retries"
_PLACE = "Where it runs"
_CONTAINER = "Its container"


def register(app: Typer) -> None:
    """Adds the command."""
    # Everything after the first word that is no option is the job's, options of its own included.
    app.command(context_settings={"allow_interspersed_args": False})(run)


def run(
    command: Annotated[
        list[str] | None,
        Argument(
            metavar="COMMAND [ARGS]...",
            show_default=False,
            help="The program and its arguments, each exactly as given.",
        ),
    ] = None,
    *,
    job_id: Annotated[
        str,
        Option(
            "--id",
            help="The same id with the same definition is the same job. Drawn if absent.",
            rich_help_panel=_JOB,
        ),
    ] = "",
    name: Annotated[str, Option("--name", help="For people.", rich_help_panel=_JOB)] = "",
    description: Annotated[
        str, Option("--description", help="For people.", rich_help_panel=_JOB)
    ] = "",
    script: Annotated[
        str,
        Option(
            "--script",
            metavar="FILE",
            help="Run the script in FILE (- for stdin) instead of a command.",
            rich_help_panel=_JOB,
        ),
    ] = "",
    interpreter: Annotated[
        str,
        Option(
            "--interpreter",
            help="What runs the script. Default: what its first line names, else bash.",
            rich_help_panel=_JOB,
        ),
    ] = "",
    env: Annotated[
        list[str] | None,
        Option(
            "--env",
            metavar="NAME=VALUE",
            help="A variable of the job; NAME alone takes its value from here. Repeatable.",
            rich_help_panel=_JOB,
        ),
    ] = None,
    env_file: Annotated[
        list[str] | None,
        Option(
            "--env-file",
            metavar="FILE",
            help="A file of such lines; # begins a comment. --env wins. Repeatable.",
            rich_help_panel=_JOB,
        ),
    ] = None,
    stdin: Annotated[
        str,
        Option(
            "--stdin",
            metavar="FILE",
            help="What the job reads on its stdin (- for stdin). Default: nothing.",
            rich_help_panel=_JOB,
        ),
    ] = "",
    workdir: Annotated[
        str,
        Option(
            "--workdir",
            metavar="DIR",
            help="On the worker. Default: a private directory, removed afterwards.",
            rich_help_panel=_JOB,
        ),
    ] = "",
    timeout: Annotated[
        str,
        Option(
            "--timeout",
            metavar="TIME",
            help="Of one attempt, such as 500ms, 30s, 2m, 1h30m. Default: 300s.",
            rich_help_panel=_JOB,
        ),
    ] = "",
    grace: Annotated[
        str,
        Option(
            "--grace",
            metavar="TIME",
            help="Between SIGTERM and SIGKILL. Default: 10s.",
            rich_help_panel=_JOB,
        ),
    ] = "",
    deadline: Annotated[
        str,
        Option(
            "--deadline",
            metavar="TIME",
            help="From now to the end of the last attempt.",
            rich_help_panel=_JOB,
        ),
    ] = "",
    disconnect_timeout: Annotated[
        str,
        Option(
            "--disconnect-timeout",
            metavar="TIME",
            help="How long it runs on while its worker has no server. Default: 300s.",
            rich_help_panel=_JOB,
        ),
    ] = "",
    log_policy: Annotated[
        str,
        Option(
            "--log-policy",
            help="When the output outruns the server: HOLD the job, or DROP_OLDEST.",
            rich_help_panel=_JOB,
        ),
    ] = "",
    priority: Annotated[
        str,
        Option("--priority", help="LOW, NORMAL, HIGH or CRITICAL.", rich_help_panel=_JOB),
    ] = "",
    label: Annotated[
        list[str] | None,
        Option("--label", metavar="KEY=VALUE", help="Repeatable.", rich_help_panel=_JOB),
    ] = None,
    tag: Annotated[
        list[str] | None, Option("--tag", help="Repeatable.", rich_help_panel=_JOB)
    ] = None,
    retries: Annotated[
        int,
        Option("--retries", help="Attempts after the first.", rich_help_panel=_RETRIES),
    ] = 0,
    retry_on: Annotated[
        list[str] | None,
        Option(
            "--retry-on",
            metavar="REASON",
            help="Retry for this reason only, such as NON_ZERO_EXIT_CODE. Repeatable.",
            rich_help_panel=_RETRIES,
        ),
    ] = None,
    backoff: Annotated[
        str,
        Option(
            "--backoff",
            metavar="TIME",
            help="Before the second attempt. Default: 1s.",
            rich_help_panel=_RETRIES,
        ),
    ] = "",
    backoff_factor: Annotated[
        float | None,
        Option(
            "--backoff-factor",
            help="Each further wait is this much longer. Default: 2.",
            rich_help_panel=_RETRIES,
        ),
    ] = None,
    max_backoff: Annotated[
        str,
        Option(
            "--max-backoff",
            metavar="TIME",
            help="The longest wait. Default: 300s.",
            rich_help_panel=_RETRIES,
        ),
    ] = "",
    jitter: Annotated[
        float | None,
        Option(
            "--jitter",
            help="The share of a wait that is drawn at random, 0 to 1. Default: 0.1.",
            rich_help_panel=_RETRIES,
        ),
    ] = None,
    cpu: Annotated[
        float | None, Option("--cpu", help="Cores that it needs.", rich_help_panel=_PLACE)
    ] = None,
    memory: Annotated[
        str, Option("--memory", metavar="SIZE", help="Such as 512Mi.", rich_help_panel=_PLACE)
    ] = "",
    disk: Annotated[
        str, Option("--disk", metavar="SIZE", help="Such as 10G.", rich_help_panel=_PLACE)
    ] = "",
    gpus: Annotated[
        int | None, Option("--gpus", help="GPUs that it needs.", rich_help_panel=_PLACE)
    ] = None,
    gpu_type: Annotated[
        list[str] | None,
        Option("--gpu-type", help="Any of these will do. Repeatable.", rich_help_panel=_PLACE),
    ] = None,
    resource: Annotated[
        list[str] | None,
        Option(
            "--resource",
            metavar="NAME=COUNT",
            help="Another countable thing that it needs. Repeatable.",
            rich_help_panel=_PLACE,
        ),
    ] = None,
    selector: Annotated[
        list[str] | None,
        Option(
            "--selector",
            metavar="KEY=VALUE",
            help="Only workers with this label. Repeatable.",
            rich_help_panel=_PLACE,
        ),
    ] = None,
    provider: Annotated[
        str,
        Option("--provider", help="Only this provider's workers.", rich_help_panel=_PLACE),
    ] = "",
    region: Annotated[
        str,
        Option("--region", help="A worker of this region first.", rich_help_panel=_PLACE),
    ] = "",
    image: Annotated[
        str,
        Option(
            "--image",
            metavar="NAME",
            help="The image that it runs in, whatever is in it.",
            rich_help_panel=_CONTAINER,
        ),
    ] = "",
    pull: Annotated[
        str,
        Option(
            "--pull",
            help="Fetch the image always, when it is missing, or never.",
            rich_help_panel=_CONTAINER,
        ),
    ] = "",
    user: Annotated[
        str,
        Option("--user", metavar="USER[:GROUP]", help="As whom.", rich_help_panel=_CONTAINER),
    ] = "",
    read_only: Annotated[
        bool,
        Option(
            "--read-only", help="The image's files cannot be changed.", rich_help_panel=_CONTAINER
        ),
    ] = False,
    pids_limit: Annotated[
        int,
        Option("--pids-limit", help="Processes and threads at once.", rich_help_panel=_CONTAINER),
    ] = 0,
    shm_size: Annotated[
        str,
        Option("--shm-size", metavar="SIZE", help="Of /dev/shm.", rich_help_panel=_CONTAINER),
    ] = "",
    tmpfs: Annotated[
        list[str] | None,
        Option(
            "--tmpfs",
            metavar="PATH[:OPTIONS]",
            help="A file system in memory. Repeatable.",
            rich_help_panel=_CONTAINER,
        ),
    ] = None,
    mount: Annotated[
        list[str] | None,
        Option(
            "--mount",
            metavar="SOURCE:TARGET[:ro]",
            help="A directory of the engine's host, or a volume. Repeatable.",
            rich_help_panel=_CONTAINER,
        ),
    ] = None,
    network: Annotated[
        str, Option("--network", help="A network of the engine.", rich_help_panel=_CONTAINER)
    ] = "",
    add_host: Annotated[
        list[str] | None,
        Option(
            "--add-host",
            metavar="NAME:ADDRESS",
            help="A line of /etc/hosts. Repeatable.",
            rich_help_panel=_CONTAINER,
        ),
    ] = None,
    cap_add: Annotated[
        list[str] | None,
        Option(
            "--cap-add", help="A capability that it keeps. Repeatable.", rich_help_panel=_CONTAINER
        ),
    ] = None,
    platform: Annotated[
        str,
        Option("--platform", metavar="OS/ARCH", help="Of the image.", rich_help_panel=_CONTAINER),
    ] = "",
    runtime: Annotated[
        str,
        Option(
            "--runtime",
            help="An OCI runtime of the engine, such as runsc.",
            rich_help_panel=_CONTAINER,
        ),
    ] = "",
    detach: Annotated[
        bool, Option("--detach", help="Print the job's id and leave it to itself.")
    ] = False,
    local: Annotated[
        bool,
        Option("--local", help="On a control plane of its own, made for this job and removed."),
    ] = False,
    server: Server = "",
    output: Output = OutputFormat.TEXT,
) -> None:
    """Run a job and stream its output; leaves with the job's exit code.

    126: not executable, 127: not found, 128+n: ended by signal n, 124: timed out, 130: cancelled,
    125: Hodei failed the job, 2: nothing was submitted. Ctrl-C cancels the job.
    """
    from hodei.cli.run import RunOptions, run_on_server
    from hodei.cli.run_container import TypedContainer
    from hodei.cli.run_request import TypedJob, request_of

    typed = TypedJob(
        command=command or [],
        texts={
            "id": job_id,
            "name": name,
            "description": description,
            "interpreter": interpreter,
            "working_dir": workdir,
            "timeout": timeout,
            "grace": grace,
            "deadline": deadline,
            "disconnect_timeout": disconnect_timeout,
            "log_policy": log_policy,
            "priority": priority,
            "backoff": backoff,
            "max_backoff": max_backoff,
            "memory": memory,
            "disk": disk,
            "provider": provider,
            "region": region,
            "image": image,
        },
        numbers={
            "retries": retries,
            "backoff_factor": backoff_factor,
            "jitter": jitter,
            "cpu": cpu,
            "gpus": gpus,
        },
        lists={"retry_on": retry_on, "tags": tag, "gpu_types": gpu_type},
        script=script,
        stdin=stdin,
        env=env or [],
        env_files=env_file or [],
        labels=label or [],
        selector=selector or [],
        resources=resource or [],
        container=TypedContainer(
            pull=pull,
            user=user,
            network=network,
            platform=platform,
            runtime=runtime,
            shm_size=shm_size,
            pids_limit=pids_limit,
            read_only=read_only,
            mounts=mount or (),
            tmpfs=tmpfs or (),
            extra_hosts=add_host or (),
            cap_add=cap_add or (),
        ),
    )
    options = RunOptions(server=server, output=output, detach=detach, local=local)
    request = request_of(typed)
    if not options.local:
        raise Exit(run_on_server(request, options))
    from hodei.cli.local_run import run_on_own_server

    raise Exit(run_on_own_server(request, options))
