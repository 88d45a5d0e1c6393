"""Pictures, recordings and a tokenizer, made here."""

import hashlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from wave import open as open_wave

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from genrestream.schemas.features import TextFeatures

SaveImage = Callable[..., bytes]
SaveWave = Callable[..., bytes]


@pytest.fixture
def save_image() -> SaveImage:
    """Encode a Pillow image: `save_image(image, "PNG", **options)`."""

    def save(image: Image.Image, format_name: str, **options: object) -> bytes:
        buffer = BytesIO()
        image.save(buffer, format_name, **options)
        return buffer.getvalue()

    return save


@pytest.fixture
def save_wave() -> SaveWave:
    """Encode float samples [n] or [n, c] in -1..1 as a 16-bit WAV file."""

    def save(samples: NDArray[np.float32], rate_hz: int) -> bytes:
        buffer = BytesIO()
        with open_wave(buffer, "wb") as file:
            file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
            file.setsampwidth(2)
            file.setframerate(rate_hz)
            file.writeframes((samples * 32767).astype("<i2").tobytes())
        return buffer.getvalue()

    return save


@pytest.fixture
def tokenizer_file(tmp_path: Path) -> tuple[Path, str]:
    """A small WordPiece tokenizer with [CLS] 2 and [SEP] 3, and its SHA-256."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "jazz", "night", "##s", "in", "paris", "."]
    tokenizer = Tokenizer(WordPiece({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def text_spec(tokenizer_file: tuple[Path, str]) -> TextFeatures:
    return TextFeatures(tokenizer="tokenizer.json", tokenizer_sha256=tokenizer_file[1], max_tokens=16)
