"""Sample pictures of flows and of frames between."""

import torch

from qpwcnet.pictures import flow_pictures, interp_pictures


def test_a_moved_frame_moves_back_and_colours_have_one_scale():
    prv = torch.rand(2, 3, 8, 12)
    nxt = prv.roll(2, 3)  # everything is two pixels further to the right
    flow = torch.zeros(2, 2, 8, 12)
    flow[:, 0] = 2
    shown = flow_pictures(prv, nxt, flow, flow)
    assert list(shown) == ["prv", "nxt", "overlay", "warped", "flow", "truth"]
    assert all(picture.shape == (2, 3, 8, 12) for picture in shown.values())
    torch.testing.assert_close(shown["warped"][..., :-2], prv[..., :-2])
    assert torch.equal(shown["flow"], shown["truth"])
    longer = flow_pictures(prv, nxt, flow, 2 * flow)
    assert (longer["flow"] >= longer["truth"]).all()  # shorter is paler
    assert not torch.equal(longer["flow"], shown["flow"])
    assert "truth" not in flow_pictures(prv, nxt, flow)


def test_frames_have_the_names_of_the_original():
    a, truth, b, pred = torch.rand(4, 1, 3, 8, 12)
    shown = interp_pictures(a, b, pred, truth)
    assert list(shown) == ["img0", "img1", "img2", "overlay", "pred-img1"]
    assert torch.equal(shown["img1"], truth)
    assert torch.equal(shown["overlay"], (a + b) / 2)
