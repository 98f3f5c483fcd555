"""Fixtures for tests of the page of a comparison."""

from tests.inspection.conftest import browser

__all__ = ["browser"]
