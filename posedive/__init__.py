"""posedive: re-draws the people of a Re-ID training set in poses and viewpoints it never had.

Subjects below, jobs above: each folder is one subject of the field; only `jobs` joins them.
"""

__version__ = "0.1.0"
