"""Labelled rows become candidates, their evaluation, and a version."""
