"""Alembic's entry: writes the migrations down as SQL, which `migrate` runs in its transaction."""

from alembic import context

context.configure(
    dialect_name="postgresql",
    output_buffer=context.config.output_buffer,
    literal_binds=True,
    # The caller has begun one, and holds a lock in it.
    transactional_ddl=False,
)
context.run_migrations()
