"""How plots become part of a page: inline SVG in the page's own colours and font.

Ink and series colours are the page's CSS variables, so that a plot follows the light or dark theme; blue and
orange are those of Okabe & Ito (2008), which colour-blind readers tell apart.
"""

import re
import warnings
from io import StringIO
from typing import Any

from matplotlib.figure import Figure

# Stand for the page's colours while matplotlib draws; nobody would choose them otherwise.
INK, BLUE, ORANGE, FAINT = "#010203", "#010204", "#010205", "#010206"
_ON_PAGE = {INK: "currentColor", BLUE: "var(--blue)", ORANGE: "var(--orange)", FAINT: "var(--faint)"}

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "genrestream",  # The same figures give the same page.
    "svg.fonttype": "none",  # Text stays text: selectable, in the page's font.
    "text.parse_math": False,  # A label may hold dollar signs.
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.spines.top": False,
    "lines.markersize": 4.0,
    "lines.markeredgewidth": 0.8,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}


def to_svg(figure: Figure) -> str:
    """The figure as an `svg` element; what was drawn in the stand-ins' colours follows the page."""
    target = StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with warnings.catch_warnings():
        # Labels in scripts that matplotlib's font lacks: the browser has the glyphs.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure.savefig(target, format="svg", metadata=nothing, transparent=True)
    text = target.getvalue()
    text = text[text.index("<svg") :]
    for stand_in, colour in _ON_PAGE.items():
        text = text.replace(stand_in, colour)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # Every plot would bring the same ones.
    width_px = round(figure.get_size_inches()[0] * 96)
    # The size of the page's column decides; the view box keeps the proportions.
    return re.sub(
        r'<svg [^>]*?(viewBox="[^"]*")[^>]*>',
        rf'<svg \1 style="width:{width_px}px" role="img" xmlns:xlink="http://www.w3.org/1999/xlink">',
        text,
        count=1,
    )
