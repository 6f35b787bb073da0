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

-- name: has_labels
AND position IN (
    SELECT label.job
    FROM json_each(:labels) AS asked CROSS JOIN job_labels AS label
    ON label.key = asked.key AND label.value = asked.value
    GROUP BY label.job HAVING count(*) = (SELECT count(*) FROM json_each(:labels))
)

-- name: has_tags
AND position IN (
    SELECT tag.job
    FROM (SELECT DISTINCT value FROM json_each(:tags)) AS asked
    CROSS JOIN job_tags AS tag ON tag.tag = asked.value
    GROUP BY tag.job HAVING count(*) = (SELECT count(DISTINCT value) FROM json_each(:tags))
)

-- name: created_after
AND created_at >= :created_after

-- name: created_before
AND created_at < :created_before
