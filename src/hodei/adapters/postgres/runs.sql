-- What the saga engine asks of the database. What writes is a function of it, which the migrations
-- make. Shards are given as arrays.

-- name: write
SELECT hodei_write_runs_0030({arguments})

-- name: write_step
-- What `write` does, for one run that has grown and nothing else.
SELECT hodei_write_step_0030(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16
)

-- name: heads
-- What is stored of the keys of a group of batches: see `hodei.wire.run_heads`.
SELECT json_build_object(
    'shards', (
        SELECT coalesce(json_agg(json_build_array(id, owner, epoch)), '[]') FROM run_shards
        WHERE id = ANY($1::integer[])
    ),
    'runs', (
        SELECT coalesce(json_agg(json_build_array(run.run_id, run.revision, run.is_open, coalesce((
            SELECT max(seq) FROM run_history AS event WHERE event.run_id = run.run_id
        ), 0))), '[]')
        FROM runs AS run WHERE run.run_id = ANY($2::text[])
    ),
    'tasks', (
        SELECT coalesce(json_agg(json_build_array(task_id, revision)), '[]') FROM run_tasks
        WHERE task_id = ANY($3::text[])
    ),
    'timers', (
        SELECT coalesce(json_agg(json_build_array(timer.run_id, timer.command_id)), '[]')
        FROM unnest($4::text[], $5::integer[]) AS wanted (run_id, command_id)
        JOIN run_timers AS timer USING (run_id, command_id)
    ),
    'delivered', (
        SELECT coalesce(json_agg(json_build_array(inbox.run_id, inbox.key)), '[]')
        FROM unnest($6::text[], $7::text[]) AS wanted (run_id, key)
        JOIN run_inbox AS inbox USING (run_id, key)
    ),
    'unread', (
        SELECT coalesce(json_agg(json_build_array(id, run_id)), '[]') FROM (
            SELECT id, run_id FROM run_inbox WHERE id = ANY($8::bigint[]) AND is_unread
            UNION
            SELECT id, run_id FROM run_inbox WHERE run_id = ANY($9::text[]) AND is_unread
        ) AS unread
    ),
    'open_runs', (
        SELECT coalesce(
            json_agg(json_build_array(run.namespace, run.workflow_id, run.run_id)), '[]'
        )
        FROM unnest($10::text[], $11::text[]) AS wanted (namespace, workflow_id)
        JOIN runs AS run USING (namespace, workflow_id) WHERE run.is_open
    ),
    'requests', (
        SELECT coalesce(json_agg(
            json_build_array(run.namespace, run.workflow_id, run.request_id, run.run_id)
        ), '[]')
        FROM unnest($10::text[], $11::text[], $12::text[])
            AS wanted (namespace, workflow_id, request_id)
        JOIN runs AS run USING (namespace, workflow_id, request_id) WHERE run.request_id <> ''
    )
)

-- name: lock
SELECT pg_advisory_xact_lock(448545449324)

-- name: run_by_id
SELECT data FROM runs WHERE run_id = $1

-- name: newest_run
SELECT data FROM (
    SELECT data, true AS is_open, number FROM runs
    WHERE namespace = $1 AND workflow_id = $2 AND is_open
    UNION ALL
    (
        SELECT data, false, number FROM runs
        WHERE namespace = $1 AND workflow_id = $2 ORDER BY number DESC LIMIT 1
    )
) AS found
ORDER BY is_open DESC, number DESC LIMIT 1

-- name: runs_due
-- From the few that have something to do to the runs, never the other way: most open runs wait.
SELECT run.run_id
FROM (
    SELECT run_id FROM runs WHERE local_pending AND is_open
    UNION
    SELECT run_id FROM run_inbox WHERE is_unread
) AS busy JOIN runs AS run USING (run_id)
WHERE run.is_open AND run.shard_id = ANY($1::integer[])
    AND run.runnable_at <= (extract(epoch FROM statement_timestamp()) * 1000000)::bigint
ORDER BY run.runnable_at, run.run_id LIMIT $2

-- name: history_after
SELECT run_id, seq, command_id, kind, at, data
FROM run_history WHERE run_id = $1 AND seq > $2 ORDER BY seq LIMIT $3

-- name: unread_of
SELECT id, run_id, key, kind, at, data
FROM run_inbox WHERE run_id = $1 AND is_unread ORDER BY id LIMIT $2

-- name: outbox_after
SELECT position, topic, run_id, at, data
FROM run_outbox WHERE position > $1 ORDER BY position LIMIT $2

-- name: timers_due
SELECT due.run_id, due.command_id, due.shard_id, due.fire_at
FROM unnest($1::integer[]) AS wanted (shard_id) CROSS JOIN LATERAL (
    SELECT * FROM run_timers AS timer
    WHERE timer.shard_id = wanted.shard_id
        AND timer.fire_at <= (extract(epoch FROM statement_timestamp()) * 1000000)::bigint
    ORDER BY timer.fire_at LIMIT $2
) AS due
ORDER BY due.fire_at LIMIT $2

-- name: next_timer
SELECT min(first.fire_at)
FROM unnest($1::integer[]) AS wanted (shard_id) CROSS JOIN LATERAL (
    SELECT timer.fire_at FROM run_timers AS timer
    WHERE timer.shard_id = wanted.shard_id ORDER BY timer.fire_at LIMIT 1
) AS first

-- name: timers_of
SELECT run_id, command_id, shard_id, fire_at
FROM run_timers WHERE run_id = $1 ORDER BY fire_at, command_id

-- name: task_by_id
SELECT data, revision, cancel_requested FROM run_tasks WHERE task_id = $1

-- name: tasks_of
SELECT data, revision, cancel_requested FROM run_tasks WHERE run_id = $1 ORDER BY command_id

-- name: claim_tasks
-- What another holder than this one ($3) has reserved, or is just reserving or changing, is passed
-- over; the rest is this one's for some seconds ($4), by the database's time.
WITH chosen AS MATERIALIZED (
    SELECT queued.task_id
    FROM (SELECT DISTINCT unnest($1::text[]) AS queue) AS wanted CROSS JOIN LATERAL (
        SELECT task.task_id, task.priority, task.available_at FROM run_tasks AS task
        WHERE task.is_queued AND NOT task.cancel_requested AND task.queue = wanted.queue
            AND task.available_at <= (extract(epoch FROM statement_timestamp()) * 1000000)::bigint
            AND (
                task.reserved_until IS NULL OR task.reserved_until < clock_timestamp()
                OR task.reserved_by = $3
            )
        ORDER BY task.priority DESC, task.available_at LIMIT $2
        FOR UPDATE SKIP LOCKED
    ) AS queued
    ORDER BY queued.priority DESC, queued.available_at LIMIT $2
)
UPDATE run_tasks SET reserved_by = $3, reserved_until = clock_timestamp() + $4::interval
FROM chosen WHERE run_tasks.task_id = chosen.task_id
RETURNING run_tasks.data, run_tasks.revision, run_tasks.cancel_requested

-- name: overdue_tasks
SELECT task.data, task.revision, task.cancel_requested
FROM (
    SELECT due.task_id
    FROM unnest($1::integer[]) AS wanted (shard_id) CROSS JOIN LATERAL (
        SELECT task_id FROM run_tasks
        WHERE shard_id = wanted.shard_id
            AND due_at <= (extract(epoch FROM statement_timestamp()) * 1000000)::bigint
        ORDER BY due_at LIMIT $2
    ) AS due
    UNION
    SELECT task_id FROM run_tasks
    WHERE shard_id = ANY($1::integer[]) AND cancel_requested AND is_queued
) AS found JOIN run_tasks AS task USING (task_id)
LIMIT $2

-- name: next_task_time
SELECT min(at)
FROM unnest($1::integer[]) AS wanted (shard_id) CROSS JOIN LATERAL (
    (
        SELECT due_at AS at FROM run_tasks
        WHERE shard_id = wanted.shard_id AND due_at IS NOT NULL ORDER BY due_at LIMIT 1
    )
    UNION ALL
    (
        SELECT available_at FROM run_tasks
        WHERE shard_id = wanted.shard_id AND is_queued
            AND available_at > (extract(epoch FROM statement_timestamp()) * 1000000)::bigint
        ORDER BY available_at LIMIT 1
    )
) AS first

-- name: runs_head
SELECT number, data FROM runs WHERE number < {before}

-- name: runs_tail
ORDER BY number DESC LIMIT {limit}

-- name: runs_of_statuses_head
-- As in `list_jobs.sql`: the newest of each status, then the newest of all.
SELECT newest.number, newest.data
FROM unnest({statuses}::text[]) AS wanted (status) CROSS JOIN LATERAL (
    SELECT number, data FROM runs WHERE status = wanted.status AND number < {before}

-- name: runs_of_statuses_tail
    ORDER BY number DESC LIMIT {limit}
) AS newest
ORDER BY newest.number DESC LIMIT {limit}

-- name: has_namespace
AND namespace = {namespace}

-- name: has_workflow_id
AND workflow_id = {workflow_id}

-- name: has_type
AND type = {type}

-- name: is_parked
AND is_parked

-- name: ended_runs
SELECT number, run_id, data FROM runs WHERE number > $1 AND NOT is_open ORDER BY number LIMIT $2

-- name: remove_runs
WITH gone AS (
    DELETE FROM runs WHERE run_id = ANY($1::text[]) AND NOT is_open RETURNING run_id
), gone_history AS (
    DELETE FROM run_history USING gone WHERE run_history.run_id = gone.run_id
), gone_inbox AS (
    DELETE FROM run_inbox USING gone WHERE run_inbox.run_id = gone.run_id
)
SELECT count(*) FROM gone

-- name: remove_old_outbox
DELETE FROM run_outbox
WHERE at < $1 AND position IN (SELECT position FROM run_outbox ORDER BY position LIMIT $2)

-- name: shard_count
SELECT count(*) FROM run_shards

-- name: heartbeat
INSERT INTO run_servers (id, session, alive_until)
VALUES ($1, $2, clock_timestamp() + $3::interval)
ON CONFLICT (id) DO UPDATE SET session = excluded.session, alive_until = excluded.alive_until

-- name: forget_servers
DELETE FROM run_servers WHERE alive_until < clock_timestamp() - interval '1 day'

-- name: living_servers
-- Those whose process is known to be gone are not among them: the database has closed its sessions.
SELECT id FROM run_servers AS server
WHERE alive_until > clock_timestamp() AND EXISTS (
    SELECT FROM pg_stat_activity WHERE application_name = server.session
)
ORDER BY id

-- name: renew
UPDATE run_shards SET expires_at = clock_timestamp() + $2::interval WHERE owner = $1
RETURNING id, epoch

-- name: now
SELECT clock_timestamp()

-- name: take
UPDATE run_shards AS shard
SET owner = $1, epoch = shard.epoch + 1, expires_at = clock_timestamp() + $3::interval
WHERE shard.id = ANY($2::integer[]) AND (
    shard.expires_at IS NULL OR shard.expires_at <= clock_timestamp()
    OR EXISTS (
        SELECT FROM run_servers AS server WHERE server.id = shard.owner AND NOT EXISTS (
            SELECT FROM pg_stat_activity WHERE application_name = server.session
        )
    )
)
RETURNING shard.id, shard.epoch

-- name: release
UPDATE run_shards SET owner = NULL, expires_at = NULL WHERE owner = $1 AND id = ANY($2::integer[])
