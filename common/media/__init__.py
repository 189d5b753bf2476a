"""Frames, flows and videos: image, flow and video files, colours, windows of frames, frame rates, scene cuts."""
