"""The prompt sets that are known by name: ours and published ones. A file here that offers `SOURCE` adds one."""

from __future__ import annotations

from unwaver.registry import found_in
from unwaver.sources.source import Source

SOURCES: dict[str, Source] = found_in(__name__, "SOURCE")
"""The sources by name; besides them there is `file`, a file of one's own."""
