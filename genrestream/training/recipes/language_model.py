"""A bidirectional LSTM language model over words, and the contextual embeddings that it gives.

ELMo's recipe (Peters et al. 2018, arXiv:1802.05365), scaled down: words from a closed vocabulary instead of
a character network, some dozen units instead of 4,096, trained on the lyrics of the training fold alone.
Padding stands behind a text and never changes what is said of its words.
Legend: b batch, t tokens, v vocabulary, e units a direction, j layers with that of the words itself.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class LanguageModel(nn.Module):
    """Token ids int64 [b, t] to contextual embeddings of each layer float32 [b, j, t, 2 e].

    Forwards and backwards are two stacks that share the words' vectors and the output, as in ELMo; layer 0
    is the word's own vector, twice.
    """

    def __init__(self, vocabulary: int, units: int, layers: int, pad_id: int) -> None:
        super().__init__()
        self.pad_id = pad_id
        self.units = units
        self.words = nn.Embedding(vocabulary, units, padding_idx=pad_id)
        self.onwards = nn.ModuleList(nn.LSTM(units, units, batch_first=True) for _ in range(layers))
        self.backwards = nn.ModuleList(nn.LSTM(units, units, batch_first=True) for _ in range(layers))
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    @property
    def layers(self) -> int:
        """Layers with that of the words."""
        return 1 + len(self.onwards)

    def forward(self, token_ids: Tensor) -> Tensor:
        """The layers' embeddings of each token; those of padding mean nothing."""
        turned = reversed_order(token_ids.ne(self.pad_id))
        words = self.words(token_ids)
        found = [torch.cat([words, words], dim=2)]
        onwards, backwards = words, in_order(words, turned)
        for layer, (ahead, back) in enumerate(zip(self.onwards, self.backwards, strict=True)):
            # From the second layer on a short cut, as in ELMo, so that depth costs no signal.
            onwards = ahead(onwards)[0] + (onwards if layer else 0.0)
            backwards = back(backwards)[0] + (backwards if layer else 0.0)
            found.append(torch.cat([onwards, in_order(backwards, turned)], dim=2))
        return torch.stack(found, dim=1)

    def loss(self, token_ids: Tensor) -> Tensor:
        """Mean negative log-likelihood, in nats a word, of each next word and each one before."""
        top = self(token_ids)[:, -1]
        before, after = token_ids[:, :-1], token_ids[:, 1:]
        # Behind the last word stands padding: it has no word before it either.
        before = before.masked_fill(after.eq(self.pad_id), self.pad_id)
        onwards = self._surprise(top[:, :-1, : self.units], after)
        return (onwards + self._surprise(top[:, 1:, self.units :], before)) / 2

    def _surprise(self, states: Tensor, wanted: Tensor) -> Tensor:
        logits = functional.linear(states, self.words.weight, self.bias)
        return functional.cross_entropy(logits.transpose(1, 2), wanted, ignore_index=self.pad_id)


class LayerMix(nn.Module):
    """Layers float32 [b, j, t, d] to float32 [b, t, d]: weights of sum 1, times a scale (s and gamma)."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, layers: Tensor) -> Tensor:
        """What a task makes of the language model's layers."""
        mixed: Tensor = self.scale * (torch.softmax(self.weights, dim=0)[:, None, None] * layers).sum(dim=1)
        return mixed


def reversed_order(present: Tensor) -> Tensor:
    """Where each place's token goes when each text is turned round and its padding stays, int64 [b, t].

    `present` bool [b, t] is true for the tokens. Turning twice gives the text again.
    """
    lengths = present.long().sum(dim=1, keepdim=True)
    places = torch.arange(present.shape[1], device=present.device)[None, :]
    return torch.where(places < lengths, lengths - 1 - places, places)


def in_order(sequence: Tensor, order: Tensor) -> Tensor:
    """Vectors float32 [b, t, d] rearranged by `order` int64 [b, t]."""
    return torch.gather(sequence, 1, order[:, :, None].expand(-1, -1, sequence.shape[2]))


def last_state(states: Tensor, present: Tensor) -> Tensor:
    """The vector of each text's last token, float32 [b, d] of [b, t, d]; the first one's of an empty text."""
    last = (present.long().sum(dim=1) - 1).clamp_min(0)
    return torch.gather(states, 1, last[:, None, None].expand(-1, 1, states.shape[2]))[:, 0]
