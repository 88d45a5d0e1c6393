"""The starter encoders: small networks, trained from nothing on the synthetic sample."""

from genrestream.training.encoders.starter.builders import starter_builders

__all__ = ["starter_builders"]
