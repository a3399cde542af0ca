"""A store -> one HTML file to look at: what was asked, what came of it, who was drawn and how.

Self-contained: styles and drawings inline, pictures as data: URIs, no script, and a
Content-Security-Policy that forbids any request. All text passes through Jinja's autoescape.
"""

import os
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from posedive.errors import StorageError
from posedive.report import sections
from posedive.report.compare import compare_poses, compare_views
from posedive.report.gather import before, gather
from posedive.shards.document import open_output

FOLDER = Path(__file__).parent


def write_report(store_uri: str, out_path: Path) -> dict[str, Any]:
    """Writes the page for the output at `store_uri` to `out_path`, and returns what it sums up.

    Raises StorageError without a plan.json or when `out_path` can't be written, ShardError for a
    garbled plan. Shards that can't be read are named on the page.
    """
    store = open_output(store_uri)
    found = gather(store)
    views_before, poses_before = before(found.document)
    views = compare_views(views_before, found.views)
    poses = compare_poses(poses_before, np.array(found.poses.values).reshape(-1, 69))
    page = template("page.html").render(
        uri=store.uri,
        found=found,
        tiles=sections.tiles(found),
        notes=sections.notes(found),
        asked=sections.asked(found.document),
        outcome=sections.outcome(found),
        scores=sections.score_quantiles(found),
        people=sections.people(found),
        rejected=sections.rejected(found),
        views=views,
        poses=poses,
    )
    return {
        "report": str(out_path),
        "bytes": write(Path(out_path), page),
        "pairs": found.layout.num_pairs,
        "kept": found.kept,
        "rejected": found.rejected,
        "reasons": dict(found.reasons),
        "shards": found.layout.num_shards,
        "missing": found.missing,
        "unreadable": found.num_unreadable,
        "views": views.figures,
        "poses": poses.figures,
    }


def template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"grouped": sections.grouped, "share": sections.share}
    return environment.get_template(name)


def write(path: Path, page: str) -> int:
    """The whole page or none: a browser may be looking at the one before. Returns its bytes."""
    # A record may hold half a surrogate pair, which has no bytes.
    data = page.encode("utf-8", "replace")
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise StorageError(f"{path}: the report can't be written ({error.strerror})") from error
    return len(data)
