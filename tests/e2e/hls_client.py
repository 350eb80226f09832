#!/usr/bin/env python3
"""A small HLS client that behaves as players do, and reports what a viewer would have seen.

It reads the master playlist, takes one rendition, follows its live playlist from three segments
behind the edge, downloads every segment in order, and plays them on a virtual clock: a stall is a
moment at which the next segment was due and not there. At the end it can feed what it downloaded
to ffprobe or ffmpeg.

usage: hls_client.py URL --duration SECONDS [--rendition highest|lowest|N] [--save FILE]
                     [--check ffprobe|decode] [--report FILE]
The report is one JSON object; its keys are documented at Report.
"""
import argparse
import dataclasses
import hashlib
import http.client
import json
import re
import signal
import subprocess
import sys
import time
import urllib.parse

LIVE_EDGE_SEGMENTS = 3
REQUEST_TIMEOUT_S = 15.0
PLAYLIST_SIZE_MAX = 1 << 20


@dataclasses.dataclass
class Report:
    """What happened. Times are Unix seconds unless a name says otherwise."""
    url: str = ""
    started: float = 0.0
    startup_ms: float = -1.0        # first request -> first segment whole; -1 = never
    segments: int = 0               # downloaded whole
    lost: int = 0                   # skipped by the live window, failed or truncated
    stalls: int = 0
    stall_ms: float = 0.0
    media_s: float = 0.0            # sum of the durations of what was downloaded
    bytes: int = 0                  # all bodies, playlists included
    segment_bytes: int = 0
    playlist_reloads: int = 0
    errors: list = dataclasses.field(default_factory=list)
    objects: list = dataclasses.field(default_factory=list)  # {path, bytes, sha256, at}
    check: str = ""                 # "" = not asked, "ok", or what ffprobe/ffmpeg complained of


class HttpFailure(Exception):
    """A request that did not end in a whole 2xx body."""


class Fetcher:
    """Keeps one connection open to one host, as players do."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"'{url}' is no http URL")
        self.host, self.port = parts.hostname, parts.port or 80
        self.connection = None

    def get(self, url):
        """The whole body of `url` and the final URL after redirects."""
        for _ in range(4):
            path = urllib.parse.urlsplit(url)
            target = path.path + (f"?{path.query}" if path.query else "")
            response, body = self._once(target)
            if response.status in (301, 302, 307, 308):
                url = urllib.parse.urljoin(url, response.headers["Location"])
                continue
            if response.status != 200:
                raise HttpFailure(f"{target}: {response.status} {body[:120].decode(errors='replace').strip()}")
            return body, url
        raise HttpFailure(f"{url}: too many redirects")

    def _once(self, target):
        for attempt in (1, 2):
            fresh = self.connection is None
            try:
                if fresh:
                    self.connection = http.client.HTTPConnection(self.host, self.port, timeout=REQUEST_TIMEOUT_S)
                self.connection.request("GET", target, headers={"User-Agent": "tayga-e2e-client"})
                response = self.connection.getresponse()
                return response, response.read()
            except (http.client.HTTPException, OSError) as error:
                self.close()
                # An idle keep-alive connection may have been closed by the server: once more, fresh.
                retryable = isinstance(error, (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError))
                if fresh or attempt == 2 or not retryable:
                    raise HttpFailure(f"{target}: {type(error).__name__}: {error}") from error

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


def parse_attributes(text):
    """An HLS attribute list as a dict, quotes removed."""
    return {m[1]: m[2].strip('"') for m in re.finditer(r'([A-Z0-9-]+)=("[^"]*"|[^,]*)', text)}


def parse_master(text):
    """[(bandwidth, uri)] of a master playlist; empty for a media playlist."""
    variants, pending = [], None
    for line in text.splitlines():
        if line.startswith("#EXT-X-STREAM-INF:"):
            pending = int(parse_attributes(line.split(":", 1)[1]).get("BANDWIDTH", "0"))
        elif line and not line.startswith("#") and pending is not None:
            variants.append((pending, line.strip()))
            pending = None
    return variants


@dataclasses.dataclass
class MediaPlaylist:
    target_s: float = 2.0
    first_sequence: int = 0
    segments: list = dataclasses.field(default_factory=list)  # (duration_s, uri)
    init_uri: str = ""
    ended: bool = False


def parse_media(text):
    if not text.startswith("#EXTM3U"):
        raise HttpFailure("the playlist does not begin with #EXTM3U")
    playlist, duration = MediaPlaylist(), None
    for line in text.splitlines():
        if line.startswith("#EXT-X-TARGETDURATION:"):
            playlist.target_s = float(line.split(":", 1)[1])
        elif line.startswith("#EXT-X-MEDIA-SEQUENCE:"):
            playlist.first_sequence = int(line.split(":", 1)[1])
        elif line.startswith("#EXTINF:"):
            duration = float(line.split(":", 1)[1].split(",", 1)[0])
        elif line.startswith("#EXT-X-MAP:"):
            playlist.init_uri = parse_attributes(line.split(":", 1)[1]).get("URI", "")
        elif line.startswith("#EXT-X-ENDLIST"):
            playlist.ended = True
        elif line and not line.startswith("#") and duration is not None:
            playlist.segments.append((duration, line.strip()))
            duration = None
    return playlist


class Playhead:
    """The virtual player: media is consumed in real time from the first whole segment on."""

    def __init__(self, report):
        self.report = report
        self.runs_dry_at = None  # monotonic instant at which the buffer is empty

    def add(self, duration_s, now):
        if self.runs_dry_at is None:
            self.runs_dry_at = now
        elif now > self.runs_dry_at:
            self.report.stalls += 1
            self.report.stall_ms += (now - self.runs_dry_at) * 1000
            self.runs_dry_at = now
        self.runs_dry_at += duration_s

    def finish(self, now):
        """The session ends at `now`: a buffer that ran dry before it was a stall too."""
        if self.runs_dry_at is not None and now > self.runs_dry_at:
            self.report.stalls += 1
            self.report.stall_ms += (now - self.runs_dry_at) * 1000


class Client:
    def __init__(self, url, rendition, save):
        self.fetcher = Fetcher(url)
        self.rendition = rendition
        self.report = Report(url=url, started=time.time())
        self.playhead = Playhead(self.report)
        self.next_sequence = None
        self.init_done = ""
        self.save = open(save, "wb") if save else None
        self.stopping = False

    def run(self, duration_s):
        begin = time.monotonic()
        deadline = begin + duration_s
        url = self._rendition_url(deadline)
        target_s, last_text, failures = 2.0, None, 0
        while url and not self.stopping and time.monotonic() < deadline:
            try:
                text = self._get(url).decode("utf-8")
                playlist = parse_media(text)
                failures = 0
            except HttpFailure as failure:
                failures += 1
                self._note(str(failure))
                self._pause(min(0.2 * failures, 2.0), deadline)
                continue
            self.report.playlist_reloads += 1
            target_s = playlist.target_s
            self._take(url, playlist, begin, deadline)
            if playlist.ended:
                break
            self._pause(target_s / 2 if text == last_text else target_s, deadline)
            last_text = text
        self.playhead.finish(time.monotonic())
        self.fetcher.close()
        if self.save:
            self.save.close()
        return self.report

    def _rendition_url(self, deadline):
        while not self.stopping and time.monotonic() < deadline:
            try:
                body, url = self.fetcher.get(self.report.url)
                self.report.bytes += len(body)
                self._record(url, body)
                variants = sorted(parse_master(body.decode("utf-8")))
                if not variants:
                    return url
                index = {"highest": -1, "lowest": 0}.get(self.rendition)
                chosen = variants[index if index is not None else int(self.rendition)]
                return urllib.parse.urljoin(url, chosen[1])
            except HttpFailure as failure:
                self._note(str(failure))
                self._pause(0.25, deadline)
        return None

    def _take(self, base, playlist, begin, deadline):
        first, count = playlist.first_sequence, len(playlist.segments)
        if self.next_sequence is None:
            self.next_sequence = first + max(0, count - LIVE_EDGE_SEGMENTS)
        if self.next_sequence < first:
            self.report.lost += first - self.next_sequence
            self._note(f"the live window moved past {first - self.next_sequence} segments")
            self.next_sequence = first
        if playlist.init_uri and playlist.init_uri != self.init_done:
            self._download(urllib.parse.urljoin(base, playlist.init_uri))
            self.init_done = playlist.init_uri
        while self.next_sequence < first + count and time.monotonic() < deadline and not self.stopping:
            duration_s, uri = playlist.segments[self.next_sequence - first]
            self.next_sequence += 1
            size = self._download(urllib.parse.urljoin(base, uri))
            if size is None:
                self.report.lost += 1
                continue
            now = time.monotonic()
            if self.report.startup_ms < 0:
                self.report.startup_ms = (now - begin) * 1000
            self.report.segments += 1
            self.report.segment_bytes += size
            self.report.media_s += duration_s
            self.playhead.add(duration_s, now)

    def _download(self, url):
        try:
            body = self._get(url)
        except HttpFailure as failure:
            self._note(str(failure))
            return None
        if self.save:
            self.save.write(body)
        return len(body)

    def _get(self, url):
        body, final_url = self.fetcher.get(url)
        if url.endswith(".m3u8") and len(body) > PLAYLIST_SIZE_MAX:
            raise HttpFailure(f"{url}: a playlist of {len(body)} bytes")
        self.report.bytes += len(body)
        self._record(final_url, body)
        return body

    def _record(self, url, body):
        path = urllib.parse.unquote(urllib.parse.urlsplit(url).path)
        self.report.objects.append({"path": path, "bytes": len(body),
                                    "sha256": hashlib.sha256(body).hexdigest(), "at": time.time()})

    def _note(self, text):
        if len(self.report.errors) < 50:
            self.report.errors.append(text)

    def _pause(self, seconds, deadline):
        end = min(time.monotonic() + seconds, deadline)
        while not self.stopping and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))


def check_media(path, how):
    """"ok", or the first complaints of ffprobe (demuxing) or ffmpeg (decoding every frame)."""
    if how == "ffprobe":
        command = ["ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=codec_type,nb_read_packets",
                   "-of", "json", path]
    else:
        command = ["ffmpeg", "-v", "error", "-xerror", "-i", path, "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    complaints = done.stderr.strip()
    if done.returncode != 0 or complaints:
        return f"{command[0]} exit {done.returncode}: {complaints[:600]}"
    if how == "ffprobe":
        kinds = {s["codec_type"] for s in json.loads(done.stdout)["streams"] if int(s.get("nb_read_packets", 0)) > 0}
        if not {"audio", "video"} <= kinds:
            return f"ffprobe sees only {sorted(kinds)}"
    return "ok"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--duration", type=float, required=True, help="seconds to play")
    parser.add_argument("--rendition", default="highest", help="highest, lowest, or an index by bandwidth")
    parser.add_argument("--save", help="write the downloaded media here")
    parser.add_argument("--check", choices=["ffprobe", "decode"], help="examine the saved media at the end")
    parser.add_argument("--report", help="write the report here instead of stdout")
    options = parser.parse_args()
    if options.check and not options.save:
        parser.error("--check needs --save")

    client = Client(options.url, options.rendition, options.save)

    def stop(_signal, _frame):
        client.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    report = client.run(options.duration)
    if options.check and report.segments:
        report.check = check_media(options.save, options.check)
    text = json.dumps(dataclasses.asdict(report))
    if options.report:
        with open(options.report, "w", encoding="utf-8") as out:
            out.write(text + "\n")
    else:
        print(text)
    return 0 if report.segments else 1


if __name__ == "__main__":
    sys.exit(main())
