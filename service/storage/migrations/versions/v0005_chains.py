"""A chain of entries for each tenant: what was done with records. Nothing is in it yet.

Entries are never changed, which the database refuses too; what can be erased of them stands in other tables.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_REFUSED = "Entries of a chain are never changed."
_ON_SQLITE = f"""
CREATE TRIGGER chain_entry_stays BEFORE UPDATE ON chain_entry
BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END
"""
_ON_POSTGRESQL = (
    f"""
CREATE FUNCTION chain_entry_stays() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '{_REFUSED}'; END $$
""",
    """
CREATE TRIGGER chain_entry_stays BEFORE UPDATE ON chain_entry
FOR EACH ROW EXECUTE FUNCTION chain_entry_stays()
""",
)


def upgrade() -> None:
    """Creates the tables, and what keeps the entries from being changed."""
    _create("chain_entry", _number("written"), _bytes("body"), _bytes("hash"), key=("tenant", "seq"))
    _create("chain_part", sa.Column("part", _TEXT), _bytes("content"), key=("tenant", "seq", "part"))
    names = sa.Column("part", _TEXT), sa.Column("name", _TEXT)
    _create("chain_name", *names, key=("name", "tenant", "seq", "part"))
    op.create_table(
        "chain_head",
        sa.Column("tenant", _TEXT, primary_key=True),
        _number("seq"),
        _bytes("hash"),
        _number("written"),
        _number("base_seq"),
        _bytes("base_hash"),
        sqlite_with_rowid=False,
    )
    for statement in (_ON_SQLITE,) if op.get_bind().dialect.name == "sqlite" else _ON_POSTGRESQL:
        op.execute(statement)


def _create(table: str, *columns: sa.Column[Any], key: tuple[str, ...]) -> None:
    identity = (sa.Column("tenant", _TEXT), sa.Column("seq", sa.BigInteger()))
    op.create_table(table, *identity, *columns, sa.PrimaryKeyConstraint(*key), sqlite_with_rowid=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _bytes(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)
