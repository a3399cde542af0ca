import numpy as np

from posedive.jobs.stages.commit import previews
from posedive.jobs.stages.rows import column, from_png, to_png


def test_png_keeps_every_channel_and_value():
    rng = np.random.default_rng(0)
    for channels in (3, 4):
        image = rng.integers(0, 256, (20, 10, channels), np.uint8)
        np.testing.assert_array_equal(from_png(to_png(image)), image)


def test_a_column_of_bytes_keeps_trailing_zeros():
    values = [b"a\0\0", b"", b"bc"]
    assert column(values).tolist() == values
    assert column([]).shape == (0,)


def test_previews_show_the_first_pairs_and_the_rejected_ones():
    rng = np.random.default_rng(0)
    n = 12
    pictures = [to_png(rng.integers(0, 256, (16, 8, 3), np.uint8)) for _ in range(n)]
    rows = {
        "key": np.array([f"{i:04d}_c1s0_000001_0000" for i in range(n)]),
        "reason": np.array([""] * 10 + ["low_confidence", "reference_unreadable"]),
        "reference": column([*pictures[:11], b""]),
        "normals": column([*pictures[:11], b""]),
    }
    shown = previews(rows, ["reference", "normals"])
    assert sorted(shown) == [f"preview/{i:04d}_c1s0_000001_0000.jpg" for i in (0, 1, 2, 3, 10)]
