"""Pictures mirrored, turned and cut out, as they are shown in training only.

Legend: b batch, h height, w width.
"""

import numpy as np
import torch
from torch import Tensor, nn


def augmented(
    pictures: Tensor,
    rng: np.random.Generator,
    *,
    flip: bool,
    rotation_deg: float,
    crop_share: float = 0.0,
) -> Tensor:
    """`pictures` uint8 [b, h, w, 3] as float32 0..255 of the same shape, each changed by its own chance.

    Half are mirrored, each is turned about its middle by up to `rotation_deg`; what a turn uncovers
    shows the nearest edge. Of each, up to `crop_share` of both sides is cut away.
    """
    count, height, width, _ = pictures.shape
    mirror = np.where(rng.random(count) < 0.5, -1.0, 1.0) if flip else np.ones(count)
    angle = np.radians(rng.uniform(-rotation_deg, rotation_deg, count))
    turn = np.zeros((count, 2, 3), np.float32)
    # Coordinates run from -1 to 1 over either side, whatever its length.
    turn[:, 0, 0], turn[:, 0, 1] = mirror * np.cos(angle), -np.sin(angle) * height / width
    turn[:, 1, 0], turn[:, 1, 1] = mirror * np.sin(angle) * width / height, np.cos(angle)
    if crop_share:
        kept = rng.uniform(1.0 - crop_share, 1.0, count)
        turn[:, :, :2] *= kept[:, None, None]
        turn[:, :, 2] = rng.uniform(-1.0, 1.0, (count, 2)) * (1.0 - kept)[:, None]
    grid = nn.functional.affine_grid(
        torch.from_numpy(turn).to(pictures.device), [count, 3, height, width], align_corners=False
    )
    channels_first = pictures.permute(0, 3, 1, 2).to(torch.float32)
    shown = nn.functional.grid_sample(channels_first, grid, padding_mode="border", align_corners=False)
    return shown.permute(0, 2, 3, 1)
