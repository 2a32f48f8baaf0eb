"""A trail on stores of both kinds, and what an attacker may do to it behind the back of the program."""

import pytest
from sqlalchemy import create_engine, text
from store_fixtures import PATIENT


@pytest.fixture
def store(url, open_one):
    return open_one(url, PATIENT)


@pytest.fixture
def tamper(url):
    """Returns a function that runs statements as whoever owns the database."""

    def run(*statements, **values):
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            if engine.dialect.name == "sqlite":
                connection.execute(text("DROP TRIGGER IF EXISTS chain_entry_stays"))
            else:
                connection.execute(text("ALTER TABLE chain_entry DISABLE TRIGGER ALL"))
            for statement in statements:
                connection.execute(text(statement), values)
            if engine.dialect.name != "sqlite":  # other tests use the same database, and count on it
                connection.execute(text("ALTER TABLE chain_entry ENABLE TRIGGER ALL"))
        engine.dispose()

    return run
