"""The tables, and how a database comes to have them.

A record is one version; the two tables of entries are what it is found by. The tables of chains keep what was
done with records. `migrations/` creates and changes
them; a database with another schema than this program needs is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    inspect,
    text,
)
from sqlalchemy.types import TypeEngine

from service.errors import StartupError
from service.storage.database import Database, translated
from service.storage.rows import run_all

# A test compares these tables with what `migrations/` creates.

REVISION = "0006"  # of the schema that this program reads and writes

METADATA = MetaData()
# One order of texts in every database: that of their UTF-8 bytes.
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
_KEY = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by INTEGER only
_CURRENT = text("current = 1")

RECORD = Table(
    "record",
    METADATA,
    Column("key", _KEY, primary_key=True),
    # Whose data it is; empty where nobody else's is there. It stands behind the type in the indexes: a search
    # that begins with the entries must not be lured to an index by a tenant that is the same in every row.
    Column("tenant", _TEXT, nullable=False, server_default=text("''")),
    Column("type", _TEXT, nullable=False),
    Column("id", _TEXT, nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated", BigInteger, nullable=False),  # microseconds since 1970 UTC
    Column("deleted", SmallInteger, nullable=False),
    Column("current", SmallInteger, nullable=False),  # 1 for the latest version
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("type", "tenant", "id", "version", name="record_version"),
    Index(
        "record_current",
        "type",
        "tenant",
        "updated",
        "id",
        # In PostgreSQL too, as the migrations have it: to say so here would load its dialect beside SQLite's.
        sqlite_where=_CURRENT,
    ),
)


def _entry_table(name: str, **columns: TypeEngine[Any]) -> Table:
    """Returns a table whose primary key is the whole entry: SQLite stores it in this order, and only once."""
    return Table(
        name,
        METADATA,
        *(Column(column, kind, primary_key=True) for column, kind in columns.items()),
        Column("record", _KEY, ForeignKey("record.key", ondelete="CASCADE"), primary_key=True),
        Index(f"{name}_record", "record", "parameter"),
        sqlite_with_rowid=False,
    )


# The type comes last: erasure looks for a person whatever the type.
TEXT_ENTRY = _entry_table("text_entry", parameter=_TEXT, value=_TEXT, system=_TEXT, type=_TEXT)

# Ranges of one parameter stand in the order of their beginning, and once more in that of their end, equal
# ones in that in which they were stored: a sort by a date needs no sorting. They name the tenant, or one who
# has few records would have to walk past those of all others.
RANGE_ENTRY = Table(
    "range_entry",
    METADATA,
    Column("type", _TEXT),
    Column("tenant", _TEXT),
    Column("parameter", _TEXT),
    Column("low", BigInteger()),
    Column("record", _KEY, ForeignKey("record.key", ondelete="CASCADE")),
    Column("high", BigInteger()),
    PrimaryKeyConstraint("type", "tenant", "parameter", "low", "record", "high"),
    Index("range_entry_high", "type", "tenant", "parameter", "high", "record"),
    Index("range_entry_record", "record", "parameter"),
    sqlite_with_rowid=False,
)

# The chain of each tenant; see chain.py. Entries are only ever added, but for the oldest ones, which expire:
# what can be erased of an entry stands in a table of its own, beside the names by which it is found then.


def _chain_table(name: str, *columns: Column[Any], key: Sequence[str] = ("tenant", "seq")) -> Table:
    identity = (Column("tenant", _TEXT), Column("seq", BigInteger))
    return Table(name, METADATA, *identity, *columns, PrimaryKeyConstraint(*key), sqlite_with_rowid=False)


CHAIN_ENTRY = _chain_table(
    "chain_entry",
    Column("written", BigInteger, nullable=False),  # microseconds since 1970 UTC
    Column("body", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
CHAIN_PART = _chain_table(
    "chain_part",
    Column("part", _TEXT),
    Column("content", LargeBinary, nullable=False),
    key=("tenant", "seq", "part"),
)
CHAIN_NAME = _chain_table(
    "chain_name",
    Column("part", _TEXT),
    Column("name", _TEXT),
    key=("name", "tenant", "seq", "part"),
)
CHAIN_HEAD = Table(
    "chain_head",
    METADATA,
    Column("tenant", _TEXT, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("written", BigInteger, nullable=False),
    # The last entry that has expired; 0 and nothing where none has.
    Column("base_seq", BigInteger, nullable=False),
    Column("base_hash", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)


# What was used once, and until when it must not be used again: seconds since 1970 UTC.
USED = Table(
    "used",
    METADATA,
    Column("name", _TEXT, primary_key=True),
    Column("until", BigInteger, nullable=False),
    Index("used_until", "until"),
    sqlite_with_rowid=False,
)


# Which schema a database has.

_MIGRATIONS = Path(__file__).parent / "migrations"
_CLAIM = "schema"


class Migration(NamedTuple):
    """The schema that was found, None if there was none, and the one that is there now."""

    before: str | None
    after: str


def migrate(database: Database) -> Migration:
    """Creates the schema, or changes it to what this program needs, in one transaction.

    Of several processes at once one does it, and the others find it done.

    Raises:
        StartupError: the schema is newer than this program.
        StoreFault: the database cannot be reached or changed.
    """
    engine = database.engine()
    try:
        with translated(), database.migrator(engine).begin() as connection:
            run_all(connection, database.claiming(_CLAIM))
            found = _revision(connection)
            if found != REVISION:
                _refuse_unknown(found)
                _upgrade(connection)
    finally:
        engine.dispose()
    return Migration(found, REVISION)


def check(database: Database) -> None:
    """Returns if the database has the schema of this program.

    Raises:
        StartupError: it has an older one, a newer one, or none.
        StoreFault: the database cannot be reached.
    """
    engine = database.engine()
    try:
        with translated(), database.reader(engine).begin() as connection:
            found = _revision(connection)
    finally:
        engine.dispose()
    if found == REVISION:
        return
    _refuse_unknown(found)
    state = "has no tables yet" if found is None else f"has the older schema {found}"
    raise StartupError([f"The database {state}, this program needs {REVISION}: migrate it first."])


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return None if found is None else str(found)


def _refuse_unknown(found: str | None) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory(str(_MIGRATIONS)).walk_revisions()}
    if found is not None and found not in known:
        fault = f"The database has the schema {found}, which is newer than this program needs ({REVISION})"
        raise StartupError([f"{fault}: update the program."])


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
