#!/usr/bin/env python3
"""Publishes a stream as the simulator's encoder does: random bytes, a fragment at a time, by HTTP PUT.

usage: agreement_encoder.py URL [--bitrate BPS] [--segment S] [--fragment S] [--seed N]
URL is the folder at the gateway that takes the stream. Each segment is one chunked PUT that lasts as long as
the segment; its first fragment, the key frame, weighs four; a playlist follows it. Runs until it is ended, and
tells at what moment it was furthest behind its own clock.
"""
import argparse
import random
import signal
import socket
import sys
import time
import urllib.parse

KEY_FRAME_WEIGHT = 4
LISTED = 6  # segments in a playlist
ANSWER_MAX = 16 * 1024


class Upload:
    """One connection to the gateway that is kept."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.host, self.folder = parts.netloc, parts.path.rstrip("/")
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def begin(self, name, fields):
        self.socket.sendall(f"PUT {self.folder}/{name} HTTP/1.1\r\nHost: {self.host}\r\n{fields}\r\n\r\n".encode())

    def chunk(self, data):
        self.socket.sendall(b"%x\r\n%s\r\n" % (len(data), data))

    def answered(self):
        """Reads the answer, which has a Content-Length or no body; a refusal ends the program."""
        head = b""
        while b"\r\n\r\n" not in head:
            part = self.socket.recv(ANSWER_MAX)
            if not part or len(head) > ANSWER_MAX:
                raise OSError("the gateway hung up")
            head += part
        fields, _, body = head.partition(b"\r\n\r\n")
        if not fields.split(b" ")[1].startswith(b"2"):
            raise OSError(f"the gateway refused: {head.decode(errors='replace')}")
        length = next((int(line.split(b":")[1]) for line in fields.split(b"\r\n")
                       if line.lower().startswith(b"content-length:")), 0)
        while len(body) < length:
            body += self.socket.recv(ANSWER_MAX)

    def put(self, name, content):
        self.begin(name, f"Content-Length: {len(content)}")
        self.socket.sendall(content)
        self.answered()


def playlist(number, segment_s):
    first = max(1, number - LISTED + 1)
    lines = ["#EXTM3U", "#EXT-X-VERSION:6", f"#EXT-X-TARGETDURATION:{max(1, round(segment_s))}",
             f"#EXT-X-MEDIA-SEQUENCE:{first}", '#EXT-X-MAP:URI="init.mp4"']
    for listed in range(first, number + 1):
        lines += [f"#EXTINF:{segment_s:.3f},", f"seg{listed}.m4s"]
    return ("\n".join(lines) + "\n").encode()


def fragments_of(size, count):
    """Where each fragment ends: the first weighs KEY_FRAME_WEIGHT."""
    weights = count - 1 + KEY_FRAME_WEIGHT
    return [size * (i + KEY_FRAME_WEIGHT) // weights for i in range(count)]


def publish(options):
    draws = random.Random(options.seed)
    upload = Upload(options.url)
    upload.put("init.mp4", draws.randbytes(900))
    count = max(1, round(options.segment / options.fragment))
    number, due, latest = 0, time.monotonic(), 0.0
    while True:
        number += 1
        size = int(options.bitrate * options.segment / 8 * draws.uniform(0.9, 1.1))
        content = draws.randbytes(size)
        upload.begin(f"seg{number}.m4s", "Transfer-Encoding: chunked")
        begin = 0
        for end in fragments_of(size, count):
            time.sleep(max(0.0, due - time.monotonic()))
            behind = time.monotonic() - due
            if behind > latest:
                latest = behind
                print(f"segment {number} was {behind * 1000:.1f} ms behind", file=sys.stderr, flush=True)
            upload.chunk(content[begin:end])
            begin, due = end, due + options.fragment
        upload.socket.sendall(b"0\r\n\r\n")
        upload.answered()
        upload.put("index.m3u8", playlist(number, options.segment))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--bitrate", type=int, default=1_000_000)
    parser.add_argument("--segment", type=float, default=1.0)
    parser.add_argument("--fragment", type=float, default=0.04)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        publish(options)
    except OSError as error:
        print(f"agreement_encoder: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
