import pytest

from posedive.render.bench import measure


@pytest.mark.slow
def test_figures_are_where_the_project_promises_them():
    figures = measure(seconds=1.0)
    assert set(figures) == {"zbuffer_maps_per_s", "pyrender_maps_per_s", "conditions_per_s"}
    assert (figures["zbuffer_maps_per_s"] or 0) >= 400
    assert (figures["conditions_per_s"] or 0) >= 150
