"""Names that are used once, such as the digest of the `jti` of a CDS client's JWT, until they end."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "used",
        sa.Column("name", _TEXT, primary_key=True),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("used_until", "used", ["until"])
