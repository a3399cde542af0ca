"""render: a posed body and a viewpoint become the maps that condition the generator."""

from posedive.render import rasterizer, rasterizer_pyrender

RENDERERS = {"zbuffer": rasterizer.rasterize, "pyrender": rasterizer_pyrender.rasterize}
