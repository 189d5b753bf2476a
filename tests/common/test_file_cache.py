"""Files that rows share are read once, as long as they are kept."""

import numpy as np

from common import file_cache
from common.media import image
from common.media.image import read_image, write_image


def test_files_are_read_once_while_they_are_kept(tmp_path, monkeypatch):
    reads = []
    decode = image._decode
    monkeypatch.setattr(image, "_decode", lambda path, *how: reads.append(path.name) or decode(path, *how))
    for name in "abc":
        write_image(tmp_path / f"{name}.png", np.full((8, 8, 3), 50, np.uint8))
    with file_cache.FILES.keeping(2 * 192):
        read_image(tmp_path / "a.png")[:] = 0
        assert (read_image(tmp_path / "a.png") == 50).all()
        assert reads == ["a.png"]
        write_image(tmp_path / "a.png", np.full((8, 9, 3), 7, np.uint8))
        assert read_image(tmp_path / "a.png").shape == (8, 9, 3)
        for name in "bcbc":
            read_image(tmp_path / f"{name}.png")
        assert reads == ["a.png", "a.png", "b.png", "c.png"]
        read_image(tmp_path / "a.png")
        assert reads[4:] == ["a.png"]
    read_image(tmp_path / "c.png")
    assert reads[5:] == ["c.png"]
