"""What goes wrong in a demo network on purpose, and how its nodes say that they dealt with it."""
import collections
import re

from demo_nodes import say

WARM_UP_S = 15  # until every viewer has its parents and standbys
RESTART_S = 5  # a killed relay comes back after
PAUSE_S = 5
ORCHESTRATOR_AWAY_S = 10
KILL_SPACING_S = 20
FULL_DURATION_S = 60  # in shorter runs the same comes sooner
DURATION_MIN_S = 40  # below, one fault would not be over when the next comes


class Script:
    """Actions with the second of the run at which each is due. An action may add later ones."""

    def __init__(self):
        self.steps = []
        self.now = 0.0

    def at(self, second, action):
        self.steps.append((second, action))

    def after(self, seconds, action):
        self.at(self.now + seconds, action)

    def run_due(self, elapsed_s):
        while self.steps and min(self.steps, key=lambda step: step[0])[0] <= elapsed_s:
            step = min(self.steps, key=lambda step: step[0])
            self.steps.remove(step)
            self.now = elapsed_s
            step[1]()


class Faults:
    """Does them, and counts what was done."""

    def __init__(self, network, script):
        self.network, self.script = network, script
        self.kills = 0
        self.killed_stripes = 0  # that the killed relays sent to children
        self.pauses = 0
        self.received_by_killed = 0.0  # verified payload, which their own counters took with them
        self.last_killed = None
        self.down = set()

    def busiest_relay(self, but=()):
        """(relay, stripes that it sends to children) of the one that sends most."""
        candidates = [relay for relay in self.network.relays if relay not in self.down and relay not in but]
        counted = [(sum(p["stripes_to"] for p in (relay.status("peers") or {"peers": []})["peers"]), relay)
                   for relay in candidates]
        stripes, relay = max(counted, key=lambda entry: entry[0])
        return relay, stripes

    def kill_busiest_relay(self):
        relay, stripes = self.busiest_relay()
        self.received_by_killed += relay.metrics()["tayga_relay_payload_received_bytes_total"]
        self.network.kill(relay.process)
        self.kills += 1
        self.killed_stripes += stripes
        self.last_killed = relay
        self.down.add(relay)
        say(f"killed {relay.name}, which sent {stripes} stripes to others")
        self.script.after(RESTART_S, lambda: self.restart(relay))

    def restart(self, relay):
        relay.start()
        relay.wait_up()
        self.down.discard(relay)
        say(f"{relay.name} is back")

    def pause_another_relay(self):
        but = [self.last_killed] if len(self.network.relays) - len(self.down | {self.last_killed}) > 0 else []
        relay, stripes = self.busiest_relay(but)
        relay.process.pause()
        self.pauses += 1
        self.down.add(relay)
        say(f"paused {relay.name}, which sent {stripes} stripes to others")
        self.script.after(PAUSE_S, lambda: self.resume(relay))

    def resume(self, relay):
        relay.process.resume()
        self.down.discard(relay)
        say(f"{relay.name} goes on")

    def kill_orchestrator(self):
        self.network.kill(self.network.orchestrator)
        self.kills += 1
        say("killed the orchestrator")
        self.script.after(ORCHESTRATOR_AWAY_S, self.restart_orchestrator)

    def restart_orchestrator(self):
        self.network.serve_orchestrator()
        say("the orchestrator is back")


def faults_of(network, options):
    """(Faults, Script) that --kill-parent and --kill-orchestrator ask for; an empty script without them."""
    script = Script()
    faults = Faults(network, script)
    duration = options.duration or 0
    pace = min(1.0, duration / FULL_DURATION_S)
    if options.kill_parent:
        first = WARM_UP_S * pace
        script.at(first, faults.kill_busiest_relay)
        script.at(first + KILL_SPACING_S * pace / 2, faults.pause_another_relay)
        script.at(first + KILL_SPACING_S * pace, faults.kill_busiest_relay)
    if options.kill_orchestrator:
        script.at(duration / 3, faults.kill_orchestrator)
    return faults, script


BUCKET = re.compile(r'^tayga_repair_gap_seconds_bucket\{.*le="([^"]+)"\} (\d+)$')


def quantile(buckets, share):
    """Of {upper bound: cumulative count}: evenly spread within a bucket, as Prometheus takes it; -1 of nothing."""
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0
    if total == 0:
        return -1.0
    begin, below = 0.0, 0
    for bound in bounds:
        count = buckets[bound]
        if count >= share * total and count > below:
            width = 0.0 if bound == float("inf") else bound - begin
            return begin + width * (share * total - below) / (count - below)
        if bound != float("inf"):
            begin = bound
        below = count
    return begin


class Healing:
    """What the nodes tell of suspicions, repairs and rescues, summed over them."""

    COUNTERS = ("suspicions", "false_suspicions", "promotions", "repairs", "duplicate_bytes", "payload_bytes_in",
                "gateway_bytes", "origin_bytes")

    def __init__(self):
        self.sums = collections.Counter()
        self.buckets = collections.Counter()
        self.max_ms = 0.0

    def add(self, node):
        """What a node that runs tells; one that was killed took its own figures with it."""
        relay = (node.status() or {}).get("relay", {})
        self.sums.update({name: relay.get(name, 0) for name in self.COUNTERS})
        gaps = (node.status("streams") or {}).get("repair_gap_ms", {"max": 0})
        self.max_ms = max(self.max_ms, gaps["max"])
        for line in node.metrics_text().splitlines():
            if bucket := BUCKET.match(line):
                self.buckets[float(bucket[1])] += int(bucket[2])

    def report(self):
        def at_ms(share):
            value = quantile(self.buckets, share)
            return -1 if value < 0 else round(min(value * 1000, self.max_ms), 1)

        media = self.sums["payload_bytes_in"] + self.sums["duplicate_bytes"]
        return {
            "repair_gap_ms": {"p50": at_ms(0.5), "p99": at_ms(0.99), "max": round(self.max_ms, 1),
                              "count": self.buckets[float("inf")]},
            "suspicions": self.sums["suspicions"], "false_suspicions": self.sums["false_suspicions"],
            "promotions": self.sums["promotions"], "repairs": self.sums["repairs"],
            "duplicate_ratio": round(self.sums["duplicate_bytes"] / media, 5) if media else 0.0,
            "origin_bytes": self.sums["origin_bytes"], "gateway_rescue_bytes": self.sums["gateway_bytes"],
        }
