"""A package, so that pytest calls these modules `tests.…`.

As `operator.tests.…` they would hide Python's own module `operator`.
"""
