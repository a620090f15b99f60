"""What the tests of loading ask child interpreters."""

from __future__ import annotations

ARMED = "import sys; t = sys.modules.get('rewind_auto.boot.tripwire'); print(bool(t) and t.is_armed())"
