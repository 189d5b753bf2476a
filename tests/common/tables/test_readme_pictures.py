"""Pictures for READMEs: a curve and frames side by side."""

import numpy as np

from common.tables import readme_pictures


def test_a_curve_goes_up_where_the_values_do():
    picture = readme_pictures.curve(np.array([0, 10]), np.array([0.0, 1.0]), label="x", baseline=0.5)
    rows, columns = np.nonzero((picture == readme_pictures.LINE).all(-1))
    assert rows[columns.argmin()] > rows[columns.argmax()] + 200


def test_a_sheet_shows_the_frames_side_by_side():
    frames = {"a": np.full((8, 10, 3), 200, np.uint8), "b": np.full((8, 10, 3), 90, np.uint8)}
    picture = readme_pictures.sheet(frames, zoom=2)
    assert picture.shape == (24 + 16, 20 + 6 + 20, 3)
    assert (picture[24:, :20] == 200).all()
    assert (picture[24:, 26:] == 90).all()
