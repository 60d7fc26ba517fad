"""Settings of the tests of geometry."""

from hypothesis import settings

# No time limit an example: tests assert no timing, and machines are shared.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
