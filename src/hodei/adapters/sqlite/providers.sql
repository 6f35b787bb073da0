-- What operators decided about providers.

-- name: all
SELECT data FROM providers ORDER BY name

-- name: add
INSERT INTO providers (name, version, data) VALUES (:name, :version, :data) ON CONFLICT DO NOTHING

-- name: replace
UPDATE providers SET version = :version, data = :data WHERE name = :name AND version = :version - 1

-- name: remove
DELETE FROM providers WHERE name = :name AND version = :version
