"""Cepstral coefficients inside the graph, and the network that hears one-second samples of them."""

import numpy as np
import pytest
import scipy.fft

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.schemas.tensors import MEL_PATCHES  # noqa: E402
from genrestream.training.encoders.onnx_export import export  # noqa: E402
from genrestream.training.encoders.parity import largest_difference, run_graph  # noqa: E402
from genrestream.training.recipes.mfcc import Mfcc, dct_matrix  # noqa: E402
from genrestream.training.recipes.mfcc_cnn import MfccEncoder, cut, mfcc_features  # noqa: E402
from genrestream.training.recipes.spec_audio import MfccCnn  # noqa: E402

SMALL = MfccCnn(network="mfcc_cnn", mel_bands=8, coefficients=8, width=0.1)


def log_mel(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(0, 4, shape).astype(np.float32))


@pytest.mark.parametrize("size", [1, 13, 26, 40])
def test_the_constant_matrix_is_scipys_dct(size):
    """Rows times the matrix are the orthonormal DCT-II, to rounding of doubles."""
    rows = np.random.default_rng(0).normal(size=(5, size)) * 40
    expected = scipy.fft.dct(rows, type=2, norm="ortho", axis=1)
    np.testing.assert_allclose(rows @ dct_matrix(size), expected, atol=1e-12 * 40 * size)


def test_coefficients_are_the_dct_of_decibels():
    """From the workers' log10(10000 x + 1) to scipy's DCT of 10 log10(x), the first 13 of 26, within 1e-3 of
    a decibel."""
    power = 10.0 ** np.random.default_rng(1).uniform(-3, 3, (7, 26))
    heard = torch.from_numpy(np.log10(10_000 * power + 1).astype(np.float32))
    expected = scipy.fft.dct(10 * np.log10(power), type=2, norm="ortho", axis=1)[:, :13]
    np.testing.assert_allclose(Mfcc(26, 13)(heard).numpy(), expected, atol=1e-3)


def test_silence_is_the_floor():
    """No power at all is -40 dB in every band: coefficient 0 is -40 x the root of 26, the others are 0."""
    found = Mfcc(26, 13)(torch.zeros(1, 26)).numpy()[0]
    assert found[0] == pytest.approx(-40 * np.sqrt(26), rel=1e-5)
    assert np.abs(found[1:]).max() < 1e-3


@pytest.mark.parametrize("coefficients", [0, 27])
def test_no_more_coefficients_than_bands(coefficients):
    with pytest.raises(ValueError, match=f"{coefficients} coefficients of 26 mel bands"):
        Mfcc(26, coefficients)


def test_a_recording_is_the_mean_of_its_samples():
    """Two patches of 25 frames are four samples of 10; each patch's last five frames are not heard."""
    network = MfccEncoder(SMALL, 10).eval()
    patches = log_mel(3, 2, 25, 8)
    with torch.inference_mode():
        each = network(patches[1, :, :20].reshape(4, 1, 10, 8))
        assert torch.allclose(network(patches)[1], each.mean(dim=0), atol=1e-6)
        changed = patches.clone()
        changed[:, :, 20:] = 0
        assert torch.equal(network(changed), network(patches))
    assert cut(patches, 10).shape == (12, 10, 8)


def test_standardised_coefficients_have_mean_0_and_deviation_1():
    """Over the frames they were taken from; a band that never sounds gives no number that is not finite."""
    network = MfccEncoder(SMALL, 10)
    patches = log_mel(6, 1, 50, 8)
    network.standardise(patches)
    standard = (network.mfcc(patches) - network.mean) * network.inverse_deviation
    frames = standard.reshape(-1, 8)
    assert frames.mean(dim=0).abs().max() < 1e-4
    assert (frames.std(dim=0, correction=0) - 1).abs().max() < 1e-4
    network.standardise(torch.zeros_like(patches))
    assert network.inverse_deviation.eq(0).all()


def test_a_sample_that_pools_away_is_refused():
    """Seven frames are none after three halvings."""
    with pytest.raises(ValueError, match="samples of 7 x 8 pool away to nothing"):
        MfccEncoder(SMALL, 7)


def test_training_shows_one_sample_of_each_recording():
    """One of its own, any of them by chance, and the same for the same chance."""
    network = MfccEncoder(SMALL, 10)
    patches = log_mel(50, 2, 25, 8)
    shown = network.one_sample(patches, np.random.default_rng(3))
    assert shown.shape == (50, 1, 10, 8)
    places = [
        [torch.equal(one[0], sample) for sample in cut(own[None], 10)].index(True)
        for one, own in zip(shown, patches, strict=True)
    ]
    assert set(places) == {0, 1, 2, 3}
    assert torch.equal(shown, network.one_sample(patches, np.random.default_rng(3)))


def test_the_features_are_those_that_were_published():
    """The middle 40 s at 44.1 kHz with windows of 2,048 samples and 26 bands, 40 samples of 86 frames."""
    features = mfcc_features(MfccCnn(network="mfcc_cnn"))
    assert (features.sample_rate_hz, features.window_samples, features.mel_bands) == (44_100, 2_048, 26)
    assert (features.middle_s, features.patches, features.patch_frames) == (40.0, 1, 3_440)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_exported_graph_says_the_same(batch_norm):
    """For batches of another size than the one it was traced with."""
    network = MfccEncoder(SMALL.model_copy(update={"batch_norm": batch_norm}), 10).eval()
    network.standardise(log_mel(6, 2, 25, 8))
    patches = log_mel(5, 2, 25, 8)
    graph = export(network, patches[:2], MEL_PATCHES, ("b",))
    with torch.inference_mode():
        expected = network(patches).numpy()
    assert expected.std() > 0
    assert largest_difference(run_graph(graph, {MEL_PATCHES: patches.numpy()}), expected) < 1e-5
