-- What retention needs: what has ended for long, and letting go of it.

-- name: ended
-- The next jobs and workers that have ended, by when they began, with the times of their first and
-- last event.
SELECT
    ended.position,
    ended.stream,
    (SELECT at FROM events WHERE events.position = ended.position),
    (SELECT at FROM events WHERE events.stream = ended.stream ORDER BY version DESC LIMIT 1)
FROM (
    SELECT * FROM (
        SELECT position, 'job:' || id AS stream FROM jobs
        WHERE position > :after AND +state IN (SELECT value FROM json_each(:states))
        ORDER BY position LIMIT :at_most
    )
    UNION ALL
    SELECT * FROM (
        SELECT position, 'worker:' || id FROM workers
        WHERE position > :after AND has_ended ORDER BY position LIMIT :at_most
    )
) AS ended
ORDER BY ended.position LIMIT :at_most

-- name: ended_jobs
-- Of those named, the ones that have ended before.
SELECT id FROM jobs
WHERE id IN (SELECT value FROM json_each(:jobs))
    AND state IN (SELECT value FROM json_each(:states))
    AND (
        SELECT at FROM events WHERE stream = 'job:' || jobs.id ORDER BY version DESC LIMIT 1
    ) < :limit

-- name: ended_workers
SELECT id FROM workers
WHERE id IN (SELECT value FROM json_each(:workers)) AND has_ended
    AND (
        SELECT at FROM events WHERE stream = 'worker:' || workers.id ORDER BY version DESC LIMIT 1
    ) < :limit

-- name: remove_jobs
-- Attempts, labels and tags go with them.
DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(?))

-- name: remove_workers
DELETE FROM workers WHERE id IN (SELECT value FROM json_each(?))

-- name: remove_events
DELETE FROM events WHERE stream IN (SELECT value FROM json_each(?))
