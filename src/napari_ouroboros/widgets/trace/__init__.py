"""Traces: points in order, their layers in napari, the mouse, the dock."""
