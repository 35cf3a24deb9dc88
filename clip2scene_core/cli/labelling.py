"""Commands that name points and pixels, and show and count the names: label, evaluate, label-images, view."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from clip2scene_core.cli.app import app
from clip2scene_core.cli.opening import (
    check_is_no_input,
    chosen_clip,
    open_frames,
    open_student,
    open_teacher,
)
from clip2scene_core.cli.options import (
    CheckpointOption,
    Frames,
    Model,
    Pretrained,
    Root,
    Set,
    SourceKind,
    TeacherFile,
    TeacherSet,
    VocabularyOption,
    With,
    Words,
    WordsModel,
    WordsPretrained,
)
from clip2scene_core.data.bag_writer import write_bag
from clip2scene_core.errors import ConfigError, DataError
from clip2scene_core.terminal import console, print_iou, print_notes, print_wrote, progress, stages
from clip2scene_core.writing import whole_file, write_json


@app.command()
def label(
    kind: SourceKind,
    root: Root,
    out: Annotated[Path, typer.Argument(help="folder of the results")],
    checkpoint: CheckpointOption = "",
    words: Words = "",
    label_set: VocabularyOption = "",
    model: WordsModel = "",
    pretrained: WordsPretrained = "",
    settings: Set = None,
    options: With = None,
    frames: Frames = 0,
) -> None:
    """Labels every scan without ROS: a bag of labelled clouds, a summary and a picture."""
    from clip2scene_core.evaluation.evaluate import median_stages
    from clip2scene_core.evaluation.pictures import save_picture
    from clip2scene_core.inference.labelled import LabelledSource

    check_is_no_input(out / "labelled", root)
    recording = open_frames(kind, root, frames, options)
    chosen = chosen_clip(model, pretrained, settings)
    source = LabelledSource(recording, open_student(checkpoint, chosen, words=words, label_set=label_set))
    with progress("labelling", len(source)) as report:
        write_bag(source, out / "labelled", overwrite=True, progress=report)
    figures: dict[str, Any] = {
        "scans": len(source),
        "stage_ms": median_stages(list(source.stage_ms.values())),
    }
    write_json(out / "summary.json", figures)
    middle = len(source) // 2
    frame = source[middle]
    save_picture(
        out / "picture.png",
        frame,
        frame.labels,
        source.label_set,
        base_from_lidar=source.mounting(middle)[frame.scan.frame_id],
        title=f"{kind} {root.name}",
    )
    console.print(f"{len(source)} labelled, {stages(figures['stage_ms'])}")
    print_wrote(f"labelled, summary.json and picture.png to {out}")


@app.command()
def evaluate(
    kind: SourceKind,
    root: Root,
    label_set: Annotated[
        str,
        typer.Option(
            help="vocabulary of truth and predictions; where it has no map, the checkpoint is asked in it"
        ),
    ] = "street",
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the figures")] = None,
    checkpoint: CheckpointOption = "",
    model: WordsModel = "",
    pretrained: WordsPretrained = "",
    settings: Set = None,
    options: With = None,
    frames: Frames = 0,
    more_than: Annotated[
        int, typer.Option(min=0, help="classes of no more points than this do not count in the mean")
    ] = 1000,
) -> None:
    """Labels a recording with ground truth and prints the IoU of each class."""
    from clip2scene_core.evaluation.evaluate import evaluate as run
    from clip2scene_core.labels import LabelSet

    vocabulary = LabelSet.named(label_set)
    source = open_frames(kind, root, frames, options)
    segmenter = open_student(checkpoint, chosen_clip(model, pretrained, settings))
    if not vocabulary.has_map_from(segmenter.label_set):
        with progress("embedding words", at_once=False) as told:
            segmenter = segmenter.with_label_set(vocabulary, told)
        print_notes(
            [f"the checkpoint is asked in the words of {vocabulary.name}, which has no map from its own"]
        )
    with progress("evaluating", len(source)) as report:
        result = run(source, segmenter, vocabulary, report)
    figures = result.to_dict(more_than=more_than)
    print_iou(figures, title=f"{kind} {root}")
    console.print(stages(figures["stage_ms"]))
    if json_file is not None:
        figures["checkpoint"] = checkpoint or "shipped"
        write_json(json_file, figures)
        print_wrote(str(json_file))


@app.command("label-images")
def label_images(
    images: Annotated[list[Path], typer.Argument(help="pictures, or folders of pictures")],
    out: Annotated[Path, typer.Option("--out", help="folder of the results")] = Path("out/labelled_images"),
    words: Words = "",
    label_set: VocabularyOption = "street",
    model: Model = "",
    pretrained: Pretrained = "",
    config: TeacherFile = None,
    settings: TeacherSet = None,
) -> None:
    """Names every pixel of pictures with dense CLIP, in words of your choice; no 3D is involved."""
    from clip2scene_core.data.pictures import find_pictures, read_picture
    from clip2scene_core.evaluation.pictures import save_class_ids, save_overlay

    pictures = find_pictures(images)
    teacher = open_teacher(config, chosen_clip(model, pretrained, settings), words, label_set)
    unreadable: list[str] = []
    with progress("labelling", len(pictures)) as report:
        for done, (path, name) in enumerate(pictures.items(), 1):
            try:
                rgb = read_picture(path)
            except DataError as error:
                unreadable.append(str(error))
            else:
                class_id = teacher.label_pixels(rgb)
                save_class_ids(out / f"{name}.png", class_id)
                save_overlay(out / f"{name}_overlay.png", rgb, class_id, teacher.label_set)
            report(done, text=name)
    print_notes(unreadable)
    with whole_file(out / "label_set.yaml") as temporary:
        temporary.write_text(yaml.safe_dump(teacher.label_set.to_dict(), sort_keys=False))
    if len(unreadable) == len(pictures):
        raise DataError(f"none of {len(pictures)} pictures could be read")
    print_wrote(
        f"class ids, overlays and label_set.yaml of {len(pictures) - len(unreadable)} pictures to {out}"
    )


class Labeller(str, Enum):
    """Who names the points."""

    TRUTH = "truth"
    STUDENT = "student"
    TEACHER = "teacher"


@app.command()
def view(
    kind: SourceKind,
    root: Root,
    out: Annotated[
        Path | None, typer.Argument(help="a .png picture or a .rrd recording; default: the viewer's window")
    ] = None,
    by: Annotated[
        Labeller | None, typer.Option(help="who names the points; default: truth, or student")
    ] = None,
    frame: Annotated[int, typer.Option(min=0, help="the frame of a picture")] = 0,
    frames: Frames = 0,
    checkpoint: CheckpointOption = "",
    words: Words = "",
    label_set: VocabularyOption = "",
    model: Model = "",
    pretrained: Pretrained = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="a setting of the student or of the teacher"),
    ] = None,
    options: With = None,
) -> None:
    """Shows a recording with the names of its points: a picture of one frame, or all frames in rerun."""
    from clip2scene_core.evaluation.pictures import save_picture
    from clip2scene_core.evaluation.viewer import Viewer
    from clip2scene_core.inference.labelled import LabelledSource

    source = open_frames(kind, root, frames, options)
    if by is None:
        by = Labeller.STUDENT if source.label_set is None else Labeller.TRUTH
    chosen = chosen_clip(model, pretrained, settings)
    if by is Labeller.STUDENT:
        student = open_student(checkpoint, chosen, words=words, label_set=label_set)
        source = LabelledSource(source, student)
    elif by is Labeller.TEACHER:
        teacher = open_teacher(None, chosen, words, label_set or "street")
        source = LabelledSource(source, teacher)
    if source.label_set is None:
        raise DataError(f"{kind} recording {root} has no ground truth; name another one: --by student")
    if out is not None and out.suffix == ".png":
        if frame >= len(source):
            raise ConfigError(
                f"--frame {frame}: the last one of {kind} recording {root} is {len(source) - 1}"
            )
        shown = source[frame]
        base_from_lidar = source.mounting(frame)[shown.scan.frame_id]
        save_picture(
            out, shown, shown.labels, source.label_set, base_from_lidar=base_from_lidar, title=str(root)
        )
    elif out is None or out.suffix == ".rrd":
        with Viewer(source.label_set, out) as viewer, progress("showing", len(source)) as report:
            for index in range(len(source)):
                shown = source[index]
                if shown.labels is None:
                    raise DataError(f"frame {index} of {root} has no ground truth; try --by student")
                viewer.show(shown, shown.labels.class_id)
                report(index + 1)
    else:
        raise ConfigError(f"{out}: expected a name that ends in .png or .rrd")
    if out is not None:
        print_wrote(str(out))
