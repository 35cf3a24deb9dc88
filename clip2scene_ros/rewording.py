"""Other classes at run time: those whose words a CLIP has to embed are made in a thread of their own.

Loading a CLIP takes seconds, in which no callback may wait. The node answers with its old classes until then,
and goes on with them where the new ones cannot be had.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeAlias

from rclpy.node import Node
from rclpy.parameter import Parameter

from clip2scene_core.errors import Clip2SceneError
from clip2scene_core.inference import SemanticSegmenter
from clip2scene_ros.worker import NewestOnlyWorker

Words: TypeAlias = tuple[str, ...]
"""A class each, with bars between its phrases; none for the classes of the checkpoint."""
PARAMETER = "classes"


class Rewording:
    """Follows the parameter `classes`: `segmenter` is the one that answers with it."""

    def __init__(
        self,
        node: Node,
        whole: SemanticSegmenter,
        words: Words,
        *,
        on_change: Callable[[], None],
        on_failure: Callable[[str], None],
    ) -> None:
        """`words` are embedded before this returns. Raises what SemanticSegmenter.with_words does.

        on_change, on_failure: called by the executor of the node, the latter with the reason, one line.
        """
        self._node = node
        self._whole = whole
        self._on_change, self._on_failure = on_change, on_failure
        self._words = self._asked = words
        self.segmenter = whole.with_words(words) if words else whole
        self._made: tuple[Words, SemanticSegmenter | Exception] | None = None
        self._is_made = node.create_guard_condition(self._take)
        self._worker = NewestOnlyWorker(self._embed, on_drop=lambda words: None, on_error=self._tell)

    def change(self, words: Words) -> None:
        """Answer with these from now on, or as soon as their words are embedded; called by the executor.

        Raises Clip2SceneError, and changes nothing, where that can be seen at once to be impossible.
        """
        if words == self._words:
            self._asked = words
        elif words and self._whole.needs_clip(words):
            self._asked = words
            self._node.get_logger().info(f"classes: {', '.join(words)} are being embedded")
            self._worker.submit(words)
        else:
            self._set(words, self._whole.with_words(words) if words else self._whole)

    def stop(self) -> None:
        """What is being embedded is not waited for."""
        self._worker.stop(timeout_s=0.0)

    def _embed(self, words: Words) -> None:
        self._tell(words, self._whole.with_words(words))

    def _tell(self, words: Words, made: SemanticSegmenter | Exception) -> None:
        """In the worker's thread: the executor takes over."""
        if not self._worker.stopping.is_set():
            self._made = words, made
            self._is_made.trigger()

    def _take(self) -> None:
        """By the executor: what was made, unless something else has been asked for meanwhile."""
        if self._made is None:
            return
        (words, made), self._made = self._made, None
        if words != self._asked:
            return
        if not isinstance(made, Exception):
            self._set(words, made)
            return
        if not isinstance(made, Clip2SceneError):  # a defect
            self._node.get_logger().error("".join(traceback.format_exception(made)))
        reason = str(made) if isinstance(made, Clip2SceneError) else f"{type(made).__name__}: {made}"
        self._on_failure(f"classes stay as they are: {reason}")
        self._node.set_parameters([Parameter(PARAMETER, value=list(self._words) or [""])])

    def _set(self, words: Words, segmenter: SemanticSegmenter) -> None:
        self._words, self._asked, self.segmenter = words, words, segmenter
        self._on_change()
