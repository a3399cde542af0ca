"""The embedded world: a synthetic Re-ID set with exact SMPL fits; see README.md."""

from posedive.datasets.embedded.world import EmbeddedWorld

__all__ = ["EmbeddedWorld"]
