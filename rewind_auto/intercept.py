"""The functions of the earlier interface, under the name it had."""

from rewind_auto.api import install, is_installed, uninstall
from rewind_auto.saved import savings

__all__ = ["install", "is_installed", "savings", "uninstall"]
