"""The cache: which answers are kept, for how long, and what a purge takes away."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from multidict import CIMultiDict, CIMultiDictProxy

from dock.engines.edge.language import Facts

Headers = CIMultiDict[str] | CIMultiDictProxy[str]

# https://developers.cloudflare.com/cache/concepts/default-cache-behavior/
EXTENSIONS = frozenset(
    """
    7z avi avif apk bin bmp bz2 class css csv doc docx dmg ejs eot eps exe flac gif gz ico iso jar jpg jpeg js mid midi
    mkv mp3 mp4 ogg otf pdf pict pls png ppt pptx ps rar svg svgz swf tar tif tiff ttf webm webp woff woff2 xls xlsx
    zip zst
    """.split()  # noqa: SIM905  (a list of so many words reads as text)
)
# Seconds that an answer is kept when the origin doesn't say.
DEFAULT_TTL = {200: 7200, 206: 7200, 301: 7200, 302: 1200, 303: 1200, 404: 180, 410: 180}
MAX_OBJECT_BYTES = 8 * 1024 * 1024
MAX_BYTES = 256 * 1024 * 1024
_HOP_BY_HOP_OF_A_HIT = frozenset({"set-cookie", "age", "cf-cache-status", "cf-ray", "date"})


@dataclass(frozen=True, slots=True)
class Policy:
    """What the zone's settings and cache rules say of one request. `eligible`: None leaves it to the extension."""

    eligible: bool | None = None
    bypass: bool = False
    level: str = "aggressive"
    sorted_query: bool = False
    query: Mapping[str, Any] | None = None
    edge: Mapping[str, Any] = field(default_factory=dict)
    browser: Mapping[str, Any] = field(default_factory=dict)

    def looks_up(self, facts: Facts) -> bool:
        """Whether the request is one that the cache may answer."""
        if self.bypass or facts.method not in ("GET", "HEAD") or "Range" in facts.headers:
            return False
        if self.eligible is None:
            return facts.extension in EXTENSIONS and not (self.level == "basic" and facts.query)
        return self.eligible

    def key(self, facts: Facts) -> str:
        query = "" if self.level == "simplified" else facts.query
        if self.query is not None:
            pairs = parse_qsl(query, keep_blank_values=True)
            included, excluded = (self.query.get(name) or {} for name in ("include", "exclude"))
            if excluded.get("all"):
                pairs = []
            elif excluded.get("list"):
                pairs = [pair for pair in pairs if pair[0] not in excluded["list"]]
            elif included.get("list"):
                pairs = [pair for pair in pairs if pair[0] in included["list"]]
            query = urlencode(pairs)
        if self.sorted_query:
            query = urlencode(sorted(parse_qsl(query, keep_blank_values=True)))
        scheme = "https" if facts.secure else "http"
        return f"{scheme}://{facts.host}{facts.path}" + (f"?{query}" if query else "")


@dataclass(slots=True)
class Entry:
    """An answer as the origin gave it. `expires` is by the cache's clock."""

    zone: str
    host: str
    url: str
    status: int
    headers: CIMultiDict[str]
    body: bytes
    stored: float
    expires: float
    tags: frozenset[str]

    @property
    def validators(self) -> dict[str, str]:
        """The headers that ask whether it still holds; empty when it can't be asked."""
        found = {}
        if etag := self.headers.get("ETag"):
            found["If-None-Match"] = etag
        if modified := self.headers.get("Last-Modified"):
            found["If-Modified-Since"] = modified
        return found


class Cache:
    """In memory: a cache that is lost costs the origin a few requests, and never a user a wrong answer."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._entries: OrderedDict[tuple[str, str, str], Entry] = OrderedDict()
        self._bytes = 0

    @property
    def size(self) -> tuple[int, int]:
        """How many answers, and how many bytes of them."""
        return len(self._entries), self._bytes

    def get(self, zone: str, url: str, encodings: str) -> Entry | None:
        """The entry, fresh or not."""
        key = (zone, url, encodings)
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, entry: Entry, encodings: str) -> None:
        key = (entry.zone, entry.url, encodings)
        self._remove(key)
        self._entries[key] = entry
        self._bytes += len(entry.body)
        while self._bytes > MAX_BYTES:
            self._remove(next(iter(self._entries)))

    def purge(
        self,
        zone: str,
        *,
        everything: bool = False,
        files: Iterable[str] = (),
        hosts: Iterable[str] = (),
        prefixes: Iterable[str] = (),
        tags: Iterable[str] = (),
    ) -> int:
        """How many answers were taken away."""
        urls, names, labels = set(files), {host.lower() for host in hosts}, {tag.lower() for tag in tags}
        starts = tuple(prefixes)

        def goes(entry: Entry) -> bool:
            return (
                everything
                or entry.url in urls
                or entry.host in names
                or bool(entry.tags & labels)
                or (bool(starts) and entry.url.partition("://")[2].startswith(starts))
            )

        gone = [key for key, entry in self._entries.items() if entry.zone == zone and goes(entry)]
        for key in gone:
            self._remove(key)
        return len(gone)

    def _remove(self, key: tuple[str, str, str]) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= len(entry.body)


class Keeping:
    """An answer on its way into the cache: it is kept once it is whole."""

    def __init__(
        self,
        kept: Cache,
        entry: Entry,
        encodings: str,
    ) -> None:
        self._cache, self._entry, self._encodings = kept, entry, encodings
        self._parts: list[bytes] | None = []
        self._length = 0

    def some(self, chunk: bytes) -> None:
        self._length += len(chunk)
        if self._length > MAX_OBJECT_BYTES:
            self._parts = None
        elif self._parts is not None:
            self._parts.append(chunk)

    def done(self) -> None:
        if self._parts is not None:
            self._entry.body = b"".join(self._parts)
            self._cache.put(self._entry, self._encodings)

    def all(self, body: bytes) -> None:
        self.some(body)
        self.done()


def encodings(headers: Headers) -> str:
    """The client's encodings that an origin may answer with, in one spelling: answers differ by nothing else."""
    accepted = headers.get("Accept-Encoding", "").lower()
    return ",".join(name for name in ("br", "gzip", "zstd") if name in accepted)


def lifetime(policy: Policy, facts: Facts, status: int, headers: Headers, now: float) -> float | None:
    """Seconds that an answer may be kept at the edge; None when it may not be kept."""
    directives = dict(_directives(headers.get("Cache-Control", "")))
    mode = policy.edge.get("mode", "respect_origin")
    for each in policy.edge.get("status_code_ttl", ()):
        bounds = each.get("status_code_range") or {"from": each.get("status_code"), "to": each.get("status_code")}
        if bounds.get("from", 100) <= status <= bounds.get("to", 999):
            return float(each["value"]) if each["value"] > 0 else None
    if mode == "override_origin":
        return float(policy.edge["default"]) if status in DEFAULT_TTL else None
    if "Set-Cookie" in headers or directives.keys() & {"private", "no-store", "no-cache"}:
        return None
    if "Authorization" in facts.headers and not directives.keys() & {"public", "s-maxage", "must-revalidate"}:
        return None
    for name in ("s-maxage", "max-age"):
        if name in directives:
            seconds = int(directives[name]) if directives[name].isdigit() else 0
            return float(seconds) if seconds > 0 else None
    if expires := headers.get("Expires"):
        try:
            left = parsedate_to_datetime(expires).timestamp() - now
        except ValueError:
            return None
        return left if left > 0 else None
    if mode == "bypass_by_default":
        return None
    default = DEFAULT_TTL.get(status)
    return None if default is None else float(policy.edge.get("default", default))


def tags(headers: Headers) -> frozenset[str]:
    return frozenset(tag.strip().lower() for tag in headers.get("Cache-Tag", "").split(",") if tag.strip())


def kept_headers(headers: Headers) -> CIMultiDict[str]:
    """What of an answer's headers is the same for everybody."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP_OF_A_HIT)


def _directives(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        if name:
            yield name.lower(), value.strip('" ')
