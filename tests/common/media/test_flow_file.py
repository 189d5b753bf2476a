"""Flow files: round trips, what is unknown, what is cut, hostile or written by others."""

import numpy as np
import pytest

from common.media.flow_color import flow_to_image
from common.media.flow_file import read_flow, write_flow


@pytest.fixture
def flow():
    return np.random.default_rng(0).normal(0, 20, (6, 9, 2)).astype(np.float32)


@pytest.mark.parametrize("suffix", ["flo", "pfm", "png", "FLO"])
def test_flow_round_trip(tmp_path, flow, suffix):
    write_flow(tmp_path / f"a.{suffix}", flow)
    again, valid = read_flow(tmp_path / f"a.{suffix}")
    assert again.dtype == np.float32
    assert valid.dtype == bool
    assert valid.all()
    if suffix == "png":
        assert ((flow - again >= 0) & (flow - again < 1 / 64)).all()  # cut, not rounded
    else:
        assert np.array_equal(again, flow)


@pytest.mark.parametrize("suffix", ["flo", "png"])
def test_unknown_flow(tmp_path, flow, suffix):
    known = np.random.default_rng(1).random(flow.shape[:2]) > 0.4
    flow[~known] = np.nan
    write_flow(tmp_path / f"a.{suffix}", flow, known)
    again, valid = read_flow(tmp_path / f"a.{suffix}")
    assert np.array_equal(valid, known)
    assert np.allclose(again[known], flow[known], atol=1 / 64)
    assert np.isfinite(again).all()
    assert (flow_to_image(again if suffix == "flo" else np.where(valid[..., None], again, np.nan))[~known] == 0).all()


def test_a_flow_of_an_array_of_flows(tmp_path, flow):
    flows = np.stack([np.stack((flow, -flow)), np.stack((2 * flow, 3 * flow))]).astype(np.float16)
    flows[1, 1, 2, 4] = np.nan
    np.save(tmp_path / "a_flow.npy", flows)
    found, valid = read_flow(tmp_path / "a_flow.npy/00000001/1")
    assert found.dtype == np.float32
    assert np.array_equal(found, flows[1, 1].astype(np.float32), equal_nan=True)
    assert np.argwhere(~valid).tolist() == [[2, 4]]
    for path in ("00000002/0", "00000000/2"):
        with pytest.raises(ValueError, match=r"a_flow.npy: an array of \(2, 2, 6, 9, 2\); expected flows"):
            read_flow(tmp_path / "a_flow.npy" / path)


def test_write_flow_refuses(tmp_path, flow):
    far = flow.copy()
    far[0, 0, 0] = 512
    bad = flow.copy()
    bad[0, 0, 0] = np.inf
    for name, values, valid, message in (
        ("a.png", far, None, "-512 to 512"),
        ("a.png", -far - 1, None, "-512 to 512"),
        ("a.flo", bad, None, "NaN or infinite"),
        ("a.pfm", flow, np.zeros(flow.shape[:2]), "no place"),
        ("a.flo", flow[..., 0], None, "HxWx2"),
        ("a.flo", flow, np.ones((2, 2)), "valid is"),
        ("a.npy", flow, None, "suffixes"),
    ):
        with pytest.raises(ValueError, match=message):
            write_flow(tmp_path / name, values, valid)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["flo", "pfm", "png"])
@pytest.mark.parametrize("kept", [0, 3, 8, 20, -1])
def test_truncated_flow(tmp_path, flow, suffix, kept):
    path = tmp_path / f"cut.{suffix}"
    write_flow(path, flow)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"cut\.") as error:
        read_flow(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.flo", b"PIEH" + np.array([2**31 - 1, 2**31 - 1], "<i4").tobytes()),  # must not allocate
        ("a.flo", b"PIEH" + np.array([-1, -1], "<i4").tobytes() + bytes(8)),
        ("a.flo", b"HEIP" + np.array([1, 1], ">i4").tobytes() + bytes(8)),
        ("a.pfm", b"Pf\n2 2\n-1\n" + bytes(16)),  # grey: a disparity
        ("a.pfm", b"PF\n99999999 99999999\n-1\n" + bytes(16)),
        ("a.pfm", b"PF\n0 0\n-1\n"),
        ("a.png", b"not a png"),
    ],
)
def test_hostile_flow(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"a\."):
        read_flow(tmp_path / name)


def test_flow_of_other_writers(tmp_path, flow):
    rows = np.dstack((flow, np.zeros((6, 9, 1), np.float32)))[::-1]
    (tmp_path / "big.pfm").write_bytes(b"PF\n  9   6\n1.000000\n" + rows.astype(">f4").tobytes())  # spaces, big endian
    assert np.array_equal(read_flow(tmp_path / "big.pfm")[0], flow)
    for missing in (tmp_path / "no.flo", tmp_path / "a.txt"):
        with pytest.raises(ValueError, match="cannot read"):
            read_flow(missing)


def test_real_flow(real_data, tmp_path):
    path = real_data / "flow_pair" / "pwcnet_official_0010.flo"
    flow, valid = read_flow(path)
    assert valid.all()
    write_flow(tmp_path / "again.flo", flow)
    assert (tmp_path / "again.flo").read_bytes() == path.read_bytes()
