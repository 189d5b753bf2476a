"""TOFlow (IJCV 2019): interpolation, denoising, deblocking and super-resolution by task-oriented flow."""
