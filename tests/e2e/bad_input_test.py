#!/usr/bin/env python3
"""Gives the programs what people get wrong and holds: one clear message, the right exit code.

usage: bad_input_test.py BIN
"""
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

FINGERPRINT = "a" * 52
JOIN = f"tayga://127.0.0.1:9/{FINGERPRINT}"
USAGE, UNAVAILABLE, NO_PERMISSION, CONFIG, NOT_RUNNING = 64, 69, 77, 78, 3


class Cases:
    def __init__(self, binaries):
        self.bin = Path(binaries)
        self.failures = 0
        self.count = 0

    def expect(self, what, command, code, *fragments):
        """The command ends with `code`; stderr is short and holds every fragment."""
        self.count += 1
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            self.failures += 1
            print(f"FAILED {what}: still running after 60 s")
            return
        text = done.stderr
        wrong = [f"exit {done.returncode} instead of {code}"] if done.returncode != code else []
        wrong += [f"{fragment!r} is not in the message" for fragment in fragments if str(fragment) not in text]
        if len(text.strip().splitlines()) > 6:
            wrong.append("the message is longer than 6 lines")
        if wrong:
            self.failures += 1
            print(f"FAILED {what}: {'; '.join(wrong)}\n  stderr: {text.strip()[:1500]}")
        else:
            print(f"ok {what}: {text.strip().splitlines()[0] if text.strip() else ''}")


def write_config(folder, text, name="taygad.toml"):
    path = folder / name
    path.write_text(text)
    return path


def daemon_config(folder, extra="", join=JOIN, roles='["relay"]'):
    state = folder / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    return write_config(folder, f'join = "{join}"\nroles = {roles}\nstate_dir = "{state}"\n{extra}')


def daemon_cases(cases, folder):
    taygad = cases.bin / "taygad"

    def check(what, code, *fragments, **kwargs):
        cases.expect(what, [taygad, "--config", daemon_config(folder, **kwargs)], code, *fragments)

    cases.expect("no such config", [taygad, "--config", folder / "none.toml"], CONFIG, folder / "none.toml")
    cases.expect("an unknown flag", [taygad, "--colour"], USAGE, "--colour")
    check("a config that is no TOML", CONFIG, "taygad.toml", "line", extra="[limits\n")
    check("an unknown key", CONFIG, "uplod", "upload", "line", extra='[limits]\nuplod = "1mbit"\n')
    check("a rate without a number", CONFIG, "fast", extra='[limits]\nupload = "fast"\n')
    check("an unknown role", CONFIG, "boss", roles='["boss"]')
    check("a join URL of another kind", CONFIG, "https://example.org", "tayga://", join="https://example.org")
    check("a join URL with a short fingerprint", CONFIG, "52", join="tayga://127.0.0.1:7400/abc")
    check("a bad address", CONFIG, "nowhere", extra='[peers]\nlisten = "nowhere"\n')

    check("an unknown transport", CONFIG, "peers.transport", "udp", '"auto", "quic" or "tcp"',
          extra='[peers]\ntransport = "udp"\n')
    check("more workers than make sense", CONFIG, "peers.workers", "1000", extra="[peers]\nworkers = 1000\n")

    quiet = '[peers]\nlisten = "127.0.0.1:0"\n[player]\nlisten = "127.0.0.1:0"\n[metrics]\nlisten = "127.0.0.1:0"\n'
    identity = folder / "state" / "identity.pem"
    identity.write_text("not a key\n")
    identity.chmod(0o600)
    check("a key file that is none", NO_PERMISSION, identity, extra=quiet)
    if identity.read_text() != "not a key\n":
        cases.failures += 1
        print("FAILED: a bad key file was replaced")
    identity.chmod(0o644)
    check("a key file open to others", NO_PERMISSION, identity, "chmod 600", extra=quiet)
    identity.unlink()

    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        check("a peer port that is taken for UDP only", UNAVAILABLE, port, "peers.listen",
              extra=quiet.replace("127.0.0.1:0", f"127.0.0.1:{port}", 1))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        check("a taken peer port", UNAVAILABLE, port, "peers.listen",
              extra=quiet.replace("127.0.0.1:0", f"127.0.0.1:{port}", 1))
        check("a taken player port", UNAVAILABLE, port, "player.listen", roles='["viewer"]',
              extra=f'[peers]\nlisten = "127.0.0.1:0"\n[player]\nlisten = "127.0.0.1:{port}"\n[metrics]\nlisten = "127.0.0.1:0"\n')
    cases.expect("taygactl without a daemon", [cases.bin / "taygactl", "--socket", folder / "none.sock", "status"],
                 NOT_RUNNING, folder / "none.sock")
    cases.expect("taygactl with an unknown verb", [cases.bin / "taygactl", "explode"], USAGE, "explode")


def orchestrator_cases(cases, folder):
    program = cases.bin / "tayga-orchestrator"
    state = folder / "orchestrator"
    cases.expect("serve before init", [program, "serve", "--state", state], CONFIG, state, "init")
    subprocess.run([program, "init", "--state", state, "--address", "127.0.0.1:7400"], check=True, capture_output=True)
    cases.expect("init twice", [program, "init", "--state", state, "--address", "127.0.0.1:7400"], 1, state)
    cases.expect("an unknown key", [program, "serve", "--config",
                                    write_config(folder, f'state_dir = "{state}"\nlissten = "x"\n', "o.toml")],
                 CONFIG, "lissten", "line")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cases.expect("a taken control port", [program, "serve", "--state", state, "--listen", f"127.0.0.1:{port}",
                                              "--http", "127.0.0.1:0"], UNAVAILABLE, port)
    cases.expect("a verb without a server", [program, "stream", "ls", "--socket", folder / "none.sock"],
                 NOT_RUNNING, folder / "none.sock")
    key = state / "online.pem"
    key.chmod(0o644)
    cases.expect("an online key open to others", [program, "serve", "--state", state, "--listen", "127.0.0.1:0",
                                                  "--http", "127.0.0.1:0"], NO_PERMISSION, key, "chmod 600")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    os.umask(0o022)
    cases = Cases(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="tayga-bad-") as folder:
        daemon_cases(cases, Path(folder))
        orchestrator_cases(cases, Path(folder))
    print(f"{cases.count} cases, {cases.failures} failed")
    return 1 if cases.failures else 0


if __name__ == "__main__":
    sys.exit(main())
