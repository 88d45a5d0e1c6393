"""Earlier systems and our own heads, trained on the same splits and measured on the same items.

A contest is one set with one task: our head first, then each recipe on the very split of our head. Reads in
the order of the flow: `contests` says what is trained, `contend` trains it, `entries` measures it, `results`
keeps it, `page` draws it.
"""
