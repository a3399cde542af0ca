"""The stages of `posedive generate`, as callable classes for Ray Data's actor pools; see rows.

One module each, so that an actor imports what it needs and nothing else.
"""
