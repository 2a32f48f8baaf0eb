"""Ranges with their tenant, in the order of their beginning and of their end, and a place for what has none.

A search that is sorted by a date walks them in that order; what says no date stands at their end.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_COPY = """
INSERT INTO range_entry_0006 (type, tenant, parameter, low, record, high)
SELECT entry.type, record.tenant, entry.parameter, entry.low, entry.record, entry.high
FROM range_entry AS entry JOIN record ON record.key = entry.record
ORDER BY 1, 2, 3, 4, 5, 6
"""
# The dates by which each type is sorted, as they were when this was written.
_DATES = (
    ("QuestionnaireResponse", "authored"),
    ("RiskAssessment", "date"),
    ("Provenance", "recorded"),
    ("AuditEvent", "date"),
)
_WITHOUT = """
INSERT INTO range_entry_0006 (type, tenant, parameter, low, record, high)
SELECT record.type, record.tenant, :absent, 0, record.key, 0 FROM record
WHERE record.type = :type AND NOT EXISTS (
    SELECT 1 FROM range_entry AS entry WHERE entry.record = record.key AND entry.parameter = :parameter
)
"""


def upgrade() -> None:
    """Copies the table into one with the new order: neither database changes a primary key in its place."""
    op.create_table(
        "range_entry_0006",
        sa.Column("type", _TEXT),
        sa.Column("tenant", _TEXT),
        sa.Column("parameter", _TEXT),
        sa.Column("low", sa.BigInteger()),
        sa.Column("record", _KEY, sa.ForeignKey("record.key", ondelete="CASCADE")),
        sa.Column("high", sa.BigInteger()),
        sa.PrimaryKeyConstraint("type", "tenant", "parameter", "low", "record", "high"),
        sqlite_with_rowid=False,
    )
    op.execute(_COPY)
    for of_type, parameter in _DATES:
        values = {"type": of_type, "parameter": parameter, "absent": f"{parameter}:none"}
        op.execute(sa.text(_WITHOUT).bindparams(**values))
    op.drop_table("range_entry")
    op.rename_table("range_entry_0006", "range_entry")
    op.create_index("range_entry_high", "range_entry", ["type", "tenant", "parameter", "high", "record"])
    op.create_index("range_entry_record", "range_entry", ["record", "parameter"])
