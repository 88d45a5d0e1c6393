"""A GRU (Cho et al. 2014, arXiv:1406.1078) over words, as an encoder. Legend: b batch, t tokens, d size."""

import torch
from torch import Tensor, nn

from genrestream.training.recipes.spec import Gru
from genrestream.training.recipes.words import PAD_ID

WORD_DEVIATION = 0.05
"""Of the words' first values. With PyTorch's 1 the words of few items are learnt by heart: on 280 texts of
the sample the best validation loss was 1.49 instead of 1.21, on film descriptions 2.35 instead of 2.31."""


class GruEncoder(nn.Module):
    """Token ids int64 [b, t], padded behind with 0, to float32 [b, d]: the state after the last word.

    The state is taken where the words end, and a GRU does not look ahead: padding changes nothing.
    """

    def __init__(self, spec: Gru, ids: int) -> None:
        """`ids` is one more than the largest token id."""
        super().__init__()
        self.embedding_dim = spec.hidden
        self.words = nn.Embedding(ids, spec.word_dim, padding_idx=PAD_ID)
        nn.init.normal_(self.words.weight, std=WORD_DEVIATION)
        nn.init.zeros_(self.words.weight[PAD_ID])
        self.gru = nn.GRU(spec.word_dim, spec.hidden, batch_first=True)
        self.dropout = nn.Dropout(spec.dropout)

    def forward(self, token_ids: Tensor) -> Tensor:
        """The embeddings of a batch of texts."""
        states, _ = self.gru(self.dropout(self.words(token_ids)))
        last = (token_ids.ne(PAD_ID).sum(dim=1) - 1).clamp_min(0)
        at_last = last[:, None, None].expand(-1, 1, states.shape[2])
        embedding: Tensor = self.dropout(torch.gather(states, 1, at_last).squeeze(1))
        return embedding
