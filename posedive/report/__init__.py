"""An output's shards -> one HTML page for people.

gather: shards to counts, samples and pictures | distribution: viewpoints and poses to coverage |
compare: the set before and after | charts: numbers to SVG | sections: words and pictures |
page: all of it through page.html into one file.
"""
