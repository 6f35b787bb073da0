"""What `hodei explain` does."""

from hodei.cli.asking import ask
from hodei.cli.output import OutputFormat, print_fields, print_json, print_table
from hodei.sdk import Candidate


def explain_job(server: str, output: OutputFormat, job_id: str) -> None:
    """Prints where a job stands, and why."""
    told = ask(server, lambda client: client.explain(job_id))
    if output is OutputFormat.JSON:
        print_json(told.to_dict())
        return
    print_fields({"job": told.job_id, "state": told.state, "because": told.summary})
    if told.candidates:
        print()
        print_table(
            ("CONSIDERED", "NAME", "FITS", "WHY"),
            [
                (each.kind.lower(), each.name, "yes" if each.fits else "no", _why(each))
                for each in told.candidates
            ],
        )
    if told.attempts:
        print()
        print_table(
            ("ATTEMPT", "WORKER", "STATE", "REASON"),
            [
                (
                    str(each.number),
                    each.worker_id,
                    each.state,
                    f"{each.reason.message} ({each.reason.code})" if each.reason else "",
                )
                for each in told.attempts
            ],
        )


def _why(candidate: Candidate) -> str:
    return candidate.now if candidate.fits else "; ".join(candidate.misfits)
