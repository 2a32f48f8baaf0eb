"""Records of tenants, who know nothing of each other; what was stored before is of the one without a name.

And entries by which a Provenance is found for the patient whom its response is about: the others are found by
what they say themselves.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_CURRENT = sa.text("current = 1")
_IDENTITY = ("type", "tenant", "id", "version")
_COPY = """
INSERT INTO record_0003 (key, type, id, version, updated, deleted, current, body)
SELECT key, type, id, version, updated, deleted, current, body FROM record
"""
_SUBJECTS = """
INSERT INTO text_entry (parameter, value, system, type, record)
SELECT replace(entry.parameter, 'subject', '_subject'), entry.value, entry.system, 'Provenance',
    provenance.key
FROM record AS response
JOIN record AS provenance ON provenance.type = 'Provenance' AND provenance.tenant = response.tenant
    AND provenance.id = response.id || '.' || response.version
JOIN text_entry AS entry ON entry.record = response.key
    AND entry.parameter IN ('subject', 'subject:url', 'subject:identifier')
WHERE response.type = 'QuestionnaireResponse'
"""


def upgrade() -> None:
    """Adds the tenant to every record, and to what tells records apart."""
    op.drop_index("record_current", "record")
    if op.get_bind().dialect.name == "sqlite":
        _make_anew()
    else:
        op.add_column("record", _tenant())
        op.drop_constraint("record_version", "record")
        op.create_unique_constraint("record_version", "record", list(_IDENTITY))
    op.create_index(
        "record_current",
        "record",
        ["type", "tenant", "updated", "id"],
        sqlite_where=_CURRENT,
        postgresql_where=_CURRENT,
    )
    op.execute(_SUBJECTS)


def _tenant() -> sa.Column[str]:
    return sa.Column("tenant", _TEXT, nullable=False, server_default=sa.text("''"))


def _make_anew() -> None:
    """Copies the table into one that tells records apart by tenant too: SQLite changes no constraint.

    Entries refer to the table by its name; `migrator` sees to it that they survive its end.
    """
    op.create_table(
        "record_0003",
        sa.Column("key", sa.Integer(), primary_key=True),
        _tenant(),
        sa.Column("type", _TEXT, nullable=False),
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.SmallInteger(), nullable=False),
        sa.Column("current", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.UniqueConstraint(*_IDENTITY, name="record_version"),
    )
    op.execute(_COPY)
    op.drop_table("record")
    op.rename_table("record_0003", "record")
