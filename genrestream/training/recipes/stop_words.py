"""English words that say nothing of a genre: articles, pronouns, prepositions, conjunctions, auxiliaries.

In lower case, without accents, split at apostrophes as the tokenizer splits them (`don`, `t`).
"""

_ENGLISH = """
    a about above after again against all also am an and any are aren as at be because been before being below
    between both but by can cannot could couldn d did didn do does doesn doing don down during each ever few
    for from further get gets had hadn has hasn have haven having he her here hers herself him himself his how
    i if in into is isn it its itself just ll m may me might more most must my myself no nor not now o of off
    on once only onto or other our ours ourselves out over own re s same shall shan she should shouldn so some
    such t than that the their theirs them themselves then there these they this those through to too under
    until up upon us ve very was wasn we were weren what when where whether which while who whom whose why
    will with within without won would wouldn you your yours yourself yourselves
"""

ENGLISH = tuple(_ENGLISH.split())
