"""QPWCNet's data sets as lists of pairs and triplets."""

import cv2
import numpy as np
import pytest

from common.atomic import write_bytes
from common.media.flow_file import write_flow
from common.media.image import read_image, write_image
from common.sets.synthetic_layouts import LAYOUTS, Clip
from qpwcnet import sets
from qpwcnet.sets import Pair, find_pairs, find_triplets, missing_part, read_pair

SIZE = (32, 48)  # height, width


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What make_synthetic.py writes, with two clips for training and one for the test."""
    root = tmp_path_factory.mktemp("sets")
    for name in ("sintel", "chairs", "kitti15"):
        layout = LAYOUTS[name]
        for folder, splits in layout.folders.items():
            jobs = [job for job in (("train", 0), ("train", 1), ("test", 0)) if job[0] in splits]
            frames = layout.frames or 3
            clips = [Clip(name, *job, position, frames, *SIZE, 0, 1.0) for position, job in enumerate(jobs)]
            for clip in clips:
                layout.write(root / folder, clip)
            if layout.write_lists:
                layout.write_lists(root / folder, clips)
    return root


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def paths(samples, root):
    """(name, files relative to root) of each sample."""
    found = []
    for sample in samples:
        files = (sample.first, sample.second, sample.flow) if isinstance(sample, Pair) else sample.frames
        found.append((sample.name, *(path.relative_to(root).as_posix() for path in files)))
    return found


# Pairs


@pytest.mark.parametrize("data", ["sintel_clean", "sintel_final"])
def test_sintel(made, data):
    kind = data.removeprefix("sintel_")
    expected = []
    for scene in ("scene_0000", "scene_0001"):
        for n in (1, 2):
            files = [f"{kind}/{scene}/frame_000{n}.png", f"{kind}/{scene}/frame_000{n + 1}.png"]
            files += [f"flow/{scene}/frame_000{n}.flo"]
            expected.append((f"{scene}/000{n}", *(f"MPI-Sintel/training/{file}" for file in files)))
    pairs = find_pairs(made, data, "train")
    assert paths(pairs, made) == expected
    assert find_pairs(str(made), data, "test") == pairs  # the published comparison is on the training part
    assert missing_part(data, pairs) == "4 of 1041 samples"


def test_chairs_split(made):
    def files(number):
        return tuple(f"FlyingChairs/data/0000{number}_{kind}" for kind in ("img1.ppm", "img2.ppm", "flow.flo"))

    assert paths(find_pairs(made, "chairs", "train"), made) == [(f"0000{n}", *files(n)) for n in (1, 2)]
    assert paths(find_pairs(made, "chairs", "test"), made) == [("00003", *files(3))]
    assert missing_part("chairs", find_pairs(made, "chairs", "test")) == "1 of 640 samples"


def test_list_of_chairs(tmp_path):
    touch(tmp_path, *(f"FlyingChairs/data/0000{n}_flow.flo" for n in (1, 2)))
    with pytest.raises(ValueError, match=r"neither chairs_split.txt nor FlyingChairs_train_val.txt; get the list"):
        find_pairs(tmp_path, "chairs", "train")
    listing = tmp_path / "FlyingChairs/FlyingChairs_train_val.txt"
    listing.write_text("2\n1\n\n")
    assert [pair.name for pair in find_pairs(tmp_path, "chairs", "train")] == ["00002"]
    for text, message in (("1\n", "1 lines, but .*data holds 2 flows"), ("1\n3\n", "1 for training or 2")):
        listing.write_text(text)
        with pytest.raises(ValueError, match=f"FlyingChairs_train_val.txt: .*{message}"):
            find_pairs(tmp_path, "chairs", "train")
    listing.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"FlyingChairs_train_val.txt: not a text in UTF-8"):
        find_pairs(tmp_path, "chairs", "train")
    listing.write_text("1\n1\n")
    with pytest.raises(ValueError, match=r"holds no sample of chairs \(test\)"):
        find_pairs(tmp_path, "chairs", "test")


def test_kitti(made, tmp_path):
    pairs = find_pairs(made, "kitti15", "test")
    assert paths(pairs, made) == [
        (name, *(f"KITTI/training/{file}" for file in
                 (f"image_2/{name}_10.png", f"image_2/{name}_11.png", f"flow_occ/{name}_10.png")))
        for name in ("000000", "000001")
    ]  # fmt: skip
    assert find_pairs(made, "kitti15", "train") == pairs
    touch(tmp_path, *(f"KITTI/training/flow_occ/{n:06d}_10.png" for n in range(200)), "KITTI/training/image_2/a")
    assert missing_part("kitti15", find_pairs(tmp_path, "kitti15", "test")) == ""


def test_things(tmp_path):
    flows = [f"optical_flow/{clip}/into_future/left/OpticalFlowIntoFuture_{n:04d}_L.pfm"
             for clip in ("TRAIN/A/0001", "TRAIN/C/0000", "TEST/B/0000") for n in (6, 7, 8)]  # fmt: skip
    others = ["optical_flow/TRAIN/A/0001/into_past/left/OpticalFlowIntoPast_0007_L.pfm",
              "optical_flow/TRAIN/A/0001/into_future/right/OpticalFlowIntoFuture_0007_R.pfm"]  # fmt: skip
    frames = [f"frames_finalpass/TRAIN/A/0001/left/{n:04d}.webp" for n in (6, 7, 8)]
    frames += [f"frames_finalpass/TRAIN/C/0000/left/{n:04d}.png" for n in (6, 7, 8)]
    frames += [f"frames_finalpass/TEST/B/0000/left/{n:04d}.png" for n in (6, 7, 8)]
    touch(tmp_path, *(f"FlyingThings3D/{name}" for name in flows + others + frames))
    expected = []
    for clip, suffix in (("A/0001", "webp"), ("C/0000", "png")):
        for n in (6, 7):
            files = [f"frames_finalpass/TRAIN/{clip}/left/000{m}.{suffix}" for m in (n, n + 1)]
            files += [f"optical_flow/TRAIN/{clip}/into_future/left/OpticalFlowIntoFuture_000{n}_L.pfm"]
            expected.append((f"{clip}/000{n}", *(f"FlyingThings3D/{file}" for file in files)))
    pairs = find_pairs(tmp_path, "things", "train")
    assert paths(pairs, tmp_path) == expected
    assert missing_part("things", pairs) == ""  # nobody here knows the whole number
    assert [pair.name for pair in find_pairs(tmp_path, "things", "test")] == ["B/0000/0006", "B/0000/0007"]


def test_flow_pair(tmp_path):
    touch(tmp_path, "flow_pair/frame_0010.png", "flow_pair/frame_0009.png", "flow_pair/official.flo")
    assert paths(find_pairs(tmp_path, "flow_pair", "test"), tmp_path) == [
        ("frame_0009", "flow_pair/frame_0009.png", "flow_pair/frame_0010.png", "flow_pair/official.flo")
    ]
    touch(tmp_path, "flow_pair/frame_0011.png")
    with pytest.raises(ValueError, match=r"flow_pair: 3 frames and 1 .flo files; expected two frames and the flow"):
        find_pairs(tmp_path, "flow_pair", "test")


@pytest.mark.parametrize(
    ("data", "there", "missing"),
    [
        ("sintel_final", "training/clean", "training/final"),
        ("sintel_clean", "training/clean", "training/flow"),
        ("kitti15", "training/flow_occ", "training/image_2"),
        ("kitti15", "training/image_2", "training/flow_occ"),
        ("things", "optical_flow/TRAIN", "frames_finalpass/TRAIN"),
        ("things", "frames_finalpass/TRAIN", "optical_flow/TRAIN"),
        ("ytvos", "JPEGImages", "train/JPEGImages"),
    ],
)
def test_a_missing_folder_is_named(tmp_path, data, there, missing):
    (tmp_path / sets.FOLDERS[data] / there).mkdir(parents=True)
    find = find_pairs if data in sets.FLOW_SETS else find_triplets
    with pytest.raises(ValueError, match=f"{sets.FOLDERS[data]}/{missing}: no such folder; expected .*README.md"):
        find(tmp_path, data, "train")


@pytest.mark.parametrize("data", sets.SETS)
def test_a_missing_set_tells_how_to_get_it(tmp_path, data):
    find = find_pairs if data in sets.FLOW_SETS else find_triplets
    with pytest.raises(ValueError, match="no such folder; set --data_root, get ") as error:
        find(tmp_path, data, "test")
    assert str(tmp_path / sets.FOLDERS[data]) in str(error.value)
    if data in sets.LAYOUTS:
        assert sets.LAYOUTS[data] in LAYOUTS
        assert str(error.value).endswith(f"make_synthetic.py --layout {sets.LAYOUTS[data]}")
    assert "\n" not in str(error.value)


def test_wrong_requests(made, tmp_path):
    for find, data, split, message in (
        (find_pairs, "vimeo90k", "test", "data vimeo90k: expected one of sintel_clean"),
        (find_triplets, "chairs", "test", "data chairs: expected one of vimeo90k, ytvos"),
        (find_pairs, "chairs", "valid", "split valid: expected train or test"),
        (find_pairs, "flow_pair", "train", "flow_pair is for testing: train on one of sintel_clean.*things$"),
        (find_triplets, "middlebury", "train", "middlebury is for testing: train on one of vimeo90k, ytvos$"),
    ):
        with pytest.raises(ValueError, match=message):
            find(made, data, split)
    touch(tmp_path, "MPI-Sintel/training/flow/alley/frame_x.flo", "MPI-Sintel/training/clean/alley/frame_0001.png")
    with pytest.raises(ValueError, match=r"frame_x.flo: expected a name such as frame_0001.flo"):
        find_pairs(tmp_path, "sintel_clean", "train")


# Triplets


def test_vimeo(tmp_path):
    (tmp_path / "vimeo_triplet").mkdir()
    (tmp_path / "vimeo_triplet/tri_trainlist.txt").write_text("00002/0001\n00001/0002\n")
    (tmp_path / "vimeo_triplet/tri_testlist.txt").write_text("00001/0003\n\n")  # the published one ends like this
    train, test = (find_triplets(tmp_path, "vimeo90k", split) for split in ("train", "test"))
    assert [triplet.name for triplet in train] == ["00002/0001", "00001/0002"]
    files = [f"vimeo_triplet/sequences/00001/0003/im{n}.png" for n in (1, 2, 3)]
    assert paths(test, tmp_path) == [("00001/0003", *files)]
    assert missing_part("vimeo90k", test) == "1 of 3782 samples"


def test_the_list_of_vimeo_is_needed(tmp_path):
    (tmp_path / "vimeo_triplet").mkdir()
    with pytest.raises(ValueError, match=r"tri_testlist.txt: no such file"):
        find_triplets(tmp_path, "vimeo90k", "test")


def test_triplets_of_videos_do_not_overlap(tmp_path):
    def place(part, video, count):
        return [f"YouTube-VOS/{part}/JPEGImages/{video}/{5 * n:05d}.jpg" for n in range(count)]

    touch(tmp_path, *place("train", "b", 8), *place("train", "a", 3), *place("train", "short", 2))
    touch(tmp_path, *place("test", "t", 4))
    b = place("train", "b", 8)
    assert paths(find_triplets(tmp_path, "ytvos", "train"), tmp_path) == [
        ("a/00005", *place("train", "a", 3)),
        ("b/00005", *b[:3]),
        ("b/00020", *b[3:6]),
    ]
    assert [triplet.name for triplet in find_triplets(tmp_path, "ytvos", "test")] == ["t/00005"]
    touch(tmp_path, *place("valid", "v", 3))
    assert [triplet.name for triplet in find_triplets(tmp_path, "ytvos", "test")] == ["v/00005"]


def test_middlebury_in_both_layouts(tmp_path):
    names = ("frame10.png", "frame10i11.png", "frame11.png")
    touch(tmp_path, *(f"Middlebury/{scene}/{name}" for scene in ("Venus", "Beanbags") for name in names))
    touch(tmp_path, "Middlebury/Army/frame10.png")  # without truth
    files = [(scene, *(f"Middlebury/{scene}/{name}" for name in names)) for scene in ("Beanbags", "Venus")]
    assert paths(find_triplets(tmp_path, "middlebury", "test"), tmp_path) == files
    assert missing_part("middlebury", files) == "2 of 12 samples"
    touch(tmp_path, *(f"Middlebury/other-data/Urban2/{name}" for name in names[::2]))
    touch(tmp_path, "Middlebury/other-gt-interp/Urban2/frame10i11.png")
    assert paths(find_triplets(tmp_path, "middlebury", "test"), tmp_path) == [
        ("Urban2", "Middlebury/other-data/Urban2/frame10.png", "Middlebury/other-gt-interp/Urban2/frame10i11.png",
         "Middlebury/other-data/Urban2/frame11.png")
    ]  # fmt: skip


# Reading


def test_pairs_are_read(made):
    for data, layout in (("chairs", "chairs"), ("kitti15", "kitti15")):
        pair = find_pairs(made, data, "train")[1]
        first, second, flow, valid = read_pair(pair)
        assert np.array_equal(first, read_image(pair.first))
        assert np.array_equal(second, read_image(pair.second))
        assert (first.shape, first.dtype, flow.dtype, valid.dtype) == ((*SIZE, 3), np.uint8, np.float32, bool)
        scene, _ = Clip(layout, "train", 1, 1, 2, *SIZE, 0, 1.0).scene()
        assert np.abs(flow - scene.flow(0, 1)[0])[valid].max() <= 1 / 64
        assert (flow[~valid] == 0).all()
        assert valid.all() == (data == "chairs")
        assert valid.any()


def test_unknown_flow_is_zero_and_invalid(tmp_path):
    truth = np.arange(40, dtype=np.float32).reshape(4, 5, 2)
    picture = np.zeros((4, 5, 3), np.uint8)
    stored = truth.copy()
    stored[0, 0], stored[1, 2, 1], stored[3, 4, 0] = 1e10, np.nan, np.inf
    (tmp_path / "a.flo").write_bytes(b"PIEH" + np.array([5, 4], "<i4").tobytes() + stored.tobytes())
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, picture)
    _, _, flow, valid = read_pair(Pair("a", tmp_path / "a.png", tmp_path / "b.png", tmp_path / "a.flo"))
    assert [tuple(place) for place in np.argwhere(~valid)] == [(0, 0), (1, 2), (3, 4)]
    assert np.array_equal(flow, np.where(valid[..., None], truth, 0))
    assert read_pair(Pair("a", tmp_path / "a.png", tmp_path / "b.png"))[2:] == (None, None)


def test_webp_and_pfm(tmp_path):
    frame = np.full((6, 8, 3), (200, 30, 90), np.uint8)
    data = cv2.imencode(".webp", frame[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()  # 101: lossless
    flow = np.random.default_rng(0).normal(0, 5, (6, 8, 2)).astype(np.float32)
    left = tmp_path / "FlyingThings3D/frames_finalpass/TRAIN/A/0000/left"
    flows = tmp_path / "FlyingThings3D/optical_flow/TRAIN/A/0000/into_future/left"
    for n in (6, 7):
        write_bytes(left / f"000{n}.webp", data)
        write_flow(flows / f"OpticalFlowIntoFuture_000{n}_L.pfm", flow)
    (pair,) = find_pairs(tmp_path, "things", "train")
    first, second, read, valid = read_pair(pair)
    assert np.array_equal(first, frame)
    assert np.array_equal(second, frame)
    assert np.array_equal(read, flow)
    assert valid.all()


def test_sizes_must_agree(tmp_path):
    for name, width in (("a.png", 8), ("b.png", 8), ("wide.png", 9)):
        write_image(tmp_path / name, np.zeros((6, width, 3), np.uint8))
    write_flow(tmp_path / "a.flo", np.zeros((6, 7, 2)))
    a, b, wide, flow = (tmp_path / name for name in ("a.png", "b.png", "wide.png", "a.flo"))
    with pytest.raises(ValueError, match=r"wide.png: 9x6 pixels, but 8x6 was expected, as of .*a.png"):
        read_pair(Pair("a", a, wide, flow))
    with pytest.raises(ValueError, match=r"a.flo: flow of 7x6 pixels, but 8x6 was expected, as of .*a.png"):
        read_pair(Pair("a", a, b, flow))
    with pytest.raises(ValueError, match=r"cannot read .*c.png: No such file"):
        read_pair(Pair("a", a, tmp_path / "c.png", flow))


def test_tables_of_the_module_fit_together():
    assert set(sets.FOLDERS) == set(sets.SETS)
    assert set(sets.COUNTS) | set(sets.LAYOUTS) <= set(sets.SETS)
    assert set(sets.SETS) - set(sets.TRAINING_SETS) == {"flow_pair", "middlebury"}


def test_real_pair(real_data):
    (pair,) = find_pairs(real_data, "flow_pair", "test")
    assert (pair.first.name, pair.second.name) == ("frame_0010.png", "frame_0011.png")
    first, _, flow, valid = read_pair(pair)
    assert first.shape[:2] == flow.shape[:2] == valid.shape
    assert valid.all()


# Clips


@pytest.fixture
def clips(tmp_path):
    for name, lengths in (("drawn", (5, 2)), ("real", (4,))):
        (tmp_path / name / "test").mkdir(parents=True)
        for k, length in enumerate(lengths):
            np.save(tmp_path / f"{name}/test/{k}.npy", np.full((length, *SIZE, 3), k, np.uint8))
            if name == "drawn":
                np.save(tmp_path / f"{name}/test/{k}_flow.npy", np.ones((length, 2, *SIZE, 2), np.float16))
    return tmp_path


def test_pairs_of_clips_are_a_fixed_list(clips):
    found = find_pairs(clips, "drawn", "test")
    assert [pair.name for pair in found] == ["0/0000_1", "0/0002_0", "0/0002_1", "1/0000_1"]
    first, second, flow, known = read_pair(found[3])
    assert (first == 1).all()
    assert second.shape == (*SIZE, 3)
    assert (flow == 1).all()
    assert known.all()
    pairs = find_pairs(clips, "real", "test")
    assert [(pair.name, pair.first.name, pair.second.name, pair.flow) for pair in pairs] == [
        (f"0/000{n}", f"0000000{n}", f"0000000{n + 1}", None) for n in range(3)
    ]


def test_every_second_frame_of_a_clip_is_a_middle(clips):
    assert [triplet.name for triplet in find_triplets(clips, "drawn", "test")] == ["0/0001", "0/0003"]
    (triplet,) = find_triplets(clips, "real", "test")
    assert [path.name for path in triplet.frames] == ["00000000", "00000001", "00000002"]
