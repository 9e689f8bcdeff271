"""A real server and the real command line for each test."""

from tests.cli.fixtures import *  # noqa: F403 - what it exports are fixtures
