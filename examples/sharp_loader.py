"""Clips deblurred on their way to a training: python examples/sharp_loader.py CLIPS WEIGHTS [PRESET]."""

import sys
from pathlib import Path

import torch

import pvdnet
from common.media.video_reader import open_clip

deblur = pvdnet.load(sys.argv[2], config="".join(sys.argv[3:]))


def collate(paths: list[Path]) -> list[torch.Tensor]:  # the clips of a batch, sharp: T x H x W x 3 uint8 each
    return [torch.stack([torch.from_numpy(frame) for frame in deblur(open_clip(path))]) for path in paths]


clips = torch.utils.data.DataLoader[Path](sorted(Path(sys.argv[1]).iterdir()), 2, collate_fn=collate)  # type: ignore
for batch in clips:
    print(*(tuple(clip.shape) for clip in batch))  # your training step
