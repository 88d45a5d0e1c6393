"""`make demo`: a catalogue labelled live on real servers, from an empty folder to a table of results.

`python -m genrestream.demo` shows it on the generated sample with the starter models, `--data DIR` on real
sets with pretrained encoders. It is made of what users have: the commands, and `genrestream.client`.
"""
