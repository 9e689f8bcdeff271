"""A real server for each test that asks for one."""

import pytest

from tests.cli.fixtures import *  # noqa: F403 - what it exports are fixtures

# What fails in there shows its values, as in a test.
pytest.register_assert_rewrite("tests.job.retrying")
