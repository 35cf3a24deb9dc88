"""What a tree of frames says of itself: as text, as YAML and as a graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tf2_py.frame_history import History, Link, Span, seconds

Frames = Mapping[str, History | None]

_SHORTEST_SPAN_NS = 100_000  # over which a rate is told


def as_string(frames: Frames) -> str:
    """One line a frame that was ever given a parent."""
    return "".join(
        f"Frame {frame} exists with parent {history.newest.parent if history.newest else 'NO_PARENT'}.\n"
        for frame, history in frames.items()
        if history is not None
    )


def as_yaml(frames: Frames) -> str:
    """Parent, broadcaster, rate and times of each frame that has a parent."""
    entries = [
        f"{frame}: \n"
        f"  parent: '{newest.parent}'\n"
        f"  broadcaster: '{authority}'\n"
        f"  rate: {_rate_hz(span):.3f}\n"
        f"  most_recent_transform: {seconds(span.newest_ns)}\n"
        f"  oldest_transform: {seconds(span.oldest_ns)}\n"
        f"  buffer_length: {(span.newest_ns - span.oldest_ns) / 1e9:.3f}\n"
        for frame, newest, authority, span in _children(frames)
    ]
    return "".join(entries) if frames else "[]"


def as_dot(frames: Frames, time_ns: int) -> str:
    """A Graphviz graph, an edge from each parent to its child; ages are told where `time_ns` is not 0."""
    edges = []
    for frame, newest, authority, span in _children(frames):
        age = f"( {(time_ns - span.newest_ns) / 1e9:.3f} sec old)" if time_ns else ""
        label = (
            f"Broadcaster: {authority}\\n"
            f"Average rate: {_rate_hz(span):.3f} Hz\\n"
            f"Most recent transform: {seconds(span.newest_ns)} {age}\\n"
            f"Buffer length: {(span.newest_ns - span.oldest_ns) / 1e9:.3f} sec\\n"
        )
        edges.append(f'"{newest.parent}" -> "{frame}"[label="{label}"];\n')
    return "digraph G {\n" + "".join(edges) + "}"


def _children(frames: Frames) -> Iterator[tuple[str, Link, str, Span]]:
    """Name, newest link, broadcaster and span of each frame that has a parent."""
    for frame, history in frames.items():
        if history is not None and history.newest is not None:
            yield frame, history.newest, history.authority, history.span


def _rate_hz(span: Span) -> float:
    return span.count * 1e9 / max(span.newest_ns - span.oldest_ns, _SHORTEST_SPAN_NS)
