"""A report of 40 arms with 1,000 traces each, or of 13 over 3 seeds: seconds, megabytes, how soon a browser paints it.

Claims: made in under 60 s, HTML under 25 MB, first paint in under 2 s. The results are made up
(tests/report_results.py), words drawn at random; arms are compared in full, as in any report.

    python benchmarks/report.py [--arms 40] [--seeds 1] [--per-set 200] [--words 250] [--keep FOLDER]
    python benchmarks/report.py --arms 13 --seeds 3
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage")


def main() -> None:
    """Measure and print one line of figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=1, help="of every arm but raw; they are gathered in the report")
    parser.add_argument("--per-set", type=int, default=200, help="prompts in each of five sets")
    parser.add_argument("--words", type=int, default=250, help="mean words of a reasoning; answers have half")
    parser.add_argument("--keep", type=Path, default=None, help="leave the report there")
    args = parser.parse_args()
    # In place of this folder, whose statistics.py would stand before Python's own.
    sys.path[0] = str(Path(__file__).parents[1] / "tests")
    import report_results

    from unwaver.report.write import write_results

    trained = [f"arm {n}" for n in range(1, args.arms)]
    seeded = {f"{arm}, seed {s}": (arm, s) for arm in trained for s in range(args.seeds)} if args.seeds > 1 else {}
    results = report_results.results(list(seeded) or trained, args.per_set, args.words)
    for name, (arm, seed) in seeded.items():
        results.cells[name] = {"instruction": arm, "student": "made-up", "seed": seed}
    written = sum(len(r.trace.text("both") or "") for r in [*results.rows, *results.teacher_rows])
    folder = args.keep or Path(tempfile.mkdtemp())
    began, processor = time.perf_counter(), time.process_time()
    page = write_results(results, folder)
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(
        f"{time.strftime('%Y-%m-%d', time.gmtime())} {platform.machine()} {commit.stdout.strip()}: "
        f"load {os.getloadavg()[0]:.0f}: {args.arms} arms x {args.seeds} seeds, "
        f"{len(results.rows):,} + {len(results.teacher_rows):,} traces, {written / 1e6:.0f} MB text: "
        f"{seconds:.1f} s ({processor:.1f} s of processor), {page.stat().st_size / 1e6:.1f} MB, peak {memory:.1f} GB; "
        f"{painted(page)}"
    )
    if args.keep is None:
        shutil.rmtree(folder)


def painted(page: Path) -> str:
    """When a browser first paints the page and when its trace browser answers, in a sentence."""
    chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    try:
        from selenium import webdriver
    except ImportError:
        return "no selenium, so no browser was asked"
    if chromium is None or driver is None:
        return "no Chromium with its driver, so no browser was asked"
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        browser.get("about:blank")
        browser.get(page.as_uri())
        while not browser.execute_script("return document.documentElement.dataset.ready"):
            time.sleep(0.05)
        paint, ready = browser.execute_script(
            "return [performance.getEntriesByType('paint')[0].startTime, performance.now()]"
        )
    finally:
        browser.quit()
    return f"first paint after {paint / 1000:.2f} s, traces after {ready / 1000:.2f} s"


if __name__ == "__main__":
    main()
