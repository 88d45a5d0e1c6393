"""Fine-tuning: an encoder of one modality learns from the labels of catalogue sets, and is exported again.

`tune` the flow · `settings` what can be asked for · `base` the encoder as it was · `names` what the tuned
one is called · `items` the folds' rows · `network` encoder and linear head · `blocks` an encoder's layers
from input to output · `steps` small steps that grow with the layer · `shown` what training shows · `stages`
first the last blocks, then all, on the loop of `recipes` · `linear` how well a linear layer reads the
embeddings · `export` the graph with its checks · `record` what is kept of it all.
"""
