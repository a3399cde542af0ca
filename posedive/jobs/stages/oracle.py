"""True renders as a painter of rows: what a perfect generator would draw."""

from posedive.body.smpl import load_body
from posedive.datasets.embedded import EmbeddedWorld
from posedive.jobs.planning import planned
from posedive.jobs.references import read_references
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.jobs.stages.rows import Rows, to_png
from posedive.render.maps import condition_fit
from posedive.spec.generate import Generate
from posedive.storage import open_store


class Oracle:
    """True renders of the same conditions, in the place of the reference's camera."""

    def __init__(self, spec: Generate):
        self.spec, self.body = spec, load_body(spec.body)
        dataset = open_spec_dataset(spec.dataset, spec.size)
        assert isinstance(dataset, EmbeddedWorld)  # the spec's own rule
        self.dataset = dataset
        references = read_references(open_store(spec.output.uri))
        self.plan = planned(spec, people_of(spec.dataset, dataset), references)

    def draw(self, rows: Rows, chosen: list[int]) -> list[bytes]:
        pairs = {pair.key: pair for pair in self.plan.shard(int(rows["shard"][0])).pairs}
        return [self._draw(pairs[rows["key"][i]]) for i in chosen]

    def _draw(self, pair) -> bytes:
        fit = condition_fit(self.body, pair.condition, self.spec.size)
        return to_png(self.dataset.render(pair.pid, pair.camid, fit, self.spec.size, pair.seed))
