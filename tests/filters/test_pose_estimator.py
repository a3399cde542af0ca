import json
import shutil

import numpy as np
import pytest
import torch
from transformers import VitPoseConfig, VitPoseForPoseEstimation

from posedive.errors import WeightsError
from posedive.filters import ESTIMATORS
from posedive.filters.pose_estimator import PoseEstimator, Preprocess


@pytest.fixture(scope="module")
def published_like(tmp_path_factory):
    """A folder as a published checkpoint has it, 256 x 192 with classic decoder, only smaller."""
    folder = tmp_path_factory.mktemp("vitpose")
    torch.manual_seed(0)
    backbone = {
        "model_type": "vitpose_backbone",
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "out_indices": [1],
    }
    config = VitPoseConfig.from_dict(
        {"backbone_config": backbone, "num_labels": 17, "use_simple_decoder": False}
    )
    VitPoseForPoseEstimation(config).save_pretrained(folder)
    preprocessor = {
        "do_affine_transform": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "rescale_factor": 1 / 255,
        "size": {"width": 192, "height": 256},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def pictures(count: int, width: int = 64, height: int = 128) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_a_checkpoint_of_published_sizes_is_read_by_path(published_like):
    estimator = PoseEstimator.load(str(published_like))
    found = estimator(pictures(2))
    assert found.shape == (2, 17, 3) and found.dtype == np.float32
    assert ((found[..., 2] >= 0) & (found[..., 2] <= 1)).all()
    assert estimator.preprocess.size == (192, 256) and estimator.preprocess.padding == 1.25


def test_a_picture_does_not_depend_on_its_batch(published_like):
    estimator = PoseEstimator.load(str(published_like))
    batch = pictures(35)
    together = estimator(batch)
    alone = np.concatenate([estimator(batch[i : i + 1]) for i in (0, 31, 34)])
    np.testing.assert_allclose(together[[0, 31, 34]], alone, atol=1e-3)
    assert estimator(batch[:0]).shape == (0, 17, 3)


def test_digest_follows_the_weights(published_like, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(published_like, copy)
    first, second = PoseEstimator.load(str(published_like)), PoseEstimator.load(str(copy))
    assert first.digest == second.digest
    model = second.model
    with torch.no_grad():
        next(model.parameters())[0] += 1
    model.save_pretrained(copy)
    assert PoseEstimator.load(str(copy)).digest != first.digest


def test_a_picture_of_the_input_size_goes_in_untouched():
    preprocess = Preprocess((64, 128), (0.0,) * 3, (1.0,) * 3, 1.0, 1.0)
    images = torch.from_numpy(pictures(1)).permute(0, 3, 1, 2).float()
    assert torch.equal(preprocess(images), images)
    points = np.array([[[3.5, 7.5]]])
    np.testing.assert_array_equal(preprocess.to_picture(points, 64, 128), points)


def test_a_bright_pixel_is_found_where_it_lies_in_the_picture():
    preprocess = Preprocess((192, 256), (0.0,) * 3, (1.0,) * 3, 1.0, 1.25)
    image = torch.zeros(1, 3, 128, 64)
    image[..., 100, 20] = 255.0
    pixels = preprocess(image)[0, 0]
    assert pixels.shape == (256, 192)
    total = pixels.sum()
    x = (pixels.sum(0) * (torch.arange(192) + 0.5)).sum() / total
    y = (pixels.sum(1) * (torch.arange(256) + 0.5)).sum() / total
    found = preprocess.to_picture(np.array([[[x.item(), y.item()]]]), 64, 128)
    np.testing.assert_allclose(found, [[[20.5, 100.5]]], atol=0.02)
    # 1.25 times the height, and 3:4 of it across: black beyond the picture.
    assert preprocess.margins(64, 128) == (28, 16)
    assert pixels[:, :40].max() == 0 and pixels[:20].max() == 0


@pytest.mark.parametrize("name", ["embeded", "/no/such/folder", "./weights", "a/b/c"])
def test_an_unknown_name_is_an_error_before_any_download(name):
    with pytest.raises(WeightsError, match="no such folder"):
        PoseEstimator.load(name)


def test_truncated_weights_are_an_error(published_like, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(published_like, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    with pytest.raises(WeightsError, match="broken"):
        PoseEstimator.load(str(folder))


@pytest.mark.parametrize("absent", ["model.safetensors", "config.json", "preprocessor_config.json"])
def test_a_folder_that_lacks_a_file_is_an_error(published_like, tmp_path, absent):
    folder = tmp_path / "partial"
    shutil.copytree(published_like, folder)
    (folder / absent).unlink()
    with pytest.raises(WeightsError, match="partial"):
        PoseEstimator.load(str(folder))


def test_weights_of_another_model_are_an_error(published_like, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(published_like, folder)
    config = json.loads((folder / "config.json").read_text())
    config["backbone_config"]["num_hidden_layers"] = 2
    config["backbone_config"] |= {"out_indices": [2], "out_features": ["stage2"]}
    config["backbone_config"].pop("stage_names", None)
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="missing"):
        PoseEstimator.load(str(folder))


def test_the_embedded_estimator_is_small():
    sizes = [path.stat().st_size for path in ESTIMATORS["embedded"].iterdir()]
    assert sum(sizes) < 4_000_000
