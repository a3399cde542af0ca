"""What the pixels of a person's picture show: body, skirt, hair, hat, bag or background.

PARSERS: human parsers shipped with the package, by the name a spec gives. Any other name is a
folder or a hub repository that transformers' AutoModelForSemanticSegmentation loads.
"""

from pathlib import Path

PARSERS = {"embedded": Path(__file__).parent / "assets" / "parser"}
