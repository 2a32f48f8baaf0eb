"""Names that are used once, and when they are forgotten (CF09)."""

import pytest
from sqlalchemy import create_engine, text


def names_in(url):
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        found = connection.execute(text("SELECT name FROM used ORDER BY name")).scalars().all()
    engine.dispose()
    return found


def test_a_name_is_used_once(store):
    assert store.use_once("a", until=20, now=10)
    assert not store.use_once("a", until=99, now=10)
    for opened in (store.reading, store.writing):
        with opened() as view:
            assert view.is_used("a")
            assert not view.is_used("b")
    assert store.use_once("b", until=20, now=10)


def test_a_name_is_kept_until_its_end_and_forgotten_when_another_one_is_used(url, store):
    store.use_once("short", until=20, now=10)
    store.use_once("long", until=30, now=10)
    assert not store.use_once("short", until=30, now=20)
    assert names_in(url) == ["long", "short"]
    assert store.use_once("other", until=40, now=21)
    assert names_in(url) == ["long", "other"]
    assert store.use_once("short", until=40, now=21)


def test_many_that_are_over_are_forgotten_some_at_a_time(url, store):
    rows = [{"name": f"n{number}", "until": number} for number in range(502)]
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO used (name, until) VALUES (:name, :until)"), rows)
    engine.dispose()
    store.use_once("later", until=2000, now=1000)
    assert names_in(url) == ["later", "n500", "n501"]
    store.use_once("last", until=2000, now=1000)
    assert names_in(url) == ["last", "later"]


def test_a_name_that_no_column_keeps_is_refused(store):
    with pytest.raises(ValueError, match="1 to 64"):
        store.use_once("x" * 65, until=20, now=10)
