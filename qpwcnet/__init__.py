"""QPWCNet and standard PWC-Net: optical flow, learnt by interpolation too, and made small as int8."""
