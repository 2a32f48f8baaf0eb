"""The store in SQL: views, transactions and erasure, on connections that each process makes on first use."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Engine,
    Executable,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from service.datatypes.values import replace
from service.storage import chain, sql
from service.storage.database import Database, fault, translated
from service.storage.model import (
    ALWAYS,
    LOOKED_AT,
    MOST_LOOKED_AT,
    AlreadyExists,
    AnyCriterion,
    AnyReference,
    AppendOnly,
    Criterion,
    Draft,
    Head,
    History,
    Link,
    LinkPart,
    Name,
    Page,
    Period,
    Position,
    Record,
    ReferenceTo,
    Search,
    Sort,
    StoredLink,
    StoreFault,
    TooManyRecords,
    UnknownRecord,
    VersionConflict,
    is_by_date,
)
from service.storage.rows import Rows, Sql, Values, fetched, insert_keyed, run_all, run_and_commit
from service.storage.schema import RANGE_ENTRY, RECORD, TEXT_ENTRY, USED
from service.storage.sql import after, any_of, bounded, filled, matches, selected

# Reads and searches on one connection.

_HIGHEST_VERSION = 2**31 - 1
_MANY = 1000  # entries from which a criterion is no good place to start


class View:
    """Reads and searches of one tenant on one connection; see model.Reading."""

    def __init__(self, connection: Connection, database: Database, tenant: str) -> None:
        self._connection = connection
        self._database = database
        self._tenant = tenant

    def read(self, type: str, id: str) -> Record | None:
        """Returns the current version, a tombstone too."""
        return self._version([sql.this(self._tenant, (type, id))])

    def read_version(
        self, type: str, id: str, version: int, criteria: Sequence[AnyCriterion] = ()
    ) -> Record | None:
        """Returns that version, if it meets the criteria."""
        if not 0 < version <= _HIGHEST_VERSION:
            return None
        if criteria:
            self.flush()
        that = (sql.this(self._tenant, (type, id)), Sql("record.version = ?", (version,)))
        return self._version([*that, *_all_hold(criteria, type)])

    def history(
        self,
        type: str,
        id: str,
        *,
        limit: int,
        before: int | None = None,
        period: Period = ALWAYS,
        criteria: Sequence[AnyCriterion] = (),
    ) -> History:
        """Returns versions of the period below `before` that meet the criteria, newest first."""
        if criteria:
            self.flush()
        these = [sql.this(self._tenant, (type, id)), *_all_hold(criteria, type), sql.within(period)]
        total = self._number(sql.count_of_versions(these))
        if before is not None:
            these.append(Sql("record.version < ?", (before,)))
        rows = self._rows(sql.versions(these, limit + 1))
        records = tuple(_record(row) for row in rows[:limit])
        return History(records, total, records[-1].version if len(rows) > limit else None)

    def search(self, search: Search) -> Page:
        """Returns one page of what the search finds."""
        start = self._start(search)
        if search.bounded and start is None and not sql.is_by_ids(search):
            return self._bounded(search)
        page = self._page(search, start, None)
        return replace(page, total=self._total(search, start, page)) if search.total else page

    def _total(self, search: Search, start: sql.Start | None, page: Page) -> int:
        """Returns the number of matches on all pages; if there is only one page, it has been counted."""
        if search.limit and search.after is None and page.next is None:
            return len(page.records)
        return self._number(sql.total(search, self._tenant, start))

    def _page(
        self, search: Search, start: sql.Start | None, total: int | None, last: Position | None = None
    ) -> Page:
        """Returns the page, which ends at the latest at `last`, where the next one then goes on."""
        if search.limit == 0:
            return Page((), total)
        rows = self._rows(sql.page(search, self._tenant, start, last))
        return _page_of(rows, search.limit, total, last)

    def _bounded(self, search: Search) -> Page:
        """Returns the page of a search that finds too many by each of its criteria to start with one."""
        total = self._bounded_total(search) if search.total else None
        if search.limit == 0:
            return Page((), total)
        if sql.is_walked(search):
            page = self._walked(search, total, LOOKED_AT)
            if page.records or page.next is None:
                return page
        return self._page_of_many(search, total)

    def _page_of_many(self, search: Search, total: int | None) -> Page:
        """Returns the page where more records must be looked at: an empty one before others means nothing."""
        start = self._start_below(search, MOST_LOOKED_AT)
        if start is not None:
            return self._page(search, start, total)
        if not sql.is_walked(search):
            if self._has_more(search, MOST_LOOKED_AT):
                raise TooManyRecords("sort", MOST_LOOKED_AT)
            return self._page(search, None, total)
        page = self._walked(search, total, MOST_LOOKED_AT)
        if page.next is not None and not page.records:
            raise TooManyRecords("match", MOST_LOOKED_AT)
        return page

    def _walked(self, search: Search, total: int | None, number: int) -> Page:
        """Returns the page of a search in an order that an index has; it looks at so many records at most."""
        if not is_by_date(search.sort):
            # Without criteria the first records are those of the page.
            return self._page(search, None, total, self._place(search, number) if search.criteria else None)
        rows: list[Any] = []
        last: Position | None = None
        for absent in (False, True):
            if last is None and len(rows) <= search.limit and not _is_past(search, absent=absent):
                last = self._place(search, number, absent=absent) if search.criteria else None
                rows += self._rows(sql.page_by_date(search, self._tenant, absent=absent, last=last))
        return _page_of(rows, search.limit, total, last)

    def _bounded_total(self, search: Search) -> int | None:
        most = MOST_LOOKED_AT if search.exact else LOOKED_AT
        if not self._has_more(search, most):
            return self._number(sql.total(search, self._tenant, None))
        if search.exact:
            raise TooManyRecords("total", most)
        return None

    def _has_more(self, search: Search, most: int) -> bool:
        """Returns whether there are more records than so many that a search would have to look at."""
        by_moment = replace(search, sort=(Sort("updated"),), after=None)
        return self._place(by_moment, most) is not None

    def _place(self, search: Search, number: int, *, absent: bool | None = None) -> Position | None:
        """Returns the place of the last of so many records; None if there are no more behind it."""
        if absent is None:
            query = sql.place_ahead(search, self._tenant, number)
        else:
            query = sql.place_ahead_by_date(search, self._tenant, absent=absent, number=number)
        rows = self._rows(query)
        return tuple(rows[0]) if len(rows) > 1 else None

    def head(self) -> Head | None:
        """Returns the end of the tenant's chain; None if there is none yet."""
        with translated():
            return chain.head_of(self._connection, self._tenant)

    def links_after(self, after: int, *, since: int = 0, limit: int) -> Sequence[StoredLink]:
        """Returns entries of the tenant's chain behind number `after`, none from before `since`."""
        with translated():
            return chain.links_after(self._connection, self._tenant, after, since=since, limit=limit)

    def is_used(self, name: str) -> bool:
        """Says whether a name was used once, and is not forgotten yet."""
        return self._run(_USED_BEFORE, {"name": _name(name)}).first() is not None

    def flush(self) -> None:
        """Does nothing: a view writes nothing that a search would miss."""

    def _start(self, search: Search) -> sql.Start | None:
        """Returns the criterion with the fewest entries, if it pays to find out."""
        candidates = sql.starts(search)
        if candidates and not search.bounded:
            first = candidates[0]
            if not self._database.probes or (isinstance(first, Criterion) and sql.points_at_few(first)):
                return first
        return self._start_below(search, _MANY)

    def _start_below(self, search: Search, most: int) -> sql.Start | None:
        """Returns the first criterion that fewer records than so many may meet."""
        for candidate in sql.starts(search):
            if self._number(sql.size(search, self._tenant, candidate, most)) < most:
                return candidate
        return None

    def _version(self, conditions: Sequence[Sql]) -> Record | None:
        """Returns the newest version that meets the conditions."""
        rows = self._rows(sql.versions(conditions, 1))
        return _record(rows[0]) if rows else None

    def _number(self, query: Sql) -> int:
        return int(self._rows(query)[0][0])

    def _rows(self, query: Sql) -> Sequence[Any]:
        with translated():
            return fetched(self._connection, query)

    def _run(self, statement: Executable, values: Any = None) -> CursorResult[Any]:
        with translated():
            return self._connection.execute(statement, values)


def _page_of(rows: Sequence[Any], limit: int, total: int | None, last: Position | None) -> Page:
    found = rows[:limit]
    more = sql.position(found[-1]) if len(rows) > limit else last
    return Page(tuple(_record(row) for row in found), total, more)


def _is_past(search: Search, *, absent: bool) -> bool:
    """Returns whether the page starts behind the records with a date, or behind those without."""
    return search.after is not None and int(search.after[0]) > absent


def _all_hold(criteria: Sequence[AnyCriterion], of_type: str) -> list[Sql]:
    return [sql.holds(criterion, of_type) for criterion in criteria]


def _record(row: Sequence[Any]) -> Record:
    of_type, of_id, version, updated, deleted, body = row[: sql.VERSION_COLUMNS]
    return Record(of_type, of_id, version, updated, bool(deleted), bytes(body))


# Writes on one connection; all of them are stored together, or none.

_OF_RECORD = (
    RECORD.c.tenant == bindparam("of_tenant"),
    RECORD.c.type == bindparam("of_type"),
    RECORD.c.id == bindparam("of_id"),
)
_RETIRE = (
    update(RECORD)
    .where(*_OF_RECORD, RECORD.c.version == bindparam("expected"), RECORD.c.current == 1)
    .values(current=0)
)
_VERSION = (RECORD.c.type, RECORD.c.id, RECORD.c.version, RECORD.c.updated, RECORD.c.deleted, RECORD.c.body)
_LATEST = select(*_VERSION).where(*_OF_RECORD).order_by(RECORD.c.version.desc()).limit(1)
_LOCK = _LATEST.with_for_update()
_LONGEST_NAME = 64


class Transaction(View):
    """Reads, searches and writes on one connection; see model.Writing."""

    def __init__(
        self, connection: Connection, database: Database, tenant: str, append_only: Collection[str]
    ) -> None:
        super().__init__(connection, database, tenant)
        self._append_only = append_only
        self._ahead: Sequence[Sql] = ()
        self._texts: list[Values] = []
        self._ranges: list[Values] = []
        self._links: list[Link] = []
        self._chained = 0

    def create(self, draft: Draft) -> Record:
        """Stores version 1."""
        return self._insert([draft], 1, AlreadyExists("A record of this type and id exists."))[0]

    def create_all(self, drafts: Sequence[Draft]) -> tuple[Record, ...]:
        """Stores version 1 of several records with one statement."""
        return self._insert(drafts, 1, AlreadyExists("A record of one of these types and ids exists."))

    def update(self, draft: Draft, *, expected: int | None = None) -> Record:
        """Stores the version after `expected`, or after the current one whichever that is."""
        if draft.type in self._append_only:
            raise AppendOnly("Records of this type are never changed.")
        version = self._current_version(draft) if expected is None else expected
        key = {**self._key(draft.type, draft.id), "expected": version}
        if self._run(_RETIRE, key).rowcount == 0:
            raise self._no_such_version(draft)
        return self._insert([draft], version + 1, fault(VersionConflict))[0]

    def read_to_update(self, type: str, id: str) -> Record | None:
        """Returns the current version; until this transaction ends no other one changes it."""
        key = self._key(type, id)
        locked, latest = None, self._locked(key)
        while latest is not None and latest != locked:
            # PostgreSQL waits for the lock of a row, and then returns it though a later version is there.
            locked, latest = latest, self._locked(key)
        return latest

    def _locked(self, key: Mapping[str, Any]) -> Record | None:
        row = self._run(_LOCK, key).one_or_none()
        return None if row is None else _record(row)

    def claim(self, search: Search, codes: Collection[str] = ()) -> Page:
        """Returns the matches; until this transaction ends, no other one may claim the same."""
        tenant = f"{self._tenant}\n" if self._tenant else ""
        self._ahead = self._database.claiming(tenant + search.type, [*map(bounded, codes)])
        return self.search(search)

    def search(self, search: Search) -> Page:
        """Returns one page of what the search finds, what this transaction wrote included."""
        self.flush()
        return super().search(search)

    def _rows(self, query: Sql) -> Sequence[Any]:
        """Reads what is there once all that comes ahead is done: locks of claims."""
        ahead, self._ahead = self._ahead, ()
        with translated():
            return run_all(self._connection, (*ahead, query))

    def flush(self) -> None:
        """Writes the entries of the records that were stored so far, all in one go."""
        with translated():
            run_all(self._connection, self._taken())

    def _taken(self) -> tuple[Rows, Rows]:
        """Returns the entries that are not written yet, for somebody to write them."""
        taken = Rows(TEXT_ENTRY, self._texts), Rows(RANGE_ENTRY, self._ranges)
        self._texts, self._ranges = [], []
        return taken

    def chain(self, link: Link, now: int) -> None:
        """Puts an entry at the end of the tenant's chain when the transaction ends."""
        self._links.append(link)
        self._chained = max(now, self._chained)

    def end(self) -> None:
        """Writes all that is left, the entries of the chain last: others wait from then on."""
        behind, links = self._taken(), self._links
        self._links = []
        with translated():
            if links:
                of_chain = (self._connection, self._database, self._tenant)
                chain.append(*of_chain, links, self._chained, behind=behind)
            else:
                run_and_commit(self._connection, behind)

    def _key(self, of_type: str, of_id: str) -> dict[str, Any]:
        return {"of_tenant": self._tenant, "of_type": of_type, "of_id": bounded(of_id)}

    def _current_version(self, draft: Draft) -> int:
        current = self.read_to_update(draft.type, draft.id)
        if current is None:
            raise self._no_such_version(draft)
        return current.version

    def _no_such_version(self, draft: Draft) -> StoreFault:
        if self.read(draft.type, draft.id) is None:
            return UnknownRecord("There is no record of this type and id.")
        return fault(VersionConflict)

    def _insert(self, drafts: Sequence[Draft], version: int, taken: StoreFault) -> tuple[Record, ...]:
        rows = [_row(self._tenant, draft, version) for draft in drafts]
        with translated(taken):
            keys = insert_keyed(self._connection, RECORD, rows, ("type", "id"))
        for draft, key in zip(drafts, keys, strict=True):
            self._index(draft, key)
        return tuple(_stored(draft, version) for draft in drafts)

    def _index(self, draft: Draft, key: int) -> None:
        named = {found: None for entry in draft.entries for found in entry.texts()}
        covered = {found: None for entry in draft.entries for found in entry.ranges()}
        of_type = draft.type
        self._texts += [
            (parameter, bounded(value), bounded(system), of_type, key) for parameter, system, value in named
        ]
        of = (of_type, self._tenant)
        self._ranges += [(*of, parameter, low, key, high) for parameter, low, high in covered]


def _stored(draft: Draft, version: int) -> Record:
    return Record(draft.type, draft.id, version, draft.updated, draft.deleted, draft.body)


def _row(tenant: str, draft: Draft, version: int) -> Values:
    """Returns the values of the columns of RECORD behind its key."""
    names = _name(draft.type), _name(draft.id)
    return (tenant, *names, version, draft.updated, int(draft.deleted), 1, draft.body)


def _name(text: str) -> str:
    if not text or len(text) > _LONGEST_NAME or bounded(text) != text:
        raise ValueError("Expected a name of 1 to 64 characters.")
    return text


# What is known of a person, as lines; and deletion for good, of records that are named.
#
# People are known only as references in index entries: a record that names a person in none is not found.

_BATCH = 500  # names in one statement
_NAME = (RECORD.c.type, RECORD.c.id)
_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")  # in JSON a raw line end is white space


def names_of_person(
    connection: Connection, tenant: str, parameters: Sequence[str], person: Sequence[AnyReference]
) -> Sequence[Name]:
    """Returns each record of which one version refers to the person, and the person's own, in order."""
    these = (Sql("record.tenant = ?", (tenant,)), _refers(parameters, person))
    order = Sql(" ORDER BY record.type, record.id")
    return _pairs(
        fetched(connection, selected(Sql("DISTINCT record.type, record.id"), "record", these, order))
    )


def lines_of(connection: Connection, tenant: str, name: Name) -> list[bytes]:
    """Returns the versions of one record that have a body, oldest first, one line of NDJSON each."""
    this = (RECORD.c.tenant == tenant, RECORD.c.type == name[0], RECORD.c.id == name[1])
    query = select(RECORD.c.body).where(*this)
    bodies = connection.execute(query.order_by(RECORD.c.version)).scalars()
    return [bytes(body).translate(_LINE_ENDS) + b"\n" for body in bodies if body]


class Erasure(Transaction):
    """Finds and deletes on one connection on which alone is written; see model.Erasing."""

    def named(self, parameters: Sequence[str], person: Sequence[AnyReference]) -> Sequence[Name]:
        """Returns each record of which one version refers to the person, and the person's own, in order."""
        self.flush()
        with translated():
            return names_of_person(self._connection, self._tenant, parameters, person)

    def beginning(self, type: str, prefix: str) -> Sequence[Name]:
        """Returns the records of the type whose id begins so, in order."""
        of_type = (RECORD.c.tenant == self._tenant, RECORD.c.type == type)
        these = (RECORD.c.id >= prefix, RECORD.c.id < (after(prefix) or ""))
        return _pairs(self._run(select(*_NAME).where(*of_type, *these).distinct().order_by(*_NAME)))

    def unchanged(self, type: str, *, since: int, limit: int) -> Sequence[Name]:
        """Returns records of the type that were last changed before the moment, oldest first."""
        of_type = (RECORD.c.tenant == self._tenant, RECORD.c.type == type)
        old = (RECORD.c.current == 1, RECORD.c.updated < since)
        return _pairs(self._run(select(*_NAME).where(*of_type, *old).order_by(RECORD.c.updated).limit(limit)))

    def count(self, names: Collection[Name]) -> Mapping[str, int]:
        """Returns how many versions of these records there are, by type."""
        query = select(func.count()).select_from(RECORD)
        found = ((type_, self._run(query.where(these)).scalar_one()) for type_, these in self._batches(names))
        return _added(found)

    def erase(self, names: Collection[Name]) -> Mapping[str, int]:
        """Deletes all versions of these records; returns how many that were, by type."""
        self.flush()
        done = (
            (type_, self._run(delete(RECORD).where(these)).rowcount) for type_, these in self._batches(names)
        )
        return _added(done)

    def empty(self, names: Collection[str]) -> Sequence[LinkPart]:
        """Erases the parts of entries of the tenant's chain that are found by one of the names."""
        with translated():
            return chain.empty(self._connection, self._tenant, names)

    def cut(self, before: int) -> Head | None:
        """Deletes the entries of the tenant's chain that are older than the moment; None if none is."""
        with translated():
            return chain.cut(self._connection, self._database, self._tenant, before)

    def _batches(self, names: Collection[Name]) -> Iterator[tuple[str, ColumnElement[bool]]]:
        """Yields conditions that hold for some of the records of one type, and that type."""
        for of_type in sorted({of_type for of_type, _ in names}):
            ids = sorted({of_id for other, of_id in names if other == of_type})
            these = (RECORD.c.tenant == self._tenant, RECORD.c.type == of_type)
            for first in range(0, len(ids), _BATCH):
                yield of_type, and_(*these, RECORD.c.id.in_(ids[first : first + _BATCH]))


def _pairs(rows: Iterable[Sequence[Any]]) -> Sequence[Name]:
    return [(row[0], row[1]) for row in rows]


def _refers(parameters: Sequence[str], person: Sequence[AnyReference]) -> Sql:
    refers = any_of(matches(parameter, reference) for parameter in parameters for reference in person)
    keys = selected(Sql("text_entry.record"), "text_entry", (refers,))
    names = [name for name in person if isinstance(name, ReferenceTo) and name.type is not None]
    itself = (Sql("(record.type = ? AND record.id = ?)", (name.type, name.id)) for name in names)
    return any_of((filled("record.key IN ({})", keys), *itself))


def _added(counts: Iterator[tuple[str, int]]) -> Mapping[str, int]:
    total: dict[str, int] = {}
    for of_type, count in counts:
        total[of_type] = total.get(of_type, 0) + count
    return {of_type: count for of_type, count in total.items() if count}


# What is used once. Several may forget at the same time: none waits for what another one deletes.

_USE = insert(USED)
_USED_BEFORE = select(USED.c.name).where(USED.c.name == bindparam("name"))
_OVER = select(USED.c.name).where(USED.c.until < bindparam("now")).order_by(USED.c.until).limit(_BATCH)
_FORGET = delete(USED).where(USED.c.name.in_(_OVER.with_for_update(skip_locked=True)))


def use(connection: Connection, name: str, until: int, now: int) -> None:
    """Marks a name as used, and forgets some of those that are over; raises AlreadyExists."""
    try:
        connection.execute(_USE, {"name": _name(name), "until": until})
    except IntegrityError:
        raise AlreadyExists("This name was used before.") from None
    connection.execute(_FORGET, {"now": now})


_ANY = select(RECORD.c.key).limit(1)
# Each tenant is looked up in the index behind the one before: there are few, of many records.
_NEXT_TENANT = select(func.min(RECORD.c.tenant)).where(
    RECORD.c.type == bindparam("type"), RECORD.c.tenant > bindparam("last")
)
_NO_NAME = select(RECORD.c.key).where(RECORD.c.type == bindparam("type"), RECORD.c.tenant == "").limit(1)


class _Engines(NamedTuple):
    process: int
    engine: Engine
    reader: Engine
    writer: Engine


class SqlStore:
    """A store in a database; see model.Store."""

    def __init__(self, database: Database, append_only: Collection[str] = ()) -> None:
        self._database = database
        self._append_only = frozenset(append_only)
        self._engines: _Engines | None = None
        self._lock = threading.Lock()

    @contextmanager
    def reading(self, tenant: str = "") -> Iterator[View]:
        """Opens a view of one moment."""
        with self._read() as connection:
            yield View(connection, self._database, tenant)

    @contextmanager
    def writing(self, tenant: str = "") -> Iterator[Transaction]:
        """Opens a transaction, stored when the block ends and undone when it raises."""
        with self._write() as connection:
            transaction = Transaction(connection, self._database, tenant, self._append_only)
            yield transaction
            transaction.end()

    def ping(self) -> None:
        """Raises StoreUnavailable or StoreBusy unless the database answers."""
        with self._read() as connection:
            connection.execute(_ANY)

    def use_once(self, name: str, *, until: int, now: int) -> bool:
        """Says whether a name is used for the first time; also forgets some names that are over."""
        try:
            with self._write() as connection:
                use(connection, name, until, now)
        except AlreadyExists:
            return False
        return True

    def tenants(self, type: str) -> Sequence[str]:
        """Returns the tenants that have a record of the type, in order."""
        found: list[str] = []
        with self._read() as connection:
            if connection.execute(_NO_NAME, {"type": type}).first() is not None:
                found.append("")
            last: str | None = ""
            while last is not None:
                last = connection.execute(_NEXT_TENANT, {"type": type, "last": last}).scalar_one()
                found += [] if last is None else [last]
        return found

    def heads(self) -> Sequence[Head]:
        """Returns the end of each chain, in the order of the tenants."""
        with self._read() as connection:
            return chain.heads(connection)

    def export(
        self, parameters: Sequence[str], person: Sequence[AnyReference], tenant: str = ""
    ) -> Iterator[bytes]:
        """Yields all versions of the tenant's records that refer to the person, one line of NDJSON each."""
        # A transaction for each record: a slow reader of the lines holds no connection.
        with self._read() as connection:
            found = names_of_person(connection, tenant, parameters, person)
        for name in found:
            with self._read() as connection:
                lines = lines_of(connection, tenant, name)
            yield from lines

    @contextmanager
    def erasing(self, tenant: str = "") -> Iterator[Erasure]:
        """Opens a transaction beside which no other one writes."""
        with self._write() as connection:
            self._database.exclude(connection)
            transaction = Erasure(connection, self._database, tenant, self._append_only)
            yield transaction
            transaction.end()

    def scrub(self) -> None:
        """Removes what was deleted from the files of the database, as far as the database can."""
        with translated():
            self._database.scrub(self._connected().engine)

    def close(self) -> None:
        """Closes the connections of this process."""
        with self._lock:
            if self._engines is not None:
                _close(self._engines)
            self._engines = None

    def _connected(self) -> _Engines:
        """Returns the engines of this process; those that a parent process has opened are left alone."""
        engines = self._engines
        if engines is not None and engines.process == os.getpid():
            return engines
        with self._lock:
            return self._make()

    def _make(self) -> _Engines:
        engines = self._engines
        if engines is not None:
            if engines.process == os.getpid():
                return engines  # another thread was first
            engines.engine.dispose(close=False)
        engine = self._database.engine()
        made = _Engines(os.getpid(), engine, self._database.reader(engine), self._database.writer(engine))
        self._engines = made
        weakref.finalize(self, _close, made).atexit = False
        return made

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with translated(), _transaction(self._connected().reader) as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        writer = self._connected().writer
        with translated(), self._database.turn(), _transaction(writer) as connection:
            yield connection


def _close(engines: _Engines) -> None:
    """Closes the engines of a store that is gone; those of another process are left alone."""
    if engines.process == os.getpid():
        engines.engine.dispose()


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        try:
            with connection.begin():
                yield connection
        except Exception:
            raise
        except BaseException:
            # A greenlet that is stopped leaves its connection in the middle of an answer.
            connection.invalidate()
            raise
