"""PVDNet: Recurrent Video Deblurring with Blur-Invariant Motion Estimation and Pixel Volumes, TOG 2021."""
