"""A group of commits is one call (docs/adr/0015).

Releases before went through several statements under the same lock, and may run beside it.
"""

from alembic import op

revision = "0050"
down_revision = "0040"

_STATEMENTS = (
    # Offsets count from 1 and become positions by `begun`, the last that was given before. A job or
    # worker that was stored before is named by its id; a new one has its offset.
    """
    CREATE FUNCTION hodei_commit_0050(
        begun bigint, committer text, heard bigint, given bigint,
        fact_jobs text[], fact_job_versions bigint[],
        fact_workers text[], fact_worker_versions bigint[],
        event_offsets bigint[], event_streams text[], event_versions bigint[], event_types text[],
        event_type_versions integer[], event_data bytea[], event_ats bigint[],
        event_correlations text[], event_causations text[],
        demand_ids text[], demand_data bytea[], demand_queued bigint[],
        counted_ids text[], counted_changes bigint[],
        job_offsets bigint[], job_ids text[], job_versions bigint[], job_names text[],
        job_searched text[], job_states text[], job_priorities integer[], job_demands text[],
        job_created bigint[], job_due bigint[], job_workers text[], job_data bytea[],
        changed_ids text[], changed_versions bigint[], changed_states text[],
        changed_due bigint[], changed_workers text[], changed_data bytea[],
        attempt_offsets bigint[], attempt_jobs text[], attempt_numbers integer[],
        attempt_data bytea[],
        label_offsets bigint[], label_keys text[], label_values text[],
        tag_offsets bigint[], tags text[],
        worker_offsets bigint[], worker_ids text[], worker_versions bigint[],
        worker_ended boolean[], worker_data bytea[],
        moved_ids text[], moved_versions bigint[], moved_ended boolean[], moved_data bytea[]
    ) RETURNS TABLE (
        kind text, "position" bigint, stream text, version bigint, type text,
        type_version integer, data bytea, at bigint, correlation_id text, causation_id text
    ) LANGUAGE plpgsql AS $function$
    #variable_conflict use_column
    BEGIN
        IF begun IS NULL THEN
            -- One group at a time, of all servers (docs/adr/0003). What follows sees all that was
            -- committed before it: each statement of a function looks anew.
            PERFORM pg_advisory_xact_lock(448545449321);
            IF committer IS NOT NULL AND NOT EXISTS (
                SELECT FROM servers WHERE servers.id = committer AND servers.ended_at IS NULL
            ) THEN
                RETURN QUERY SELECT 'no member', NULL::bigint, NULL, NULL::bigint, NULL,
                    NULL::integer, NULL::bytea, NULL::bigint, NULL, NULL;
                RETURN;
            END IF;
            IF EXISTS (
                SELECT FROM unnest(fact_jobs, fact_job_versions) AS fact (id, version)
                LEFT JOIN jobs ON jobs.id = fact.id
                WHERE coalesce(jobs.version, 0) <> fact.version
            ) OR EXISTS (
                SELECT FROM unnest(fact_workers, fact_worker_versions) AS fact (id, version)
                LEFT JOIN workers ON workers.id = fact.id
                WHERE coalesce(workers.version, 0) <> fact.version
            ) THEN
                RETURN QUERY
                    SELECT 'job', 0::bigint, jobs.id, jobs.version, NULL, NULL::integer,
                        NULL::bytea, NULL::bigint, NULL, NULL
                    FROM jobs WHERE jobs.id = ANY(fact_jobs)
                    UNION ALL
                    SELECT 'worker', 0, workers.id, workers.version, NULL, NULL, NULL, NULL, NULL,
                        NULL
                    FROM workers WHERE workers.id = ANY(fact_workers);
                RETURN;
            END IF;
            begun := (SELECT last_value FROM event_positions);
            RETURN QUERY SELECT 'begun', begun, NULL, NULL::bigint, NULL, NULL::integer,
                NULL::bytea, NULL::bigint, NULL, NULL;
            IF heard < begun AND begun - heard <= 500 THEN
                RETURN QUERY
                    SELECT 'other', events.position, events.stream, events.version, events.type,
                        events.type_version, events.data, events.at, events.correlation_id,
                        events.causation_id
                    FROM events WHERE events.position > heard AND events.position <= begun
                    ORDER BY events.position;
            END IF;
        END IF;

        IF cardinality(event_offsets) > 0 THEN
            INSERT INTO events (
                position, stream, version, type, type_version, data, at, correlation_id,
                causation_id
            )
            SELECT begun + row.offset_, row.stream, row.version, row.type, row.type_version,
                row.data, row.at, row.correlation_id, row.causation_id
            FROM unnest(
                event_offsets, event_streams, event_versions, event_types, event_type_versions,
                event_data, event_ats, event_correlations, event_causations
            ) AS row (
                offset_, stream, version, type, type_version, data, at, correlation_id,
                causation_id
            );
        END IF;
        IF cardinality(demand_ids) > 0 THEN
            INSERT INTO demands (id, data, queued)
            SELECT * FROM unnest(demand_ids, demand_data, demand_queued)
            ON CONFLICT (id) DO UPDATE SET queued = demands.queued + excluded.queued
            WHERE excluded.queued <> 0;
        END IF;
        -- Before the jobs change: those that are queued now leave the queue, or are counted above.
        -- Found by their ids: as a condition, the state would let the whole queue be read.
        UPDATE demands SET queued = demands.queued + counted.change
        FROM (
            SELECT row.id, sum(row.change)::bigint AS change FROM (
                SELECT plus.id, plus.change
                FROM unnest(counted_ids, counted_changes) AS plus (id, change)
                UNION ALL
                SELECT jobs.demand_id, CASE jobs.state WHEN 'QUEUED' THEN -1 ELSE 0 END
                FROM jobs WHERE jobs.id = ANY(changed_ids)
            ) AS row GROUP BY row.id
        ) AS counted
        WHERE demands.id = counted.id AND counted.change <> 0;
        IF cardinality(job_ids) > 0 THEN
            INSERT INTO jobs (
                position, id, version, name, searched, state, priority, demand_id, created_at,
                due_at, worker_id, data
            )
            SELECT begun + row.offset_, row.id, row.version, row.name, row.searched, row.state,
                row.priority, row.demand_id, row.created_at, row.due_at, row.worker_id, row.data
            FROM unnest(
                job_offsets, job_ids, job_versions, job_names, job_searched, job_states,
                job_priorities, job_demands, job_created, job_due, job_workers, job_data
            ) AS row (
                offset_, id, version, name, searched, state, priority, demand_id, created_at,
                due_at, worker_id, data
            );
        END IF;
        IF cardinality(changed_ids) > 0 THEN
            -- A job that comes back to the queue is anybody's again.
            UPDATE jobs SET version = row.version, state = row.state, due_at = row.due_at,
                worker_id = row.worker_id, data = row.data, reserved_by = NULL,
                reserved_until = NULL
            FROM unnest(
                changed_ids, changed_versions, changed_states, changed_due, changed_workers,
                changed_data
            ) AS row (id, version, state, due_at, worker_id, data)
            WHERE jobs.id = row.id;
        END IF;
        IF cardinality(attempt_jobs) > 0 THEN
            INSERT INTO attempts (job, number, data)
            SELECT coalesce(begun + row.offset_, jobs.position), row.number, row.data
            FROM unnest(attempt_offsets, attempt_jobs, attempt_numbers, attempt_data)
                AS row (offset_, job, number, data)
            LEFT JOIN jobs ON row.offset_ IS NULL AND jobs.id = row.job
            ON CONFLICT (job, number) DO UPDATE SET data = excluded.data;
        END IF;
        IF cardinality(label_keys) > 0 THEN
            INSERT INTO job_labels (job, key, value)
            SELECT begun + row.offset_, row.key, row.value
            FROM unnest(label_offsets, label_keys, label_values) AS row (offset_, key, value);
        END IF;
        IF cardinality(tags) > 0 THEN
            INSERT INTO job_tags (job, tag)
            SELECT begun + row.offset_, row.tag FROM unnest(tag_offsets, tags) AS row (offset_, tag)
            ON CONFLICT (tag, job) DO NOTHING;
        END IF;
        IF cardinality(worker_ids) > 0 THEN
            INSERT INTO workers (position, id, version, has_ended, data)
            SELECT begun + row.offset_, row.id, row.version, row.has_ended, row.data
            FROM unnest(worker_offsets, worker_ids, worker_versions, worker_ended, worker_data)
                AS row (offset_, id, version, has_ended, data);
        END IF;
        IF cardinality(moved_ids) > 0 THEN
            UPDATE workers SET version = row.version, has_ended = row.has_ended, data = row.data
            FROM unnest(moved_ids, moved_versions, moved_ended, moved_data)
                AS row (id, version, has_ended, data)
            WHERE workers.id = row.id;
        END IF;
        -- Not undone with the transaction: positions that were given to a commit that failed are
        -- left out.
        PERFORM setval('event_positions', greatest(last_value, begun + given))
        FROM event_positions;
    END
    $function$
    """,
)


def upgrade() -> None:
    """Makes the function."""
    for statement in _STATEMENTS:
        op.execute(statement)
