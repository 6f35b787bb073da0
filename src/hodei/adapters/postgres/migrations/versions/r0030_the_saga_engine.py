"""The saga engine (docs/explanation/durable-execution.md).

Shards are fixed here. Leases are compared with the database's time only; other times are
microseconds since 1970 in UTC, as everywhere.
"""

from alembic import op

revision = "0030"
down_revision = "0020"

_STATEMENTS = (
    """
    CREATE TABLE run_shards (
        id integer PRIMARY KEY,
        owner text COLLATE "C",
        epoch bigint NOT NULL DEFAULT 0,
        expires_at timestamptz
    ) WITH (fillfactor = 50)
    """,
    """
    INSERT INTO run_shards (id) SELECT generate_series(0, 63)
    """,
    # Servers that move runs. `session` is the name of their sessions: one without any is dead.
    """
    CREATE TABLE run_servers (
        id text COLLATE "C" PRIMARY KEY,
        session text NOT NULL,
        alive_until timestamptz NOT NULL
    ) WITH (fillfactor = 50)
    """,
    # Runs as they are now, ended ones included. `data` is all of the run.
    """
    CREATE TABLE runs (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        run_id text COLLATE "C" NOT NULL UNIQUE,
        namespace text COLLATE "C" NOT NULL,
        workflow_id text COLLATE "C" NOT NULL,
        type text COLLATE "C" NOT NULL,
        shard_id integer NOT NULL,
        request_id text COLLATE "C" NOT NULL,
        revision bigint NOT NULL,
        status text COLLATE "C" NOT NULL,
        is_open boolean NOT NULL,
        runnable_at bigint,
        local_pending boolean NOT NULL,
        is_parked boolean NOT NULL,
        data bytea NOT NULL
    ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02)
    """,
    """
    CREATE UNIQUE INDEX runs_open ON runs (namespace, workflow_id) WHERE is_open
    """,
    """
    CREATE UNIQUE INDEX runs_by_request ON runs (namespace, workflow_id, request_id)
        WHERE request_id <> ''
    """,
    """
    CREATE INDEX runs_by_workflow ON runs (workflow_id, namespace, number)
    """,
    """
    CREATE INDEX runs_by_type ON runs (type, number)
    """,
    """
    CREATE INDEX runs_by_status ON runs (status, number)
    """,
    """
    CREATE INDEX runs_parked ON runs (number) WHERE is_parked
    """,
    """
    CREATE INDEX runs_pending ON runs (run_id) WHERE local_pending AND is_open
    """,
    """
    CREATE TABLE run_history (
        run_id text COLLATE "C" NOT NULL,
        seq bigint NOT NULL,
        command_id integer,
        kind text COLLATE "C" NOT NULL,
        at bigint NOT NULL,
        data bytea NOT NULL,
        PRIMARY KEY (run_id, seq)
    )
    """,
    # What was delivered: unread in order of `id`; read ones without data, as keys that stay known.
    """
    CREATE TABLE run_inbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        run_id text COLLATE "C" NOT NULL,
        key text COLLATE "C" NOT NULL,
        kind text COLLATE "C" NOT NULL,
        at bigint NOT NULL,
        data bytea NOT NULL,
        is_unread boolean NOT NULL DEFAULT true,
        UNIQUE (run_id, key)
    ) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02)
    """,
    """
    CREATE INDEX run_inbox_unread ON run_inbox (run_id, id) WHERE is_unread
    """,
    """
    CREATE TABLE run_timers (
        run_id text COLLATE "C" NOT NULL,
        command_id integer NOT NULL,
        shard_id integer NOT NULL,
        fire_at bigint NOT NULL,
        PRIMARY KEY (run_id, command_id)
    ) WITH (autovacuum_vacuum_scale_factor = 0.02)
    """,
    """
    CREATE INDEX run_timers_due ON run_timers (shard_id, fire_at)
    """,
    # Activities on their way. A request to cancel is in its columns before it is in `data`.
    """
    CREATE TABLE run_tasks (
        task_id text COLLATE "C" PRIMARY KEY,
        run_id text COLLATE "C" NOT NULL,
        command_id integer NOT NULL,
        shard_id integer NOT NULL,
        queue text COLLATE "C" NOT NULL,
        priority integer NOT NULL,
        revision bigint NOT NULL,
        is_queued boolean NOT NULL,
        available_at bigint NOT NULL,
        due_at bigint,
        cancel_requested boolean NOT NULL,
        data bytea NOT NULL,
        reserved_by text COLLATE "C",
        reserved_until timestamptz
    ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02)
    """,
    """
    CREATE INDEX run_tasks_by_run ON run_tasks (run_id, command_id)
    """,
    """
    CREATE INDEX run_tasks_claimable ON run_tasks (queue, priority DESC, available_at)
        WHERE is_queued AND NOT cancel_requested
    """,
    """
    CREATE INDEX run_tasks_due ON run_tasks (shard_id, due_at)
    """,
    """
    CREATE INDEX run_tasks_unwanted ON run_tasks (shard_id) WHERE cancel_requested AND is_queued
    """,
    """
    CREATE INDEX run_tasks_available ON run_tasks (shard_id, available_at) WHERE is_queued
    """,
    """
    CREATE TABLE run_outbox (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        topic text COLLATE "C" NOT NULL,
        run_id text COLLATE "C" NOT NULL,
        at bigint NOT NULL,
        data bytea NOT NULL
    )
    """,
    # Writes a group of batches if all that they rely on is so, and says whether it was (docs/adr/0012).
    # One round trip, and one transaction that no client can hold open. Under the lock no other
    # writes, so that what is looked at stays as it is; and since each statement of the function sees
    # what was committed before it, whoever waited for the lock sees what the one before has written.
    # `facts_…` is what must hold; the others are rows. Its number is the revision: servers of the
    # release before go on calling theirs.
    """
    CREATE FUNCTION hodei_write_runs_0030(
        facts_shards integer[], facts_owners text[], facts_epochs bigint[],
        facts_runs text[], facts_revisions bigint[],
        facts_open text[],
        facts_histories text[], facts_last_seqs bigint[],
        facts_tasks text[], facts_task_revisions bigint[],
        facts_timer_runs text[], facts_timers integer[],
        facts_read text[],
        now_read bigint[],
        changed_ids text[], changed_revisions bigint[], changed_statuses text[],
        changed_open boolean[], changed_runnable bigint[], changed_pending boolean[],
        changed_parked boolean[], changed_data bytea[],
        new_ids text[], new_namespaces text[], new_workflows text[], new_types text[],
        new_shards integer[], new_requests text[], new_revisions bigint[], new_statuses text[],
        new_open boolean[], new_runnable bigint[], new_pending boolean[], new_parked boolean[],
        new_data bytea[],
        history_runs text[], history_seqs bigint[], history_commands integer[],
        history_kinds text[], history_ats bigint[], history_data bytea[],
        gone_timer_runs text[], gone_timers integer[],
        timer_runs text[], timer_commands integer[], timer_shards integer[], timer_ats bigint[],
        gone_tasks text[],
        task_ids text[], task_runs text[], task_commands integer[], task_shards integer[],
        task_queues text[], task_priorities integer[], task_revisions bigint[],
        task_queued boolean[], task_available bigint[], task_due bigint[],
        task_cancelled boolean[], task_data bytea[],
        cancelled_tasks text[], cancelled_times integer[],
        inbox_runs text[], inbox_keys text[], inbox_kinds text[], inbox_ats bigint[],
        inbox_data bytea[],
        outbox_topics text[], outbox_runs text[], outbox_ats bigint[], outbox_data bytea[],
        closed_runs text[]
    ) RETURNS boolean LANGUAGE plpgsql AS $function$
    BEGIN
        PERFORM pg_advisory_xact_lock(448545449324);

        -- Nearly every group relies on these three.
        IF EXISTS (
            SELECT FROM unnest(facts_shards, facts_owners, facts_epochs) AS fact (id, owner, epoch)
            WHERE NOT EXISTS (
                SELECT FROM run_shards AS shard WHERE shard.id = fact.id
                    AND shard.owner = fact.owner AND shard.epoch = fact.epoch
            )
        )
        OR EXISTS (
            SELECT FROM unnest(facts_runs, facts_revisions) AS fact (run_id, revision)
            WHERE NOT EXISTS (
                SELECT FROM runs AS run
                WHERE run.run_id = fact.run_id AND run.revision = fact.revision
            )
        )
        OR EXISTS (
            SELECT FROM unnest(facts_histories, facts_last_seqs) AS fact (run_id, last_seq)
            WHERE fact.last_seq <> coalesce((
                SELECT max(event.seq) FROM run_history AS event WHERE event.run_id = fact.run_id
            ), 0)
        ) THEN RETURN false; END IF;
        -- One within the other: a condition without a query in it costs next to nothing.
        IF cardinality(facts_open) > 0 THEN IF EXISTS (
            SELECT FROM unnest(facts_open) AS fact (run_id)
            WHERE NOT EXISTS (
                SELECT FROM runs AS run WHERE run.run_id = fact.run_id AND run.is_open
            )
        ) THEN RETURN false; END IF; END IF;
        IF cardinality(facts_tasks) > 0 THEN IF EXISTS (
            SELECT FROM unnest(facts_tasks, facts_task_revisions) AS fact (task_id, revision)
            WHERE NOT EXISTS (
                SELECT FROM run_tasks AS task
                WHERE task.task_id = fact.task_id AND task.revision = fact.revision
            )
        ) THEN RETURN false; END IF; END IF;
        IF cardinality(facts_timers) > 0 THEN IF EXISTS (
            SELECT FROM unnest(facts_timer_runs, facts_timers) AS fact (run_id, command_id)
            WHERE NOT EXISTS (
                SELECT FROM run_timers AS timer
                WHERE timer.run_id = fact.run_id AND timer.command_id = fact.command_id
            )
        ) THEN RETURN false; END IF; END IF;
        IF cardinality(now_read) > 0 THEN IF cardinality(now_read) <> (
            SELECT count(*) FROM run_inbox AS inbox
            WHERE inbox.id = ANY(now_read) AND inbox.is_unread
        ) THEN RETURN false; END IF; END IF;
        IF cardinality(facts_read) > 0 THEN IF EXISTS (
            SELECT FROM run_inbox AS inbox
            WHERE inbox.run_id = ANY(facts_read) AND inbox.is_unread AND inbox.id <> ALL(now_read)
        ) THEN RETURN false; END IF; END IF;
        IF cardinality(inbox_keys) > 0 THEN IF EXISTS (
            SELECT FROM unnest(inbox_runs, inbox_keys) AS row (run_id, key)
            JOIN run_inbox AS inbox ON inbox.run_id = row.run_id AND inbox.key = row.key
        ) THEN RETURN false; END IF; END IF;
        IF cardinality(new_ids) > 0 THEN IF EXISTS (
            SELECT FROM unnest(new_ids, new_namespaces, new_workflows, new_requests)
                AS row (run_id, namespace, workflow_id, request_id)
            WHERE EXISTS (SELECT FROM runs AS run WHERE run.run_id = row.run_id)
                OR EXISTS (
                    SELECT FROM runs AS run
                    WHERE run.is_open AND run.namespace = row.namespace
                        AND run.workflow_id = row.workflow_id AND run.run_id <> ALL(closed_runs)
                )
                OR row.request_id <> '' AND EXISTS (
                    SELECT FROM runs AS run
                    WHERE run.request_id <> '' AND run.namespace = row.namespace
                        AND run.workflow_id = row.workflow_id AND run.request_id = row.request_id
                )
        ) THEN RETURN false; END IF; END IF;

        -- Runs that end make room for others of their workflow id.
        IF cardinality(changed_ids) > 0 THEN
            UPDATE runs SET revision = row.revision, status = row.status, is_open = row.is_open,
                runnable_at = row.runnable_at, local_pending = row.local_pending,
                is_parked = row.is_parked, data = row.data
            FROM unnest(
                changed_ids, changed_revisions, changed_statuses, changed_open, changed_runnable,
                changed_pending, changed_parked, changed_data
            ) AS row (
                run_id, revision, status, is_open, runnable_at, local_pending, is_parked, data
            )
            WHERE runs.run_id = row.run_id;
        END IF;
        IF cardinality(new_ids) > 0 THEN
            INSERT INTO runs (
                run_id, namespace, workflow_id, type, shard_id, request_id, revision, status,
                is_open, runnable_at, local_pending, is_parked, data
            )
            SELECT * FROM unnest(
                new_ids, new_namespaces, new_workflows, new_types, new_shards, new_requests,
                new_revisions, new_statuses, new_open, new_runnable, new_pending, new_parked,
                new_data
            );
        END IF;
        IF cardinality(history_runs) > 0 THEN
            INSERT INTO run_history (run_id, seq, command_id, kind, at, data)
            SELECT * FROM unnest(
                history_runs, history_seqs, history_commands, history_kinds, history_ats,
                history_data
            );
        END IF;
        IF cardinality(gone_timers) > 0 THEN
            DELETE FROM run_timers
            USING unnest(gone_timer_runs, gone_timers) AS row (run_id, command_id)
            WHERE run_timers.run_id = row.run_id AND run_timers.command_id = row.command_id;
        END IF;
        IF cardinality(timer_runs) > 0 THEN
            INSERT INTO run_timers (run_id, command_id, shard_id, fire_at)
            SELECT * FROM unnest(timer_runs, timer_commands, timer_shards, timer_ats)
            ON CONFLICT (run_id, command_id) DO UPDATE SET fire_at = excluded.fire_at;
        END IF;
        IF cardinality(gone_tasks) > 0 THEN
            DELETE FROM run_tasks WHERE run_tasks.task_id = ANY(gone_tasks);
        END IF;
        IF cardinality(task_ids) > 0 THEN
            -- A task that comes back to its queue is anybody's again.
            INSERT INTO run_tasks (
                task_id, run_id, command_id, shard_id, queue, priority, revision, is_queued,
                available_at, due_at, cancel_requested, data
            )
            SELECT * FROM unnest(
                task_ids, task_runs, task_commands, task_shards, task_queues, task_priorities,
                task_revisions, task_queued, task_available, task_due, task_cancelled, task_data
            )
            ON CONFLICT (task_id) DO UPDATE SET
                queue = excluded.queue, priority = excluded.priority,
                revision = excluded.revision, is_queued = excluded.is_queued,
                available_at = excluded.available_at, due_at = excluded.due_at,
                cancel_requested = excluded.cancel_requested, data = excluded.data,
                reserved_by = NULL, reserved_until = NULL;
        END IF;
        IF cardinality(cancelled_tasks) > 0 THEN
            UPDATE run_tasks SET cancel_requested = true, revision = run_tasks.revision + row.times
            FROM unnest(cancelled_tasks, cancelled_times) AS row (task_id, times)
            WHERE run_tasks.task_id = row.task_id;
        END IF;
        IF cardinality(now_read) > 0 THEN
            UPDATE run_inbox SET is_unread = false, data = '' WHERE run_inbox.id = ANY(now_read);
        END IF;
        IF cardinality(inbox_runs) > 0 THEN
            INSERT INTO run_inbox (run_id, key, kind, at, data)
            SELECT row.run_id, row.key, row.kind, row.at, row.data
            FROM unnest(inbox_runs, inbox_keys, inbox_kinds, inbox_ats, inbox_data)
                WITH ORDINALITY AS row (run_id, key, kind, at, data, number)
            ORDER BY row.number;
        END IF;
        IF cardinality(outbox_runs) > 0 THEN
            INSERT INTO run_outbox (topic, run_id, at, data)
            SELECT row.topic, row.run_id, row.at, row.data
            FROM unnest(outbox_topics, outbox_runs, outbox_ats, outbox_data)
                WITH ORDINALITY AS row (topic, run_id, at, data, number)
            ORDER BY row.number;
        END IF;
        IF cardinality(closed_runs) > 0 THEN
            DELETE FROM run_timers WHERE run_timers.run_id = ANY(closed_runs);
            DELETE FROM run_tasks WHERE run_tasks.run_id = ANY(closed_runs);
            UPDATE run_inbox SET is_unread = false, data = ''
            WHERE run_inbox.run_id = ANY(closed_runs) AND run_inbox.is_unread;
        END IF;
        RETURN true;
    END
    $function$
    """,
    # The same for the group that comes most often where one run is alone: a run that has grown, and
    # nothing else. Without arrays to take apart it takes half the time.
    """
    CREATE FUNCTION hodei_write_step_0030(
        of_shard integer, of_owner text, of_epoch bigint,
        of_run text, new_revision bigint, new_status text, new_open boolean, new_runnable bigint,
        new_pending boolean, new_parked boolean, new_data bytea,
        first_seq bigint, commands integer[], kinds text[], ats bigint[], events bytea[]
    ) RETURNS boolean LANGUAGE plpgsql AS $function$
    BEGIN
        PERFORM pg_advisory_xact_lock(448545449324);

        UPDATE runs SET revision = new_revision, status = new_status, is_open = new_open,
            runnable_at = new_runnable, local_pending = new_pending, is_parked = new_parked,
            data = new_data
        WHERE runs.run_id = of_run AND runs.revision = new_revision - 1
            AND EXISTS (
                SELECT FROM run_shards AS shard
                WHERE shard.id = of_shard AND shard.owner = of_owner AND shard.epoch = of_epoch
            )
            AND first_seq = 1 + coalesce((
                SELECT max(event.seq) FROM run_history AS event WHERE event.run_id = of_run
            ), 0);
        IF NOT FOUND THEN RETURN false; END IF;
        INSERT INTO run_history (run_id, seq, command_id, kind, at, data)
        SELECT of_run, first_seq + row.number - 1, row.command_id, row.kind, row.at, row.data
        FROM unnest(commands, kinds, ats, events)
            WITH ORDINALITY AS row (command_id, kind, at, data, number);
        RETURN true;
    END
    $function$
    """,
)

FUNCTIONS = _STATEMENTS[-2:]
"""What writes the tables. Where this ran early the first was another and the second was missing: 0060
makes both anew."""


def upgrade() -> None:
    """Makes the tables and what writes them."""
    for statement in _STATEMENTS:
        op.execute(statement)
