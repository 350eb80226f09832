#!/usr/bin/env python3
"""Does the simulator agree with reality? Runs one scenario both ways and prints both figures side by side.

The scenario: a stream plays, and every few seconds one of the busiest relays is killed with SIGKILL and comes
back later. (a) With real taygad processes, each in a network namespace of its own on one bridge (root; exit 77 where
that cannot be). (b) With tayga-sim parent_kill, given the same nodes, roles, uplinks, stream and kills, and the link
delay and jitter that were measured in (a): many programs on few processors wait for each other, and to a parent's child
that is jitter.

Both sides count the same: a repair gap is what a node's own relay says of each stripe that lost its parent, from the
parent's last beat until the stripe is whole at another parent; offload is 1 - media frames out of the gateway / bytes
of all objects that viewers had to play, which is all of them from 5 s after a viewer joined.

Exit: 0 both agree within 20 %, 1 they do not or something failed, 64 usage, 77 no namespaces here.
"""
import argparse
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import agreement_lab
from demo_netns import NetnsError
from demo_nodes import DemoError, percentile, say

SKIPPED = 77
TOLERANCE = 0.2
SIM_SEEDS = 20


@dataclasses.dataclass
class Setup:
    """What both sides are given."""
    nodes: int
    kills: int
    seed: int
    duration: float
    kill_every: float
    kill_back: float = 10.0  # in the middle between two kills: a start costs the machine something
    warm_up: float = 15.0   # of tayga-sim: before the first kill everybody plays
    healing: float = 10.0   # of tayga-sim: without kills at the end
    startup: float = 5.0    # of tayga-sim: a viewer's first seconds do not count
    stripes: int = 2
    window: float = 2.0
    bitrate: int = 1_000_000
    segment: float = 1.0
    fragment: float = 0.04
    # Viewers have too little to relay a stripe: relays must, so that a kill hits somebody.
    upload_kbit: dict = dataclasses.field(default_factory=lambda: {"gateway": 200_000, "relay": 20_000, "viewer": 300})

    @property
    def relays(self):
        return max(2, self.nodes * 2 // 5)

    @property
    def viewers(self):
        return self.nodes - self.relays

    def upload_of(self, role):
        return f"{self.upload_kbit[role]}kbit"


def simulate(setup, folder, links):
    """The figures of tayga-sim over SIM_SEEDS runs, and the command."""
    command = [str(folder / "tayga-sim"), "parent_kill", "--nodes", str(setup.nodes), "--relays", str(setup.relays),
               "--seed", str(setup.seed), "--seeds", str(SIM_SEEDS), "--duration", f"{round(setup.duration * 1000)}ms",
               "--window", f"{round(setup.window * 1000)}ms", "--stripes", str(setup.stripes),
               "--bitrate", str(setup.bitrate), "--segment", f"{round(setup.segment * 1000)}ms",
               "--rtt", f"{links['round_trip_us']}us", "--jitter", f"{round(links['jitter_ms'] * 1000)}us",
               "--spikes", f"{links['spikes'] * 100:.2f}", "--kill-relays-only",
               "--kill-every", f"{round(setup.kill_every * 1000)}ms",
               "--kill-back", f"{round(setup.kill_back * 1000)}ms", "--json"]
    for role in setup.upload_kbit:
        command += [f"--{role}-uplink", setup.upload_of(role)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        raise DemoError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-1500:]}")
    return json.loads(lines[-1]), command


def compare(real, simulated):
    """Rows of the table: figure, real, simulated, how far apart, and whether that is near enough."""
    rows = []
    for name, one, other, unit in (
            ("repair gap p50", percentile(real["repair_gaps_ms"], 50), simulated["relay_kill_repair_ms"]["p50"], "ms"),
            ("repair gap p99", percentile(real["repair_gaps_ms"], 99), simulated["relay_kill_repair_ms"]["p99"], "ms"),
            ("offload", real["offload"] * 100, simulated["offload"] * 100, "%")):
        apart = (other - one) / one if one > 0 else float("inf")
        rows.append({"figure": name, "unit": unit, "real": round(one, 1), "simulated": round(other, 1),
                     "difference": round(apart, 4), "within": abs(apart) <= TOLERANCE})
    return rows


def table(rows):
    lines = [f"{'figure':<18}{'real':>12}{'simulated':>12}{'difference':>12}  within {TOLERANCE:.0%}"]
    for row in rows:
        lines.append(f"{row['figure']:<18}{row['real']:>9} {row['unit']:<2}{row['simulated']:>9} {row['unit']:<2}"
                     f"{row['difference']:>+12.1%}  {'yes' if row['within'] else 'no'}")
    return "\n".join(lines)


def explain(setup, real, simulated):
    late = real["wake_up_late_ms"]
    return "\n".join([
        f"real       {setup.relays} relays, {setup.viewers} viewers, a gateway; {real['kills']} kills of relays that "
        f"sent {real['killed_stripes']} stripes; {len(real['repair_gaps_ms'])} repairs of them in the logs, "
        f"{real['other_repairs']} others, {real['repairs']:.0f} counted; {real['suspicions']:.0f} suspicions, "
        f"{real['false_suspicions']:.0f} of them false; {real['objects_due']} objects, {real['objects_late']} late, "
        f"{real['objects_lost']} lost",
        f"machine    processors {real['processors_busy']:.0%} busy, load {real['load_average']:.1f} on {os.cpu_count()}; "
        f"a sleeper woke up late by p50 {late['p50']} ms, p99 {late['p99']} ms; links {real['round_trip_us']} us there "
        f"and back, jitter {real['jitter_ms']} ms, spikes {real['spikes']:.2%}",
        f"simulated  {len(simulated['seeds'])} runs, {simulated['relay_kill_repairs']} repairs of what killed relays "
        f"sent, {simulated['relay_repairs'] - simulated['relay_kill_repairs']} others; "
        f"{simulated['objects']['complete']} objects, {simulated['objects']['late']} late, "
        f"{simulated['objects']['lost']} lost",
    ])


def parse_options():
    parser = argparse.ArgumentParser(prog="tests/bench/agreement.py", description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default=str(agreement_lab.ROOT / "build/release/bin"), help="folder of the programs")
    parser.add_argument("--nodes", type=int, default=20, help="relays (two fifths) and viewers (default 20)")
    parser.add_argument("--duration", type=float, help="of publishing, in seconds; default: as long as the kills take")
    parser.add_argument("--kills", type=int, default=12, help="how many relays are killed (default 12)")
    parser.add_argument("--every", type=float, default=4.0, help="seconds between kills (default 4)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the nodes' logs and journals")
    parser.add_argument("--json", action="store_true", help="the last line of stdout is the report as JSON")
    options = parser.parse_args()
    setup = Setup(nodes=options.nodes, kills=options.kills, seed=options.seed, duration=0.0, kill_every=options.every)
    least = setup.warm_up + setup.kill_every * (setup.kills - 1) + setup.healing
    if not 5 <= setup.nodes <= 60 or setup.kills < 1 or setup.kill_every < 1:
        parser.error("--nodes takes 5..60, --kills at least 1, --every at least 1 second")
    setup.duration = least if options.duration is None else options.duration
    setup.kills = int((setup.duration - setup.warm_up - setup.healing) / setup.kill_every) + 1
    if setup.duration < setup.warm_up + setup.healing:
        parser.error(f"--duration takes at least {setup.warm_up + setup.healing:g} seconds")
    return options, setup


def run_real(options, setup):
    lab = None
    try:
        lab = agreement_lab.Lab(setup, Path(options.bin))
        lab.options.keep = options.keep
        say(f"Starting an orchestrator, a gateway, {setup.relays} relays and {setup.viewers} viewers ...")
        lab.start()
        say(f"Playing for {setup.duration:g} s, {setup.kills} kills ...")
        lab.play()
        return lab.measure()
    finally:
        if lab:
            lab.stop()


def main():
    options, setup = parse_options()
    if not agreement_lab.can_make_namespaces():
        print("SKIPPED: this machine lets nobody make network namespaces with veth pairs on a bridge; run it as root. "
              "Nothing was compared.")
        return SKIPPED
    try:
        real = run_real(options, setup)
        say(f"Simulating the same with {SIM_SEEDS} seeds ...")
        simulated, command = simulate(setup, Path(options.bin).resolve(), real)
    except (DemoError, NetnsError, OSError, subprocess.SubprocessError) as error:
        say(f"agreement: {error}")
        return 1
    rows = compare(real, simulated)
    say(explain(setup, real, simulated) + f"\n           {' '.join(command)}")
    print(table(rows), flush=True)
    if options.json:
        print(json.dumps({"rows": rows, "real": real, "simulated": simulated}), flush=True)
    return 0 if all(row["within"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
