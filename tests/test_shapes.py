"""The shape checker that all other tests run under."""

import jaxtyping
import numpy as np
import pytest
from jaxtyping import Float
from shapes import arrays


@jaxtyping.jaxtyped(typechecker=arrays)
def centre(points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, " 3"]:
    return points.mean(axis=0) if len(points) > 1 else points


def test_an_array_as_annotated_passes():
    assert centre(np.zeros((4, 3))).shape == (3,)


def test_a_wrong_argument_and_a_wrong_result_are_refused():
    with pytest.raises(TypeError, match=r"parameter 'points'.\nActual value: f64\[4,2\]"):
        centre(np.zeros((4, 2)))
    with pytest.raises(TypeError, match="return value of .*centre"):
        centre(np.zeros((1, 3)))


def test_the_package_is_checked():
    from posedive.render.viewpoints import frame

    with pytest.raises(TypeError, match="parameter 'vertices'"):
        frame(np.zeros((5, 2), np.float32), 0, 0, 3.0, (64, 128))
