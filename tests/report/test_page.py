import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from posedive.errors import StorageError
from posedive.report.page import FOLDER, write_report

SECTIONS = ["asked", "outcome", "people", "rejected", "viewpoints", "poses"]
HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(1)>\"'{{ 7*7 }}\ud800\u202e"


def _page(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_the_summary_says_what_the_page_says(tmp_path, write_output):
    uri = write_output(tmp_path / "out", run={"images_per_s": 1.83, "seconds": 154.2})
    summary = write_report(uri, tmp_path / "report.html")
    page = _page(tmp_path / "report.html")
    assert (summary["pairs"], summary["kept"], summary["rejected"]) == (48, 40, 8)
    assert summary["reasons"] == {"low_confidence": 4, "position_disagreement": 4}
    assert summary["bytes"] == (tmp_path / "report.html").stat().st_size
    assert summary["views"]["after"]["empty_share"] < summary["views"]["before"]["empty_share"]
    assert list(summary["views"]) == list(summary["poses"]) == ["before", "generated", "after"]
    assert summary["poses"]["after"]["spread_deg"] > summary["poses"]["before"]["spread_deg"]
    assert "1.83" in page and "over 2 min 34 s" in page
    assert re.findall(r'<section id="(\w+)"', page) == SECTIONS
    assert "not whole" not in page


def test_the_same_store_gives_the_same_bytes(tmp_path, write_output):
    uri = write_output(tmp_path / "out")
    write_report(uri, tmp_path / "a.html")
    write_report(f"{uri}/shards", tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_nothing_is_fetched_and_every_picture_has_words(tmp_path, write_output):
    write_report(write_output(tmp_path / "out"), tmp_path / "report.html")
    page = _page(tmp_path / "report.html")
    assert "<script" not in page
    assert set(re.findall(r'(?:src|href)="([^"]{5})', page)) <= {"data:", "#aske", "#outc"} | {
        f"#{section}"[:5] for section in SECTIONS
    }
    images = re.findall(r"<img [^>]*>", page)
    assert len(images) > 20
    assert all(re.search(r'alt="[^"]{10,}"', image) for image in images)


def test_strings_of_records_are_text(tmp_path, write_output):
    hostile = HOSTILE.replace("\ud800", "")
    uri = write_output(
        tmp_path / "out",
        changes={
            "pose_source": HOSTILE,
            "reference": HOSTILE,
            "scores": {HOSTILE: 0.5, "text": hostile, "nested": {"a": [hostile]}},
            "reference_view": {"azimuth_deg": HOSTILE, "elevation_deg": hostile},
        },
        reasons=(hostile,),
        spec={"kind": hostile, hostile: {hostile: [hostile]}},
    )
    write_report(uri, tmp_path / "report.html")
    page = _page(tmp_path / "report.html")
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;" in page
    assert "{{ 7*7 }}" in page


def test_a_record_of_other_shapes_is_shown_as_far_as_it_goes(tmp_path, write_output):
    odd = {"scores": [1], "reference_view": 3, "body_pose": "?", "pose_source": None}
    summary = write_report(write_output(tmp_path / "out", changes=odd), tmp_path / "report.html")
    assert summary["unreadable"] == 0
    assert "No scores were recorded" in _page(tmp_path / "report.html")


def test_without_fits_only_what_was_generated_is_shown(tmp_path, write_output):
    uri = write_output(tmp_path / "out", distribution=False)
    summary = write_report(uri, tmp_path / "report.html")
    page = _page(tmp_path / "report.html")
    assert list(summary["views"]) == list(summary["poses"]) == ["generated"]
    assert "came without SMPL fits" in page
    assert "The set alone" not in page


def test_an_output_without_any_shard_yet_says_so(tmp_path, write_output):
    uri = write_output(tmp_path / "out", leave_out=(0, 1, 2, 3), distribution=False)
    summary = write_report(uri, tmp_path / "report.html")
    page = _page(tmp_path / "report.html")
    assert summary["missing"] == 48
    assert "48 of 48 pairs are not there yet" in page
    assert "nothing to compare" in page


def test_shards_without_previews_show_what_was_generated(tmp_path, write_output):
    write_report(write_output(tmp_path / "out", previews=0), tmp_path / "report.html")
    page = _page(tmp_path / "report.html")
    assert "no previews" in page
    assert page.count('alt="Generated image') >= 8


def test_a_shard_of_which_nothing_was_kept_is_told(tmp_path, write_output):
    summary = write_report(write_output(tmp_path / "out", reject=99), tmp_path / "report.html")
    assert (summary["kept"], summary["rejected"]) == (0, 48)
    assert "No image was kept" in _page(tmp_path / "report.html")


def test_a_preview_names_its_panels(tmp_path, write_output):
    write_report(write_output(tmp_path / "out"), tmp_path / "report.html")
    names = "<span>reference</span><span>appearance</span><span>normals</span><span>skeleton</span>"
    assert names in _page(tmp_path / "report.html")


def test_pictures_are_those_of_the_shards(tmp_path, write_output):
    write_report(write_output(tmp_path / "out"), tmp_path / "report.html")
    encoded = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', _page(tmp_path / "report.html"))
    sizes = {Image.open(io.BytesIO(base64.b64decode(jpeg))).size for jpeg in encoded}
    assert sizes == {(64, 128), (256, 128)}


def test_an_output_path_that_cannot_be_written_is_a_clear_error(tmp_path, write_output):
    uri = write_output(tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="can't be written"):
        write_report(uri, tmp_path / "file" / "report.html")


def test_an_s3_store_reads_the_same(tmp_path, write_output, s3_uri):
    local = write_output(tmp_path / "out")
    write_output(s3_uri)
    summaries = [write_report(uri, tmp_path / "report.html") for uri in (local, s3_uri)]
    assert summaries[0]["views"] == summaries[1]["views"]
    assert summaries[0]["kept"] == summaries[1]["kept"]


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_by_wcag_aa(theme):
    colours = dict(
        re.findall(
            r"--([\w-]+): (#\w{6})", (FOLDER / "style.css").read_text().split(":root {")[1 + theme]
        )
    )
    texts = [(ink, on) for ink in ("ink", "muted") for on in ("page", "card", "soft")]
    for ink, on in [*texts, ("set", "page"), ("rejected", "card"), ("note-ink", "note")]:
        lighter, darker = sorted((_luminance(colours[ink]), _luminance(colours[on])), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (ink, on)
