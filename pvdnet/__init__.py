"""PVDNet: recurrent video deblurring with blur-invariant motion estimation and pixel volumes (TOG 2021)."""
