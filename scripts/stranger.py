"""Sheets by which somebody who knows neither people nor poses can judge a generator's pictures.

python scripts/stranger.py out/evaluate_generator      # after jobs/evaluate_generator.yaml

Each of 64 random cases shows the generated picture, six people of the set (real images, the right
person's before another camera where there is one) and four bodies, one of which was asked for.
Writes stranger/sheet-00.png ... and stranger/key.json, [case, person, body], beside the pictures.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np

from posedive.jobs.blocks import existing_blocks, read_block
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.shards.layout import KEY
from posedive.spec import load_job
from posedive.spec.evaluate import Evaluate

CASES, ROWS, PEOPLE, BODIES, SCALE, TITLE = 64, 4, 6, 4, 2, 22


def titled(picture: np.ndarray, title: str) -> np.ndarray:
    large = cv2.resize(picture, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
    large = cv2.copyMakeBorder(large, TITLE, 0, 0, 0, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    return cv2.putText(
        large, title, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA
    )


def shuffled(rng: np.random.Generator, pictures: list[np.ndarray], names: str):
    """The pictures in any order, titled; and the title of the first one given."""
    order = rng.permutation(len(pictures))
    tiles = [titled(pictures[i], name) for i, name in zip(order, names, strict=True)]
    return tiles, names[int(np.flatnonzero(order == 0)[0])]


def main(output: str) -> None:
    spec = load_job(Path("jobs/evaluate_generator.yaml"))
    assert isinstance(spec, Evaluate)
    dataset = open_spec_dataset(spec.dataset, spec.size)
    people: dict[int, list] = {}
    for image in people_of(spec.dataset, dataset):
        people.setdefault(image.pid, []).append(image)
    cases = []
    for cell in sorted(existing_blocks(f"{output}/pictures")):
        block = read_block(f"{output}/pictures", cell)
        cases += zip(block["key"].tolist(), block["generated"], block["normals"], strict=True)
    rng, rows, key = np.random.default_rng(CASES), [], []
    for case, chosen in enumerate(rng.permutation(len(cases))[:CASES]):
        name, generated, normals = cases[chosen]
        told = KEY.fullmatch(name)
        assert told is not None
        pid, camid = int(told[1]), int(told[2])
        others = rng.choice([p for p in people if p != pid], PEOPLE - 1, replace=False)
        elsewhere = [image for image in people[pid] if image.camid != camid] or people[pid]
        shown = [rng.choice(elsewhere), *(rng.choice(people[p]) for p in others)]
        wrong = rng.choice(np.delete(np.arange(len(cases)), chosen), BODIES - 1, replace=False)
        persons, person = shuffled(rng, [dataset.read(image) for image in shown], "ABCDEF")
        bodies, body = shuffled(rng, [normals, *(cases[i][2] for i in wrong)], "1234")
        gap = np.full((len(persons[0]), 20, 3), 255, np.uint8)
        rows.append(np.hstack([titled(generated, f"case {case}"), gap, *persons, gap, *bodies]))
        key.append([case, person, body])
    folder = Path(output) / "stranger"
    folder.mkdir(exist_ok=True)
    for sheet, first in enumerate(range(0, len(rows), ROWS)):
        rgb = np.vstack(rows[first : first + ROWS])
        cv2.imwrite(str(folder / f"sheet-{sheet:02d}.png"), rgb[..., ::-1])
    (folder / "key.json").write_text(json.dumps(key))
    print(f"{len(rows)} cases in {folder}; hand over the sheets, keep key.json")


if __name__ == "__main__":
    main(sys.argv[1])
