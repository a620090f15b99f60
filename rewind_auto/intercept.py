"""The functions of the earlier interface, under the name it had."""

from rewind_auto.api import install, is_installed, uninstall

__all__ = ["install", "is_installed", "uninstall"]
