"""Strangers' text on the page: short, and without control characters. Escaping is the template's work."""

from genrestream.schemas.items import Item, text_fields_of

TITLE_CHARS = 120
EXCERPT_CHARS = 320


def shortened(text: str, most_chars: int) -> str:
    """The text on one line, cut to so many characters, the last an ellipsis where it was cut."""
    plain = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * most_chars]).split())
    return plain if len(plain) <= most_chars else plain[: most_chars - 1].rstrip() + "…"


def title_and_excerpt(item: Item) -> tuple[str, str]:
    """The title, or a word that there is none, and the beginning of all other texts."""
    title = item.title or ""
    others = [text for text in text_fields_of(item) if text != title]
    return shortened(title, TITLE_CHARS), shortened(" · ".join(others), EXCERPT_CHARS)
