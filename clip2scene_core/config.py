"""The settings of everything that can be set: one tree of dataclasses, defaults here, YAML on top.

An unknown key is an error that suggests the nearest known one. ROS parameters come from the same classes.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from clip2scene_core.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

Precision = Literal["32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true"]
"""Those of Lightning Fabric that need no further package."""


DenseMode = Literal["plain", "maskclip", "sclip", "clearclip", "naclip"]


def setting(default: Any, help: str, *, least: float = -math.inf, most: float = math.inf) -> Any:
    """A field with its description, which the CLI and the ROS parameters show, and the limits of a number."""
    metadata = {"help": help, "least": least, "most": most}
    if isinstance(default, type):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentConfig:
    """The 3D network and its input; a checkpoint carries it."""

    architecture: str = setting("minkunet", "minkunet (answers for voxels) or spvcnn (answers for points)")
    variant: int | str = setting(
        18, "depth of the MinkUNet, 14, 18 or 34, with the letter of its channels where wanted, as in 14A"
    )
    width: float = setting(1.0, "multiplies the number of channels of every layer", least=0.01)
    embedding_dim: int = setting(512, "size of the joint space of points and text", least=1)
    voxel_m: float = setting(0.1, "edge of a voxel in metres", least=0.01)
    range_m: float = setting(
        80.0, "points further away horizontally are not labelled", least=1.0, most=1000.0
    )
    intensity: bool = setting(False, "whether the intensity of a point is an input")
    colour: bool = setting(False, "whether the colour of a point is an input")
    temperature: float = setting(0.07, "divides the cosine before the softmax over classes", least=1e-3)


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherConfig:
    """The frozen dense CLIP that names the pixels, and how it is asked; see clip/."""

    model: str = setting(
        "ViT-B-16", "a name of open_clip, street-clip-tiny, hf-hub:ORGANISATION/NAME or local-dir:FOLDER"
    )
    pretrained: str = setting(
        "",
        "weights: a tag of open_clip, a file, TAG=FILE or random; empty for OpenAI's, or those of the model",
    )
    mode: DenseMode = setting(
        "maskclip", "what the last block does instead of pooling; see clip/attention.py"
    )
    height_px: int = setting(
        -1,
        "what images are scaled to, with their width; -1 for twice the side that the model was trained at, "
        "0 leaves them as they are",
        least=-1,
        most=8192,
    )
    window_px: int = setting(
        -1,
        "side of the windows that slide over an image; -1 for that which the model was trained at, 0 takes "
        "the image as a whole",
        least=-1,
        most=4096,
    )
    stride_px: int = setting(0, "from one window to the next; 0 for half a window", least=0, most=4096)
    templates: str = setting("full", "prompts: full (85), simple or none, or a sentence with {}")
    phrases: Literal["best", "mean", "first", "name"] = setting(
        "best",
        "what of a class's phrases counts: the best, their mean, the first alone, or its name instead",
    )
    denoising: float = setting(
        0.0, "a class that is nowhere as probable as this is not in the image; 0 is off", least=0.0, most=1.0
    )
    smoothing: float = setting(
        0.0,
        "patches of which no class is as probable as this follow those that look alike",
        least=0.0,
        most=1.0,
    )
    precision: Literal["fp32", "fp16", "bf16"] = setting("fp32", "number format of the network")
    device: str = setting("auto", "auto, cpu or cuda")
    compile: bool = setting(False, "whether torch.compile prepares the network, which takes a minute")


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """How training varies a scan; see augment.py."""

    rotate: bool = setting(True, "turn about the vertical by any angle, and mirror")
    scale: float = setting(0.1, "largest change of size, as a share", least=0.0, most=0.9)
    tilt_deg: float = setting(2.0, "largest tilt of the ground", least=0.0, most=45.0)
    wave_m: float = setting(0.3, "largest height of long waves added to the ground", least=0.0)
    crown_m: float = setting(0.15, "largest height of a cambered street", least=0.0)
    jitter_m: float = setting(0.02, "standard deviation of noise on every point", least=0.0)
    drop: float = setting(0.5, "largest share of points that are left out", least=0.0, most=0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """The optimisation loop, whatever it is that is learnt."""

    seed: int = setting(0, "of weights, order and augmentation", least=0)
    steps: int = setting(2000, "optimiser steps in all", least=1)
    batch: int = setting(4, "scans that the network sees together", least=1)
    accumulate: int = setting(1, "batches whose gradients make a step", least=1)
    optimizer: Literal["adamw", "sgd"] = setting("adamw", "adamw or sgd")
    learning_rate: float = setting(2e-3, "highest learning rate, reached after the warm-up", least=0.0)
    weight_decay: float = setting(0.02, "of the optimiser", least=0.0)
    momentum: float = setting(0.9, "of sgd", least=0.0, most=1.0)
    dampening: float = setting(0.1, "of sgd: share of each gradient that its momentum leaves out", most=1.0)
    warmup: float = setting(0.05, "share of the steps in which the learning rate rises", least=0.0, most=1.0)
    clip: float = setting(10.0, "longest gradient; longer ones are shortened to it", least=0.0)
    average: float = setting(
        0.99, "decay of the moving average of the weights, which is what is kept", least=0.0, most=1.0
    )
    engine: str = setting("torch", "sparse-convolution engine; on a CPU only torch has gradients")
    device: str = setting("auto", "auto, cpu or cuda")
    precision: Precision = setting("32-true", "Lightning Fabric's, such as bf16-mixed")
    loaders: int = setting(1, "processes that prepare scans", least=0)
    checkpoint_minutes: float = setting(
        3.0, "how often the state is saved, so that a run can be resumed", least=0.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig(LoopConfig):
    """One run of learning from labels."""

    head: Literal["auto", "text", "new"] = setting(
        "auto",
        "of a run from a checkpoint: text (its heads, and the embeddings of its words unless a teacher is "
        "named), new, or auto, which is text where its words name all classes, or are of that teacher",
    )
    lovasz: float = setting(1.0, "weight of the Lovasz-softmax loss beside cross-entropy", least=0.0)
    rare: float = setting(0.5, "exponent of the class weights 1/frequency; 0 weighs all points alike")
    augment: AugmentConfig = setting(AugmentConfig, "how a scan is varied")


@dataclass(frozen=True, slots=True, kw_only=True)
class CropConfig:
    """Which part of an image the teacher sees; it is shown at the size of its input."""

    height: int = setting(224, "rows at which the teacher sees a crop", least=1, most=8192)
    width: int = setting(416, "columns at which the teacher sees a crop", least=1, most=8192)
    least_area: float = setting(0.3, "smallest share of an image that is cropped", least=0.01, most=1.0)
    narrowest: float = setting(14 / 9, "smallest width / height of a crop", least=0.1, most=10.0)
    widest: float = setting(17 / 9, "largest width / height of a crop", least=0.1, most=10.0)
    pairs: int = setting(1024, "point-pixel pairs above which a crop is kept", least=0)
    share: float = setting(0.75, "share of the image's pairs above which it is kept too", least=0.0, most=1.0)
    tries: int = setting(10, "crops drawn before the whole image is taken; 0 for whole images", least=0)
    mirror: bool = setting(True, "swap left and right of every other crop")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingConfig:
    """What pre-training takes from a frame: its sweeps, and which of their points are paired with pixels."""

    sweeps: int = setting(3, "sweeps of a frame: the scan itself and earlier ones", least=1, most=50)
    sweep_window: int = setting(
        10,
        "scans before a frame's own that the earlier sweeps are drawn from; sweeps - 1 takes the newest",
        least=0,
        most=100,
    )
    merged: bool = setting(False, "all sweeps as one cloud; else the student sees each on its own")
    rotate: bool = setting(True, "turn each cloud about the vertical by any angle, and mirror it")
    ego_box_m: float = setting(
        1.0, "points nearer to the LiDAR than this along both x and y are of the vehicle", least=0.0
    )
    min_depth_m: float = setting(1.0, "points nearer to a camera are not paired", least=0.0)
    occlusion: bool = setting(True, "leave out points that nearer ones hide from the camera")
    cell_voxels: float = setting(
        1.0, "edge of a cell of the temporal grid, in voxels of the student", least=0.1, most=1000.0
    )
    max_pairs: int = setting(10_000, "most pairs of a frame; random cells of the grid stay whole", least=1)
    superpoints: bool = setting(
        False, "whether the pairs in a piece of the ground, or of what stands on it, have one label together"
    )
    crop: CropConfig = setting(CropConfig, "how images are cropped")

    @property
    def scans_before(self) -> int:
        """How many earlier scans each frame has to come with."""
        return self.sweep_window if self.sweeps > 1 else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceConfig:
    """How a checkpoint is applied to scans."""

    checkpoint: str = setting("", "path of a .safetensors file; empty for the one of the package")
    label_set: str = setting(
        "", "vocabulary to answer with: a label set or a .yaml file; empty for that of the checkpoint"
    )
    model: str = setting(
        "",
        "the CLIP that embeds new words, as in training; empty for that which taught the checkpoint",
    )
    pretrained: str = setting("", "weights of that CLIP, where it brings none")
    device: str = setting("auto", "auto, cpu or cuda")
    engine: str = setting("auto", "sparse-convolution engine: auto, spconv or torch")
    threads: int = setting(0, "CPU threads of the network; 0 leaves it to torch", least=0, most=1024)
    sweeps: int = setting(0, "earlier sweeps that vote on the labels of a scan", least=0, most=50)
    views: int = setting(
        1, "turned views of a scan whose answers are averaged: slower and better", least=1, most=24
    )
    scan_statistics: float = setting(
        0.5,
        "share of the scan's own statistics in the normalisation layers, 0 (those of training) to 1",
        least=0.0,
        most=1.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptConfig:
    """How a checkpoint is adapted to a recording without labels."""

    share: float = setting(
        0.5,
        "share of the recording in the statistics of the normalisation layers; the rest is what they were",
        least=0.0,
        most=1.0,
    )
    frames: int = setting(50, "scans, spread evenly over the recording; 0 for all", least=0)
    device: str = setting("auto", "auto, cpu or cuda")
    engine: str = setting("auto", "sparse-convolution engine: auto, spconv or torch")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What `clip2scene finetune` reads from a YAML file, and what it saves beside its results."""

    label_set: str = setting("street", "vocabulary: the name of a label set or a .yaml file")
    start: str = setting("", "checkpoint whose weights the run begins with; empty for random ones")
    student: StudentConfig = setting(StudentConfig, "the 3D network")
    teacher: TeacherConfig = setting(
        TeacherConfig(model=""),
        "the CLIP whose embeddings of the phrases stand for the classes, if one is named",
    )
    training: TrainingConfig = setting(TrainingConfig, "the run")


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTrainingConfig:
    """Switchable self-training: the student's own prediction now and then stands for the pixel's label."""

    switch: Literal["point", "batch", "off"] = setting(
        "point", "what is drawn: each point for itself (the paper), the batch (its code), or off for nothing"
    )
    start: float = setting(
        0.5, "share of the run in which the labels are those of the pixels", least=0.0, most=1.0
    )
    probability: float = setting(0.5, "of the student's own prediction", least=0.0, most=1.0)
    predictor: Literal["student", "average"] = setting(
        "student", "who predicts: the student as it is, or the moving average of training.average"
    )
    unpaired: bool = setting(False, "whether points that no camera sees learn from the prediction, too")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveConfig:
    """What pre-training minimises; the equations are in losses/."""

    method: Literal["clip2scene", "slidr", "ppkt"] = setting(
        "clip2scene",
        "clip2scene, or contrast of superpixels (slidr) or pixels (ppkt), which teach features but no names",
    )
    semantic_loss: Literal["infonce", "cross_entropy", "kl"] = setting(
        "infonce",
        "infonce is equation (1); cross_entropy is what the paper's code has in its place, kl what its "
        "ablation has",
    )
    semantic_weight: float = setting(1.0, "of the semantic loss in the sum; 0 leaves it out", least=0.0)
    tau: float = setting(0.5, "temperature of the semantic loss", least=1e-3)
    rare: float = setting(
        0.0,
        "exponent of the class weights 1/frequency in cross_entropy; 0 weighs all points alike, 1 all "
        "classes, as infonce does",
        least=0.0,
        most=1.0,
    )
    spatial_temporal_weight: float = setting(1.0, "of equation (2) in the sum; 0 leaves it out", least=0.0)
    fusion: Literal["points_and_pixels", "points"] = setting(
        "points_and_pixels", "equation (3), or its half that the paper's code has"
    )
    attention_temperature: float = setting(1.0, "lambda of equation (4)", least=1e-3)
    agreement: float = setting(
        0.0,
        "a label counts where at least this share of the pairs in its cell, over sweeps and cameras, is of "
        "its class; 0 keeps all",
        least=0.0,
        most=1.0,
    )
    contrast_tau: float = setting(0.07, "temperature of slidr and ppkt", least=1e-3)
    contrast_pairs: int = setting(4096, "pairs of a batch that ppkt draws", least=2)
    superpixels: int = setting(150, "regions of an image for slidr", least=1)
    self_training: SelfTrainingConfig = setting(SelfTrainingConfig, "how labels are switched")


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainLoopConfig(LoopConfig):
    """One run of learning from CLIP."""

    epochs: float = setting(20.0, "how often each frame is seen", least=0.0)
    steps: int = setting(0, "optimiser steps in all; 0 for as many as the epochs take", least=0)
    batch: int = setting(4, "frames that the network sees together", least=1)
    optimizer: Literal["adamw", "sgd"] = setting("sgd", "adamw or sgd")
    learning_rate: float = setting(0.1, "highest learning rate, reached after the warm-up", least=0.0)
    weight_decay: float = setting(1e-4, "of the optimiser", least=0.0)
    warmup: float = setting(0.0, "share of the steps in which the learning rate rises", least=0.0, most=1.0)
    average: float = setting(
        0.0, "decay of the moving average of the weights, which is what is kept", least=0.0, most=1.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """What `clip2scene pretrain` reads from a YAML file, and what it saves beside its results."""

    label_set: str = setting("nuscenes", "vocabulary: the name of a label set or a .yaml file")
    words: str = setting("", 'a vocabulary in place of it, such as "road, car|van, tree"')
    student: StudentConfig = setting(StudentConfig(architecture="spvcnn"), "the 3D network")
    teacher: TeacherConfig = setting(
        TeacherConfig(height_px=0), "the dense CLIP, which is shown crops at their size"
    )
    features: str = setting("", "folder of a feature cache of the recording; empty asks the teacher")
    pairing: PairingConfig = setting(PairingConfig, "what is taken from a frame")
    objective: ObjectiveConfig = setting(ObjectiveConfig, "what is minimised")
    training: PretrainLoopConfig = setting(PretrainLoopConfig, "the run")


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyClipConfig:
    """A CLIP small enough to be trained on a CPU and to be shipped."""

    embedding_dim: int = setting(64, "length of the joint space", least=8, most=1024)
    image_px: int = setting(112, "side of the images that it is trained on", least=16, most=1024)
    patch_px: int = setting(8, "side of a patch", least=4, most=64)
    layers: int = setting(4, "of the image encoder", least=2, most=48)
    width: int = setting(96, "of the image encoder", least=8, most=2048)
    head_width: int = setting(32, "of an attention head of the image encoder", least=8, most=128)
    text_layers: int = setting(2, "of the text encoder", least=1, most=48)
    text_width: int = setting(48, "of the text encoder", least=8, most=2048)
    text_heads: int = setting(3, "attention heads of the text encoder", least=1, most=64)
    text_tokens: int = setting(32, "most tokens of a text", least=8, most=77)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreetClipConfig:
    """What `clip2scene train-clip` reads from a YAML file, and what it saves beside its results."""

    model: TinyClipConfig = setting(TinyClipConfig, "the CLIP")
    start: str = setting(
        "",
        "a CLIP of that size to begin with, whose text encoder stays as it is, so that students of it keep "
        "their words; empty for random weights",
    )
    templates: str = setting("full", "sentences of the captions: full, simple or none")
    bare: float = setting(0.5, "share of the captions that are bare words", least=0.0, most=1.0)
    boxes: int = setting(32, "boxes of each crop that have a caption, the whole crop among them", least=1)
    least_box_patches: int = setting(2, "shortest side of a box in patches", least=1)
    least_share: float = setting(
        0.05, "share of a box from which on a caption names what is there", least=0.0, most=1.0
    )
    image_weight: float = setting(
        0.25, "of whole crops, as open_clip encodes them, beside their boxes", least=0.0
    )
    training: LoopConfig = setting(
        LoopConfig(steps=11000, batch=16, learning_rate=5e-4, weight_decay=0.05, clip=1.0, average=0.999),
        "the run",
    )


AnyRunConfig = RunConfig | PretrainConfig | StreetClipConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DrivesConfig:
    """The simulated drives that the evidence is gathered on, each through a town of its own."""

    training: int = setting(32, "drives that are learnt from", least=1, most=10_000)
    held_out: int = setting(8, "drives that students and teachers are judged on", least=1, most=10_000)
    frames: int = setting(6, "frames of a drive: scans with images", least=1, most=1000)
    stride: int = setting(10, "scans from one frame to the next, all but one without images", least=1)
    lidar: str = setting("VLP-16", "HDL-32E, HDL-64E, VLP-16, VLS-128 or random")
    cameras: str = setting("nuscenes", "nuscenes (six around), kitti (one ahead) or a number")
    size: str = setting("400x225", "of the images, WIDTHxHEIGHT")
    style: str = setting("", "of the towns, such as village; empty for any")
    training_seed: int = setting(20_000, "of the first town that is learnt from", least=0)
    held_out_seed: int = setting(500_000, "of the first town that is held out", least=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceConfig:
    """What `clip2scene evidence` reads from a YAML file, and what it saves beside its results."""

    drives: DrivesConfig = setting(DrivesConfig, "what is learnt from and judged on")
    pretrain: PretrainConfig = setting(
        PretrainConfig(
            label_set="street",
            student=StudentConfig(variant=14, width=0.25, voxel_m=0.2, range_m=50.0, embedding_dim=64),
            teacher=TeacherConfig(model="street-clip-tiny"),
        ),
        "the method as a whole, of which each row changes something; its seed is that of the row",
    )
    inference: InferenceConfig = setting(InferenceConfig, "how students are asked")
    rows: tuple[str, ...] = setting((), "names of the rows to gather, see evidence/rows.py; none for all")
    seeds: int = setting(3, "runs of each row, from seed 0", least=1, most=100)
    least_points: int = setting(1000, "classes of no more true points do not count in the mean", least=0)
    teacher_factor: float = setting(
        1.2, "claim: what the student reaches on the points that cameras see, in multiples of its teacher"
    )
    semantic_gain: float = setting(
        3.0, "claim: points of mIoU by which the whole method surpasses equation (1) alone"
    )
    order: tuple[str, ...] = setting(
        (), "claim: rows from the best to the worst on the points that cameras see; none for no claim"
    )


def from_dict(
    cls: type[T], content: Mapping[str, Any] | None, *, where: str = "", default: T | None = None
) -> T:
    """A dataclass tree from nested mappings; absent keys keep their defaults, or those of `default`.

    Raises ConfigError for an unknown key (with the nearest known one), a value of the wrong type or one
    outside its limits.
    """
    content = {} if content is None else content
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where or cls.__name__} must be a mapping of settings, got {content!r}")
    hints = get_type_hints(cls)
    known = {f.name: f for f in dataclasses.fields(cls)}
    values = {}
    for key, value in content.items():
        name = f"{where}.{key}" if where else str(key)
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(sorted(known))}"
            raise ConfigError(f"unknown setting '{name}'{hint}")
        if isinstance(hints[key], type) and dataclasses.is_dataclass(hints[key]):
            values[key] = from_dict(hints[key], value, where=name, default=_default(known[key], default))
            continue
        values[key] = _typed(hints[key], value, name)
        if isinstance(values[key], int | float):
            limits = known[key].metadata
            _check_limits(values[key], name, least=limits["least"], most=limits["most"])
    return cls(**values) if default is None else dataclasses.replace(default, **values)


def _default(group: dataclasses.Field, given: DataclassInstance | None) -> Any:
    """That of a group of settings: as in a tree that is given, or in the class."""
    if given is not None:
        return getattr(given, group.name)
    return group.default if group.default_factory is dataclasses.MISSING else group.default_factory()


def _typed(hint: Any, value: Any, name: str) -> Any:
    if get_origin(hint) is Literal:
        if value is False and "off" in get_args(hint):  # as YAML 1.1 reads the word
            return "off"
        if value not in get_args(hint):
            raise ConfigError(f"setting '{name}' must be one of {', '.join(get_args(hint))}, got {value!r}")
        return value
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"setting '{name}' must be a list, got {value!r}")
        return tuple(_typed(get_args(hint)[0], item, name) for item in value)
    if hint is float and isinstance(value, int | str) and not isinstance(value, bool):
        with suppress(ValueError):  # YAML 1.1 reads 2e-3, without a dot, as text
            return float(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise ConfigError(f"setting '{name}' must be {getattr(hint, '__name__', hint)}, got {value!r}")
    return value


def _check_limits(value: float, name: str, *, least: float, most: float) -> None:
    if not least <= value <= most:
        limits = f"between {least} and {most}" if most < math.inf else f"at least {least}"
        raise ConfigError(f"setting '{name}' must be {limits}, got {value}")


def to_dict(config: Any) -> dict[str, Any]:
    """The tree as nested dictionaries of plain values, for YAML and checkpoint headers."""
    return dataclasses.asdict(config)


def load(
    cls: type[T], path: Path | str | None, overrides: Iterable[str] = (), *, default: T | None = None
) -> T:
    """From a YAML file (None: all defaults) and `key.key=value` overrides, whose values are YAML too.

    What neither has is as in `default`, or in the class.
    """
    content: dict[str, Any] = {}
    if path is not None:
        try:
            content = _parsed(Path(path).read_text(), f"configuration {path}")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read configuration {path}: {error}") from error
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise ConfigError(f"configuration {path} must be a mapping of settings, got {content!r}")
    return from_dict(cls, parse_settings(overrides, onto=content), default=default)


def parse_settings(settings: Iterable[str], *, onto: dict[str, Any] | None = None) -> dict[str, Any]:
    """`key.key=value` settings (values are YAML) as nested dictionaries, in place of those of `onto`."""
    content = {} if onto is None else onto
    for override in settings:
        key, separator, value = override.partition("=")
        if not separator:
            raise ConfigError(f"override '{override}' must read key=value, such as training.steps=100")
        *parents, last = key.split(".")
        section = content
        for parent in parents:
            section[parent] = {} if section.get(parent) is None else section[parent]
            section = section[parent]
            if not isinstance(section, dict):
                raise ConfigError(f"override '{override}': '{parent}' is a value, not a group of settings")
        section[last] = _parsed(value, f"override '{override}'")
    return content


def _parsed(text: str, what: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{what} is no YAML: {' '.join(str(error).split())}") from error
