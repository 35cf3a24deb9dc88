"""Captions: which words are true of a box, checked by hand."""

from __future__ import annotations

import numpy as np
import torch

from clip2scene_core.labels import LabelSet
from clip2scene_core.training.captions import Boxes, caption_words, class_shares, random_boxes

TOWN = LabelSet.named("town")


def true_of(phrase: str) -> set[str]:
    words = caption_words()
    classes = words.meaning[words.phrases.index(phrase)].nonzero().flatten().tolist()
    return {"sky" if c == 0 else TOWN.names[list(TOWN.ids).index(c)] for c in classes}


def test_words_mean_what_the_label_sets_say():
    assert true_of("sky") == {"sky"}
    assert true_of("bus") == {"bus"}
    assert true_of("person") == {"person"}
    assert true_of("plant") == {"vegetation", "trunk"}
    assert true_of("cyclist") >= {"bicyclist", "bicycle"}


def test_every_class_of_the_town_has_a_word_of_its_own():
    words = caption_words()
    alone = words.meaning[words.meaning.sum(dim=1) == 1].any(dim=0)
    assert alone[[0, *TOWN.ids.tolist()]].all()


def test_shares_of_classes_in_boxes():
    class_id = torch.zeros(1, 4, 6, dtype=torch.uint8)  # 2 x 3 patches of 2 pixels
    class_id[0, 2:, 0] = 3
    class_id[0, :, 4:] = 1
    shares = class_shares(class_id, 2, 4)
    assert shares.shape == (1, 2, 3, 4)
    assert shares[0, 1, 0].tolist() == [0.5, 0, 0, 0.5]
    boxes = Boxes(
        top=torch.tensor([[0, 1]]),
        left=torch.tensor([[0, 0]]),
        bottom=torch.tensor([[2, 2]]),
        right=torch.tensor([[3, 2]]),
    )
    of_boxes = boxes.means(shares)[0]
    torch.testing.assert_close(of_boxes[0], torch.tensor([14, 8, 0, 2]) / 24)
    torch.testing.assert_close(of_boxes[1], torch.tensor([6, 0, 0, 2]) / 8)


def test_boxes_lie_within_the_grid_and_the_first_is_all_of_it():
    boxes = random_boxes(np.random.default_rng(0), 50, 20, grid=(5, 9), least=2)
    assert (boxes.top >= 0).all() and (boxes.bottom <= 5).all()
    assert (boxes.left >= 0).all() and (boxes.right <= 9).all()
    heights, widths = boxes.bottom - boxes.top, boxes.right - boxes.left
    assert heights.min() == widths.min() == 2
    assert (heights[:, 0] == 5).all() and (widths[:, 0] == 9).all()
    assert widths[:, 1:].unique().tolist() == list(range(2, 10))
