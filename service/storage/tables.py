"""The tables. `migrations/` creates them; a test compares what it creates with what is written here."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

REVISION = "0001"  # of the schema that this program reads and writes

METADATA = MetaData()
# One order of texts in every database: that of their UTF-8 bytes.
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
_KEY = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by INTEGER only
_CURRENT = text("current = 1")

RECORD = Table(
    "record",
    METADATA,
    Column("key", _KEY, primary_key=True),
    Column("type", _TEXT, nullable=False),
    Column("id", _TEXT, nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated", BigInteger, nullable=False),  # microseconds since 1970 UTC
    Column("deleted", SmallInteger, nullable=False),
    Column("current", SmallInteger, nullable=False),  # 1 for the latest version
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("type", "id", "version", name="record_version"),
    Index("record_current", "type", "updated", "id", sqlite_where=_CURRENT, postgresql_where=_CURRENT),
)

# The primary key of an entry is the whole entry: SQLite keeps the table in this order and nothing else.
TEXT_ENTRY = Table(
    "text_entry",
    METADATA,
    Column("parameter", _TEXT, primary_key=True),
    Column("value", _TEXT, primary_key=True),
    Column("system", _TEXT, primary_key=True),
    Column("type", _TEXT, primary_key=True),  # late: erasure looks for a person whatever the type
    Column("record", _KEY, ForeignKey("record.key", ondelete="CASCADE"), primary_key=True),
    Index("text_entry_record", "record", "parameter"),
    sqlite_with_rowid=False,
)

RANGE_ENTRY = Table(
    "range_entry",
    METADATA,
    Column("type", _TEXT, primary_key=True),
    Column("parameter", _TEXT, primary_key=True),
    Column("low", BigInteger, primary_key=True),
    Column("high", BigInteger, primary_key=True),
    Column("record", _KEY, ForeignKey("record.key", ondelete="CASCADE"), primary_key=True),
    Index("range_entry_record", "record", "parameter"),
    sqlite_with_rowid=False,
)
