"""A real server for each test that asks for one."""

from tests.cli.fixtures import *  # noqa: F403 - what it exports are fixtures
