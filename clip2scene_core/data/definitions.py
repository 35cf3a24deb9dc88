"""The definitions of message types: those that a bag carries, those of the user, and the usual ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clip2scene_core.data.bag_file import Connection
from clip2scene_core.data.ros_types import typestore
from clip2scene_core.errors import DataError

if TYPE_CHECKING:
    from rosbags.interfaces.typing import Typesdict
    from rosbags.typesys.store import Typestore

HEADER = "std_msgs/msg/Header"

IDL_SEPARATOR = "=" * 80 + "\n"


@dataclass(frozen=True, slots=True, eq=False)
class Definitions:
    """What the user says of types."""

    types: Typesdict = field(default_factory=dict)


def typestore_of(connection: Connection, own: Definitions) -> Typestore:
    """A store with the type of a connection.

    `own` are definitions of the user, which count most; then come the usual ones, then those of the bag:
    what this project reads by name is the same in all of ROS 2, and in ROS 1 but for names that differ.
    Raises DataError where all of them together do not define the type.
    """
    try:
        return _typestore(connection._replace(topic=""), own)
    except DataError as error:
        raise DataError(f"{connection.topic}: {error}") from error


@lru_cache(maxsize=256)
def _typestore(connection: Connection, own: Definitions) -> Typestore:
    """Kept, since rosbags writes and compiles code for each."""
    from rosbags.typesys import Stores, get_typestore

    types = {**_embedded(connection), **typestore().fielddefs, **own.types}
    try:
        needed = {name: types[name] for name in _parts(connection.type, types)}
    except KeyError as error:
        raise DataError(
            f"type {error.args[0]} is unknown; give its .msg file with definitions=PATH"
        ) from error
    store = get_typestore(Stores.EMPTY)
    try:
        store.register(needed)
    except Exception as error:  # Whatever the code of rosbags that writes code raises over odd names.
        raise DataError(f"the definition of {connection.type} is wrong: {_line(error)}") from error
    return store


def starts_with_header(store: Typestore, message_type: str) -> bool:
    """Whether the first field is a std_msgs/Header."""
    fields = store.fielddefs[message_type][1]
    return bool(fields) and fields[0][1][1] == HEADER


def read_definitions(path: Path) -> Definitions:
    """From one .msg file, or all below a folder; a file is PACKAGE/msg/NAME.msg or PACKAGE/NAME.msg.

    Raises DataError where there are none or one cannot be parsed.
    """
    from rosbags.typesys import TypesysError, get_types_from_msg

    files = sorted(path.rglob("*.msg")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path} has no .msg file")
    types: Typesdict = {}
    for file in files:
        folder = file.absolute().parent
        package = (folder.parent if folder.name == "msg" else folder).name
        try:
            types |= get_types_from_msg(file.read_text(), f"{package}/msg/{file.stem}")
        except (TypesysError, OSError, ValueError) as error:
            raise DataError(f"{file} is no definition of a message: {_line(error)}") from error
    return Definitions(types)


def _embedded(connection: Connection) -> Typesdict:
    """What the bag says; nothing where it says nothing that can be understood."""
    from rosbags.typesys import get_types_from_idl, get_types_from_msg

    text, kind = connection.definition, connection.definition_format
    try:
        if kind in ("ros1msg", "ros2msg"):
            return get_types_from_msg(text, connection.type)
        if kind == "ros2idl":
            sections = text.split(IDL_SEPARATOR)
            bodies = [
                section.partition("\n")[2] if section.startswith("IDL:") else section for section in sections
            ]
            return {
                name: d for body in bodies if body.strip() for name, d in get_types_from_idl(body).items()
            }
    except Exception:  # Whatever the parsers of rosbags raise over text that they do not understand.
        pass
    return {}


def _parts(name: str, types: Mapping[str, Any]) -> Iterator[str]:
    """The type and all that it is made of. Raises KeyError for one that is not known."""
    from rosbags.interfaces import Nodetype

    todo, seen = [name], set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for _, (kind, detail) in types[name][1]:
            if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
                kind, detail = detail[0]
            if kind == Nodetype.NAME:
                todo.append(detail)
        yield name


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
