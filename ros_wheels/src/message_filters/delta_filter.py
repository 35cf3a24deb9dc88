"""Pass on only messages that differ from the last one that was passed on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

from message_filters.simple_filter import OneInputFilter, SimpleFilter

FieldGetter = Callable[[Any], Any]


class ComparisonHandler:
    """Decides which messages pass; subclasses say how."""

    def message_fits(self, message: Any) -> bool:
        """Whether to pass on `message`."""
        raise NotImplementedError

    def do_fields_fit(self, field_a: Any, field_b: Any) -> bool:
        """Whether a field that passed last and the same of a new message let the new message pass."""
        raise NotImplementedError


class CachedComparisonHandler(ComparisonHandler):
    """Compares each message field by field with the last one that passed; the first passes.

    Subclasses set `_field_getters` and define `do_fields_fit`; one field that fits is enough.
    """

    _field_getters: Sequence[FieldGetter] = ()

    def __init__(self) -> None:
        self._message_cache: Any = None

    def message_fits(self, message: Any) -> bool:
        """Whether to pass on `message`, which is then compared with."""
        fits = self._message_cache is None or any(
            self.do_fields_fit(get(self._message_cache), get(message)) for get in self._field_getters
        )
        if fits:
            self._message_cache = message
        return fits


class DeltaCompare(CachedComparisonHandler):
    """Lets a message pass where any of the fields that the getters read has changed.

    Fields are numbers, truth values or text; TypeError for others.
    """

    def __init__(self, field_getters: Sequence[FieldGetter]) -> None:
        super().__init__()
        self._field_getters = field_getters

    def do_fields_fit(self, field_a: Any, field_b: Any) -> bool:
        """Whether the two differ."""
        for field in (field_a, field_b):
            if not isinstance(field, (bool, int, float, str)):
                raise TypeError(
                    f"field: expected a number, a truth value or text, got {type(field).__name__}"
                )
        return bool(field_a != field_b)


class ComparisonFilter(OneInputFilter):
    """Passes on the messages that `comparison_handler` finds fit."""

    def __init__(
        self, comparison_handler: ComparisonHandler, message_filter: SimpleFilter | None = None
    ) -> None:
        self._comparison_handler = comparison_handler
        super().__init__(message_filter)

    def add(self, message: Any) -> None:
        """Pass on `message` where it fits."""
        if self.message_fits(message):
            self.signalMessage(message)

    def message_fits(self, message: Any) -> bool:
        """Whether the handler finds `message` fit."""
        return self._comparison_handler.message_fits(message)


class DeltaFilter(ComparisonFilter):
    """Passes on messages in which any of the fields that the getters read has changed."""

    def __init__(
        self, field_getters: Sequence[FieldGetter], message_filter: SimpleFilter | None = None
    ) -> None:
        super().__init__(DeltaCompare(field_getters), message_filter)


class PathDeltaFilter(DeltaFilter):
    """A DeltaFilter for fields named by their path in the message, such as `pose.position.x`.

    RuntimeError for a message without such a field.
    """

    def __init__(self, field_path_list: Sequence[str], message_filter: SimpleFilter | None = None) -> None:
        getters = [partial(self.get_field_by_path, field_path=path) for path in field_path_list]
        super().__init__(getters, message_filter)

    def get_field_by_path(self, message: Any, field_path: str) -> Any:
        """The field of `message` at a path with dots."""
        try:
            return reduce(getattr, field_path.split("."), message)
        except AttributeError as error:
            raise RuntimeError(f"{field_path}: no such field, {error}") from error
