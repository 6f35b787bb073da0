-- The parts of which a list of jobs is put together: one of the heads, any of the conditions, and
-- the tail of the head.

-- name: page_head
SELECT position FROM jobs WHERE position < :before

-- name: page_tail
ORDER BY position DESC LIMIT :limit OFFSET :offset

-- name: states_page_head
-- The newest of each state, then the newest of all: whether a state is rare or common, only about
-- as many rows are read as are shown.
SELECT job.position
FROM json_each(:states) AS wanted CROSS JOIN jobs AS job
WHERE job.position IN (
    SELECT position FROM jobs WHERE state = wanted.value AND position < :before

-- name: states_page_tail
    ORDER BY position DESC LIMIT :limit + :offset
)
ORDER BY job.position DESC LIMIT :limit OFFSET :offset

-- name: count_head
SELECT count(*) FROM jobs WHERE true

-- name: has_state
AND state IN (SELECT value FROM json_each(:states))

-- name: has_name
AND name = :name AND name <> ''

-- name: has_search
AND instr(searched, :search) > 0

-- name: has_label
-- Once for each label, numbered.
AND position IN (SELECT job FROM job_labels WHERE key = :label_{n} AND value = :label_{n}_value)

-- name: has_tag
-- Once for each tag, numbered.
AND position IN (SELECT job FROM job_tags WHERE tag = :tag_{n})

-- name: created_after
AND created_at >= :created_after

-- name: created_before
AND created_at < :created_before
