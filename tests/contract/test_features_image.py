"""Picture features against torchvision's resize and Pillow's decoders."""

from functools import cache
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from genrestream.schemas.features import ImageFeatures
from genrestream.workers.features.content import FeatureLimits
from genrestream.workers.features.image import image_tensor

torch = pytest.importorskip("torch")
transforms = pytest.importorskip("torchvision.transforms.v2.functional")
pytestmark = pytest.mark.training

LIMITS = FeatureLimits()
SIZES = [(168, 112), (336, 224), (96, 96)]


@cache
def photo(width_px: int, height_px: int, seed: int = 3) -> Image.Image:
    """A picture with what photographs have: soft gradients, edges, text-like detail and some grain."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height_px, 0:width_px]
    soft = 127 + 80 * np.sin(columns / 37 + rows / 53)[..., None] * np.array([1.0, 0.6, -0.8])
    image = Image.fromarray(np.clip(soft, 0, 255).astype(np.uint8))
    for _ in range(30):
        left, top = (int(random.integers(0, side)) for side in (width_px, height_px))
        colour = tuple(int(level) for level in random.integers(0, 256, 3))
        image.paste(
            colour, (left, top, left + int(random.integers(3, 60)), top + int(random.integers(2, 40)))
        )
    grain = np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)), np.float64) + random.normal(
        0, 4, (height_px, width_px, 3)
    )
    return Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, format_name: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def reference(pixels: NDArray[np.uint8], spec: ImageFeatures) -> NDArray[np.float32]:
    """torchvision's antialiased resize in floating point, float32 [h, w, 3] in 0..255."""
    resized = transforms.resize(
        torch.from_numpy(pixels.copy()).permute(2, 0, 1).float(),
        [spec.height_px, spec.width_px],
        interpolation=getattr(transforms.InterpolationMode, spec.resize.upper()),
        antialias=True,
    )
    return np.asarray(resized.clamp(0, 255).permute(1, 2, 0).numpy(), np.float32)


def difference(tensor: NDArray[np.uint8], expected: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.abs(tensor.astype(np.float32) - expected)


@pytest.mark.parametrize("resize", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("source", [(240, 356), (100, 150), (500, 300)])
def test_resize_is_torchvisions(source: tuple[int, int], size: tuple[int, int], resize: str) -> None:
    """Down, up and out of shape: within 2 of 255 levels, which is rounding after each of two passes."""
    spec = ImageFeatures(height_px=size[0], width_px=size[1], resize=resize)
    image = photo(*source)
    tensor = image_tensor(encoded(image, "PNG"), spec, LIMITS)
    assert difference(tensor, reference(np.asarray(image), spec)).max() <= 2


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("source", [(800, 1200), (2000, 3000)])
def test_a_large_picture_is_torchvisions(source: tuple[int, int], size: tuple[int, int]) -> None:
    """From six times the size on, a box filter reduces first: within 4 levels, 0.5 on the average."""
    spec = ImageFeatures(height_px=size[0], width_px=size[1])
    image = photo(*source)
    found = difference(image_tensor(encoded(image, "BMP"), spec, LIMITS), reference(np.asarray(image), spec))
    assert found.max() <= 4
    assert found.mean() <= 0.5


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("source", [(240, 356), (800, 1200), (1500, 2100), (1499, 2101)])
def test_reduced_size_decoding_shows_the_same_picture(
    source: tuple[int, int], size: tuple[int, int], mode: str
) -> None:
    """libjpeg's smaller inverse transform, by either library, against full decoding and torchvision.

    The two low-pass filters differ at edges: 1.5 levels on the average, 99 of 100 values within 10. A
    shift by half a pixel, which a size that does not divide by 8 invites, would be twice that.
    """
    spec = ImageFeatures(height_px=size[0], width_px=size[1])
    data = encoded(photo(*source).convert(mode), "JPEG", quality=92)
    expected = reference(np.asarray(Image.open(BytesIO(data)).convert("RGB")), spec)
    found = difference(image_tensor(data, spec, LIMITS), expected)
    assert found.mean() <= 1.5
    assert np.quantile(found, 0.99) <= 10


@pytest.mark.parametrize(
    ("format_name", "mode", "options"),
    [
        ("PNG", "RGB", {}),
        ("PNG", "L", {}),
        ("PNG", "P", {}),
        ("GIF", "P", {}),
        ("WEBP", "RGB", {"quality": 80}),
        ("BMP", "RGB", {}),
        ("AVIF", "RGB", {"quality": 80}),
        ("JPEG", "RGB", {"quality": 90, "subsampling": 0}),
        ("JPEG", "RGB", {"quality": 90, "progressive": True}),
        ("JPEG", "L", {"quality": 90}),
        ("JPEG", "CMYK", {"quality": 90}),
    ],
)
def test_every_format_decodes_as_pillow_does(format_name: str, mode: str, options: dict[str, object]) -> None:
    """At its own size, where nothing is resized: Pillow's RGB, within the 3 levels of another inverse DCT."""
    image = photo(112, 168)
    image = image.quantize(64) if mode == "P" else image.convert(mode)
    data = encoded(image, format_name, **options)
    expected = np.asarray(Image.open(BytesIO(data)).convert("RGB"), np.float32)
    tensor = image_tensor(data, ImageFeatures(height_px=168, width_px=112), LIMITS)
    assert difference(tensor, expected).max() <= (3 if format_name == "JPEG" else 0)


def test_sixteen_bits_are_torchvisions() -> None:
    """16-bit grey, scaled as torchvision's to_dtype does: within 1 level."""
    levels = np.random.default_rng(1).integers(0, 65_536, (168, 112), np.uint16)
    tensor = image_tensor(
        encoded(Image.fromarray(levels), "PNG"), ImageFeatures(height_px=168, width_px=112), LIMITS
    )
    scaled = transforms.to_dtype(torch.from_numpy(levels), torch.uint8, scale=True).numpy()
    assert np.abs(tensor[..., 0].astype(int) - scaled.astype(int)).max() <= 1
