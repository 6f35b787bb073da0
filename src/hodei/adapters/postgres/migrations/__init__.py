"""Migrations of the PostgreSQL database; Alembic runs `env`, and it the files under `versions`.

`docs/checklists/new-migration.md` says how to add one.
"""
