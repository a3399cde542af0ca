"""Contact sheets of an evaluation: the generator's best, median, worst and random pictures."""

import numpy as np

from posedive.jobs.blocks import read_block
from posedive.jobs.figures import Cases, identity_cosines
from posedive.jobs.stages.rows import to_png
from posedive.records import Pair
from posedive.render.contact_sheet import sheet, strip
from posedive.shards.plan import Plan
from posedive.storage import Store

COLUMNS = ("reference", "normals", "composite", "generated", "true")
RANKED, RANDOM = 24, 64  # cases on a sheet


def write_sheets(store: Store, plan: Plan, cases: Cases, pictures_uri: str) -> None:
    """best.png, median.png and worst.png by the cosine to the truth, and random.png.

    Cases are in the order of the plan's cells."""
    cosines = identity_cosines(cases, "generated")
    ranked = np.argsort(-cosines, kind="stable")
    middle = max(0, (len(ranked) - RANKED) // 2)
    sheets = {
        "best": ranked[:RANKED],
        "median": ranked[middle : middle + RANKED],
        "worst": ranked[::-1][:RANKED],
        "random": np.random.default_rng(0).permutation(len(ranked))[:RANDOM],
    }
    wanted = {int(row) for rows in sheets.values() for row in rows}
    tiles: dict[int, np.ndarray] = {}
    row = 0
    for cell in range(plan.num_shards):
        block = read_block(pictures_uri, cell)
        places = {key: place for place, key in enumerate(block["key"].tolist())}
        for pair in plan.shard(cell).pairs:
            if row in wanted:
                images = {name: block[name][places[pair.key]] for name in COLUMNS}
                tiles[row] = strip(images, _label(pair, cases, row, cosines[row]))
            row += 1
    for name, rows in sheets.items():
        store.put(f"{name}.png", to_png(sheet([tiles[int(row)] for row in rows])))


def _label(pair: Pair, cases: Cases, row: int, cosine: float) -> list[str]:
    asked, psnr = pair.condition, cases["generated_psnr_foreground"][row]
    oks, iou = cases["generated_oks"][row], cases["generated_iou"][row]
    return [
        f"{pair.key}  cosine {cosine:.2f}  {psnr:.1f} dB  oks {oks:.2f}  iou {iou:.2f}",
        f"{asked.pose_source}  az {asked.azimuth_deg:.0f}  el {asked.elevation_deg:.0f}",
    ]
