"""The commands, as the tests of the command line run them."""

from tests.cli.conftest import stvg  # noqa: F401  a fixture
