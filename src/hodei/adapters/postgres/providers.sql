-- What operators decided about providers.

-- name: all
SELECT data FROM providers ORDER BY name

-- name: durably
-- Connections of the pool do not wait for the disk.
SET LOCAL synchronous_commit = on

-- name: add
INSERT INTO providers (name, version, data) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING RETURNING true

-- name: replace
UPDATE providers SET version = $2, data = $3 WHERE name = $1 AND version = $2 - 1 RETURNING true

-- name: remove
DELETE FROM providers WHERE name = $1 AND version = $2 RETURNING true
