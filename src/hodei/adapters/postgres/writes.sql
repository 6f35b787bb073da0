-- What the committer asks of the database. What writes is a function of it, which the migrations
-- make.

-- name: commit
SELECT kind, position, stream, version, type, type_version, data, at, correlation_id, causation_id
FROM hodei_commit_0050({arguments})

-- name: begin
-- For what needs more than one statement, and under the lock from its beginning. The level matters:
-- what is read must be as it is once the lock is there, whatever the database's default is.
BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(448545449321)

-- name: lock
-- The same, within a transaction that has begun.
SELECT pg_advisory_xact_lock(448545449321)

-- name: wait_longer
-- For a client that has much to do between two statements, and is not taken for one that is stopped.
SET LOCAL idle_in_transaction_session_timeout = '60s'

-- name: position_of
-- Where this very event is stored, if it is.
SELECT position FROM events
WHERE stream = $1 AND version = $2 AND type = $3 AND type_version = $4 AND data = $5 AND at = $6
    AND correlation_id = $7 AND causation_id = $8
