"""How large a head's table of terms may be: it has a column a label, and a server holds it in memory."""

from genrestream.schemas.features import HashedTextFeatures

MAX_TABLE_CELLS = 1 << 24
"""Terms x labels: 32 MiB served as float16, and some 400 MiB while four parts of it are trained."""

MAX_ROWS_CELLS = 1 << 20
"""Terms of one text x labels, what a server widens to float32 for one item: 4 MiB."""

DEFAULT_BUCKETS = 1 << 15
MIN_BUCKETS = 1 << 10
DEFAULT_TERMS = 4096
MIN_TERMS = 512


def hashed_features(labels: int, buckets: int | None = None) -> HashedTextFeatures:
    """The hashed terms of a head with so many labels; `buckets` for words, and as many for characters.

    The more labels, the fewer buckets and terms of a text, each a power of two.
    """
    buckets = buckets or DEFAULT_BUCKETS
    while buckets > MIN_BUCKETS and 2 * buckets * labels > MAX_TABLE_CELLS:
        buckets //= 2
    terms = DEFAULT_TERMS
    while terms > MIN_TERMS and terms * labels > MAX_ROWS_CELLS:
        terms //= 2
    return HashedTextFeatures(word_buckets=buckets, char_buckets=buckets, max_terms=terms)
