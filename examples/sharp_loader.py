"""Clips deblurred on their way to a training: python examples/sharp_loader.py CLIPS WEIGHTS [PRESET]."""

import sys
from pathlib import Path

import torch

import pvdnet
from common.media.video_reader import open_clip

clips, weights, preset = [*sorted(Path(sys.argv[1]).iterdir())], sys.argv[2], "".join(sys.argv[3:])
deblur = pvdnet.load(weights, config=preset)


def collate(paths):
    """The clips of a batch, sharp: T x H x W x 3 uint8 each."""
    return [torch.stack([torch.from_numpy(frame) for frame in deblur(open_clip(path))]) for path in paths]


for batch in torch.utils.data.DataLoader(clips, batch_size=2, shuffle=True, collate_fn=collate):
    print(*(tuple(clip.shape) for clip in batch))  # your training step
