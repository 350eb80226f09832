"""The processes of a demo network, and the ways to ask them things."""
import collections
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20


class DemoError(Exception):
    """Something that ends the demo, in words for the person who runs it."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def die_with_parent():
    """In the child: a demo that is killed leaves nothing running."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    os.setpgrp()  # Ctrl-C is handled by the demo alone, which stops things in order


class Process:
    """One program of the network with its log file."""

    def __init__(self, name, command, folder, stdin=subprocess.DEVNULL):
        self.name = name
        self.log_path = folder / f"{name}.log"
        self.log = open(self.log_path, "ab")  # a program that is started again goes on below
        self.popen = subprocess.Popen(command, stdin=stdin, stdout=self.log, stderr=self.log,
                                      preexec_fn=die_with_parent)

    def alive(self):
        return self.popen.poll() is None

    def stop(self, timeout_s=STOP_TIMEOUT_S):
        """SIGTERM, then SIGKILL after the timeout. Returns the exit code."""
        if self.alive():
            self.popen.send_signal(signal.SIGTERM)
            self.resume()  # a paused one would not hear it
        try:
            self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            say(f"{self.name} did not end within {timeout_s} s: killing it")
            self.popen.kill()
            self.popen.wait()
        self.log.close()
        return self.popen.returncode

    def kill(self):
        """SIGKILL: it has no time for anything."""
        self.popen.kill()
        self.popen.wait()
        self.log.close()

    def pause(self):
        self.popen.send_signal(signal.SIGSTOP)

    def resume(self):
        self.popen.send_signal(signal.SIGCONT)

    def tail(self):
        return self.log_path.read_text(errors="replace")[-1500:]


class Node:
    """A taygad and the ways to ask it things."""

    def __init__(self, network, name, roles, upload):
        self.network, self.name = network, name
        self.state = network.folder / name
        self.state.mkdir(mode=0o700)
        self.journal = self.state / "objects.jsonl"
        self.address = network.address_of(name)
        self.info = None
        self.config = self.state / "taygad.toml"
        self.config.write_text(f"""join = "{network.join_url}"
name = "{name}"
roles = {json.dumps(roles)}
state_dir = "{self.state}"

[peers]
listen = "{self.address}:0"
transport = "{network.options.transport}"

[limits]
upload = "{upload}"

[player]
listen = "{network.service_host(name)}:0"

[metrics]
listen = "{network.service_host(name)}:0"

[journal]
path = "{self.journal}"
""")
        self.process = None

    def start(self):
        """Also again, after its process was killed: it keeps its identity and what it had written."""
        self.process = self.network.run(self.name, [self.network.bin / "taygad", "--config", self.config])

    def status(self, command="status"):
        """The answer of `taygactl COMMAND --json`, or None while the daemon is not up."""
        done = subprocess.run([self.network.bin / "taygactl", "--socket", self.state / "taygad.sock", command, "--json"],
                              capture_output=True, text=True, timeout=20, check=False)
        if done.returncode not in (0, 4):
            return None
        return json.loads(done.stdout)

    def wait_up(self):
        """Until it answers; its ports are others after each start."""
        def answers():
            self.network.check_alive()
            return self.status()

        self.info = wait_for(answers, f"{self.name} to start")

    def wait_connected(self):
        def connected():
            self.network.check_alive()
            status = self.status()
            return status if status and status["orchestrator"]["connected"] else None

        self.info = wait_for(connected, f"{self.name} to reach the orchestrator")
        return self.info

    def player_url(self):
        return f"http://{self.info['listen']['player']}"

    def metrics_text(self):
        url = f"http://{self.info['listen']['metrics']}/metrics"
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.read().decode()

    def metrics(self):
        return parse_metrics(self.metrics_text())

    def journal_lines(self):
        if not self.journal.exists():
            return []
        with open(self.journal, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.endswith("\n")]


def parse_metrics(text):
    """Sums a Prometheus exposition over labels: {name: value}."""
    values = collections.defaultdict(float)
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name_and_labels, value = line.rsplit(" ", 1)
            values[name_and_labels.split("{", 1)[0]] += float(value)
    return values


def wait_for(condition, what, timeout_s=READY_TIMEOUT_S, interval_s=0.1):
    """Polls until `condition()` is truthy and returns it; DemoError names what did not come."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise DemoError(f"waited {timeout_s} s for {what}")
        time.sleep(interval_s)


def percentile(values, share):
    """Nearest-rank percentile; -1 of nothing."""
    if not values:
        return -1
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * share // 100) - 1))]
