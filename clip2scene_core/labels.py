"""Label sets: the classes of a vocabulary, their phrases and colours, and the maps between sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from clip2scene_core.errors import ConfigError
from clip2scene_core.palette import UNLABELLED, distinct_colours

IGNORE = "ignore"
"""The word for `no class` in raw ids and maps."""

SHIPPED = resources.files("clip2scene_core") / "label_sets"
"""Folder of the label sets that ship with the package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticClass:
    """One class of a label set."""

    id: int
    name: str
    colour: tuple[int, ...]
    """RGB, 0..255."""
    phrases: tuple[str, ...]
    """What CLIP is asked for; the phrase that fits best counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSet:
    """The classes that labels may take; a network's output c stands for `classes[c]`."""

    name: str
    classes: tuple[SemanticClass, ...]
    ignore_id: int = 0
    raw_ids: Mapping[int, str] = field(default_factory=dict)
    """Id in the files of the data set -> class name; ids that are absent are ignored."""
    raw_names: Mapping[str, str] = field(default_factory=dict)
    """Name in the files of the data set -> class name, where the ids differ from recording to recording."""
    maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Name of another label set -> its class name -> class name here; absent ones are ignored."""

    def __post_init__(self) -> None:
        ids = [c.id for c in self.classes]
        names = [c.name for c in self.classes]
        if not ids:
            raise ConfigError(f"label set {self.name} has no classes")
        if len(set(ids)) < len(ids) or len(set(names)) < len(names):
            raise ConfigError(f"label set {self.name}: ids and names must be unique")
        if self.ignore_id in ids:
            raise ConfigError(f"label set {self.name}: ignore id {self.ignore_id} is the id of a class")
        if out := [id for id in (*ids, self.ignore_id, *self.raw_ids) if not 0 <= id <= 65535]:
            raise ConfigError(f"label set {self.name}: ids must lie in 0..65535, got {out[0]}")
        for c in self.classes:
            if len(c.colour) != 3 or not all(0 <= value <= 255 for value in c.colour):
                raise ConfigError(
                    f"label set {self.name}: the colour of '{c.name}' must be three values 0..255, "
                    f"got {list(c.colour)}"
                )
        sources: dict[str, Mapping[Any, str]] = {
            "raw_ids": self.raw_ids,
            "raw_names": self.raw_names,
            **self.maps,
        }
        for source, pairs in sources.items():
            unknown = sorted(set(pairs.values()) - set(names) - {IGNORE})
            if unknown:
                raise ConfigError(f"label set {self.name}: {source} maps to unknown class '{unknown[0]}'")

    @classmethod
    def named(cls, name: str) -> LabelSet:
        """A label set that ships with the package, or one from a YAML file if `name` ends in .yaml.

        The file is like label_sets/street.yaml, or holds what `from_words` takes and is named after the file.
        """
        if name.endswith((".yaml", ".yml")):
            path = Path(name)
            if not path.is_file():
                raise ConfigError(f"label set file {name} does not exist")
            try:
                content = yaml.safe_load(path.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
                raise ConfigError(f"cannot read label set {name}: {' '.join(str(error).split())}") from error
            if isinstance(content, Mapping) and "classes" in content:
                return cls.from_dict(content)
            return cls.from_words(content, name=path.stem)
        if name not in (known := cls.shipped()):
            raise ConfigError(f"label set '{name}' is unknown; known are {', '.join(known)}, or a .yaml file")
        return cls.from_dict(yaml.safe_load((SHIPPED / f"{name}.yaml").read_text(encoding="utf-8")))

    @staticmethod
    def shipped() -> tuple[str, ...]:
        """Names of the label sets that ship with the package."""
        names = (file.name for file in SHIPPED.iterdir())
        return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))

    @classmethod
    def from_words(cls, words: Any, *, name: str = "words") -> LabelSet:
        """A vocabulary of one's own: classes 1, 2, ... in the order of the words; 0 is no class.

        `words` is text such as "road, car|van, tram", with commas between classes and bars between the
        phrases of a class, of which the first is its name; or a list of classes; or a mapping of names to
        phrases, for names that are no good phrases. A class that `street` has too keeps its colour, the
        others have distinct ones that stay when words are added at the end. Raises ConfigError where words
        are missing, given twice or no text.
        """
        where = f"label set {name}"
        words = words.split(",") if isinstance(words, str) else words or ()
        if not isinstance(words, Iterable):
            raise ConfigError(f"{where}: expected a list of words, got {words!r}")
        entries = words.items() if isinstance(words, Mapping) else ((word, None) for word in words)
        classes: list[tuple[str, tuple[str, ...]]] = []
        for word, given in entries:
            phrases = _phrases(word if given is None else given, where)
            classes.append((phrases[0] if given is None else _phrases([word], where)[0], phrases))
        _check_unique((word for word, _ in classes), where)
        _check_unique((phrase for _, phrases in classes for phrase in phrases), where)
        street = {c.name: c.colour for c in cls.named("street").classes}
        fresh = iter(distinct_colours(len(classes), street.values()))
        return cls(
            name=name,
            classes=tuple(
                SemanticClass(id=id, name=word, colour=street.get(word) or next(fresh), phrases=phrases)
                for id, (word, phrases) in enumerate(classes, start=1)
            ),
        )

    @classmethod
    def from_dict(cls, content: Mapping) -> LabelSet:
        """From the content of a YAML file or a checkpoint header; see label_sets/street.yaml."""
        try:
            classes = tuple(
                SemanticClass(
                    id=int(c["id"]),
                    name=str(c["name"]),
                    colour=tuple(int(v) for v in c["colour"]),
                    phrases=_phrases(c["phrases"], f"label set {content['name']}")
                    if c.get("phrases")
                    else (str(c["name"]).replace("_", " "),),
                )
                for c in content["classes"]
            )
            return cls(
                name=str(content["name"]),
                classes=classes,
                ignore_id=int(content.get("ignore_id", 0)),
                raw_ids={int(k): v for k, v in content.get("raw_ids", {}).items()},
                raw_names=content.get("raw_names", {}),
                maps=content.get("maps", {}),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"label set is malformed: {type(error).__name__} {error}") from error

    def to_dict(self) -> dict:
        """What a checkpoint keeps: everything but the maps from other sets."""
        return {
            "name": self.name,
            "ignore_id": self.ignore_id,
            "classes": [
                {"id": c.id, "name": c.name, "colour": list(c.colour), "phrases": list(c.phrases)}
                for c in self.classes
            ],
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each class, in the order of `classes`."""
        return tuple(c.name for c in self.classes)

    @property
    def phrases(self) -> tuple[tuple[str, ...], ...]:
        """The phrases of each class, in the order of `classes`."""
        return tuple(c.phrases for c in self.classes)

    @property
    def ids(self) -> np.ndarray:
        """(C,) uint16: the id of each class, in the order of `classes`."""
        return np.array([c.id for c in self.classes], np.uint16)

    def id_of(self, name: str) -> int:
        """The id of the class with this name; `ignore` gives the ignore id."""
        if name == IGNORE:
            return self.ignore_id
        for c in self.classes:
            if c.name == name:
                return c.id
        raise ConfigError(f"label set {self.name} has no class '{name}'; it has {', '.join(self.names)}")

    def indices(self, class_id: np.ndarray) -> np.ndarray:
        """(N,) int64: position in `classes` of each id, -1 where ignored or unknown."""
        table = np.full(65536, -1, np.int64)
        table[self.ids] = np.arange(len(self.classes))
        return table[class_id]

    def palette(self) -> np.ndarray:
        """(65536, 3) uint8 RGB by id; grey where there is no class."""
        table = np.full((65536, 3), UNLABELLED, np.uint8)
        for c in self.classes:
            table[c.id] = c.colour
        return table

    def numbered(self, names: Mapping[int, str]) -> LabelSet:
        """This set for files in which these ids stand for these `raw_names`; other names are ignored."""
        known = {id: self.raw_names[name] for id, name in names.items() if name in self.raw_names}
        return replace(self, raw_ids=known)

    def from_raw(self, raw_id: np.ndarray) -> np.ndarray:
        """(N,) uint16 ids of this set from the ids (0..65535) in the files of its data set."""
        table = np.full(65536, self.ignore_id, np.uint16)
        for raw, name in self.raw_ids.items():
            table[raw] = self.id_of(name)
        return table[raw_id]

    def from_set(self, source: LabelSet, class_id: np.ndarray) -> np.ndarray:
        """(N,) uint16 ids of this set from ids of another one; the identity for a set of the same name.

        Raises ConfigError where no map from `source` is known, or where two different sets share a name.
        """
        if source.name == self.name:
            self._check_agrees(source)
            return class_id
        if not self.has_map_from(source):
            raise ConfigError(
                f"label set {self.name} has no map from {source.name}; "
                f"it has {', '.join(self.maps) or 'none'}"
            )
        table = np.full(65536, self.ignore_id, np.uint16)
        for source_name, name in self.maps[source.name].items():
            table[source.id_of(source_name)] = self.id_of(name)
        return table[class_id]

    def has_map_from(self, source: LabelSet) -> bool:
        """Whether `from_set` knows what the classes of another set are called here."""
        return source.name == self.name or source.name in self.maps

    def _check_agrees(self, other: LabelSet) -> None:
        """Raises ConfigError where an id or a name stands for something else in a set of the same name."""
        names = {self.ignore_id: IGNORE, **{c.id: c.name for c in self.classes}}
        for id, name in [(other.ignore_id, IGNORE), *((c.id, c.name) for c in other.classes)]:
            if names.get(id, name) != name or (name in self.names and self.id_of(name) != id):
                raise ConfigError(
                    f"two different label sets are named {self.name}: id {id} is '{name}' in one of them"
                )


def _phrases(given: Any, where: str) -> tuple[str, ...]:
    """Phrases as CLIP has read them, without underscores, of a list or of text with bars in between."""
    if isinstance(given, str) and "," in given:
        raise ConfigError(f"{where}: '{given}' has a comma; separate the phrases of a class with |")
    phrases = given.split("|") if isinstance(given, str) else given
    if not isinstance(phrases, list | tuple) or not all(isinstance(phrase, str) for phrase in phrases):
        raise ConfigError(
            f"{where}: expected a word or a list of phrases, got {given!r:.80}; "
            "quote words such as 'no', and write NAME: [PHRASE, PHRASE] without a dash before it"
        )
    phrases = tuple(" ".join(phrase.replace("_", " ").split()) for phrase in phrases)
    if not phrases or not all(phrases):
        raise ConfigError(f"{where}: there is an empty word in {given!r}")
    return phrases


def _check_unique(words: Iterable[str], where: str) -> None:
    """CLIP reads small letters, so that `Car` is `car`."""
    counts = Counter(word.lower() for word in words)
    if twice := [word for word, count in counts.items() if count > 1]:
        raise ConfigError(f"{where}: '{twice[0]}' is given twice")
    if IGNORE in counts:
        raise ConfigError(f"{where}: '{IGNORE}' stands for no class and cannot be a word")
