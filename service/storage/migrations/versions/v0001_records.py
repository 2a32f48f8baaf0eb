"""Records of all versions, and the two tables of what they are found by."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_CURRENT = sa.text("current = 1")


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "record",
        sa.Column("key", _KEY, primary_key=True),
        sa.Column("type", _TEXT, nullable=False),
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.SmallInteger(), nullable=False),
        sa.Column("current", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.UniqueConstraint("type", "id", "version", name="record_version"),
    )
    op.create_index(
        "record_current",
        "record",
        ["type", "updated", "id"],
        sqlite_where=_CURRENT,
        postgresql_where=_CURRENT,
    )
    _create_entries("text_entry", ("parameter", _TEXT), ("value", _TEXT), ("system", _TEXT), ("type", _TEXT))
    whole = sa.BigInteger()
    _create_entries("range_entry", ("type", _TEXT), ("parameter", _TEXT), ("low", whole), ("high", whole))


def _create_entries(table: str, *columns: tuple[str, sa.types.TypeEngine[Any]]) -> None:
    record = sa.ForeignKey("record.key", ondelete="CASCADE")
    op.create_table(
        table,
        *(sa.Column(name, kind, primary_key=True) for name, kind in columns),
        sa.Column("record", _KEY, record, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index(f"{table}_record", table, ["record", "parameter"])
