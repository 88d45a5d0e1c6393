"""What a recipe's YAML file may say of recordings, of lyrics and of the balance of the labels."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from genrestream.schemas.items import Modality
from genrestream.training.recipes.part import Part


class MfccCnn(Part):
    """MFCCs of one-second samples at 44.1 kHz as pictures, a 2-D CNN; a recording is the samples' mean."""

    modality: ClassVar[Modality] = Modality.AUDIO
    network: Literal["mfcc_cnn"]
    width: float = Field(default=1.0, ge=0.05, le=4.0, description="Share of 32, 64 and 128 channels.")
    middle_s: int = Field(default=40, ge=1, le=60, description="Of the recording, in samples of one second.")
    mel_bands: int = Field(default=26, ge=8, le=128)
    coefficients: int = Field(default=13, ge=8, le=128, description="The first so many of the bands' DCT.")
    dropout: float = Field(default=0.5, ge=0.0, le=0.9)
    standardise: bool = Field(default=False, description="Each coefficient, by the training items.")
    batch_norm: bool = Field(default=False, description="After each convolution.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.coefficients > self.mel_bands:
            raise ValueError(f"{self.coefficients} coefficients of {self.mel_bands} mel_bands")
        return self

    def describe(self) -> str:
        """Its size beside the published one."""
        return (
            f"CNN of width {self.width:g} (published: 1) on {self.coefficients} of {self.mel_bands} "
            f"coefficients of {self.middle_s} samples of 1 s"
        )


class LogMelCnn(Part):
    """A 2-D CNN on log-mel patches; a recording is the patches' mean."""

    modality: ClassVar[Modality] = Modality.AUDIO
    network: Literal["log_mel_cnn"]
    width: float = Field(default=1.0, ge=0.05, le=4.0, description="Share of 32, 64, 64 and 128 channels.")
    patches: int = Field(default=3, ge=1, le=16)
    embedding: int = Field(default=128, ge=4, le=2048)
    dropout: float = Field(default=0.5, ge=0.0, le=0.9)

    def describe(self) -> str:
        """Its size."""
        return f"CNN of width {self.width:g} on {self.patches} log-mel patches of 3 s"


class ElmoLstm(Part):
    """A bidirectional LSTM language model of the training texts, its layers mixed, and an LSTM on top."""

    modality: ClassVar[Modality] = Modality.TEXT
    network: Literal["elmo_lstm"]
    vocabulary: int = Field(default=10_000, ge=10, le=50_000, description="Words, the most frequent.")
    min_count: int = Field(default=2, ge=1, le=1000, description="Times that a word stands in training.")
    max_tokens: int = Field(default=256, ge=8, le=1024)
    units: int = Field(default=256, ge=4, le=1024, description="Of the language model, a direction.")
    layers: int = Field(default=2, ge=1, le=4, description="Of the language model, a direction.")
    language_epochs: int = Field(default=10, ge=1, le=100, description="Of the language model, at most.")
    language_rate: float = Field(default=2e-3, ge=1e-5, le=0.1, description="Of the language model, Adam's.")
    hidden: int = Field(default=128, ge=4, le=2048, description="The LSTM's state, which is the embedding.")
    dropout: float = Field(default=0.5, ge=0.0, le=0.9)

    def describe(self) -> str:
        """Its size beside the published one."""
        return (
            f"LSTM of {self.hidden} on a language model of {self.layers} x {self.units} units a direction "
            f"(published: 2 x 4096 over characters) of {self.vocabulary} words"
        )


class Balance(Part):
    """Long tails: what an epoch shows, and what each loss weighs, and what becomes of rare labels."""

    keep_labels: int | None = Field(
        default=None,
        ge=1,
        le=2000,
        description="So many of the training fold's most frequent labels stay; the others become Others.",
    )
    most_per_pair: int | None = Field(
        default=None,
        ge=1,
        description="Training items that a pair of labels may stand on; more are left out.",
    )
    by_label: bool = Field(default=False, description="Draw a label, then an item that has it.")
    rebalanced: bool = Field(
        default=False, description="Take back what by_label draws for other labels' sake."
    )
    class_weights: bool = Field(default=False, description="Weigh an item by its first label, as Keras does.")
    draws: int = Field(default=1, ge=1, le=64, description="Draws an epoch, times the training items.")
