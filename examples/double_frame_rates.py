"""Clips at twice their frame rates: python examples/double_frame_rates.py CLIPS DOUBLED [WEIGHTS]."""

import sys
from pathlib import Path

import ifrnet

source, target = map(Path, sys.argv[1:3])
model = ifrnet.load(*sys.argv[3:])
for clip in sorted(source.iterdir()):
    if not (target / clip.name).exists():
        model.clip(clip, target / clip.name, multi=2)
        print(target / clip.name)
