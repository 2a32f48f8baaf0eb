"""Alembic's entry: runs what is missing on the connection, and in the transaction, of schema.migrate."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
