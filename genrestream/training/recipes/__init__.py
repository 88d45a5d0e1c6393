"""Recipes: earlier published systems as YAML files, trained end to end by one loop and served like our heads.

`spec`, `spec_audio` what a file may say · `branches` a branch's features and network · `words`,
`plain_words`, `raw_features`, `data` items to rows on disk · `network`, `concatenation`, `vgg16`, `gru`,
`mfcc`, `mfcc_cnn`, `language_model`, `audio_lyrics` the networks · `sampling`, `balance` long tails ·
`warm_up`, `language_fit` what is learnt before the labels · `loss`, `augment`, `loop` the training loop ·
`compare` each branch alone beside them all · `export`, `encoders` encoders and head as graphs · `train` the
flow, to a candidate · `report`.

A recipe is added in four steps:

1. `spec`: a model of the branch's keys with `network: Literal["..."]`, its `modality` and a `describe()`,
   added to the union `Branch`. A fusion of another kind is one more value of `RecipeSpec.fusion`.
2. A module with the encoder, an `nn.Module` with an `embedding_dim`, from the worker's feature tensor
   [b, ...] to an embedding float32 [b, d], one that `torch.onnx` can export. Another fusion: a `FusedHead`
   (see `network`), from the embeddings and the presence mask to confidences.
3. `branches`: one case in `branch_features` (what features the branch asks for, and the files beside its
   graph, such as a tokenizer) and one in `new_encoder`. Fusion: one case in `new_head`.
4. A YAML file in this folder; `recipe_names` finds it.

What an epoch shows of the training items is the `draw` that `fit_network` takes: a permutation, or what a
recipe's `balance` asks for.
"""
