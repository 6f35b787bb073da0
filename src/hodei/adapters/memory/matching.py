"""Which jobs a filter lets through."""

from hodei.domain.jobs.job import Job
from hodei.ports.stores import JobFilter


def matches(job: Job, job_filter: JobFilter) -> bool:
    """Whether every part of the filter that is set holds."""
    return all(
        (
            not job_filter.states or job.state in job_filter.states,
            not job_filter.name or job.spec.name == job_filter.name,
            job_filter.search.casefold() in f"{job.id}\n{job.spec.name}".casefold(),
            job_filter.labels.items() <= job.spec.labels.items(),
            set(job_filter.tags) <= set(job.spec.tags),
            job_filter.created_after is None or job.created_at >= job_filter.created_after,
            job_filter.created_before is None or job.created_at < job_filter.created_before,
        )
    )
