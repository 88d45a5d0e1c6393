"""The rhythm of log-mel patches, beside a network in one graph."""

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from genrestream.schemas import AudioFeatures
from genrestream.schemas.tensors import MEL_PATCHES
from genrestream.training.encoders.onnx_export import check_graph, export, side_by_side
from genrestream.training.encoders.parity import largest_difference, run_graph
from genrestream.training.encoders.rhythm import GROUP_EDGES, Rhythm

pytestmark = pytest.mark.training

FEATURES = AudioFeatures()
FRAMES, BANDS, WIDE = FEATURES.patch_frames, FEATURES.mel_bands, 12
GROUPS = len(GROUP_EDGES) - 1


def noise(items: int = 2) -> np.ndarray:
    """Log-mel patches float32 [items, patches, frames, bands] between 0 and 3."""
    shape = (items, FEATURES.patches, FRAMES, BANDS)
    return np.random.default_rng(0).uniform(0, 3, shape).astype(np.float32)


def rhythm(patches: np.ndarray) -> np.ndarray:
    """By item, wide band and group."""
    return Rhythm(FEATURES)(torch.from_numpy(patches)).numpy().reshape(len(patches), WIDE, GROUPS)


def test_rhythm_is_the_spectrum_of_each_wide_bands_swings():
    """As NumPy's FFT has it: windowed, amplitudes averaged over patches and then over each group."""
    patches = noise()
    wide = patches.reshape(2, FEATURES.patches, FRAMES, WIDE, BANDS // WIDE).mean(axis=4)
    swings = (wide - wide.mean(axis=2, keepdims=True)) * np.hanning(FRAMES)[:, None]
    amplitudes = np.abs(np.fft.rfft(swings, axis=2)).mean(axis=1)
    edges = pairwise(GROUP_EDGES)
    expected = np.stack([amplitudes[:, start:stop].mean(axis=1) for start, stop in edges], axis=2)
    assert rhythm(patches) == pytest.approx(np.log1p(expected), abs=1e-4)


def test_a_beat_is_found_in_its_band_and_at_its_speed():
    """12 swings a patch of the lowest bands alone: the group of 12 to 14 cycles, in the first wide band."""
    patches = np.ones((1, FEATURES.patches, FRAMES, BANDS), np.float32)
    beat = 0.5 * np.sin(2 * np.pi * 12 * np.arange(FRAMES) / FRAMES)
    patches[..., : BANDS // WIDE] += beat[None, None, :, None].astype(np.float32)
    (found,) = rhythm(patches)
    assert np.unravel_index(found.argmax(), found.shape) == (0, GROUP_EDGES.index(12))
    assert found[1:].max() < 0.01


def test_silence_has_no_rhythm():
    """And no number that is none."""
    found = rhythm(np.zeros_like(noise()))
    assert np.isfinite(found).all()
    assert found.max() < 0.01


class Loudest(nn.Module):
    """The largest value of each band: a network's place."""

    def forward(self, patches):
        return patches.amax(dim=(1, 2))


def test_two_graphs_become_one():
    """Its embedding is both, one after the other, and the names of the two do not meet."""
    patches = noise(3)
    example = torch.from_numpy(patches[:2])
    first, second = (export(part, example, MEL_PATCHES, ("b",)) for part in (Loudest(), Rhythm(FEATURES)))
    graph = side_by_side(first, second, MEL_PATCHES)
    check_graph(graph)
    found = run_graph(graph, {MEL_PATCHES: patches}, chunk=2)
    assert found[:, :BANDS] == pytest.approx(patches.max(axis=(1, 2)))
    of_rhythm = Rhythm(FEATURES)(torch.from_numpy(patches)).numpy()
    assert largest_difference(found[:, BANDS:], of_rhythm) < 1e-5
    twice = run_graph(side_by_side(first, first, MEL_PATCHES), {MEL_PATCHES: patches})
    assert (twice[:, :BANDS] == twice[:, BANDS:]).all()
