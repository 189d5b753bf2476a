"""Entry points of torch.hub: `torch.hub.load(FOLDER_OR_REPOSITORY, "ifrnet", weights="IFRNet_GoPro")`.

Each is the paper's `load`; with `source="local"` the first argument is the folder of a clone.
"""

from ifrnet import load as ifrnet
from pvdnet import load as pvdnet
from qpwcnet import load as qpwcnet
from tdan import load as tdan
from toflow import load as toflow

__all__ = ["ifrnet", "pvdnet", "qpwcnet", "tdan", "toflow"]
dependencies = ["torch", "numpy", "cv2", "scipy", "av", "safetensors", "tqdm"]
