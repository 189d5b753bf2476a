"""Vid4 as it was published: numbers, sizes, pixels."""

import tdan.sets
from common.degrade.low_resolution import make_low
from common.media.image import list_frames, read_image
from tests.helpers.runs import dataset_script
from tests.helpers.small_vid4 import digest

PUBLISHED = dataset_script("prepare_vid4").VID4


def test_published_numbers():
    assert sum(facts.frames for facts in PUBLISHED.clips.values()) == 171
    assert {facts.size for facts in PUBLISHED.clips.values()} == {(720, 576), (704, 576), (720, 480)}
    assert len({digest for facts in PUBLISHED.clips.values() for digest in facts.digests}) == 8
    counts = {name: data.count for name, data in tdan.sets.SETS.items()}
    assert (counts["vid4_bi"], counts["spmcs_bd"]) == (171, 30 * 31)


def test_pixels_of_the_real_frames(real_data):
    for clip, low in (("calendar", "521e5e894d9cc060"), ("city", "05f2118b60fb138b")):
        frames, facts = list_frames(real_data / "Vid4/GT" / clip), PUBLISHED.clips[clip]
        first, last = read_image(frames[0]), read_image(frames[-1])
        assert (len(frames), first.shape) == (facts.frames, (*facts.size[::-1], 3))
        assert (digest(first), digest(last)) == facts.digests
        assert digest(make_low(first, "bi")) == low
