#!/usr/bin/env python3
"""Runs a whole Tayga network on loopback, plays a live stream through it, and reports.

Started by deploy/demo, which builds the programs first; tests start it with their own --bin.
"""
import argparse
import collections
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import demo_netns
from demo_faults import DURATION_MIN_S, Healing, faults_of
from demo_nodes import READY_TIMEOUT_S, DemoError, Node, Process, percentile, say, wait_for

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "tests" / "e2e" / "hls_client.py"
STREAM = "demo"
SEGMENT_S = 2
# name, size, video bit/s: the ladder that ffmpeg encodes
LADDER = [("high", "640x360", 1_500_000), ("mid", "426x240", 600_000), ("low", "256x144", 250_000)]
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Network:
    orchestrator_host = "127.0.0.1"  # where nodes and people reach it

    def __init__(self, options):
        self.options = options
        self.bin = Path(options.bin).resolve()
        for program in ("taygad", "taygactl", "tayga-orchestrator"):
            if not (self.bin / program).exists():
                raise DemoError(f"{self.bin / program} is not there: run deploy/demo, which builds it")
        self.folder = Path(tempfile.mkdtemp(prefix="tayga-demo-"))
        self.processes = []
        self.clients = []
        self.encoder = None
        self.viewers, self.relays, self.gateway, self.orchestrator = [], [], None, None
        self.join_url = ""
        self.faults, self.script = faults_of(self, options)
        self.healing = Healing()

    # -- starting, in the order of the data flow ------------------------------------------------

    def start(self):
        self.start_orchestrator()
        self.gateway = self.add_node("gateway", ["gateway"], "200mbit")
        self.gateway.wait_connected()
        added = self.add_stream()
        self.relays = [self.add_node(f"relay-{i + 1}", ["relay"], "100mbit") for i in range(self.options.relays)]
        self.viewers = [self.add_node(f"viewer-{i + 1}", ["viewer"], self.options.viewer_upload) for i in range(self.options.viewers)]
        for node in self.relays + self.viewers:
            node.wait_connected()
        if self.options.source == "push":
            self.start_encoder(f"{self.gateway.player_url()}/ingest/{added['ingest_key']}/{STREAM}",
                               ["-method", "PUT", "-http_persistent", "1"])
        else:
            self.start_encoder(self.origin_folder, [])

    def add_stream(self):
        arguments = ["stream", "add", STREAM, "--stripes", str(self.options.stripes), "--json"]
        if self.options.source == "pull":
            self.origin_folder = self.folder / "origin"
            self.origin_folder.mkdir()
            port = free_port()
            self.run("origin", [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1",
                                "--directory", self.origin_folder])
            arguments += ["--origin", f"http://127.0.0.1:{port}/master.m3u8"]
        return self.admin(*arguments)

    def start_orchestrator(self):
        state = self.folder / "orchestrator"
        self.grpc_port, self.http_port = free_port(), free_port()
        done = subprocess.run([self.bin / "tayga-orchestrator", "init", "--state", state,
                               "--address", f"{self.orchestrator_host}:{self.grpc_port}"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DemoError(f"tayga-orchestrator init: {done.stderr.strip()}")
        self.orchestrator_state = state
        self.orchestrator_config = state / "orchestrator.toml"
        self.orchestrator_config.write_text(f"""state_dir = "{state}"

[control]
listen = "{self.orchestrator_host}:{self.grpc_port}"

[http]
listen = "127.0.0.1:{self.http_port}"

[receipts]
submit_interval = "{self.options.submit_interval}"
""")
        self.join_url = self.orchestrator_text("join-url").strip()
        self.serve_orchestrator()

    def serve_orchestrator(self):
        """Also again, after it was killed: its state is on disk."""
        self.orchestrator = self.run("orchestrator", [self.bin / "tayga-orchestrator", "serve",
                                                      "--config", self.orchestrator_config])

        def ready():
            self.check_alive()
            return subprocess.run([self.bin / "tayga-orchestrator", "healthcheck", "--socket",
                                   self.orchestrator_state / "orchestrator.sock"],
                                  capture_output=True, check=False).returncode == 0

        wait_for(ready, "the orchestrator to serve")

    def orchestrator_text(self, *arguments):
        done = subprocess.run([self.bin / "tayga-orchestrator", *arguments, "--state", self.orchestrator_state],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DemoError(f"tayga-orchestrator {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def admin(self, *arguments):
        done = subprocess.run([self.bin / "tayga-orchestrator", *arguments, "--socket",
                               self.orchestrator_state / "orchestrator.sock"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DemoError(f"tayga-orchestrator {' '.join(arguments)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def api(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=10) as response:
            return json.load(response)

    def add_node(self, name, roles, upload):
        node = Node(self, name, roles, upload)
        node.start()
        return node

    def address_of(self, _name):
        """Where a node listens for peers."""
        return "127.0.0.1"

    def service_host(self, _name):
        """Where a node listens for players and for who reads its metrics."""
        return "127.0.0.1"

    def run(self, name, command):
        process = Process(name, command, self.folder)
        self.processes.append(process)
        return process

    def kill(self, process):
        """It is missed no more."""
        self.processes.remove(process)
        process.kill()

    def start_encoder(self, target, method):
        clock = (f"drawtext=fontfile={FONT}:fontsize=28:fontcolor=white:box=1:boxcolor=black@0.6:x=16:y=h-th-16"
                 r":text='%{localtime\:%T} frame %{n}'")
        chains = [f"[0:v]{clock},split={len(LADDER)}" + "".join(f"[s{i}]" for i in range(len(LADDER)))]
        chains += [f"[s{i}]scale={size.replace('x', ':')}[v{i}]" for i, (_, size, _) in enumerate(LADDER)]
        command = ["ffmpeg", "-hide_banner", "-loglevel", "warning", "-nostdin", "-re",
                   "-f", "lavfi", "-i", f"testsrc2=size={LADDER[0][1]}:rate=25",
                   "-f", "lavfi", "-i", "sine=frequency=440:beep_factor=4:sample_rate=48000",
                   "-filter_complex", ";".join(chains)]
        for i in range(len(LADDER)):
            command += ["-map", f"[v{i}]", "-map", "1:a"]
        command += ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1",
                    "-g", str(25 * SEGMENT_S), "-keyint_min", str(25 * SEGMENT_S), "-sc_threshold", "0"]
        for i, (_, _, rate) in enumerate(LADDER):
            command += [f"-b:v:{i}", str(rate), f"-maxrate:v:{i}", str(rate), f"-bufsize:v:{i}", str(rate)]
        streams = " ".join(f"v:{i},a:{i},name:{name}" for i, (name, _, _) in enumerate(LADDER))
        command += ["-c:a", "aac", "-b:a", "64k", "-f", "hls", "-hls_time", str(SEGMENT_S), "-hls_list_size", "6",
                    "-hls_start_number_source", "epoch",
                    "-hls_flags", "delete_segments+program_date_time+independent_segments+omit_endlist",
                    "-master_pl_name", "master.m3u8", "-var_stream_map", streams, *method]
        if self.options.format == "fmp4":
            command += ["-hls_segment_type", "fmp4"]
        command.append(f"{target}/%v/index.m3u8")
        self.encoder = self.run("ffmpeg", command)

    def wait_live(self):
        """Until every rendition has enough segments for a player to start from behind the edge."""
        def live():
            self.check_alive()
            counts = collections.Counter(e["path"].split("/")[0] for e in self.gateway.journal_lines()
                                         if e["path"].endswith((".ts", ".m4s")))
            return len(counts) == len(LADDER) and min(counts.values()) >= 4

        wait_for(live, "the stream to be live", interval_s=0.25)

    # -- playing -----------------------------------------------------------------------------------

    def play(self):
        started, began = time.time(), time.monotonic()
        base = self.gateway.metrics()
        for i, viewer in enumerate(self.viewers):
            report = viewer.state / "client.json"
            command = [sys.executable, CLIENT, f"{viewer.player_url()}/live/{STREAM}/master.m3u8",
                       "--duration", str(self.options.duration), "--report", report,
                       "--save", viewer.state / "played.ts", "--check", self.options.check]
            self.clients.append((viewer, self.run(f"client-{i + 1}", command), report))

        def ended():
            self.script.run_due(time.monotonic() - began)
            self.check_alive()
            return not any(client.alive() for _, client, _ in self.clients)

        wait_for(ended, "the players to end", self.options.duration + READY_TIMEOUT_S, interval_s=0.25)
        egress = self.gateway.metrics()
        self.origin_egress = sum(egress[n] - base[n] for n in ("tayga_peer_sent_bytes_total", "tayga_player_sent_bytes_total"))
        self.play_window = (started, time.time())
        for node in self.viewers + self.relays:
            node.wait_connected()  # also where the orchestrator was away
            self.healing.add(node)
        # Each session once: as its dialer sees it.
        self.sessions = [peer for node in self.viewers + self.relays + [self.gateway]
                         for peer in (node.status("peers") or {"peers": []})["peers"] if peer["dialed"]]

    def check_alive(self):
        """DemoError when a program ended that should run until the end; players may."""
        clients = {client for _, client, _ in self.clients}
        for process in self.processes:
            if process not in clients and not process.alive():
                raise DemoError(f"{process.name} ended during the demo:\n{process.tail()}")

    # -- stopping and reporting ----------------------------------------------------------------------

    def collect(self):
        """Figures that need the daemons alive; then stops them from the leaves to the root."""
        self.encoder.stop()
        running = self.viewers + self.relays + [self.gateway]
        self.wait_quiet(running)
        self.relayed = self.faults.received_by_killed
        self.streams = [s for node in self.viewers for s in (node.status("streams") or {"streams": []})["streams"]]
        live = [s for s in self.api("/api/v1/streams")["streams"] if s["name"] == STREAM]
        self.depth = live[0]["depth"] if live else 0
        while running:
            # Only now: when its siblings left it may have been given what they carried.
            self.wait_quiet(running)
            node = running.pop(0)
            self.relayed += node.metrics()["tayga_relay_payload_received_bytes_total"]
            code = node.process.stop()
            if code != 0:
                say(f"{node.name} ended with exit code {code}:\n{node.process.tail()}")
        self.ledger = self.admin("ledger", "show", "--json")
        self.udp_dropped = demo_netns.counted_packets() if self.options.drop_udp else 0

    @staticmethod
    def wait_quiet(nodes):
        """Until nothing is under way to any of them any more."""
        last = [-1.0]

        def quiet():
            now = sum(node.metrics()["tayga_relay_payload_received_bytes_total"] for node in nodes)
            before, last[0] = last[0], now
            return before == now

        wait_for(quiet, "the last bytes to arrive", interval_s=0.5)

    def stop(self):
        for process in reversed(self.processes):
            if process.alive():
                process.stop()
        if self.options.keep:
            say(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def report(self):
        clients = [json.loads(path.read_text()) for _, _, path in self.clients if path.exists()]
        if len(clients) < len(self.clients):
            raise DemoError("a client ended without a report:\n" + "\n".join(c.tail() for _, c, _ in self.clients))
        published = collections.defaultdict(set)
        for entry in self.gateway.journal_lines():
            published[entry["path"]].add(entry["sha256"])
        mismatched = sum(o["sha256"] not in published[o["path"].removeprefix(f"/live/{STREAM}/")]
                         for client in clients for o in client["objects"])
        begin_us, end_us = (t * 1e6 for t in self.play_window)
        latencies = []
        for viewer in self.viewers:
            latencies += self.latencies_ms(viewer.journal_lines(), begin_us, end_us)
        played = sum(client["bytes"] for client in clients)
        checks = [c["check"] for c in clients if c["check"] not in ("", "ok")]
        errors = [e for c in clients for e in c["errors"]]
        for text in checks + errors[:10]:
            say(f"client: {text}")
        startups = [c["startup_ms"] for c in clients if c["startup_ms"] >= 0]
        dials = [peer["dial_ms"] for peer in self.sessions]
        carried_by = collections.Counter(peer["transport"] for peer in self.sessions)
        return {
            "viewers": len(self.viewers), "relays": len(self.relays), "stripes": self.options.stripes,
            "transport": self.options.transport, "udp_dropped_packets": self.udp_dropped,
            "peers_quic": carried_by["quic"], "peers_tcp": carried_by["tcp"],
            "dial_ms": {"p50": round(percentile(dials, 50), 1), "max": round(percentile(dials, 100), 1)},
            "objects_published": sum(begin_us <= e["complete_us"] <= end_us for e in self.gateway.journal_lines()),
            "objects_played": sum(len(c["objects"]) for c in clients),
            "objects_late": sum(s["objects_late"] for s in self.streams),
            "objects_lost": sum(c["lost"] for c in clients) + sum(s["objects_lost"] for s in self.streams),
            "bytes_mismatched": mismatched,
            "stalls": sum(c["stalls"] for c in clients),
            "startup_ms": {"p50": round(percentile(startups, 50)), "p95": round(percentile(startups, 95))},
            "latency_ms": {"p50": round(percentile(latencies, 50), 1), "p95": round(percentile(latencies, 95), 1)},
            "origin_egress_bytes": int(self.origin_egress), "played_bytes": played,
            "offload": round(1 - self.origin_egress / played, 4) if played else 0.0,
            "max_depth": self.depth,
            "receipts_settled": self.ledger["totals"]["receipts"], "receipts_bytes": self.ledger["totals"]["bytes"],
            "relayed_bytes": int(self.relayed),
            "receipts_coverage": round(self.ledger["totals"]["bytes"] / self.relayed, 4) if self.relayed else 0.0,
            "kills": self.faults.kills, "killed_stripes": self.faults.killed_stripes, "pauses": self.faults.pauses,
            **self.healing.report(),
            "clients_failed_check": len(checks),
            "clients_without_media": len(clients) - len(startups),
        }

    def latencies_ms(self, lines, begin_us, end_us):
        """Last byte at the ingest -> whole at this viewer, of what was published while it played."""
        ready = [e for e in lines if e["event"] == "ready"]
        first_ready = {}
        for entry in ready:
            first_ready.setdefault(entry["track"], entry["ready_us"])
        return [(e["ready_us"] - e["complete_us"]) / 1000 for e in ready
                if e["complete_us"] >= max(begin_us, first_ready[e["track"]]) and e["complete_us"] <= end_us]


def explain(report):
    """The report in sentences, for people."""
    lines = [
        f"{report['viewers']} viewers over {report['relays']} relays, {report['stripes']} stripes, "
        f"deepest path {report['max_depth']} hops",
        f"played     {report['objects_played']} objects, {report['played_bytes'] / 1e6:.1f} MB; "
        f"late {report['objects_late']}, lost {report['objects_lost']}, altered {report['bytes_mismatched']}, "
        f"stalls {report['stalls']}",
        f"transport  {report['peers_quic']} sessions over QUIC, {report['peers_tcp']} over TCP; dialed in p50 "
        f"{report['dial_ms']['p50']} ms, at most {report['dial_ms']['max']} ms"
        + (f"; {report['udp_dropped_packets']} UDP packets dropped" if report["udp_dropped_packets"] else ""),
        f"startup    p50 {report['startup_ms']['p50']} ms, p95 {report['startup_ms']['p95']} ms",
        f"latency    p50 {report['latency_ms']['p50']} ms, p95 {report['latency_ms']['p95']} ms "
        "(last byte at the ingest to whole object at the viewer)",
        f"offload    {report['offload']:.1%} (the gateway sent {report['origin_egress_bytes'] / 1e6:.1f} MB; "
        f"at least one copy must leave it, so the bound is {1 - 1 / max(1, report['viewers']):.1%})",
        f"receipts   {report['receipts_settled']} settled for {report['receipts_bytes'] / 1e6:.1f} MB, "
        f"{report['receipts_coverage']:.1%} of what was relayed",
    ]
    if report["kills"] or report["repairs"]:
        lines.append(explain_healing(report))
    return "\n".join(lines)


def explain_healing(report):
    gap = report["repair_gap_ms"]
    return (f"repairs    {report['repairs']} ({report['kills']} kills of programs that fed "
            f"{report['killed_stripes']} stripes, {report['pauses']} pauses), within p50 {gap['p50']} ms, p99 {gap['p99']} ms, at most {gap['max']} ms; "
            f"{report['suspicions']} suspicions, {report['false_suspicions']} of them false\n"
            f"rescued    {report['gateway_rescue_bytes'] / 1e6:.2f} MB from the gateway, "
            f"{report['origin_bytes'] / 1e6:.2f} MB from the origin; {report['duplicate_ratio']:.2%} came twice")


def stay_up(network):
    say("\nThe network is live. Open in any HLS player (VLC, mpv, ffplay, a browser with hls.js):")
    for viewer in network.viewers or []:
        say(f"  {viewer.player_url()}/live/{STREAM}/master.m3u8")
    say(f"Orchestrator: http://127.0.0.1:{network.http_port}/api/v1/streams and /metrics")
    say(f"A node's view: {network.bin / 'taygactl'} --socket {network.viewers[0].state / 'taygad.sock'} status"
        if network.viewers else "")
    if network.options.drop_udp:
        say(f"All this is in a network namespace: nsenter --net=/proc/{os.getpid()}/ns/net YOUR_PLAYER ...")
    say("Ctrl-C ends everything.")
    while True:
        network.check_alive()
        time.sleep(0.5)


def parse_options(arguments=None):
    parser = argparse.ArgumentParser(prog="deploy/demo", description=__doc__.splitlines()[0])
    parser.add_argument("--viewers", type=int, default=6, help="viewers, each with its own taygad (default 6)")
    parser.add_argument("--relays", type=int, default=2, help="relays that do not play (default 2)")
    parser.add_argument("--stripes", type=int, default=4, help="stripes per track, K (default 4)")
    parser.add_argument("--source", choices=["push", "pull"], default="push",
                        help="ffmpeg PUTs to the gateway, or the gateway pulls an origin (default push)")
    parser.add_argument("--format", choices=["ts", "fmp4"], default="ts", help="of the segments (default ts)")
    parser.add_argument("--transport", choices=["auto", "quic", "tcp"], default="auto",
                        help="of the peers; auto is QUIC, and TCP where UDP does not pass (default auto)")
    parser.add_argument("--drop-udp", action="store_true",
                        help="drop all UDP between the nodes, in a network namespace of the demo's own (root)")
    parser.add_argument("--kill-parent", action="store_true",
                        help="kill -9 the busiest relay twice and pause another one for 5 s, while it plays")
    parser.add_argument("--viewer-upload", metavar="RATE",
                        help="what each viewer may send to others (default 20mbit; with --kill-parent 500kbit, so "
                             "that relays must carry)")
    parser.add_argument("--kill-orchestrator", action="store_true",
                        help="kill -9 the orchestrator after a third of the duration; it returns after 10 s")
    parser.add_argument("--check", choices=["ffprobe", "decode"], default="ffprobe",
                        help="demux what each viewer played, or decode every frame (default ffprobe)")
    parser.add_argument("--duration", type=float, help="play for this many seconds, report and end; without it stay up")
    parser.add_argument("--json", action="store_true", help="the last line of stdout is the report as JSON")
    parser.add_argument("--keep", action="store_true", help="keep logs, journals and what was played")
    parser.add_argument("--submit-interval", default="10s", help="how often nodes submit receipts (default 10s)")
    parser.add_argument("--bin", default=str(ROOT / "build/release/bin"), help="folder of the programs")
    options = parser.parse_args(arguments)
    if not 1 <= options.viewers <= 64 or not 0 <= options.relays <= 64 or not 1 <= options.stripes <= 32:
        parser.error("--viewers takes 1..64, --relays 0..64, --stripes 1..32")
    if options.duration is not None and options.duration < 5:
        parser.error("--duration takes at least 5 seconds")
    options.viewer_upload = options.viewer_upload or ("500kbit" if options.kill_parent else "20mbit")
    if (options.kill_parent or options.kill_orchestrator) and (options.duration or 0) < DURATION_MIN_S:
        parser.error(f"--kill-parent and --kill-orchestrator take a --duration of at least {DURATION_MIN_S} seconds")
    if options.kill_parent and options.relays < 2:
        parser.error("--kill-parent takes at least 2 --relays")
    if options.drop_udp and options.transport == "quic":
        parser.error("--drop-udp leaves nothing to --transport quic; use auto or tcp")
    return options


def main():
    options = parse_options()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup keeps its meaning
            signal.signal(number, signal.default_int_handler)
    network = None
    try:
        if options.drop_udp:
            demo_netns.enter()
            demo_netns.set_filter("meta l4proto udp counter drop")
        network = Network(options)
        say(f"Starting an orchestrator, a gateway, {options.relays} relays and {options.viewers} viewers on loopback ...")
        network.start()
        network.wait_live()
        if options.duration is None:
            stay_up(network)
        say(f"Live. Playing for {options.duration:g} s ...")
        network.play()
        network.collect()
        report = network.report()
        say(explain(report))
        if options.json:
            print(json.dumps(report), flush=True)
        failed = report["clients_failed_check"] + report["clients_without_media"] + report["bytes_mismatched"] \
            + report["objects_lost"]
        return 1 if failed else 0
    except KeyboardInterrupt:
        say("\nEnding.")
        return 0 if options.duration is None else 1
    except (DemoError, demo_netns.NetnsError, OSError, subprocess.SubprocessError) as error:
        say(f"demo: {error}")
        return 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave the folder behind
        if network:
            network.stop()


if __name__ == "__main__":
    sys.exit(main())
