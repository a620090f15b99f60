"""Remakes the pictures of telemetry.md: the traced example agent, recorded and replayed, in real backends.

    python docs/screenshots.py

Needs chromium, an environment with openai, playwright and pillow, and two of the backends that
``./dev test --full`` installs, named as it does: REWIND_TEST_DEVTOOLS and REWIND_TEST_PHOENIX_PYTHON.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image  # type: ignore[import-not-found]
from playwright.sync_api import sync_playwright  # type: ignore[import-not-found]

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / "backends"), str(ROOT / "examples")]

from devtools_backend import Devtools  # type: ignore[import-not-found]  # noqa: E402
from offline_provider import OfflineProvider  # noqa: E402
from phoenix_backend import Phoenix  # type: ignore[import-not-found]  # noqa: E402

CALL = "chat gpt-4o"
HITS = "attributes['rewind']['cache']['decision'] == 'hit'"


def run_agent(backend: Any) -> dict[str, str]:
    """Record the agent and replay it; the trace id of each run under its decision."""
    backend.fresh()
    command = [sys.executable, str(ROOT / "examples" / "agent_traced.py")]
    launcher = [sys.executable, "-m", "rewind_auto.cli.run", "--hosts=127.0.0.1"]
    with OfflineProvider(delay=0.03) as provider:
        environ = {
            **os.environ,
            **backend.environ,
            "PYTHONPATH": str(ROOT),
            "REWIND_STORE": str(backend.folder / "rewind.db"),
            "AGENT_MODEL": "gpt-4o",
            "OPENAI_API_KEY": "offline",
            "OPENAI_BASE_URL": f"{provider.url}/v1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": backend.url,
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
        }
        subprocess.run([*launcher, *command], env=environ, check=True)
    subprocess.run([*launcher, "--replay=last", *command], env=environ, check=True)
    calls = [span for span in backend.wait(18) if span.name == CALL]
    return {span.decision: span.trace_id for span in calls}


def keep(page: Any, name: str) -> None:
    """The page as it is now, in few colours: a picture in a repository is there for ever."""
    page.wait_for_timeout(2500)  # charts move into place
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(128)
    picture.save(ROOT / "docs" / "images" / f"{name}.png", optimize=True)


def phoenix(page: Any, backend: Any) -> None:
    """A recorded call and a replayed one, and the query for hits."""
    traces = run_agent(backend)
    project = backend.environ["OTEL_RESOURCE_ATTRIBUTES"].partition("=")[2]
    start = f"{backend.url}/projects/{backend.get(f'/v1/projects/{project}')['data']['id']}"
    page.goto(f"{start}/traces/{traces['record']}")
    page.get_by_text(CALL).nth(3).click()
    keep(page, "phoenix-recorded")
    page.goto(f"{start}/traces/{traces['hit']}")
    page.get_by_text(CALL).nth(3).click()
    page.get_by_role("tab", name="Attributes").click()
    page.get_by_text("rewind.recorded.usage.output_tokens").scroll_into_view_if_needed()
    keep(page, "phoenix-replayed")
    page.goto(f"{start}/spans?spanFilterCondition={quote(HITS)}")
    keep(page, "phoenix-hits")


def devtools(page: Any, backend: Any) -> None:
    """The calls of both runs in the GenAI tab."""
    run_agent(backend)
    page.goto(backend.url)
    page.get_by_text("GenAI", exact=True).first.click()
    keep(page, "devtools-calls")


def main() -> None:
    """Take all of them."""
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        # Chromium refuses to run as root, which containers do, with its sandbox.
        options = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        page = browser.new_page(viewport={"width": 1400, "height": 860})
        for make, variable, take in (
            (Phoenix, "REWIND_TEST_PHOENIX_PYTHON", phoenix),
            (Devtools, "REWIND_TEST_DEVTOOLS", devtools),
        ):
            folder = Path(scratch) / make.__name__
            folder.mkdir()
            with make(folder, Path(os.environ[variable])) as backend:
                take(page, backend)


if __name__ == "__main__":
    main()
