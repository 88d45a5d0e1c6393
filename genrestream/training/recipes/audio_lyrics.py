"""The two encoders of tracks with lyrics: a CNN on log-mel patches, an LSTM on contextual word embeddings.

Legend: b batch, p patches, n = b * p, f frames, m mel bands, t tokens, d embedding size.
"""

import torch
from torch import Tensor, nn

from genrestream.schemas.features import AudioFeatures
from genrestream.training.recipes.language_model import LanguageModel, LayerMix, last_state
from genrestream.training.recipes.mfcc_cnn import scaled
from genrestream.training.recipes.spec_audio import ElmoLstm, LogMelCnn
from genrestream.training.recipes.words import PAD_ID

CHANNELS = (32, 64, 64, 128)
"""Of the blocks at width 1; each halves time and frequency."""
LEVEL = 1.0
"""The middle of the workers' log-mel, which lies in 0 to about 3."""


def log_mel_features(spec: LogMelCnn) -> AudioFeatures:
    """The workers' usual patches of 3 s."""
    return AudioFeatures(patches=spec.patches)


class LogMelEncoder(nn.Module):
    """Log-mel patches float32 [b, p, f, m] to float32 [b, d]: the mean over a recording's patches."""

    def __init__(self, spec: LogMelCnn) -> None:
        super().__init__()
        mel_bands = log_mel_features(spec).mel_bands
        self.embedding_dim = spec.embedding
        blocks: list[nn.Module] = []
        before = 1
        for block in CHANNELS:
            after = scaled(block, spec.width)
            blocks += [
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            before, mel_bands = after, mel_bands // 2
        self.blocks = nn.Sequential(*blocks)
        # Frequencies keep their places, time does not: what matters is that a sound is heard at all.
        self.dense = nn.Linear(2 * before * mel_bands, spec.embedding)
        self.dropout = nn.Dropout(spec.dropout)

    def forward(self, mel_patches: Tensor) -> Tensor:
        """The embeddings of a batch of recordings."""
        patches, frames, bands = mel_patches.shape[1:]
        maps = self.blocks(mel_patches.reshape(-1, 1, frames, bands) - LEVEL)
        pooled = torch.cat([maps.mean(dim=2), maps.amax(dim=2)], dim=1).flatten(1)
        each = self.dropout(torch.relu(self.dense(pooled)))
        mean: Tensor = each.reshape(-1, patches, self.embedding_dim).mean(dim=1)
        return mean


class LyricsEncoder(nn.Module):
    """Token ids int64 [b, t] to float32 [b, d]: the last state of an LSTM on the language model's embeddings.

    The language model stays as it was trained; the mix of its layers and the LSTM learn (Peters et al. 2018,
    3.3).
    """

    def __init__(self, spec: ElmoLstm, ids: int) -> None:
        """`ids` is one more than the largest token id."""
        super().__init__()
        self.embedding_dim = spec.hidden
        language_model = LanguageModel(ids, spec.units, spec.layers, PAD_ID)
        self.language_model = language_model.requires_grad_(requires_grad=False)
        self.mix = LayerMix(language_model.layers)
        self.lstm = nn.LSTM(2 * spec.units, spec.hidden, batch_first=True)
        self.dropout = nn.Dropout(spec.dropout)

    def forward(self, token_ids: Tensor) -> Tensor:
        """The embeddings of a batch of lyrics."""
        present = token_ids.ne(self.language_model.pad_id)
        mixed = self.dropout(self.mix(self.language_model(token_ids)))
        embedding: Tensor = self.dropout(last_state(self.lstm(mixed)[0], present))
        return embedding
