-- The parts of which a list of jobs is put together: one of the heads, any of the conditions, the
-- tail of the head; the same conditions again for the count. `{…}` becomes a parameter's number.

-- name: page_head
SELECT position FROM jobs WHERE position < {before}

-- name: page_tail
ORDER BY position DESC LIMIT {limit} OFFSET {offset}

-- name: states_page_head
-- The newest of each state, then the newest of all: whether a state is rare or common, only about
-- as many rows are read as are shown.
SELECT job.position
FROM unnest({states}::text[]) AS wanted (state) CROSS JOIN LATERAL (
    SELECT position FROM jobs WHERE state = wanted.state AND position < {before}

-- name: states_page_tail
    ORDER BY position DESC LIMIT {limit}::bigint + {offset}::bigint
) AS job
ORDER BY job.position DESC LIMIT {limit} OFFSET {offset}

-- name: count_head
SELECT count(*) FROM jobs WHERE true

-- name: has_state
AND state = ANY({states}::text[])

-- name: has_name
AND name = {name} AND name <> ''

-- name: has_search
AND strpos(searched, {search}) > 0

-- name: has_label
-- Once for each label.
AND position IN (SELECT job FROM job_labels WHERE key = {key} AND value = {value})

-- name: has_tag
-- Once for each tag.
AND position IN (SELECT job FROM job_tags WHERE tag = {tag})

-- name: created_after
AND created_at >= {created_after}

-- name: created_before
AND created_at < {created_before}

-- name: shown
SELECT position FROM found ORDER BY position DESC LIMIT {shown}

-- name: total_and_found
-- Beside the jobs, in rows with numbers below zero: how many there are in all (-1), and how many
-- were found for this page and one more (-2).
UNION ALL
SELECT total.count, -1, NULL, NULL, NULL, NULL FROM total
UNION ALL
SELECT (SELECT count(*) FROM found), -2, NULL, NULL, NULL, NULL
