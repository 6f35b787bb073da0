-- What retention needs: what has ended for long, and letting go of it.

-- name: ended
-- The next jobs and workers that have ended, by when they began, with the times of their first and
-- last event.
SELECT ended.position, ended.stream, began.at AS began_at, last.at AS ended_at
FROM (
    (
        SELECT position, 'job:' || id AS stream FROM jobs
        WHERE position > $1 AND state = ANY($2::text[]) ORDER BY position LIMIT $3
    )
    UNION ALL
    (
        SELECT position, 'worker:' || id FROM workers
        WHERE position > $1 AND has_ended ORDER BY position LIMIT $3
    )
) AS ended
JOIN events AS began USING (position)
CROSS JOIN LATERAL (
    SELECT at FROM events WHERE events.stream = ended.stream ORDER BY version DESC LIMIT 1
) AS last
ORDER BY ended.position LIMIT $3

-- name: remove
-- Under the lock of commits: whether they have ended, and when, must still be so at its end.
WITH gone_jobs AS (
    DELETE FROM jobs
    WHERE id = ANY($1::text[]) AND state = ANY($2::text[]) AND (
        SELECT at FROM events WHERE stream = 'job:' || jobs.id ORDER BY version DESC LIMIT 1
    ) < $4
    RETURNING position, 'job:' || id AS stream
), gone_workers AS (
    DELETE FROM workers
    WHERE id = ANY($3::text[]) AND has_ended AND (
        SELECT at FROM events WHERE stream = 'worker:' || workers.id ORDER BY version DESC LIMIT 1
    ) < $4
    RETURNING 'worker:' || id AS stream
), gone_attempts AS (
    DELETE FROM attempts USING gone_jobs WHERE attempts.job = gone_jobs.position
), gone_labels AS (
    DELETE FROM job_labels USING gone_jobs WHERE job_labels.job = gone_jobs.position
), gone_tags AS (
    DELETE FROM job_tags USING gone_jobs WHERE job_tags.job = gone_jobs.position
), gone_events AS (
    DELETE FROM events USING (
        SELECT stream FROM gone_jobs UNION ALL SELECT stream FROM gone_workers
    ) AS gone
    WHERE events.stream = gone.stream
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM gone_jobs), (SELECT count(*) FROM gone_workers),
    (SELECT count(*) FROM gone_events)
