"""Metrics, protocols of published numbers, scores of frames."""
