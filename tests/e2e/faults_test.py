#!/usr/bin/env python3
"""Breaks a network of real programs, one fault after another, while viewers play: none may notice.

usage: faults_test.py BIN [--faults kill,pause,blackhole,orchestrator,loss] [--viewers N] [--relays N]
All runs in a network namespace of its own, in which each node has an address of its own, so that packet
filters reach single nodes. The faults: kill -9 a parent; SIGSTOP a parent for 5 s; nothing that a parent sends
arrives for 5 s, while it still hears the others; nobody reaches the orchestrator for 10 s; a fifth of
all packets between nodes is lost for 5 s.
"""
import argparse
import json
import sys
from pathlib import Path

from demo_test import SKIPPED, can_drop_udp, left_running

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "deploy"))
import demo_netns  # noqa: E402
import demo_network  # noqa: E402
from demo_nodes import DemoError, say  # noqa: E402

WARM_UP_S = 15
SPACING_S = 12  # from one fault's end to the next: until all have standbys again
FAULTS = {"kill": 5, "pause": 5, "blackhole": 5, "orchestrator": 10, "loss": 5}  # how long each lasts


class Addressed(demo_network.Network):
    """Each node listens at an address of its own."""

    def __init__(self, options):
        self.addresses = {}
        super().__init__(options)

    def address_of(self, name):
        return self.addresses.setdefault(name, f"127.0.1.{len(self.addresses) + 1}")


class Filters:
    """Faults of the network, by packet filters that count what they drop."""

    def __init__(self, network):
        self.network = network
        self.dropped = {}

    def hold(self, name, *rules):
        """These rules until the fault has lasted its time."""
        demo_netns.set_filter(*rules)
        say(f"{name}: {'; '.join(rules)}")
        self.network.script.after(FAULTS[name], lambda: self.release(name))

    def release(self, name):
        self.dropped[name] = demo_netns.counted_packets()
        demo_netns.set_filter()
        say(f"{name}: over, {self.dropped[name]} packets were dropped")

    def blackhole(self):
        relay, stripes = self.network.faults.busiest_relay()
        say(f"nothing that {relay.name} sends arrives: it sent {stripes} stripes to others")
        self.hold("blackhole", f"ip saddr {relay.address} meta l4proto udp counter drop")

    def orchestrator(self):
        port = self.network.grpc_port
        self.hold("orchestrator", f"tcp dport {port} counter drop", f"tcp sport {port} counter drop")

    def loss(self):
        self.hold("loss", "meta l4proto udp numgen random mod 100 < 20 counter drop")


def plan(network, filters, names):
    """Puts the faults into the network's script; returns how long players must play."""
    actions = {"kill": network.faults.kill_busiest_relay, "pause": network.faults.pause_another_relay,
               "blackhole": filters.blackhole, "orchestrator": filters.orchestrator, "loss": filters.loss}
    second = WARM_UP_S
    for name in names:
        network.script.at(second, actions[name])
        second += FAULTS[name] + SPACING_S
    return second


def problems_of(report, filters, names):
    must_be_zero = ["objects_lost", "stalls", "bytes_mismatched", "clients_failed_check", "clients_without_media"]
    problems = [f"{key} is {report[key]}" for key in must_be_zero if report[key] != 0]
    if "kill" in names and (report["kills"] != 1 or report["killed_stripes"] == 0):
        problems.append("no parent was killed that fed anybody")
    if "pause" in names and report["pauses"] != 1:
        problems.append("no parent was paused")
    problems += [f"{name}: no packet was dropped, nothing was tried" for name in names
                 if name not in ("kill", "pause") and filters.dropped.get(name, 0) == 0]
    return problems


def run(options, names):
    arguments = ["--bin", options.bin, "--viewers", options.viewers, "--relays", options.relays,
                 "--viewer-upload", "500kbit",  # so that relays feed them
                 "--transport", "quic", "--check", "decode", "--submit-interval", "2s"]
    network = Addressed(demo_network.parse_options(arguments))
    try:
        filters = Filters(network)
        network.options.duration = float(plan(network, filters, names))
        network.start()
        network.wait_live()
        network.play()
        network.collect()
        report = network.report()
        print(json.dumps({**report, "dropped": filters.dropped}, indent=1))
        return problems_of(report, filters, names)
    finally:
        network.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bin")
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--viewers", default="3")
    parser.add_argument("--relays", default="3")
    options = parser.parse_args()
    names = options.faults.split(",")
    if unknown := [name for name in names if name not in FAULTS]:
        parser.error(f"there is no fault '{unknown[0]}'; there are {', '.join(FAULTS)}")
    if not can_drop_udp():
        print("SKIPPED: this machine lets nobody make a network namespace with nftables; no fault was tried")
        return SKIPPED
    demo_netns.enter()
    try:
        problems = run(options, names)
    except (DemoError, demo_netns.NetnsError) as error:
        problems = [str(error)]
    problems += [f"left running: {process}" for process in left_running()]
    for problem in problems:
        print("FAILED:", problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
