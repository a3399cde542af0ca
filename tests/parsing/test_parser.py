import json

import numpy as np
import pytest
import torch
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from posedive.body.smpl import load_body
from posedive.datasets.embedded.world import EmbeddedWorld
from posedive.errors import WeightsError
from posedive.parsing import training
from posedive.parsing.parser import Parser
from posedive.parsing.training import train_parser
from posedive.records import PARTS
from posedive.render.maps import render_maps

# Published parsers' labels, of the ATR set.
ATR = (
    "Background Hat Hair Sunglasses Upper-clothes Skirt Pants Dress Belt Left-shoe Right-shoe Face"
    " Left-leg Right-leg Left-arm Right-arm Bag Scarf"
).split()


def published_like(folder, labels):
    """A folder as a published checkpoint has it, only smaller."""
    torch.manual_seed(0)
    config = SegformerConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 8, 8],
        num_attention_heads=[1, 1, 1, 1],
        decoder_hidden_size=8,
        id2label=dict(enumerate(labels)),
        label2id={label: k for k, label in enumerate(labels)},
    )
    SegformerForSemanticSegmentation(config).save_pretrained(folder)
    preprocessor = {
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "size": {"width": 64, "height": 64},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return str(folder)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 128, 64, 3), dtype=np.uint8)


def test_a_published_checkpoint_is_read_by_its_labels_names(tmp_path):
    parser = Parser.load(published_like(tmp_path, ATR))
    of = dict(zip(ATR, (PARTS[k] for k in parser.part_of_label), strict=True))
    assert of["Bag"] == "bag" and of["Dress"] == of["Skirt"] == "skirt" and of["Hat"] == "hat"
    assert of["Background"] == "background" and of["Hair"] == "hair"
    assert {of[label] for label in ("Face", "Pants", "Upper-clothes", "Left-arm")} == {"body"}
    shares = parser(pictures(3), pictures(3))
    assert shares.shape == (3, 128, 64, len(PARTS)) and shares.dtype == np.float32
    np.testing.assert_allclose(shares.sum(axis=-1), 1, atol=1e-4)


def test_labels_of_something_else_are_refused_by_name(tmp_path):
    folder = published_like(tmp_path, ["Background", "Road", "Hat", "Hair", "Skirt"])
    with pytest.raises(WeightsError, match="expected labels for bag as well, got Background, Road"):
        Parser.load(folder)


def test_what_is_not_there_is_told():
    with pytest.raises(WeightsError, match="parser 'nowhere': no such folder"):
        Parser.load("nowhere")


def test_a_picture_does_not_depend_on_its_batch():
    parser, batch = Parser.load("embedded"), pictures(18)
    together = parser(batch, batch)
    alone = np.concatenate([parser(batch[i : i + 1], batch[i : i + 1]) for i in (0, 17)])
    np.testing.assert_allclose(together[[0, 17]], alone, atol=1e-3)
    assert parser(batch[:0], batch[:0]).shape == (0, 128, 64, len(PARTS))


def test_the_embedded_parser_tells_the_parts_of_people_it_never_saw():
    world = EmbeddedWorld(seed=7, identities=60)
    people = world.images("train")[::8]
    images, parts = (np.stack(x) for x in zip(*map(world.parts, people), strict=True))
    fits = [image.fit for image in people if image.fit is not None]
    body = load_body("embedded")
    normals = np.stack([render_maps(body, fit, (64, 128)).normals for fit in fits])
    found = Parser.load("embedded")(images, normals).argmax(axis=-1)

    def overlap(ours, true) -> float:
        return float((ours & true).sum() / (ours | true).sum())

    assert overlap(found > 0, parts > 0) > 0.9
    for part, least in (("bag", 0.35), ("hair", 0.5)):
        k = PARTS.index(part)
        assert overlap(found == k, parts == k) > least


def test_a_training_that_was_killed_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch):
    world = EmbeddedWorld(seed=1, identities=2, wide=True)
    whole = train_parser(world, tmp_path / "whole", steps=4, batch_size=2)
    draw = training.draw_batch

    def killed(examples, batch_size, seed, step):
        if step == 3:
            raise KeyboardInterrupt
        return draw(examples, batch_size, seed, step)

    with monkeypatch.context() as patched:
        patched.setattr(training, "STATE_EVERY_STEPS", 2)
        patched.setattr(training, "draw_batch", killed)
        with pytest.raises(KeyboardInterrupt):
            train_parser(world, tmp_path / "parted", steps=4, batch_size=2)
    assert torch.load(tmp_path / "parted" / "state.pt", weights_only=True)["step"] == 2
    parted = train_parser(world, tmp_path / "parted", steps=4, batch_size=2)
    assert Parser.load(str(parted)).digest == Parser.load(str(whole)).digest
