"""Degradations: MATLAB's imresize, BI and BD, noise, blur, JPEG and JPEG 2000; which of them made a frame."""
