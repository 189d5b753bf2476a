"""Sample pictures: where each image of a batch lies, and the names of the files."""

import numpy as np
import torch

from common.training import sample_pictures


def test_images_lie_in_rows_of_three_between_black_lines():
    images = torch.arange(1, 5)[:, None, None, None].expand(4, 3, 2, 5) / 5
    found = sample_pictures.grid(images)
    assert found.shape == (2 * 4 + 2, 3 * 7 + 2, 3)
    assert found.dtype == np.uint8
    for number in range(4):
        top, left = (number // 3) * 4 + 2, (number % 3) * 7 + 2
        assert (found[top : top + 2, left : left + 5] == 51 * (number + 1)).all()
        found[top : top + 2, left : left + 5] = 0
    assert not found.any()


def test_values_out_of_range_and_nan_are_shown_as_something():
    images = torch.tensor([2.0, -1.0, float("nan")])[:, None, None, None].expand(3, 3, 1, 1)
    assert sample_pictures.grid(images)[2, [2, 5, 8], 0].tolist() == [255, 0, 0]


def test_files_are_numbered_in_order(tmp_path):
    picture = np.zeros((4, 4, 3), np.uint8)
    sample_pictures.save(tmp_path / "valid", "I000010_V01", {"input": picture, "result": picture})
    names = sorted(path.name for path in (tmp_path / "valid").iterdir())
    assert names == ["I000010_V01_01_input.jpg", "I000010_V01_02_result.jpg"]
