"""QPWCNet: optical flow learnt by interpolation too, and made small as int8; beside it PWC-Net, CVPR 2018."""
