"""Alembic's entry. `chat.migrate` hands over the connection, which carries the lock and the time-outs."""

from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("run `python -m chat.migrate`: it takes the lock, sets the time-outs and grants the rights")

context.configure(
    connection=connection,
    target_metadata=None,
    transaction_per_migration=True,
    on_version_apply=context.config.attributes.get("on_version_apply"),
)
with context.begin_transaction():
    context.run_migrations()
