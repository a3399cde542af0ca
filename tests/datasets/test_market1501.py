"""The reader of a folder as published, and a whole embedded world written out and read back."""

import shutil

import numpy as np
import pytest
from PIL import Image

from posedive.body.smpl import load_body, pose_body
from posedive.datasets import open_dataset
from posedive.datasets.embedded import EmbeddedWorld
from posedive.datasets.export_folder import export_folder
from posedive.datasets.market1501 import FOLDERS, Market1501
from posedive.errors import DatasetError
from posedive.render.camera import project, project_camera_space

GOOD = "0002_c1s1_000451_03.jpg"


@pytest.fixture
def root(tmp_path):
    for folder in FOLDERS.values():
        (tmp_path / folder).mkdir()
    put(tmp_path, "train", GOOD)
    return tmp_path


def put(root, split, name):
    path = root / FOLDERS[split] / name
    grey = np.linspace(40, 200, 128 * 64 * 3).reshape(128, 64, 3).astype(np.uint8)
    Image.fromarray(grey).save(path, format="JPEG")
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    root = tmp_path_factory.mktemp("market")
    world = EmbeddedWorld(seed=3, identities=2, images_per_identity=4)
    export_folder(world, root)
    return world, root


@pytest.mark.parametrize("split", FOLDERS)
def test_an_exported_world_reads_back_with_its_keys_and_fits(exported, split):
    world, root = exported
    market = open_dataset("market1501", root=str(root), fits=str(root))
    written, read = world.images(split), market.images(split)
    assert not market.skipped
    assert {i.key: (i.pid, i.camid) for i in written} == {i.key: (i.pid, i.camid) for i in read}
    fits = {image.key: image.fit for image in read}
    points = np.random.default_rng(0).normal(size=(5, 3))
    for image in written:
        ours, theirs = image.fit, fits[image.key]
        assert ours is not None and theirs is not None
        np.testing.assert_allclose(
            project(points, theirs.camera, world.size)[0],
            project(points, ours.camera, world.size)[0],
            atol=1e-4,
        )
        np.testing.assert_array_equal(theirs.body.body_pose, ours.body.body_pose)
    pixels = market.read(read[0]).astype(int)
    assert pixels.shape == (128, 64, 3)
    original = next(i for i in written if i.key == read[0].key)
    assert np.abs(pixels - world.read(original)).mean() < 4


def test_junk_and_distractors_of_the_gallery_are_read_as_published(root):
    for name in ("-1_c1s1_000401_03.jpg", "0000_c2s1_000151_01.jpg", "0002_c3s1_000001_00.jpg"):
        put(root, "gallery", name)
    images = Market1501(str(root)).images("gallery")
    assert [(image.pid, image.camid) for image in images] == [(-1, 1), (0, 2), (2, 3)]


def test_every_bad_file_is_named_with_its_reason(root):
    folder = root / FOLDERS["train"]
    data = (folder / GOOD).read_bytes()
    (folder / "0003_c1s1_000001_00.jpg").write_bytes(b"")
    (folder / "0004_c1s1_000001_00.jpg").write_bytes(data[: len(data) // 2])
    (folder / "0005_c1s1_000001_00.jpg").write_bytes(b"no picture at all")
    (folder / "0006_c1s1_000001_00.png").write_bytes(data)
    (folder / "holiday.jpg").write_bytes(data)
    put(root, "train", "-1_c1s1_000001_00.jpg")
    market = Market1501(str(root))
    for _ in range(2):  # a second call names them once
        assert [image.key for image in market.images("train")] == [GOOD.removesuffix(".jpg")]
        assert len(market.skipped) == 6
    reasons = {name.split("/")[1][:4]: reason for name, reason in market.skipped}
    assert reasons["0003"] == "empty file"
    assert "truncated" in reasons["0004"]
    assert "not a readable JPEG" in reasons["0005"]
    assert "suffix" in reasons["0006"]
    assert "name is not like" in reasons["holi"]
    assert "junk" in reasons["-1_c"]


def test_a_root_that_is_no_market_1501_is_refused(root):
    with pytest.raises(DatasetError, match="no such folder"):
        Market1501(str(root / "nowhere"))
    with pytest.raises(DatasetError, match=f"did you mean {root}"):
        Market1501(str(root / FOLDERS["train"]))
    with pytest.raises(DatasetError, match="no split 'test'"):
        Market1501(str(root)).images("test")
    with pytest.raises(DatasetError, match="none usable"):
        Market1501(str(root)).images("query")
    shutil.rmtree(root / FOLDERS["query"])
    with pytest.raises(DatasetError, match="it has no query"):
        Market1501(str(root))


def test_fits_as_4d_humans_writes_them_project_the_body_as_it_does(root, tmp_path):
    """One .npz an image, rotations as matrices, the camera's frame, focal in pixels."""
    rng = np.random.default_rng(1)
    flip = np.diag([1.0, -1.0, -1.0])  # upright people in a frame with y down
    fits = tmp_path / "fits"
    fits.mkdir()
    cam_t, focal_px = np.array([0.1, 0.2, 9.0]), 400.0
    betas = rng.normal(size=(1, 10)).astype(np.float32)
    np.savez(
        fits / GOOD.replace(".jpg", ".npz"),
        allow_pickle=False,
        betas=betas,
        body_pose=np.tile(np.eye(3), (1, 23, 1, 1)),
        global_orient=flip[None, None],
        pred_cam_t_full=cam_t[None],
        scaled_focal_length=focal_px,
    )
    market = Market1501(str(root), fits=str(fits))
    (image,) = market.images("train")
    assert image.fit is not None
    vertices, _ = pose_body(load_body("embedded"), [image.fit.body])
    pixels, _ = project(vertices[0], image.fit.camera, (64, 128))
    theirs = project_camera_space(vertices[0] + cam_t, focal_px / 128, (64, 128))
    np.testing.assert_allclose(pixels, theirs, atol=1e-3)
    head, foot = vertices[0][:, 1].argmin(), vertices[0][:, 1].argmax()
    assert pixels[head, 1] < pixels[foot, 1]  # the head is up in the picture


def test_a_missing_or_broken_fit_is_named_and_the_image_stays(root, tmp_path):
    fits = tmp_path / "fits"
    fits.mkdir()
    with pytest.raises(DatasetError, match="found none"):
        Market1501(str(root), fits=str(fits))
    (fits / "0002_c1s1_000451_03.npz").write_bytes(b"PK but not really")
    put(root, "train", "0007_c1s1_000001_00.jpg")
    market = Market1501(str(root), fits=str(fits))
    images = market.images("train")
    assert [image.fit for image in images] == [None, None]
    assert "SMPL fit" in market.skipped[0][1]
    assert "no SMPL fit" in market.skipped[1][1]
