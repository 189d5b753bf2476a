"""Data sets on disk: published sets and their checks, clips drawn here with exact flow."""
