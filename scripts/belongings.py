"""What is found on the embedded world's people by their images, against what they wear.

python scripts/belongings.py [PARSER [SEED]]   # 1 minute; a folder or hub name, default embedded
"""

import sys
from collections import Counter

import numpy as np

from posedive.body.smpl import load_body
from posedive.datasets.embedded.identities import Identity, identity
from posedive.datasets.embedded.world import EmbeddedWorld
from posedive.parsing.parser import Parser
from posedive.render.belongings import worn
from posedive.render.conditions import read_sighting
from posedive.render.kinship import kinship

SEED = 7  # the world of README's figures


def wears(who: Identity) -> set[str]:
    things = {
        "backpack": who.backpack is not None,
        "left bag": who.shoulder_bag is not None,
        "left hand bag": who.hand_bag is not None,
        "brim": who.cap is not None,
        "bob": who.hair in ("bob", "long"),
        "long hair": who.hair == "long",
        "ponytail": who.hair == "ponytail",
    }
    return {name for name, has in things.items() if has}


def main() -> None:
    parser = Parser.load(sys.argv[1] if len(sys.argv) > 1 else "embedded")
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else SEED
    world, body = EmbeddedWorld(seed), load_body("embedded")
    lumps = kinship(body).lumps
    told: dict[int, list[np.ndarray]] = {}
    for image in world.images("train"):
        assert image.fit is not None
        sighting = read_sighting(body, world.read(image), image.fit, parser=parser)
        told.setdefault(image.pid, []).append(sighting.shot.lumps)
    wearers, found, false = Counter(), Counter(), Counter()
    for pid, evidence in told.items():
        true = wears(identity(seed, pid))
        ours = {lumps[k].name for k in worn(lumps, np.stack(evidence))}
        wearers.update(true)
        found.update(true & ours)
        false.update(ours - true)
    print(f"of {len(told)} people, by all of their images")
    for lump in lumps:
        name = lump.name
        print(f"{name:15} found {found[name]:2d} of {wearers[name]:2d}, false {false[name]}")


if __name__ == "__main__":
    main()
