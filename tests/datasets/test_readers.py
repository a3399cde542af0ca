"""The readers of published layouts other than Market-1501's."""

import logging

import numpy as np
import pytest
from scipy.io import savemat

from posedive.datasets import open_dataset
from posedive.datasets.msmt17 import MSMT17
from posedive.errors import DatasetError
from tests.datasets import layouts

NEW_PROTOCOL = {
    "train": ["1_001_1_01.png", "1_001_2_06.png", "5_003_1_02.png"],
    "query": ["1_002_1_03.png"],
    "gallery": ["1_002_2_07.png", "4_001_1_01.png"],
}


def told(images):
    return [(image.key, image.pid, image.camid) for image in images]


@pytest.mark.parametrize("folders", [("train", "test"), ("mask_train_v2", "mask_test_v2")])
def test_msmt17_is_read_in_both_versions_of_its_folders(tmp_path, folders):
    version = "MSMT17_V1" if folders[0] == "train" else "MSMT17_V2"
    root = layouts.msmt17(tmp_path / version, folders)
    for given in (root, tmp_path):
        msmt = open_dataset("msmt17", root=str(given))
        assert told(msmt.images("train")) == [
            ("0000_000_01_0303morning_0008_0", 1, 1),
            ("0001_004_15_0303noon_0017_2", 2, 15),  # of list_val
        ]
        assert told(msmt.images("query")) == [("0000_000_02_0303morning_0015_0", 1042, 2)]
        assert told(msmt.images("gallery")) == [("0000_001_03_0113afternoon_0015_1", 1042, 3)]
        assert not msmt.skipped
        assert msmt.read(msmt.images("gallery")[0]).shape == (32, 16, 3)


def test_lines_of_msmt17_that_are_no_images_of_it_are_named(tmp_path):
    good = "0000/0000_000_01_0303morning_0008_0.jpg 0"
    root = layouts.msmt17(tmp_path, train=(good,), val=())
    lines = [
        good,
        "../../etc/passwd.jpg 0",
        "0003/0003_000_01_0303noon_0001_0.jpg 4",
        "holiday.jpg",
    ]
    lines += ["0002/0002_000_01_0303noon_0001_0.jpg 2", "2000/2000_000_01_0303noon_0001_0.jpg 2000"]
    (root / "list_val.txt").write_text("\n".join(lines))
    msmt = MSMT17(str(root))
    for _ in range(2):  # a second call names them once
        assert len(msmt.images("train")) == 1
        assert len(msmt.skipped) == 6
    reasons = {name: reason for name, reason in msmt.skipped}
    assert reasons[f"list_val.txt:1: {good}"] == "listed twice"
    assert "the line is not like" in reasons["list_val.txt:2: ../../etc/passwd.jpg 0"]
    assert "pid 4, in a folder" in reasons[f"list_val.txt:3: {lines[2]}"]
    assert "the line is not like" in reasons["list_val.txt:4: holiday.jpg"]
    assert "not below 1041" in reasons[f"list_val.txt:6: {lines[5]}"]
    assert reasons["train/0002/0002_000_01_0303noon_0001_0.jpg"] == "no such file"


def test_counts_other_than_published_are_told(tmp_path, caplog):
    msmt = MSMT17(str(layouts.msmt17(tmp_path)))
    with caplog.at_level(logging.WARNING):
        msmt.images("train")
    assert "expected 32,621 images of 1,041 people as published, found 2 of 2" in caplog.text


@pytest.mark.parametrize("write", [layouts.cuhk03_json, layouts.cuhk03_release])
@pytest.mark.parametrize("boxes", ["labeled", "detected"])
def test_cuhk03_is_the_same_from_its_release_and_from_what_trainers_make(tmp_path, write, boxes):
    root = write(tmp_path, NEW_PROTOCOL, boxes)
    cuhk = open_dataset("cuhk03", root=str(root), boxes=boxes)
    assert told(cuhk.images("train")) == [
        ("1_001_1_01", 1, 1),
        ("1_001_2_06", 1, 2),
        ("5_003_1_02", 843 + 440 + 77 + 58 + 3, 1),
    ]
    assert told(cuhk.images("query")) == [("1_002_1_03", 2, 1)]
    gallery = cuhk.images("gallery")
    assert told(gallery) == [("1_002_2_07", 2, 2), ("4_001_1_01", 843 + 440 + 77 + 1, 1)]
    assert not cuhk.skipped
    pixels = cuhk.read(gallery[0])
    shade = 4 if write is layouts.cuhk03_release else 0
    np.testing.assert_array_equal(pixels, layouts.picture(shade))


def test_images_that_the_cuhk03_release_lacks_are_named(tmp_path):
    splits = NEW_PROTOCOL | {"train": [*NEW_PROTOCOL["train"], "1_900_1_01.png", "x.png"]}
    root = layouts.cuhk03_json(tmp_path / "json", splits)
    (root / "images_detected" / "1_001_1_01.png").write_bytes(b"\x89PNG and no more")
    cuhk = open_dataset("cuhk03", root=str(root))
    assert [image.key for image in cuhk.images("train")] == ["1_001_2_06", "5_003_1_02"]
    reasons = dict(cuhk.skipped)
    assert "truncated PNG" in reasons["images_detected/1_001_1_01.png"]
    assert reasons["1_900_1_01.png"] == "no person 900 of pair 1, which has 843"
    assert "name is not like" in reasons["x.png"]
    release = layouts.cuhk03_release(tmp_path / "release", NEW_PROTOCOL)
    names = np.empty(2, dtype=object)
    names[:] = ["1_001_1_01.png", "1_001_1_02.png"]  # the second is an empty cell
    index = {"filelist": names, "train_idx": [1, 2], "query_idx": [1], "gallery_idx": [9]}
    savemat(release / "cuhk03_new_protocol_config_detected.mat", index)
    cuhk = open_dataset("cuhk03", root=str(release))
    assert [image.key for image in cuhk.images("train")] == ["1_001_1_01"]
    assert cuhk.skipped == [
        ("cuhk-03.mat:1_001_1_02", "no image: an array of uint64 (2,)"),
    ]
    with pytest.raises(DatasetError, match="gallery_idx: expected 1 to 2, got .9."):
        cuhk.images("gallery")


def test_mars_lists_the_frames_of_its_tracklets(tmp_path):
    root = layouts.mars(tmp_path)
    mars = open_dataset("mars", root=str(root))
    assert told(mars.images("train")) == [
        ("0001C1T0001F001", 1, 1),
        ("0001C1T0001F002", 1, 1),
        ("0001C1T0001F003", 1, 1),
        ("0001C2T0002F001", 1, 2),
        ("0001C2T0002F002", 1, 2),
    ]
    assert [image.key for image in mars.images("query")] == ["0006C1T0001F001", "0006C1T0001F002"]
    gallery = mars.images("gallery")
    assert {(image.pid, image.camid) for image in gallery} == {(6, 3), (-1, 2), (0, 2)}
    assert not mars.skipped
    assert mars.read(gallery[0]).shape == (32, 16, 3)
    sparse = open_dataset("mars", root=str(root), frame_step=2)
    assert [image.key[-4:] for image in sparse.images("train")] == ["F001", "F003", "F001"]


def test_tracklets_of_mars_that_are_not_what_they_say_are_named(tmp_path):
    root = layouts.mars(tmp_path)
    rows = np.array([(1, 3, 1, 1), (3, 4, 1, 1), (5, 99, 1, 2)], np.int32)
    savemat(root / "info" / "tracks_train_info.mat", {"track_train_info": rows})
    mars = open_dataset("mars", root=str(root))
    assert len(mars.images("train")) == 3
    assert mars.skipped == [
        ("0001C2T0002F001.jpg", "in a tracklet of pid 1 and camera 1"),
        ("tracklet of lines 5 to 99", "there are lines 1 to 5"),
    ]
    savemat(root / "info" / "tracks_train_info.mat", {"track_train_info": rows[:, :3]})
    with pytest.raises(DatasetError, match="expected whole numbers, 4 a row, got int32"):
        mars.images("train")
    savemat(root / "info" / "tracks_train_info.mat", {"tracks": rows})
    with pytest.raises(DatasetError, match="got no track_train_info"):
        mars.images("train")
    (root / "info" / "tracks_train_info.mat").write_bytes(b"MATLAB? no")
    with pytest.raises(DatasetError, match="not a readable MAT file"):
        mars.images("train")


def test_fashion_videos_become_one_person_each_and_every_nth_frame(tmp_path):
    layouts.video(tmp_path / "train" / "91-3003CN5S.mp4", 25)
    layouts.video(tmp_path / "train" / "A1+0ZhMAiS.mp4", 11)
    layouts.video(tmp_path / "test" / "91+bCFG1jOS.mp4", 3)
    (tmp_path / "train" / "B1.mp4").write_bytes(b"an HTML page that says 404")
    fashion = open_dataset("fashion", root=str(tmp_path))
    images = fashion.images("train")
    assert told(images) == [
        ("91-3003CN5S_000000", 1, 1),
        ("91-3003CN5S_000010", 1, 1),
        ("91-3003CN5S_000020", 1, 1),
        ("A1+0ZhMAiS_000000", 2, 1),
        ("A1+0ZhMAiS_000010", 2, 1),
    ]
    assert fashion.skipped == [("train/B1.mp4", "not a readable MP4")]
    for at in (2, 1, 0, 4):  # any order
        shade = fashion.read(images[at]).mean()
        assert shade == pytest.approx(6 * int(images[at].key[-6:]), abs=3)
    assert told(fashion.images("test")) == [("91+bCFG1jOS_000000", 501, 1)]


def test_lists_of_fashion_videos_say_who_is_where(tmp_path):
    layouts.video(tmp_path / "videos" / "91b.mp4", 2)
    layouts.video(tmp_path / "videos" / "91a.mp4", 2)
    address = "https://m.media-amazon.com/images/I/"
    (tmp_path / "fashion_train.txt").write_text(f"{address}91b.mp4\n{address}91c.mp4\n")
    (tmp_path / "fashion_test.txt").write_text(f"{address}91a.mp4\n")
    fashion = open_dataset("fashion", root=str(tmp_path), frame_step=1)
    assert told(fashion.images("train")) == [("91b_000000", 1, 1), ("91b_000001", 1, 1)]
    assert fashion.skipped == [("videos/91c.mp4", "listed, but not there")]
    assert told(fashion.images("test")) == [("91a_000000", 501, 1), ("91a_000001", 501, 1)]


def test_dukemtmc_is_refused_with_the_reason_unless_told_otherwise(tmp_path):
    name = "0005_c2_f0046985.jpg"
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        layouts.put(tmp_path / folder / name)
    with pytest.raises(DatasetError, match="withdrawn by its authors in 2019.*accept_withdrawn"):
        open_dataset("dukemtmc", root=str(tmp_path))
    duke = open_dataset("dukemtmc", root=str(tmp_path), accept_withdrawn=True)
    assert told(duke.images("train")) == [("0005_c2_f0046985", 5, 2)]


@pytest.mark.parametrize(
    ("name", "lacks"),
    [
        (
            "msmt17",
            "list_train.txt, list_val.txt, list_query.txt, list_gallery.txt, train and test",
        ),
        ("cuhk03", "images_detected, splits_new_detected.json; expected"),
        ("mars", "bbox_train, bbox_test, info/train_name.txt"),
        ("fashion", "train, test; expected"),
    ],
)
def test_a_wrong_folder_says_what_was_expected_and_found(tmp_path, name, lacks):
    with pytest.raises(DatasetError, match=f"as published: it has no {lacks}"):
        open_dataset(name, root=str(tmp_path))
    with pytest.raises(DatasetError, match="no such folder; expected .*, with"):
        open_dataset(name, root=str(tmp_path / "nowhere"))


def test_half_a_cuhk03_says_which_half_is_missing(tmp_path):
    root = layouts.cuhk03_release(tmp_path, NEW_PROTOCOL)
    with pytest.raises(DatasetError, match="cuhk03_new_protocol_config_labeled.mat; expected"):
        open_dataset("cuhk03", root=str(root), boxes="labeled")
    (root / "cuhk03_release" / "cuhk-03.mat").write_bytes(b"no HDF5")
    with pytest.raises(DatasetError, match="expected CUHK03's release, MATLAB 7.3"):
        open_dataset("cuhk03", root=str(root))


def test_fits_stand_beside_any_set_under_its_keys(tmp_path):
    root = layouts.msmt17(tmp_path / "msmt")
    fits = tmp_path / "fits"
    fits.mkdir()
    np.savez(
        fits / "0000_000_01_0303morning_0008_0.npz",
        allow_pickle=False,
        betas=np.zeros((1, 10)),
        body_pose=np.zeros((1, 69)),
        global_orient=np.zeros((1, 3)),
        pred_cam_t_full=np.array([[0.0, 0.0, 9.0]]),
        scaled_focal_length=64.0,
    )
    msmt = open_dataset("msmt17", root=str(root), fits=str(fits))
    first, second = msmt.images("train")
    assert first.fit is not None and first.fit.camera.focal == 2.0  # 64 px of an image of 32
    assert second.fit is None
    assert msmt.skipped[0][0] == "train/0001/0001_004_15_0303noon_0017_2.jpg"
    assert "no SMPL fit" in msmt.skipped[0][1]
