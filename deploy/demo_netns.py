"""A network namespace of the demo's own, and packet filters in it."""
import ctypes
import json
import os
import subprocess

TABLE = "inet tayga_demo"


class NetnsError(Exception):
    """Why there is no namespace or filter, in words for the person who runs the demo."""


def run_tool(command, stdin=""):
    """What a tool of iproute2 or nftables prints; NetnsError when it is missing or complains."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise NetnsError(f"{command[0]} is missing: apt-get install iproute2 nftables") from error
    if done.returncode != 0:
        raise NetnsError(f"{' '.join(command)} failed: {done.stderr.strip()}; the kernel must have network "
                         "namespaces and nftables")
    return done.stdout


def enter():
    """Moves this process, before it starts anything, into a network namespace of its own, which vanishes
    with its last process."""
    clone_newnet = 0x40000000
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(clone_newnet) != 0:
        raise NetnsError(f"the system refuses a network namespace: {os.strerror(ctypes.get_errno())}; run it as root")
    run_tool(["ip", "link", "set", "lo", "up"])


def set_filter(*rules):
    """What arrives meets these rules from now on, and no others."""
    lines = "".join(f"    {rule}\n" for rule in rules)
    run_tool(["nft", "-f", "-"], f"""add table {TABLE}
delete table {TABLE}
table {TABLE} {{
  chain input {{
    type filter hook input priority 0; policy accept;
{lines}  }}
}}
""")


def counted_packets():
    """How many packets met the rules of set_filter() that say `counter`."""
    entries = json.loads(run_tool(["nft", "-j", "list", "table", *TABLE.split()]))["nftables"]
    parts = [part for entry in entries for part in entry.get("rule", {}).get("expr", [])]
    return sum(part["counter"]["packets"] for part in parts if "counter" in part)
