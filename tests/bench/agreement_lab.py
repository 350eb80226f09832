"""The real side of the agreement bench: taygad processes, each in a network namespace of its own on one bridge."""
import datetime
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy"))
import demo_netns  # noqa: E402
import demo_network  # noqa: E402
from demo_nodes import DemoError, say, wait_for  # noqa: E402

ENCODER = Path(__file__).resolve().parent / "agreement_encoder.py"
BRIDGE = "tayga0"
HOST = "10.77.0.1"  # of the bench and the orchestrator, on the bridge
STREAM = demo_network.STREAM
MEDIA_PLAYLIST = "index.m3u8"
KEEP_ALIVE_S = 5  # a rendition that no player asks for is left after 15 s
ARRIVALS_S = 3.0  # of the viewers, as in the simulator
CHOSEN_BEFORE_S = 0.7
BLAMED_S = 5.0  # of the simulator: a repair of what a killed relay sent comes within it
CALM_BEFORE_S = 0.3
CALM_AFTER_S = 1.5
SPIKE_MS = 5.0  # the least that a spike of the simulator takes
LINK_PROBES = 21
LOADED_SLEEP_S = 0.005

REPAIR = re.compile(r'^time=(\S+) .*msg="another parent took over".* lost=(\S+) .*gap="?([0-9.]+) (us|ms|s)"?')
UNIT_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def can_make_namespaces():
    probe = ["unshare", "--net", "sh", "-c",
             f"ip link set lo up && ip link add {BRIDGE} type bridge && ip link add tayga1 type veth peer name tayga2"]
    try:
        return subprocess.run(probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0
    except FileNotFoundError:
        return False


class Lab(demo_network.Network):
    """Orchestrator and encoder in the bench's namespace, every node in its own; links are bare veth pairs."""

    orchestrator_host = HOST

    def __init__(self, setup, folder_of_programs):
        arguments = ["--bin", str(folder_of_programs), "--transport", "quic", "--stripes", str(setup.stripes)]
        self.setup = setup
        self.spaces = {}  # node -> the process that holds its namespace
        self.kills = []   # (Unix second, relay, stripes)
        self.down = {}    # relay -> when it comes back
        self.draws = random.Random(setup.seed)
        demo_netns.enter()
        for command in (["ip", "link", "add", BRIDGE, "type", "bridge"],
                        ["ip", "addr", "add", f"{HOST}/16", "dev", BRIDGE], ["ip", "link", "set", BRIDGE, "up"]):
            demo_netns.run_tool(command)
        super().__init__(demo_network.parse_options(arguments))

    # -- places ------------------------------------------------------------------------------------

    def address_of(self, name):
        if name not in self.spaces:
            self.spaces[name] = self.make_space(len(self.spaces) + 1)
        return self.spaces[name][1]

    service_host = address_of

    def make_space(self, number):
        address, outer, inner = f"10.77.1.{number}", f"out{number}", f"in{number}"
        holder = super().run(f"space-{number}", ["unshare", "--net", "sleep", "infinity"])
        own = os.stat("/proc/self/ns/net").st_ino
        place = f"/proc/{holder.popen.pid}/ns/net"
        wait_for(lambda: os.stat(place).st_ino != own, "a network namespace", interval_s=0.01)
        within = ["nsenter", f"--net={place}"]
        for command in (["ip", "link", "add", outer, "type", "veth", "peer", "name", inner],
                        ["ip", "link", "set", inner, "netns", str(holder.popen.pid)],
                        ["ip", "link", "set", outer, "master", BRIDGE, "up"],
                        [*within, "ip", "link", "set", "lo", "up"],
                        [*within, "ip", "addr", "add", f"{address}/16", "dev", inner],
                        [*within, "ip", "link", "set", inner, "up"]):
            demo_netns.run_tool(command)
        return place, address

    def run(self, name, command):
        place = self.spaces.get(name)
        within = ["nsenter", f"--net={place[0]}"] if place else []
        return super().run(name, [str(part) for part in (*within, *command)])

    # -- the run -------------------------------------------------------------------------------------

    def start(self):
        setup = self.setup
        self.start_orchestrator()
        self.gateway = self.add_node("gateway", ["gateway"], setup.upload_of("gateway"))
        self.gateway.wait_connected()
        key = self.admin("stream", "add", STREAM, "--stripes", str(setup.stripes), "--window", f"{setup.window:g}s",
                         "--json")["ingest_key"]
        self.relays = [self.add_node(f"relay-{i + 1}", ["relay"], setup.upload_of("relay"))
                       for i in range(setup.relays)]
        self.viewers = [self.add_node(f"viewer-{i + 1}", ["viewer"], setup.upload_of("viewer"))
                        for i in range(setup.viewers)]
        for node in self.relays + self.viewers:
            node.wait_connected()
        self.round_trip_us = self.measure_links()
        self.ingest_url = f"{self.gateway.player_url()}/ingest/{key}/{STREAM}"

    def measure_links(self):
        """Median TCP handshake between two namespaces, in microseconds."""
        host, _, port = self.gateway.info["listen"]["player"].rpartition(":")
        times = []
        for _ in range(LINK_PROBES):
            with socket.socket() as probe:
                began = time.perf_counter()
                probe.connect((host, int(port)))
                times.append(time.perf_counter() - began)
        return statistics.median(times) * 1e6

    def play(self):
        """The scenario: it publishes, they play, a busy relay is killed every so often."""
        setup = self.setup
        self.encoder = self.run("encoder", [sys.executable, ENCODER, self.ingest_url, "--bitrate", setup.bitrate,
                                            "--segment", setup.segment, "--fragment", setup.fragment,
                                            "--seed", setup.seed])
        began = time.monotonic()
        players = Players(self.viewers, self.draws)
        load = Load()
        kills = [setup.warm_up + i * setup.kill_every for i in range(setup.kills)]
        victim = None
        try:
            while (elapsed := time.monotonic() - began) < setup.duration:
                self.check_alive()
                if kills and victim is None and elapsed >= kills[0] - CHOSEN_BEFORE_S:
                    victim = self.choose_busy_relay()
                if kills and elapsed >= kills[0]:
                    kills.pop(0)
                    self.kill_relay(victim, elapsed)
                    victim = None
                for relay in [relay for relay, back in self.down.items() if elapsed >= back]:
                    del self.down[relay]
                    relay.start()
                time.sleep(0.05)
            self.processes.remove(self.encoder)  # it is missed no more
            self.encoder.stop()
        finally:
            players.stop()
            self.load = load.stop()
        self.joined = players.joined

    def choose_busy_relay(self):
        """(stripes that it sends, relay) of one of the busiest quarter, as the simulator draws it. Asking all of them
        costs the machine something, so it is done a while before the kill."""
        counted = [(sum(peer["stripes_to"] for peer in (relay.status("peers") or {"peers": []})["peers"]), relay)
                   for relay in self.relays if relay not in self.down]
        busy = sorted((entry for entry in counted if entry[0] > 0), key=lambda entry: -entry[0])
        if not busy:
            raise DemoError("no relay sends anything to anybody: there is none to kill")
        return busy[self.draws.randrange(len(busy) // 4 + 1)]

    def kill_relay(self, victim, elapsed):
        stripes, relay = victim
        self.kill(relay.process)
        self.kills.append((time.time(), relay, stripes))
        self.down[relay] = elapsed + self.setup.kill_back
        say(f"{elapsed:5.1f} s: killed {relay.name}, which sent {stripes} stripes to others")

    # -- what it showed ------------------------------------------------------------------------------

    def measure(self):
        nodes = [node for node in self.relays + self.viewers if node not in self.down]
        for node in nodes:
            node.wait_connected()
        gaps, others = self.repairs()
        jitter, spikes = self.delays()
        metrics = {node.name: node.metrics() for node in nodes}
        sums = {name: sum(one[f"tayga_relay_{name}_total"] for one in metrics.values())
                for name in ("repairs", "suspicions", "false_suspicions", "promotions")}
        due, objects = self.bytes_due()
        out = self.gateway.metrics()["tayga_relay_media_sent_bytes_total"]
        streams = [s for node in self.viewers for s in (node.status("streams") or {"streams": []})["streams"]]
        return {"repair_gaps_ms": gaps, "other_repairs": others,
                "offload": 1 - out / due if due else 0.0, "gateway_media_bytes": int(out), "due_bytes": due,
                "objects_due": objects, "objects_late": sum(s["objects_late"] for s in streams),
                "objects_lost": sum(s["objects_lost"] for s in streams), "kills": len(self.kills),
                "killed_stripes": sum(stripes for _, _, stripes in self.kills), **sums, **self.load,
                "round_trip_us": round(self.round_trip_us), "jitter_ms": jitter, "spikes": spikes}

    def repairs(self):
        """(Repair gaps in ms of stripes that a killed relay had sent, how many other repairs), as every node's log has
        them: also those of relays that were killed later, and not rounded to a histogram's buckets."""
        kills = [(second, relay.info["node"][:8]) for second, relay, _ in self.kills]
        gaps, others = [], 0
        for node in self.relays + self.viewers:
            for line in node.process.log_path.read_text(errors="replace").splitlines():
                if (found := REPAIR.match(line)) is None:
                    continue
                told = unix_time(found[1])
                if any(relay == found[2] and 0 <= told - second <= BLAMED_S for second, relay in kills):
                    gaps.append(float(found[3]) * UNIT_MS[found[4]])
                else:
                    others += 1
        return sorted(gaps), others

    def delays(self):
        """(Jitter in ms, share of spikes) of one link, as the simulator has them, from when playlists, which are one
        slice each, were whole at the viewers; but for those that a kill or a viewer's start held up.

        Viewers are two links from the gateway. A link of the simulator takes 0..jitter, so two take its jitter at the
        median; what takes longer than both could, and SPIKE_MS more, met a spike. Most of it is not the link: 20
        programs share the processors."""
        took = []
        for viewer, joined in self.joined.items():
            for entry in viewer.journal_lines():
                sent = entry["complete_us"] / 1e6
                calm = all(not -CALM_BEFORE_S < sent - second < CALM_AFTER_S for second, _, _ in self.kills)
                if entry["event"] == "ready" and entry["path"] == MEDIA_PLAYLIST and calm \
                        and sent >= joined + self.setup.startup:
                    took.append((entry["ready_us"] - entry["complete_us"]) / 1000)
        if not took:
            raise DemoError("no viewer has a playlist: there is nothing to compare")
        jitter = statistics.median(took)
        spikes = sum(one > 2 * jitter + SPIKE_MS for one in took) / len(took) / 2
        return round(jitter, 1), round(spikes, 4)

    def bytes_due(self):
        """What viewers had to play, as the simulator counts it: objects whose first byte came STARTUP after they
        joined. Playlists are of one moment."""
        due, objects = 0, 0
        for entry in self.gateway.journal_lines():
            if not entry["path"].endswith((".m4s", MEDIA_PLAYLIST)):
                continue
            length = self.setup.segment if entry["path"].endswith(".m4s") else 0.0
            begun = entry["complete_us"] / 1e6 - length
            viewers = sum(begun >= joined + self.setup.startup for joined in self.joined.values())
            due += viewers * entry["bytes"]
            objects += viewers
        return due, objects


def unix_time(text):
    """Of a log line."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Players:
    """Asks each viewer for the playlist often enough that it goes on to want the stream."""

    def __init__(self, viewers, draws):
        self.joined = {}  # viewer -> Unix second of its first request
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(viewer, draws.uniform(0.1, ARRIVALS_S)))
                        for viewer in viewers]
        for thread in self.threads:
            thread.start()

    def ask(self, viewer, wait_s):
        while not self.ending.wait(wait_s):
            try:
                asked = time.time()
                url = f"{viewer.player_url()}/live/{STREAM}/{MEDIA_PLAYLIST}"
                with urllib.request.urlopen(url, timeout=10) as answer:
                    answer.read()
                self.joined.setdefault(viewer, asked)
                wait_s = KEEP_ALIVE_S
            except OSError:
                wait_s = 0.2  # nothing is published yet

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()


class Load:
    """How busy the machine is while it plays: how late a sleeper wakes up, and what the processors do."""

    def __init__(self):
        self.overshoots = []
        self.ending = threading.Event()
        self.before = self.processors()
        self.thread = threading.Thread(target=self.sleep)
        self.thread.start()

    @staticmethod
    def processors():
        with open("/proc/stat", encoding="ascii") as stat:
            ticks = [int(field) for field in stat.readline().split()[1:9]]
        return sum(ticks), ticks[3] + ticks[4]

    def sleep(self):
        while not self.ending.is_set():
            began = time.perf_counter()
            time.sleep(LOADED_SLEEP_S)
            self.overshoots.append((time.perf_counter() - began - LOADED_SLEEP_S) * 1000)

    def stop(self):
        self.ending.set()
        self.thread.join()
        total, idle = (after - before for after, before in zip(self.processors(), self.before))
        ordered = sorted(self.overshoots)
        return {"processors_busy": round(1 - idle / total, 3) if total else 0.0,
                "load_average": os.getloadavg()[0],
                "wake_up_late_ms": {"p50": round(ordered[len(ordered) // 2], 2),
                                    "p99": round(ordered[len(ordered) * 99 // 100], 2)}}
