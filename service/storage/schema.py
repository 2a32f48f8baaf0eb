"""Brings a database to the schema of this program, and refuses one that has another."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, inspect, text

from service.errors import StartupError
from service.storage.database import Database, translated
from service.storage.sql import REVISION

_MIGRATIONS = Path(__file__).parent / "migrations"
_CLAIM = "schema"


class Migration(NamedTuple):
    """The schema that was found, None where there was none, and the one that is there now."""

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
        with translated(), database.writer(engine).begin() as connection:
            database.claim(connection, _CLAIM)
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
