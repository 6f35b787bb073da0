-- The servers that share the database, and their duties. Every statement that ends a server runs
-- under the lock of commits: what the server has sent is then committed before it, or never.

-- name: lock_commits
SELECT pg_advisory_xact_lock(448545449321)

-- name: end_former_lives
-- Of a server of this name ($1): those that are this process's own ($2), whose session is gone, or
-- that were silent for too long ($3).
UPDATE servers SET ended_at = clock_timestamp()
WHERE name = $1 AND ended_at IS NULL AND (
    id = ANY($2::text[]) OR heartbeat_at < clock_timestamp() - $3::interval
    OR pg_try_advisory_xact_lock(448545, number)
)

-- name: living_namesake
SELECT id FROM servers WHERE name = $1 AND ended_at IS NULL

-- name: put_server
INSERT INTO servers (
    id, name, version, address, worker_address, enroll_address, offers, started_at, heartbeat_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7::text[], clock_timestamp(), clock_timestamp())
RETURNING number

-- name: hold_session
-- For as long as this session lives.
SELECT pg_try_advisory_lock(448545, $1)

-- name: forget_old_servers
DELETE FROM servers WHERE ended_at < clock_timestamp() - interval '1 day'

-- name: renew
UPDATE servers SET heartbeat_at = clock_timestamp(), streams = $2, is_draining = $3
WHERE id = $1 AND ended_at IS NULL
RETURNING id

-- name: look_at_servers
SELECT server.id, server.name, server.version, server.address, server.worker_address,
    server.enroll_address, server.offers, server.started_at, server.heartbeat_at,
    extract(epoch FROM clock_timestamp() - server.heartbeat_at)::double precision AS silent_s,
    held.objid IS NOT NULL AS has_session,
    server.is_draining, server.streams, server.ended_at
FROM servers AS server LEFT JOIN pg_locks AS held ON (
    held.locktype = 'advisory' AND held.objsubid = 2 AND held.granted
    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND held.classid = 448545 AND held.objid::bigint = server.number
)
ORDER BY server.number

-- name: now
SELECT clock_timestamp()

-- name: look_at_duties
SELECT name, owner, epoch FROM duties

-- name: take_duty
-- Only from nobody, or from a server that is no member any more; and only by one that is.
INSERT INTO duties AS duty (name, owner, epoch)
SELECT $1, id, $3 + 1 FROM servers WHERE id = $2 AND ended_at IS NULL
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, epoch = excluded.epoch
WHERE duty.epoch = $3 AND NOT EXISTS (
    SELECT 1 FROM servers WHERE id = duty.owner AND ended_at IS NULL
)
RETURNING epoch

-- name: give_up_duty
UPDATE duties SET owner = NULL WHERE name = $1 AND owner = $2

-- name: give_up_all_duties
UPDATE duties SET owner = NULL WHERE owner = $1

-- name: expel
-- Looked at again under the lock: it may have come back since it was seen to be dead.
UPDATE servers SET ended_at = clock_timestamp()
WHERE id = $1 AND ended_at IS NULL AND (
    heartbeat_at < clock_timestamp() - $2::interval
    OR pg_try_advisory_xact_lock(448545, number)
)

-- name: is_ended
SELECT NOT EXISTS (SELECT 1 FROM servers WHERE id = $1 AND ended_at IS NULL)

-- name: leave
UPDATE servers SET ended_at = clock_timestamp() WHERE id = $1 AND ended_at IS NULL

-- name: identity
SELECT key_id, sealed FROM cluster_identity

-- name: put_identity
INSERT INTO cluster_identity (id, key_id, sealed) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING
