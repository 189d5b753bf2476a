"""Clips that an int8 network is calibrated with, and those that are held out."""

import cv2
import numpy as np
import pytest

from qpwcnet.deploy import calibration_clips
from tests.helpers.exported_qpwcnet import SIZE


def test_clips_are_held_out(made, tmp_path):
    (tmp_path / "data").mkdir()
    for number in range(8):
        for part in (1, 2):
            cv2.imwrite(str(tmp_path / f"data/{number}_img{part}.ppm"), np.full((8, 8, 3), 2 * number + part, np.uint8))
    calibrating, held_out = calibration_clips.split(calibration_clips.find_clips(tmp_path), 2, (8, 8))
    values = [[[int(frame[0, 0, 0, 0]) for frame in sample] for sample in part] for part in (calibrating, held_out)]
    assert values == [[[2 * k + 1, 2 * k + 2] for k in (0, 1, 2, 4, 5, 6)], [[7, 8], [15, 16]]]
    (clip,) = calibration_clips.find_clips(made / "clips/clip0")
    with pytest.raises(ValueError, match="expected two clips or more"):
        calibration_clips.split([clip[:2]], 2, SIZE)
    many = calibration_clips.split([4 * clip], 2, SIZE)
    assert [len(part) for part in many] == [7, 3]
