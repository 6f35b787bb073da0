-- The output of jobs: runs of chunks in `log_segments`, and up to where each job is stored.

-- name: append
-- Of each job, all that is new or nothing: nothing where another server has stored some of it since
-- its head was read, or where all of it was let go of. In the order of ids, so that two servers wait
-- for one another and not in a ring.
WITH moved AS (
    INSERT INTO log_jobs AS job (job_id, previous, sequence, ends, loose)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::integer[])
        AS wanted (job_id, previous, sequence, ends, loose)
    WHERE previous = 0 OR EXISTS (SELECT 1 FROM log_jobs WHERE job_id = wanted.job_id)
    ORDER BY job_id
    ON CONFLICT (job_id) DO UPDATE SET
        previous = excluded.previous,
        sequence = excluded.sequence,
        ends = excluded.ends,
        loose = job.loose + excluded.loose
    WHERE job.sequence = excluded.previous
    RETURNING job_id, loose
), put AS (
    INSERT INTO log_segments (
        job_id, sequence, length, attempt, stdout_end, stderr_end, stored_at, format, size, data
    )
    SELECT segment.job_id, segment.sequence, segment.length, segment.attempt, segment.stdout_end,
        segment.stderr_end, $13, segment.format, octet_length(segment.data), segment.data
    FROM unnest(
        $6::text[], $7::bigint[], $8::integer[], $9::integer[], $10::bigint[], $11::bigint[],
        $12::smallint[], $14::bytea[]
    ) AS segment (job_id, sequence, length, attempt, stdout_end, stderr_end, format, data)
    JOIN moved USING (job_id)
)
SELECT job_id, loose FROM moved

-- name: heads
SELECT job_id, sequence, ends FROM log_jobs WHERE job_id = ANY($1::text[])

-- name: outputs
SELECT job_id, sequence, ends FROM log_jobs WHERE job_id > $1 ORDER BY job_id LIMIT $2

-- name: segments_after
-- Up to where they hold so many bytes, and at most so many of them.
SELECT sequence, attempt, format, data FROM (
    SELECT *, sum(length) OVER (ORDER BY sequence) - length AS before
    FROM (
        SELECT * FROM log_segments
        WHERE job_id = $1 AND sequence > $2 AND ($3 = 0 OR attempt = $3)
        ORDER BY sequence LIMIT $5
    ) AS page
) AS counted
WHERE before < $4
ORDER BY sequence

-- name: segment_reaching
-- The first of an attempt after a sequence, up to which a stream reaches beyond its offset.
SELECT sequence, attempt, format, data FROM log_segments
WHERE job_id = $1 AND attempt = $2 AND sequence > $3 AND (stdout_end > $4 OR stderr_end > $5)
ORDER BY sequence LIMIT 1

-- name: delete_before
-- The oldest, so many at a time.
DELETE FROM log_segments AS segment USING (
    SELECT job_id, sequence FROM log_segments
    WHERE stored_at < $1 AND job_id <> ALL($2::text[])
    ORDER BY stored_at LIMIT $3
) AS old
WHERE segment.job_id = old.job_id AND segment.sequence = old.sequence
RETURNING segment.sequence

-- name: delete_of
-- Of some jobs, so many at a time.
DELETE FROM log_segments AS segment USING (
    SELECT job_id, sequence FROM log_segments WHERE job_id = ANY($1::text[]) LIMIT $2
) AS gone
WHERE segment.job_id = gone.job_id AND segment.sequence = gone.sequence
RETURNING segment.sequence

-- name: forget
DELETE FROM log_jobs WHERE job_id = ANY($1::text[])

-- name: limit_for
-- When the newest was stored that does not fit any more, looking from the newest on. By an index
-- alone; it ends where it has found one.
SELECT stored_at FROM (
    SELECT stored_at, sum(size + $2::integer) OVER (ORDER BY stored_at DESC) AS total
    FROM log_segments
) AS counted
WHERE total > $1::bigint ORDER BY stored_at DESC LIMIT 1

-- name: scattered_jobs
-- Of the next so many jobs, how many rows each has got since they were last put together.
SELECT job_id, loose FROM log_jobs WHERE job_id > $1 ORDER BY job_id LIMIT $2

-- name: compacting
-- Whether no other server puts this job's rows together just now.
SELECT pg_try_advisory_xact_lock(448545, hashtext($1))

-- name: loose_segments
-- The oldest that are not put together yet, up to where they hold so many bytes.
SELECT sequence, length, attempt, stdout_end, stderr_end, stored_at, format, data FROM (
    SELECT *, sum(length) OVER (ORDER BY sequence) - length AS before
    FROM (
        SELECT segment.* FROM log_jobs AS job JOIN log_segments AS segment USING (job_id)
        WHERE job.job_id = $1 AND segment.sequence > job.compacted_to
        ORDER BY segment.sequence LIMIT $3
    ) AS page
) AS counted
WHERE before < $2
ORDER BY sequence

-- name: take_out
DELETE FROM log_segments WHERE job_id = $1 AND sequence = ANY($2::bigint[]) RETURNING sequence

-- name: put_in
INSERT INTO log_segments (
    job_id, sequence, length, attempt, stdout_end, stderr_end, stored_at, format, size, data
)
SELECT $1, segment.sequence, segment.length, segment.attempt, segment.stdout_end,
    segment.stderr_end, segment.stored_at, segment.format, octet_length(segment.data), segment.data
FROM unnest(
    $2::bigint[], $3::integer[], $4::integer[], $5::bigint[], $6::bigint[], $7::bigint[],
    $8::smallint[], $9::bytea[]
) AS segment (sequence, length, attempt, stdout_end, stderr_end, stored_at, format, data)

-- name: compacted
UPDATE log_jobs SET compacted_to = $2, loose = greatest(0, loose - $3) WHERE job_id = $1
