import numpy as np

from posedive.render.contact_sheet import contact_sheet
from tests.render.people import LYING, STANDING, STRIDING, condition


def test_each_condition_has_its_tile_and_label(model):
    conditions = [condition(STANDING), condition(STRIDING, 90), condition(LYING, 200, 30)]
    sheet = contact_sheet(model, conditions, (64, 128))
    assert sheet.dtype == np.uint8
    tile_height, tile_width = 128 + 3 * 13 + 4, 3 * 64
    rows = (sheet.shape[0] - 6) // (tile_height + 6)
    columns = (sheet.shape[1] - 6) // (tile_width + 6)
    assert rows * columns >= 3
    first = sheet[6 : 6 + 128, 6 : 6 + 192]
    assert first[:, :64].max() == 255
    assert (first[0] == 0).all()
    label = sheet[6 + 128 : 6 + tile_height, 6 : 6 + tile_width]
    assert label.min() < 100 < label.max()
