"""Own video around a network that is ready: what the bare minimum is given, and what the command makes."""

import torch

from common.bench import around
from common.media.video_reader import open_clip
from ifrnet.bench import Ready, own_video
from ifrnet.infer import Interpolator
from pvdnet.bench import own_video as deblurring
from toflow.bench import own_video as restoring


def test_a_slower_network_has_a_smaller_ratio():
    class Slow(Ready):
        def encode(self, img0, img1, scale):
            torch.rand(3_000_000).sort()
            return super().encode(img0, img1, scale)

    models = own_video()["IFRNet x2"][0], Interpolator(Slow())
    fast, slow = (around.measure(model, {"multi": 2}, 1, size=(64, 96), repeats=2) for model in models)
    assert fast["ratio"] > slow["ratio"] > 0


def test_the_clip_moves_and_results_are_as_large_as_asked(tmp_path):
    sizes = {}
    for name, (model, flags, scale) in {**own_video(), **deblurring(), **restoring()}.items():
        around._write_clip(tmp_path / f"{name} in.mp4", 64 // scale, 96 // scale, 0)
        model.clip(tmp_path / f"{name} in.mp4", tmp_path / f"{name}.mp4", **flags)
        made = list(open_clip(tmp_path / f"{name}.mp4"))
        sizes[name] = len(made), made[0].shape[:2]
        assert (made[0] != made[2]).mean() > 0.5
    count, size = around.FRAMES, (64, 96)
    assert sizes.pop("IFRNet x2") == (2 * count - 1, size)
    assert sizes == dict.fromkeys(("PVDNet", "TOFlow denoise", "TOFlow sr"), (count, size))
