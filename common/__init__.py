"""Shared by the five papers: operators, metrics, files, training plumbing. Imports no paper folder."""
