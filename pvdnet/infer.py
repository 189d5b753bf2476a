"""Deblur the user's own video: a file, a folder of frames or a glob in, a video or a folder out, in constant memory."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from common.media.image import crop_to_multiple, to_uint8
from common.media.own_video import Timed, each_input, open_input, write_output
from common.ops.pad import pad_to_multiple
from common.ops.tile import tiled
from common.training.distributed import choose_device
from common.training.sampling import to_tensor
from pvdnet.checkpoints import load
from pvdnet.config import Config
from pvdnet.evaluate import deblur
from pvdnet.samples import REFINE

BIMNET_MULTIPLE = 32  # what BIMNet needs; other sizes are padded
TILE_OVERLAP = 64  # pixels; more than the flows that a tile has to follow


def with_neighbours(frames: Iterable) -> Iterator[tuple]:
    """(previous, current, next) for every frame, the clip's ends repeated; holds three frames."""
    previous = current = None
    for following in frames:
        if current is not None:
            yield (current if previous is None else previous), current, following
        previous, current = current, following
    if current is not None:
        yield (current if previous is None else previous), current, current


def recurrence(step: Callable[[list[Tensor], Tensor], Tensor], frames: Iterable[Tensor]) -> Iterator[Tensor]:
    """Deblur a clip frame by frame.

    Args:
        step: takes the three blurry frames and the previous result, gives the new result.
        frames: (1, 3, H, W) in [0, 1], all of one size.
    """
    memory = None
    for window in with_neighbours(frames):
        memory = step(list(window), window[1] if memory is None else memory)
        yield memory


def infer(options, config: Config) -> int:
    """Run the model on --input and write --output; returns the exit code."""
    device = choose_device(options.device)
    network, _ = load(options, config, device)
    return each_input(lambda one: _deblur_clip(one, config, network, device), options)


def _deblur_clip(options, config: Config, network, device: torch.device) -> None:
    reader = open_input(options)

    def step(window: list[Tensor], memory: Tensor) -> Tensor:
        if options.parity:
            return deblur(network, window, memory, config.amp)
        stacked, unpad = pad_to_multiple(torch.cat([*window, memory], 1), BIMNET_MULTIPLE)  # 1 12 H W
        whole = lambda x: deblur(network, list(x[:, :9].split(3, 1)), x[:, 9:], config.amp)  # noqa: E731
        if options.tile:
            tile = -(-options.tile // BIMNET_MULTIPLE) * BIMNET_MULTIPLE
            return unpad(tiled(whole, stacked, tile=tile, overlap=min(TILE_OVERLAP, tile // 2)))
        return unpad(whole(stacked))

    times = []  # of the frames that were read and not yet written: at most two

    def frames() -> Iterator[Tensor]:
        for image, time in reader.timed():
            times.append(time)
            image = crop_to_multiple(image, REFINE) if options.parity else image
            yield to_tensor(image)[None].to(device)

    def results() -> Iterator[Timed]:
        for result in recurrence(step, frames()):
            yield to_uint8(result[0].permute(1, 2, 0).cpu().numpy()), times.pop(0)

    write_output(results(), reader, options)
