"""The frames of a clip, pictures in a folder, enlarged: python examples/enlarge_folder.py SMALL LARGE [WEIGHTS]."""

import sys
from pathlib import Path

from PIL import Image

import tdan

source, target = map(Path, sys.argv[1:3])
target.mkdir(parents=True, exist_ok=True)
files = sorted(source.glob("*.png"))
frames = (Image.open(file) for file in files)  # read as they are needed, however many there are
for file, large in zip(files, tdan.load(*sys.argv[3:])(frames), strict=True):
    large.save(target / file.name)
