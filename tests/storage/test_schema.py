"""Which databases a store opens, how they come to their tables, and which it refuses."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from service.errors import SettingsError, StartupError
from service.search import entries_of
from service.storage import opening
from service.storage.database import StoreLimits
from service.storage.model import (
    AlreadyExists,
    Criterion,
    Draft,
    ReferenceTo,
    ReferenceToUrl,
    Search,
    Sort,
    StoreBusy,
    StoreUnavailable,
)
from service.storage.opening import check, migrate, migrate_before_fork, open_store
from service.storage.schema import _MIGRATIONS, METADATA, REVISION


def driver_url(url):
    return url.replace("postgresql:", "postgresql+psycopg:")


def execute(url, statement):
    engine = create_engine(driver_url(url))
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_the_program_needs_the_last_migration():
    assert ScriptDirectory(str(_MIGRATIONS)).get_heads() == [REVISION]


def test_migrations_create_the_tables_that_the_program_uses(empty_url):
    migrate(empty_url)
    engine = create_engine(driver_url(empty_url))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        names = [table.name for table in METADATA.sorted_tables]
        if engine.dialect.name == "sqlite":
            tables = connection.execute(text("SELECT sql FROM sqlite_master WHERE type = 'table'")).scalars()
            assert sum("WITHOUT ROWID" in sql for sql in tables) == len(names) - 1
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    engine.dispose()


@pytest.mark.slow
def test_a_start_on_sqlite_loads_nothing_of_postgresql(tmp_path):
    """What its dialect takes to load is a thirtieth of a start. The schema is made before."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    migrate(url)
    made = f"from service.storage.opening import migrate, open_store; migrate({url!r}); open_store({url!r})"
    program = f"import sys, service.app; {made}; print('sqlalchemy.dialects.postgresql' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


def test_a_second_migration_changes_nothing(empty_url):
    assert migrate(empty_url) == (None, REVISION)
    assert migrate(empty_url) == (REVISION, REVISION)
    assert check(empty_url) is None


def test_a_database_without_tables_is_refused_at_the_start(empty_url, request):
    if empty_url.startswith("sqlite"):
        Path(empty_url.removeprefix("sqlite:///")).touch()
    with pytest.raises(StartupError, match="has no tables yet"):
        check(empty_url)


@pytest.mark.parametrize("action", [check, migrate])
def test_a_schema_from_a_newer_program_is_refused(empty_url, action):
    migrate(empty_url)
    execute(empty_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StartupError, match="9999, which is newer than this program"):
        action(empty_url)


def test_an_older_schema_is_refused_until_it_is_migrated(empty_url, monkeypatch):
    migrate(empty_url)
    monkeypatch.setattr("service.storage.schema.REVISION", "9998")
    with pytest.raises(StartupError, match=f"older schema {REVISION}, this program needs 9998: migrate"):
        check(empty_url)


def go_back_to(revision, url):
    """Gives the database the schema that it had then, with the records that are in it, without entries."""
    engine = create_engine(driver_url(url))
    names = "key, type, id, version, updated, deleted, current, body"
    values = ", ".join(f":{name}" for name in names.split(", "))
    with engine.begin() as connection:
        rows = [dict(row) for row in connection.execute(text(f"SELECT {names} FROM record")).mappings()]
        for table in (*reversed(METADATA.sorted_tables), "alembic_version"):
            connection.execute(text(f"DROP TABLE {table}"))
        if engine.dialect.name == "postgresql":
            connection.execute(text("DROP FUNCTION chain_entry_stays"))
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.execute(text(f"INSERT INTO record ({names}) VALUES ({values})"), rows)
    engine.dispose()


META = {
    "tag": [
        {"system": "urn:t", "code": "a"},
        {"code": "a"},
        {"system": "urn:t"},
        {"system": "urn:t", "code": "a"},
    ],
    "security": [
        {"system": "urn:s", "code": "R", "display": "x" * 900},
        {"system": "urn:s", "code": "y" * 900},
    ],
    "profile": ["https://example.org/p", "https://example.org/q|1.0", "https://example.org/q|1.0"],
}


def meta_entries(url):
    engine = create_engine(driver_url(url))
    names = "record, type, parameter, system, value"
    with engine.connect() as connection:
        found = connection.execute(text(f"SELECT {names} FROM text_entry ORDER BY {names}")).all()
    engine.dispose()
    return [tuple(row) for row in found if row[2] in ("_tag", "_security", "_profile")]


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 1200])
def test_what_was_stored_before_it_is_found_by_its_tags_labels_and_profiles(empty_url, open_one, number):
    """By the entries that it would have if it were stored today; all versions, as far as they have any."""
    migrate(empty_url)
    store = open_one(empty_url)
    with store.writing() as transaction:
        for each in range(number):
            kind = ("QuestionnaireResponse", "RiskAssessment")[each % 2]
            resource = {"resourceType": kind, "id": f"r{each}", "meta": META if each % 3 == 0 else {}}
            entries = entries_of(resource, "https://fhir.example.org/r4")
            transaction.create(Draft(kind, f"r{each}", 1, orjson.dumps(resource), entries))
        transaction.create(Draft("QuestionnaireResponse", "erased", 1, b"", deleted=True))
        transaction.create(Draft("QuestionnaireResponse", "text", 1, orjson.dumps({"text": '"tag"'})))
        transaction.create(Draft("QuestionnaireResponse", "empty", 1, b'{"meta": {"tag": [null]}}'))
    today = meta_entries(empty_url)
    assert len(today) >= 7 * (number // 3)
    assert today
    go_back_to("0001", empty_url)
    assert migrate(empty_url) == ("0001", REVISION)
    assert meta_entries(empty_url) == today


def test_a_database_that_lost_its_version_counts_as_empty(empty_url):
    migrate(empty_url)
    execute(empty_url, "DELETE FROM alembic_version")
    with pytest.raises(StartupError, match="has no tables yet"):
        check(empty_url)


def test_a_new_file_is_for_its_owner_alone(tmp_path):
    migrate(f"sqlite:///{tmp_path / 'store.db'}")
    assert (tmp_path / "store.db").stat().st_mode & 0o777 == 0o600


def test_a_store_never_creates_a_file(tmp_path, open_one):
    store = open_one(f"sqlite:///{tmp_path / 'store.db'}")
    with pytest.raises(StoreUnavailable):
        store.ping()
    assert not (tmp_path / "store.db").exists()


def test_a_folder_that_is_missing_is_made_for_its_owner_alone(tmp_path):
    migrate(f"sqlite:///{tmp_path / 'far' / 'away' / 'store.db'}")
    assert (tmp_path / "far" / "away").stat().st_mode & 0o777 == 0o700


def test_a_file_that_cannot_be_created_is_unavailable(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "store.db"):
        with pytest.raises(StoreUnavailable):
            migrate(f"sqlite:///{path}")


def test_a_file_that_another_program_holds_is_busy_until_it_is_free(sqlite_url):
    engine = create_engine(sqlite_url)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = DELETE")
        connection.exec_driver_sql("PRAGMA locking_mode = EXCLUSIVE")
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        with pytest.raises(StoreBusy):
            migrate(sqlite_url, StoreLimits(lock_s=0.1))
    engine.dispose()
    migrate(sqlite_url)
    assert check(sqlite_url) is None


def test_a_file_that_another_program_reads_in_the_old_way_is_busy(sqlite_url):
    engine = create_engine(sqlite_url)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = DELETE")
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("SELECT * FROM record").all()
        with pytest.raises(StoreBusy):
            migrate(sqlite_url, StoreLimits(lock_s=0.1))
    engine.dispose()


def test_a_server_that_does_not_answer_is_unavailable(postgresql_server):
    wrong = postgresql_server.database("no_such_database")
    for action in (check, migrate):
        with pytest.raises(StoreUnavailable) as refused:
            action(wrong)
        assert postgresql_server.password not in str(refused.value)


def ended(url, limits):
    os.kill(os.getpid(), signal.SIGKILL)


def refused_in_a_child(url, limits):
    raise StoreUnavailable(f"not in {os.getpid()}")


def test_a_child_that_is_killed_while_it_migrates_is_said_in_words(monkeypatch):
    monkeypatch.setattr(opening, "migrate", ended)
    with pytest.raises(StartupError, match="was ended before it was done") as refused:
        migrate_before_fork("postgresql://nobody@127.0.0.1:1/none")
    assert refused.value.__suppress_context__


def test_what_a_child_cannot_migrate_is_refused_as_here(monkeypatch):
    monkeypatch.setattr(opening, "migrate", refused_in_a_child)
    with pytest.raises(StoreUnavailable, match="not in") as refused:
        migrate_before_fork("postgresql://nobody@127.0.0.1:1/none")
    assert str(os.getpid()) not in str(refused.value)


def test_a_file_is_migrated_without_a_child(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "ProcessPoolExecutor", None)
    assert migrate_before_fork(f"sqlite:///{tmp_path / 'store.db'}") == (None, REVISION)
    assert migrate_before_fork("none") is None


def test_no_store_is_a_choice():
    assert open_store("none") is None
    assert migrate("none") is None
    assert check("none") is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite://",
        "sqlite:///a?mode=ro",
        "mysql://u:canary@h/d",
        "postgresql+psycopg2://u:canary@h/d",
        "canary",
    ],
)
def test_a_url_of_another_kind_is_refused_and_not_repeated(url):
    with pytest.raises(SettingsError, match="Expected none, sqlite") as refused:
        open_store(url)
    assert "canary" not in str(refused.value)


def test_the_url_may_name_the_driver(postgresql_url, open_one):
    with psycopg.connect(postgresql_url):
        assert open_one(driver_url(postgresql_url)).ping() is None


DATA = Path(__file__).parent / "data"


def fill_with_schema_0002(url):
    """Puts in what the program of that schema stored: two versions of r1, one of r2, results and trail."""
    if url.startswith("sqlite"):
        shutil.copy(DATA / "schema_0002.db", url.removeprefix("sqlite:///"))
        return
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute((DATA / "schema_0002.sql").read_text())


def test_what_was_stored_before_there_were_tenants_is_of_the_one_without_a_name(empty_url, open_one):
    """By a database that the program of that schema wrote, with its entries."""
    fill_with_schema_0002(empty_url)
    assert migrate(empty_url) == ("0002", REVISION)
    store = open_one(empty_url)
    to_b = Criterion("subject", (ReferenceTo("b", "Patient"),))
    of_b = Criterion("_subject", (ReferenceTo("b", "Patient"),))
    with store.reading() as view:
        assert [view.read_version("QuestionnaireResponse", "r1", at).version for at in (1, 2)] == [1, 2]
        assert view.history("RiskAssessment", "r1", limit=9).total == 2
        assert [found.id for found in view.search(Search("QuestionnaireResponse", (to_b,))).records] == ["r2"]
        assert [found.id for found in view.search(Search("Provenance", (of_b,))).records] == ["r2.1"]
        moved = Criterion("_subject", (ReferenceToUrl("https://ehr.example.org/fhir/Patient/a"),))
        assert [found.id for found in view.search(Search("Provenance", (moved,))).records] == ["r1.2"]
    assert store.tenants("QuestionnaireResponse") == [""]
    with store.reading("north") as view:
        assert view.read("QuestionnaireResponse", "r1") is None


def test_entries_of_before_go_with_their_record_and_ids_are_free_in_another_tenant(empty_url, open_one):
    fill_with_schema_0002(empty_url)
    migrate(empty_url)
    store = open_one(empty_url)
    with store.writing("north") as transaction:
        assert transaction.create(Draft("QuestionnaireResponse", "r1", 1, b"{}")).version == 1
    with store.writing() as transaction, pytest.raises(AlreadyExists):
        transaction.create(Draft("QuestionnaireResponse", "r1", 1, b"{}"))
    with store.erasing() as transaction:
        kinds = ("QuestionnaireResponse", "RiskAssessment", "Provenance", "AuditEvent")
        for kind in kinds:
            transaction.erase(transaction.beginning(kind, "r"))
    engine = create_engine(driver_url(empty_url))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT tenant, id FROM record")).all() == [("north", "r1")]
        assert connection.execute(text("SELECT count(*) FROM text_entry")).scalar_one() == 0
    engine.dispose()


def with_schema(revision, url):
    """Gives an empty database the schema that it had then."""
    engine = create_engine(driver_url(url))
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    return engine


def test_dates_keep_their_records_get_their_tenant_and_who_has_none_stands_at_the_end(empty_url, open_one):
    if empty_url.startswith("sqlite"):
        Path(empty_url.removeprefix("sqlite:///")).touch()
    engine = with_schema("0005", empty_url)
    of = {
        "type": "QuestionnaireResponse",
        "version": 1,
        "updated": 7,
        "deleted": 0,
        "current": 1,
        "body": b"{}",
    }
    keys = {"a": ("", 5), "b": ("", None), "c": ("north", 4), "d": ("", 3)}
    with engine.begin() as connection:
        for key, (of_id, (tenant, date)) in enumerate(keys.items(), start=1):
            row = {**of, "key": key, "id": of_id, "tenant": tenant}
            connection.execute(
                text(f"INSERT INTO record ({', '.join(row)}) VALUES (:{', :'.join(row)})"), row
            )
            entry = {"type": of["type"], "parameter": "authored", "low": date, "high": date, "record": key}
            if date is not None:
                names = ", ".join(entry)
                values = ", ".join(f":{name}" for name in entry)
                connection.execute(text(f"INSERT INTO range_entry ({names}) VALUES ({values})"), entry)
    assert migrate(empty_url) == ("0005", REVISION)
    with engine.connect() as connection:
        columns = "type, tenant, parameter, low, record, high"
        rows = connection.execute(text(f"SELECT {columns} FROM range_entry ORDER BY record")).all()
    assert [tuple(row[1:]) for row in rows] == [
        ("", "authored", 5, 1, 5),
        ("", "authored:none", 0, 2, 0),
        ("north", "authored", 4, 3, 4),
        ("", "authored", 3, 4, 3),
    ]
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    engine.dispose()
    search = Search("QuestionnaireResponse", sort=(Sort("date", "authored"),), bounded=True)
    store = open_one(empty_url)
    with store.reading() as view:
        assert [record.id for record in view.search(search).records] == ["d", "a", "b"]
    with store.erasing() as transaction:
        transaction.erase([("QuestionnaireResponse", "a")])
    with store.reading() as view:
        assert [record.id for record in view.search(search).records] == ["d", "b"]
