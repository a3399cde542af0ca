"""Histograms of a biased split (the paper's Figure 6): before, and that training and test don't
meet after."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from posedive.datasets.biased import Halves, overlap, pose_features, principal_plane

TRAIN, TEST = "#2f6fb0", "#d9742b"
MAX_DOTS = 3000
BINS = 36


@dataclass(frozen=True)
class Told:
    """What the fits of n images tell, and which are of people for the test."""

    azimuth_deg: np.ndarray
    elevation_deg: np.ndarray
    body_pose: np.ndarray
    of_test: np.ndarray


def draw(told: Told, halves: Halves, train: np.ndarray, test: np.ndarray) -> Image.Image:
    """Rows: all images, and those of the split (train, test: their places among all). Columns: what
    was cut along, azimuth, elevation, and poses along their two principal components."""
    figure = Figure(figsize=(15, 7), dpi=90, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(2, 4)
    everyone = (np.flatnonzero(~told.of_test), np.flatnonzero(told.of_test))
    plane = principal_plane(pose_features(told.body_pose))
    columns = (
        (halves.axis, halves.coordinate, None),
        ("azimuth, degrees (0 sees the face)", told.azimuth_deg, (0, 360)),
        ("elevation, degrees", told.elevation_deg, None),
    )
    for row, (name, (a, b)) in enumerate({"all images": everyone, "split": (train, test)}.items()):
        for column, (label, values, span) in enumerate(columns):
            _histogram(axes[row, column], values, a, b, span)
            common = overlap(values[a], values[b], BINS)
            axes[row, column].set(xlabel=label, title=f"{name}: {common:.0%} in common")
        axes[row, 0].axvline(halves.cut, color="k", lw=1, ls=":")
        _scatter(axes[row, 3], plane, a, b)
        axes[row, 3].set(title=name, xlabel="poses: first principal component", ylabel="second")
        axes[row, 0].set_ylabel("share of images")
        counts = {"train": (TRAIN, len(a)), "test": (TEST, len(b))}
        for which, (colour, count) in counts.items():
            axes[row, 0].plot([], [], color=colour, lw=6, label=f"{which}, {count:,} images")
        axes[row, 0].legend(frameon=False)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])


def _histogram(ax: Axes, values: np.ndarray, a: np.ndarray, b: np.ndarray, span) -> None:
    span = span or (float(values.min()), float(values.max()))
    for rows, colour in ((a, TRAIN), (b, TEST)):
        weights = np.full(len(rows), 1 / len(rows))
        ax.hist(values[rows], BINS, range=span, weights=weights, color=colour, alpha=0.6)


def _scatter(ax: Axes, plane: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    for rows, colour in ((a, TRAIN), (b, TEST)):
        shown = rng.permutation(rows)[:MAX_DOTS]
        ax.scatter(*plane[shown].T, s=5, color=colour, alpha=0.6, linewidths=0)
    ax.set(xlim=(plane[:, 0].min(), plane[:, 0].max()), ylim=(plane[:, 1].min(), plane[:, 1].max()))
