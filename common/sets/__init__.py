"""Data sets on disk: published sets and their checks, clips cut from videos, clips drawn here with exact flow."""
