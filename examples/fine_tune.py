"""IFRNet fine-tuned on a clip, in a plain PyTorch loop: python examples/fine_tune.py CLIP TUNED.safetensors STEPS."""

import sys

import torch

import ifrnet
from common.checkpoints import checkpoint_file
from common.media.video_reader import open_clip

frames = torch.stack([torch.from_numpy(frame).permute(2, 0, 1) for frame in open_clip(sys.argv[1])])  # T 3 H W
network = ifrnet.load(device="cpu").network.train()
optimiser = torch.optim.AdamW(network.parameters(), 1e-5)
for _ in range(int(sys.argv[3])):
    y, x = (int(torch.randint(size // 16 * 16 - 63, ())) for size in frames.shape[2:])
    first = torch.randint(len(frames) - 2, (8,))
    ends = [frames[first + n, :, y : y + 64, x : x + 64] / 255 for n in range(3)]
    loss = (network(ends[0], ends[2], torch.full((8,), 0.5))["pred"] - ends[1]).abs().mean()
    optimiser.zero_grad(), loss.backward(), optimiser.step()
checkpoint_file.save(network.state_dict(), sys.argv[2])  # ifrnet.load("TUNED.safetensors")
