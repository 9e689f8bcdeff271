"""Every endpoint of the API, one module for each part of it."""

from __future__ import annotations

from loader.emulator.routes import auth, cubes, datasets, objects, upload_sessions

__all__ = ["ENDPOINTS"]

ENDPOINTS = (
    *auth.ENDPOINTS,
    *objects.ENDPOINTS,
    *datasets.ENDPOINTS,
    *upload_sessions.ENDPOINTS,
    *cubes.ENDPOINTS,
)
"""In the order of a whole load: log in, look around, create, upload, look what is there."""
