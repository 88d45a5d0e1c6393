"""A synthetic catalogue whose genres are learnable: invented texts, drawn pictures, synthesised music.

`generate(directory, items_per_kind, seed)` writes the sets; the starter models are trained on them and the
demo publishes them. Nothing in it comes from anywhere else.
"""

from genrestream.sample.catalogue import SET_NAMES, generate

__all__ = ["SET_NAMES", "generate"]
