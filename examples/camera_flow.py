"""Flow of a camera, or of a file, in a window: python examples/camera_flow.py 0 [WEIGHTS]; q ends it."""

import sys
from itertools import pairwise

import cv2

import qpwcnet

source = sys.argv[1]
camera = cv2.VideoCapture(int(source) if source.isdigit() else source)
model = qpwcnet.load(*sys.argv[2:])
frames = (cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) for good, picture in iter(camera.read, (False, None)) if good)
for first, second in pairwise(frames):
    cv2.imshow("flow", cv2.cvtColor(model(first, second).colours, cv2.COLOR_RGB2BGR))
    if cv2.waitKey(1) == ord("q"):
        break
