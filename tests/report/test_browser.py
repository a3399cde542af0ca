"""The page in headless Chromium, as a person gets it: from a disk, on a desk and on a phone."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from posedive.report.page import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt install chromium")

PROBE = """<script>addEventListener("load", () => {
  const images = [...document.images];
  const told = {
    width: innerWidth,
    scrollWidth: document.documentElement.scrollWidth,
    images: images.length,
    loaded: images.filter(image => image.naturalWidth > 0).length,
    drawings: [...document.querySelectorAll("svg")].filter(s => s.getBBox().width > 100).length,
    sections: [...document.querySelectorAll("section")].filter(s => s.offsetHeight > 40).length,
    fetched: performance.getEntriesByType("resource")
      .filter(entry => !entry.name.startsWith("data:")).length,
    anchors: [...document.querySelectorAll("nav a")]
      .filter(a => document.querySelector(a.getAttribute("href"))).length,
  };
  parent.postMessage(told, "*");
});</script></body>"""

FRAMES = """<script>const told = []; onmessage = event => {
  told.push(event.data); document.body.dataset.told = JSON.stringify(told);
};</script>"""


def _chromium(page: Path, profile: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    quiet = "gpu quic background-networking component-update sync extensions".split()
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--no-first-run",
        *(f"--disable-{what}" for what in quiet),
        f"--user-data-dir={profile}",
        "--enable-logging=stderr",
        *arguments,
        page.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def test_the_page_opens_without_a_word_on_the_console(tmp_path, write_output):
    page = tmp_path / "report.html"
    write_report(write_output(tmp_path / "out"), page)
    shot = tmp_path / "shot.png"
    done = _chromium(page, tmp_path / "profile", f"--screenshot={shot}", "--window-size=1280,2000")
    assert "CONSOLE" not in done.stderr, done.stderr
    assert shot.stat().st_size > 20_000


def test_everything_is_there_on_a_desk_and_on_a_phone(tmp_path, write_output):
    write_report(write_output(tmp_path / "out"), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    # The page forbids scripts; the copy that is looked at allows this one.
    probed = page.replace("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'")
    (tmp_path / "probed.html").write_text(probed.replace("</body>", PROBE), encoding="utf-8")
    frames = [f'<iframe src="probed.html" width={px} height=800></iframe>' for px in (400, 1280)]
    (tmp_path / "frames.html").write_text(f"<body>{FRAMES}{''.join(frames)}", encoding="utf-8")
    done = _chromium(
        tmp_path / "frames.html",
        tmp_path / "profile",
        "--dump-dom",
        "--window-size=1800,900",
        "--virtual-time-budget=10000",
    )
    told = re.search(r'data-told="([^"]*)"', done.stdout)
    assert told, done.stderr
    phone, desk = sorted(json.loads(html.unescape(told[1])), key=lambda one: one["width"])
    for one in (phone, desk):
        assert one["loaded"] == one["images"] > 20
        assert one["scrollWidth"] <= one["width"]
        assert (one["drawings"], one["sections"], one["anchors"]) == (12, 6, 6)
        assert one["fetched"] == 0
