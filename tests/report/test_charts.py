import re
from xml.etree import ElementTree

import numpy as np
import pytest

from posedive.report import charts


def _outer_points(svg: str, name: str) -> list[tuple[float, float]]:
    """Where each petal's outer arc begins."""
    track = rf'class="{name}" d="M\S+ \S+?L(-?[\d.]+) (-?[\d.]+)A'
    return [(float(x), float(y)) for x, y in re.findall(track, svg)]


@pytest.mark.parametrize(
    ("quarter", "direction"), [(0, (0, 1)), (1, (1, 0)), (2, (0, -1)), (3, (-1, 0))]
)
def test_front_points_to_the_reader_and_the_left_side_to_the_right(quarter, direction):
    counts = np.eye(4)[quarter]
    svg = charts.rose("one view", counts, 0 * counts, 1.0)
    ((x, y),) = _outer_points(svg, "set")
    assert x * direction[0] + y * direction[1] == pytest.approx(
        charts.ROSE_RADIUS * np.cos(0.46 * np.pi / 2), abs=0.1
    )


def test_a_petals_area_is_its_share():
    svg = charts.rose("two views", np.array([4.0, 1.0]), np.zeros(2), 0.8)
    longer, shorter = (np.hypot(*point) for point in _outer_points(svg, "set"))
    assert longer / shorter == pytest.approx(2, rel=1e-2)


def test_generated_bars_stand_upon_the_sets():
    svg = charts.bars("elevation", np.array([1.0, 0]), np.array([1.0, 2.0]), (0, 10), 0.5)
    rects = re.findall(r'class="(\w+)" x="\S+" y="(\S+)" width="\S+" height="(\S+)"', svg)
    assert rects == [
        ("set", "85.0", "65.0"),
        ("generated", "20.0", "65.0"),
        ("generated", "20.0", "130.0"),
    ]


def test_a_scatter_keeps_its_points_inside_the_frame_with_y_up():
    points = np.array([[0.0, 0.0], [2.0, 1.0]])
    svg = charts.scatter("poses", points, points[:0], points[0], points[1])
    assert re.findall(r"M(\S+?) (\S+?)h0", svg) == [("12.0", "288.0"), ("288.0", "12.0")]


def test_drawings_are_xml_with_a_label_that_is_escaped():
    svg = charts.rose('<"&', np.ones(18), np.ones(18), 0.1)
    assert ElementTree.fromstring(svg).get("aria-label") == '<"&'


def test_an_empty_cell_is_hollow_and_a_full_one_is_of_whoever_fills_it():
    in_set, generated = np.array([[3.0], [1.0], [0.0]]), np.array([[0.0], [2.0], [0.0]])
    svg = charts.cells("views", in_set, generated, (0, 15), 0.5)
    looks = re.findall(r'<rect class="(\w+)"(?: fill-opacity="([\d.]+)")?', svg)
    assert looks == [("set", "1.00"), ("generated", "1.00"), ("frame", "")]
    assert "<title>120°, from 0°: 50%</title>" in svg
