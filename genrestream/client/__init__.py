"""What talks to the stream from outside: reading item files, publishing items, following what comes back.

The commands of `genrestream.cli` and the demo are made of it. It imports no Faust and no Triton client.
"""
