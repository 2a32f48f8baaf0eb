"""The schema's history, one module per change in versions/; alembic runs them, see schema.py."""
