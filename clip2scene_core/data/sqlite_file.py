"""The SQLite files of rosbag2, whole, cut or left in the middle of a transaction."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from clip2scene_core.data.bag_file import Connection, Message, Position, normalised_type
from clip2scene_core.errors import DataError

if TYPE_CHECKING:
    import apsw

MAGIC = b"SQLite format 3\0"

PART_ROWS = 1024


class SqliteFile:
    """One .db3 file; see BagFile. Its rows are listed once, and then read one by one."""

    def __init__(self, path: Path) -> None:
        """Raises DataError where `path` has no tables of rosbag2."""
        self.connections: dict[int, Connection] = {}
        self.problem = ""
        self._path = path
        self._database = self._open()
        try:
            self._read_connections()
            self._rows, self._topics, self._logged_ns = self._list_rows()
        except BaseException:
            self._database.close()
            raise

    @property
    def starts_ns(self) -> Sequence[int]:
        return [int(logged_ns) for logged_ns in self._logged_ns[::PART_ROWS]]

    def messages(self, part: int, wanted: Collection[int], head_bytes: int) -> Iterator[Message]:
        rows = slice(part * PART_ROWS, (part + 1) * PART_ROWS)
        columns = (column[rows].tolist() for column in (self._rows, self._topics, self._logged_ns))
        for row, topic, logged_ns in zip(*columns, strict=True):
            if topic in wanted:
                yield Message(logged_ns, topic, (row,), self._head(row, head_bytes))

    def read(self, position: Position) -> bytes:
        import apsw

        try:
            return self._data(position[0])
        except apsw.Error as error:
            raise DataError(f"row {position[0]} is damaged: {error}") from error

    def reopen(self) -> None:
        self._database = self._open()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_database": None}

    def _head(self, row: int, size: int) -> bytes:
        """The first bytes of a message; none where it is damaged."""
        import apsw

        try:
            return self._data(row, size)
        except apsw.Error:
            return b""

    def _data(self, row: int, size: int = -1) -> bytes:
        """The first bytes of a message, or all; SQLite reads no more than it must."""
        blob = self._database.blob_open("main", "messages", "data", row, False)
        try:
            return blob.read(size)
        finally:
            blob.close()

    def _open(self) -> apsw.Connection:
        import apsw

        try:
            return self._connect("mode=ro")
        except apsw.CorruptError:
            # The file is shorter than it says. SQLite reads what is there where the schema may be odd.
            self.problem = "its end is missing; what is before it is read"
            options = "mode=ro"
        except apsw.Error:
            # A transaction that was not finished would have to be undone, or the folder is read-only.
            if any(Path(f"{self._path}{suffix}").exists() for suffix in ("-journal", "-wal")):
                self.problem = "its last transaction was not finished and is left out"
            options = "mode=ro&immutable=1"
        try:
            return self._connect(options, cut=True)
        except apsw.Error as error:
            raise DataError(f"it is no SQLite file: {error}") from error

    def _connect(self, options: str, *, cut: bool = False) -> apsw.Connection:
        import apsw

        uri = f"file:{quote(str(self._path.absolute()))}?{options}"
        database = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        try:
            if cut:
                database.pragma("writable_schema", True)
            database.execute("SELECT count(*) FROM sqlite_master").fetchall()
        except BaseException:
            database.close()
            raise
        return database

    def _read_connections(self) -> None:
        import apsw

        definitions: dict[str, tuple[str, str]] = {}
        try:
            if self._has_table("message_definitions"):
                columns = "topic_type, CAST(encoded_message_definition AS BLOB), encoding"
                query = f"SELECT {columns} FROM message_definitions"
                definitions = {
                    name: (text.decode(errors="replace"), kind)
                    for name, text, kind in self._database.execute(query)
                }
            query = "SELECT id, name, type, serialization_format FROM topics"
            for number, topic, type_name, encoding in self._database.execute(query):
                definition = definitions.get(type_name, ("", ""))
                self.connections[number] = Connection(
                    topic, normalised_type(type_name), encoding, *definition
                )
        except (apsw.Error, TypeError, AttributeError, ValueError) as error:
            raise DataError(f"its tables are not those of rosbag2: {error}") from error

    def _has_table(self, name: str) -> bool:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = ?"
        return bool(self._database.execute(query, (name,)).fetchall())

    def _list_rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row, topic and time of recording (int64 each) of the messages, in the order of time.

        Neither the index of the table, which a cut file lacks, nor the messages themselves are read.
        """
        import apsw

        columns = array("q"), array("q"), array("q")
        try:
            for row in self._database.execute("SELECT id, topic_id, timestamp FROM messages NOT INDEXED"):
                for column, value in zip(columns, row, strict=True):
                    column.append(value)
        except (apsw.Error, TypeError, ValueError, OverflowError):
            self.problem = self.problem or "it is damaged; what is before the damage is read"
        count = min(len(column) for column in columns)
        rows, topics, logged_ns = (np.array(column[:count], np.int64) for column in columns)
        order = np.argsort(logged_ns, kind="stable")
        return rows[order], topics[order], logged_ns[order]
