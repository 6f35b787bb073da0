-- What the saga engine reads and writes. The row after VALUES is repeated to write many rows in one
-- step. Shards are given as JSON arrays.

-- name: heads
-- One row of one JSON object: each row that sqlite3 steps to costs a wait for the interpreter lock.
SELECT json_object(
    'shards', (
        SELECT json_group_array(json_array(id, owner, epoch)) FROM run_shards
        WHERE id IN (SELECT value FROM json_each(:shards))
    ),
    'runs', (
        SELECT json_group_array(json_array(run_id, revision, is_open, (
            SELECT coalesce(max(seq), 0) FROM run_history WHERE run_id = runs.run_id
        )))
        FROM runs WHERE run_id IN (SELECT value FROM json_each(:runs))
    ),
    'tasks', (
        SELECT json_group_array(json_array(task_id, revision)) FROM run_tasks
        WHERE task_id IN (SELECT value FROM json_each(:tasks))
    ),
    'timers', (
        SELECT json_group_array(json_array(timer.run_id, timer.command_id))
        FROM json_each(:timers) AS wanted CROSS JOIN run_timers AS timer
        WHERE timer.run_id = json_extract(wanted.value, '$[0]')
            AND timer.command_id = json_extract(wanted.value, '$[1]')
    ),
    'delivered', (
        SELECT json_group_array(json_array(inbox.run_id, inbox.key))
        FROM json_each(:delivered) AS wanted CROSS JOIN run_inbox AS inbox
        WHERE inbox.run_id = json_extract(wanted.value, '$[0]')
            AND inbox.key = json_extract(wanted.value, '$[1]')
    ),
    'unread', (
        SELECT json_group_array(json_array(id, run_id)) FROM (
            SELECT id, run_id FROM run_inbox
            WHERE id IN (SELECT value FROM json_each(:inbox)) AND is_unread
            UNION
            SELECT id, run_id FROM run_inbox
            WHERE run_id IN (SELECT value FROM json_each(:ending)) AND is_unread
        )
    ),
    'open_runs', (
        SELECT json_group_array(json_array(run.namespace, run.workflow_id, run.run_id))
        FROM json_each(:starting) AS wanted CROSS JOIN runs AS run
        WHERE run.is_open AND run.namespace = json_extract(wanted.value, '$[0]')
            AND run.workflow_id = json_extract(wanted.value, '$[1]')
    ),
    'requests', (
        SELECT json_group_array(
            json_array(run.namespace, run.workflow_id, run.request_id, run.run_id)
        )
        FROM json_each(:starting) AS wanted CROSS JOIN runs AS run
        WHERE run.request_id <> '' AND run.namespace = json_extract(wanted.value, '$[0]')
            AND run.workflow_id = json_extract(wanted.value, '$[1]')
            AND run.request_id = json_extract(wanted.value, '$[2]')
    )
)

-- name: change_runs
UPDATE runs SET
    revision = changed.column2,
    status = changed.column3,
    is_open = changed.column4,
    runnable_at = changed.column5,
    local_pending = changed.column6,
    is_parked = changed.column7,
    data = changed.column8
FROM (VALUES (?, ?, ?, ?, ?, ?, ?, ?)) AS changed
WHERE runs.run_id = changed.column1

-- name: insert_runs
INSERT INTO runs (
    run_id, namespace, workflow_id, type, shard_id, request_id, revision, status, is_open,
    runnable_at, local_pending, is_parked, data
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: insert_history
INSERT INTO run_history (run_id, seq, command_id, kind, at, data) VALUES (?, ?, ?, ?, ?, ?)

-- name: delete_timers
DELETE FROM run_timers WHERE (run_id, command_id) IN (VALUES (?, ?))

-- name: put_timers
INSERT INTO run_timers (run_id, command_id, shard_id, fire_at) VALUES (?, ?, ?, ?)
ON CONFLICT (run_id, command_id) DO UPDATE SET fire_at = excluded.fire_at

-- name: delete_tasks
DELETE FROM run_tasks WHERE task_id IN (SELECT value FROM json_each(?))

-- name: put_tasks
INSERT INTO run_tasks (
    task_id, run_id, command_id, shard_id, queue, priority, revision, is_queued, available_at,
    due_at, cancel_requested, data
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (task_id) DO UPDATE SET
    queue = excluded.queue,
    priority = excluded.priority,
    revision = excluded.revision,
    is_queued = excluded.is_queued,
    available_at = excluded.available_at,
    due_at = excluded.due_at,
    cancel_requested = excluded.cancel_requested,
    data = excluded.data

-- name: cancel_task
UPDATE run_tasks SET cancel_requested = 1, revision = revision + ? WHERE task_id = ?

-- name: mark_read
-- The key stays known; what was said is in the history.
UPDATE run_inbox SET is_unread = 0, data = x''
WHERE id IN (SELECT value FROM json_each(?))

-- name: insert_inbox
INSERT INTO run_inbox (run_id, key, kind, at, data) VALUES (?, ?, ?, ?, ?)

-- name: insert_outbox
INSERT INTO run_outbox (topic, run_id, at, data) VALUES (?, ?, ?, ?)

-- name: clear_timers
DELETE FROM run_timers WHERE run_id IN (SELECT value FROM json_each(?))

-- name: clear_tasks
DELETE FROM run_tasks WHERE run_id IN (SELECT value FROM json_each(?))

-- name: clear_inbox
UPDATE run_inbox SET is_unread = 0, data = x''
WHERE run_id IN (SELECT value FROM json_each(?)) AND is_unread

-- name: shards
SELECT id, epoch FROM run_shards

-- name: own_shard
UPDATE run_shards SET owner = ?, epoch = ? WHERE id = ?

-- name: run_by_id
SELECT data FROM runs WHERE run_id = :run_id

-- name: newest_run
SELECT data FROM runs WHERE namespace = :namespace AND workflow_id = :workflow_id
ORDER BY is_open DESC, number DESC LIMIT 1

-- name: runs_due
-- From the few that have something to do to the runs, never the other way: most open runs wait.
SELECT run.run_id
FROM (
    SELECT run_id FROM runs WHERE local_pending AND is_open
    UNION
    SELECT run_id FROM run_inbox WHERE is_unread
) AS busy CROSS JOIN runs AS run USING (run_id)
WHERE run.is_open AND run.runnable_at <= :now
    AND run.shard_id IN (SELECT value FROM json_each(:shards))
ORDER BY run.runnable_at, run.run_id LIMIT :limit

-- name: history_after
SELECT run_id, seq, command_id, kind, at, data
FROM run_history WHERE run_id = :run_id AND seq > :after ORDER BY seq LIMIT :limit

-- name: unread_of
SELECT id, run_id, key, kind, at, data
FROM run_inbox WHERE run_id = :run_id AND is_unread ORDER BY id LIMIT :limit

-- name: outbox_after
SELECT position, topic, run_id, at, data
FROM run_outbox WHERE position > :after ORDER BY position LIMIT :limit

-- name: timers_due
SELECT timer.run_id, timer.command_id, timer.shard_id, timer.fire_at
FROM json_each(:shards) AS wanted CROSS JOIN run_timers AS timer ON timer.shard_id = wanted.value
WHERE timer.fire_at <= :now
ORDER BY timer.fire_at LIMIT :limit

-- name: next_timer
SELECT min((SELECT min(fire_at) FROM run_timers WHERE shard_id = wanted.value))
FROM json_each(:shards) AS wanted

-- name: timers_of
SELECT run_id, command_id, shard_id, fire_at
FROM run_timers WHERE run_id = :run_id ORDER BY fire_at, command_id

-- name: task_by_id
SELECT data, revision, cancel_requested FROM run_tasks WHERE task_id = :task_id

-- name: tasks_of
SELECT data, revision, cancel_requested FROM run_tasks
WHERE run_id = :run_id ORDER BY command_id

-- name: claimable_tasks
-- The first of each queue, then the first of all: SQLite has no LATERAL, the inner LIMIT is its.
SELECT task.data, task.revision, task.cancel_requested
FROM json_each(:queues) AS wanted CROSS JOIN run_tasks AS task
WHERE task.task_id IN (
    SELECT task_id FROM run_tasks
    WHERE is_queued AND NOT cancel_requested AND queue = wanted.value AND available_at <= :now
    ORDER BY priority DESC, available_at LIMIT :limit
)
ORDER BY task.priority DESC, task.available_at LIMIT :limit

-- name: overdue_tasks
SELECT task.data, task.revision, task.cancel_requested
FROM (
    SELECT due.task_id
    FROM json_each(:shards) AS wanted CROSS JOIN run_tasks AS due
        ON due.shard_id = wanted.value AND due.due_at <= :now
    UNION
    SELECT unwanted.task_id
    FROM json_each(:shards) AS wanted CROSS JOIN run_tasks AS unwanted
        ON unwanted.shard_id = wanted.value
    WHERE unwanted.cancel_requested AND unwanted.is_queued
) AS found CROSS JOIN run_tasks AS task USING (task_id)
LIMIT :limit

-- name: next_task_time
SELECT min(at) FROM (
    SELECT (SELECT min(due_at) FROM run_tasks WHERE shard_id = wanted.value) AS at
    FROM json_each(:shards) AS wanted
    UNION ALL
    SELECT (
        SELECT min(available_at) FROM run_tasks
        WHERE shard_id = wanted.value AND is_queued AND available_at > :now
    )
    FROM json_each(:shards) AS wanted
)

-- name: runs_head
SELECT number, data FROM runs WHERE number < :before

-- name: runs_tail
ORDER BY number DESC LIMIT :limit

-- name: runs_of_statuses_head
-- As in `list_jobs.sql`: the newest of each status, then the newest of all.
SELECT run.number, run.data
FROM json_each(:statuses) AS wanted CROSS JOIN runs AS run
WHERE run.number IN (
    SELECT number FROM runs WHERE status = wanted.value AND number < :before

-- name: runs_of_statuses_tail
    ORDER BY number DESC LIMIT :limit
)
ORDER BY run.number DESC LIMIT :limit

-- name: has_namespace
AND namespace = :namespace

-- name: has_workflow_id
AND workflow_id = :workflow_id

-- name: has_type
AND type = :type

-- name: is_parked
AND is_parked

-- name: ended_runs
SELECT number, run_id, data FROM runs WHERE number > :after AND NOT is_open
ORDER BY number LIMIT :limit

-- name: remove_runs
DELETE FROM runs WHERE NOT is_open AND run_id IN (SELECT value FROM json_each(?))

-- name: remove_histories
DELETE FROM run_history WHERE run_id IN (SELECT value FROM json_each(?))

-- name: remove_inboxes
DELETE FROM run_inbox WHERE run_id IN (SELECT value FROM json_each(?))

-- name: remove_old_outbox
DELETE FROM run_outbox
WHERE at < :at AND position IN (SELECT position FROM run_outbox ORDER BY position LIMIT :limit)
