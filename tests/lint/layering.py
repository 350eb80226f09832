#!/usr/bin/env python3
"""Holds the layering rules of ARCHITECTURE.md and the coroutine rule over the source tree.

usage: layering.py ROOT            checks the tree
       layering.py --self-test     checks the checker on small made-up files
"""
import re
import sys
from pathlib import Path

BASE = ["common/base"]
PURE_COMMON = ["common/base", "common/crypto", "common/wire", "common/media"]
SHELL_COMMON = PURE_COMMON + ["common/async", "common/log", "common/metrics", "common/transport", "common/http",
                              "common/grpc"]
TRANSPORT = ["common/base", "common/crypto", "common/wire", "common/async", "common/log"]

# Folder -> folders of ours whose headers it may include (itself is always allowed).
ALLOWED = {
    "common/base": [],
    "common/crypto": BASE,
    "common/wire": BASE,
    "common/media": ["common/base", "common/crypto", "common/wire"],
    "common/async": ["common/base", "common/log"],
    "common/config": BASE,
    "common/log": BASE,
    "common/metrics": BASE,
    "common/grpc": BASE,
    "common/http": ["common/base", "common/async", "common/log"],
    "common/admin": ["common/base", "common/async", "common/log"],
    "common/transport": TRANSPORT,
    # The two transports do not know each other; workers and dual put transports together.
    "common/transport/tls": TRANSPORT + ["common/transport"],
    "common/transport/quic": TRANSPORT + ["common/transport"],
    "common/transport/workers": TRANSPORT + ["common/transport", "common/transport/tls", "common/transport/quic"],
    "common/transport/dual": TRANSPORT + ["common/transport"],
    "daemon/core": PURE_COMMON,
    # tls: it fetches a certificate chain to pin, no sessions
    "daemon/control": SHELL_COMMON + ["common/transport/tls", "daemon/core"],
    "daemon/peers": SHELL_COMMON + ["common/transport/dual", "common/transport/workers", "daemon/core", "daemon/control"],
    "daemon/ingest": SHELL_COMMON + ["daemon/core"],
    "daemon/playback": SHELL_COMMON + ["daemon/core", "daemon/ingest"],  # playlists, the catalog
    "daemon/rescue": SHELL_COMMON + ["daemon/core", "daemon/ingest"],  # where a URL leads
    "daemon": SHELL_COMMON + ["common/transport/dual", "common/transport/workers", "common/config", "common/admin", "daemon/core", "daemon/control",
                              "daemon/peers", "daemon/ingest", "daemon/playback", "daemon/rescue"],
    "orchestrator/model": ["common/base", "common/crypto"],
    "orchestrator/solver": ["common/base", "common/crypto", "orchestrator/model"],
    "orchestrator/registry": PURE_COMMON + ["orchestrator/model", "orchestrator/solver"],
    "orchestrator/ledger": PURE_COMMON + ["orchestrator/model"],
    "orchestrator/store": SHELL_COMMON + ["orchestrator/model", "orchestrator/ledger"],
    "orchestrator/rpc": SHELL_COMMON + ["orchestrator/model", "orchestrator/registry", "orchestrator/ledger"],
    "orchestrator/http": SHELL_COMMON + ["orchestrator/model", "orchestrator/registry", "orchestrator/ledger"],
    "orchestrator/keys": PURE_COMMON + ["common/log"],
    "orchestrator/app": SHELL_COMMON + ["common/config", "common/admin", "orchestrator/model",
                                        "orchestrator/solver", "orchestrator/registry", "orchestrator/ledger",
                                        "orchestrator/store", "orchestrator/rpc", "orchestrator/http",
                                        "orchestrator/keys"],
    "orchestrator": SHELL_COMMON + ["orchestrator/app", "orchestrator/keys", "common/config", "common/admin", "orchestrator/model",
                                    "orchestrator/solver", "orchestrator/registry", "orchestrator/ledger",
                                    "orchestrator/store", "orchestrator/rpc", "orchestrator/http"],
}

# Pure folders read no clock, socket, random source or environment.
PURE = ["common/base", "common/wire", "common/media", "daemon/core", "orchestrator/model",
        "orchestrator/registry", "orchestrator/solver", "orchestrator/ledger"]
PURE_FORBIDDEN = re.compile(
    r"(system_clock|steady_clock|high_resolution_clock)::now|random_device|\bgetenv\b|\bstd::rand\b|\btime\(nullptr\)")
PURE_FORBIDDEN_INCLUDES = re.compile(
    r"^(boost/asio|boost/beast|openssl/|grpc|rocksdb/|ngtcp2/|gnutls/|curl/|spdlog/|prometheus/|sys/socket|netinet/|thread$|random$)")

# Foreign header prefix -> the only folders that include it.
FOREIGN = {
    "rocksdb/": ["orchestrator/store"],
    "ngtcp2/": ["common/transport/quic"],
    "gnutls/": ["common/transport/quic"],
    "openssl/": ["common/crypto", "common/transport/tls"],
    "sodium": ["common/crypto"],
    "curl/": ["common/http"],
    "boost/beast": ["common/http"],
    "spdlog/": ["common/log"],
    "toml++/": ["common/config"],
    "grpc": ["common/grpc", "daemon/control", "orchestrator/rpc"],
    "google/protobuf": ["daemon/control", "orchestrator/rpc"],
    "tayga/v1/": ["daemon/control", "orchestrator/rpc"],
    "absl/": ["common/grpc"],
    "CLI/": ["daemon", "orchestrator"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.M)
COMMENT_OR_TEXT = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.S)
CAPTURING_LAMBDA = re.compile(r"(?<![\w\])>])\[\s*[&=\w*][^\]]*\]\s*(\(|\{|mutable|->)")


def without_comments_and_text(source):
    """Blanks comments and literals, keeping offsets and line numbers."""
    return COMMENT_OR_TEXT.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), source)


def folder_of(path):
    """The layer a source path belongs to: the longest known folder that holds it."""
    known = [f for f in ALLOWED if path == f or path.startswith(f + "/")]
    return max(known, key=len, default=None)


def after_co_await(code):
    """Yields (offset, rest of the expression that follows the co_await in its statement)."""
    for match in re.finditer(r"\bco_await\b", code):
        depth = 0
        for end in range(match.end(), len(code)):
            char = code[end]
            if char in "([{":
                depth += 1
            elif char in ")]}":
                depth -= 1
                if depth < 0:
                    break
            elif char == ";" and depth == 0:
                break
        yield match.start(), code[match.end():end]


def conditions(code):
    """Yields (offset, text between the parentheses) of every if, while, for and switch."""
    for match in re.finditer(r"\b(?:if|while|for|switch)\s*(?:constexpr\s*)?\(", code):
        depth = 1
        end = match.end()
        while end < len(code) and depth > 0:
            depth += {"(": 1, ")": -1}.get(code[end], 0)
            end += 1
        yield match.start(), code[match.end():end - 1]


def check_file(path, source):
    """Problems of one file as (line, text)."""
    problems = []
    layer = folder_of(path)
    code = without_comments_and_text(source)

    def report(offset, text):
        problems.append((source.count("\n", 0, offset) + 1, text))

    for match in INCLUDE.finditer(source):
        ours, foreign = match.groups()
        if ours and ours.startswith("tayga/v1/"):
            ours, foreign = None, ours  # generated code: foreign in all but the way it is included
        if ours:
            target = folder_of(ours)
            if target is None:
                report(match.start(), f'"{ours}" is in no known layer')
            elif target != layer and target not in ALLOWED[layer]:
                report(match.start(), f"{layer} must not include {target} ({ours})")
        else:
            for prefix, folders in FOREIGN.items():
                if foreign.startswith(prefix) and layer not in folders:
                    report(match.start(), f"<{foreign}> belongs to {', '.join(folders)} only")
            if layer in PURE and PURE_FORBIDDEN_INCLUDES.match(foreign):
                report(match.start(), f"{layer} is pure and must not include <{foreign}>")
    if layer in PURE:
        for match in PURE_FORBIDDEN.finditer(code):
            report(match.start(), f"{layer} is pure and must not use {match.group()}")
    for match in re.finditer(r"\basio::detached\b|\bthis_thread::sleep_(?:for|until)\b|\busleep\b", code):
        report(match.start(), f"{match.group()} is banned: use a TaskGroup, a timer or an event")
    for offset, rest in after_co_await(code):
        if "{" in rest or CAPTURING_LAMBDA.search(rest):
            report(offset, "name the aggregate or lambda before the co_await statement "
                           "(g++ 12 destroys such temporaries twice)")
    for offset, text in conditions(code):
        if re.search(r"\bco_await\b", text):
            report(offset, "name the awaited value before the condition "
                           "(g++ 12 miscompiles a co_await inside one)")
    return problems


def check_tree(root):
    failures = 0
    files = 0
    for top in ("common", "daemon", "orchestrator"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".hpp", ".cpp"):
                continue
            files += 1
            name = path.relative_to(root).as_posix()
            for line, text in check_file(name, path.read_text(encoding="utf-8")):
                failures += 1
                print(f"{name}:{line}: {text}")
    print(f"{files} files, {failures} problems")
    if files == 0:
        print("nothing was checked: is the root right?")
    return 1 if failures or files == 0 else 0


def self_test():
    bad = {
        "upward include": ("common/base/a.hpp", '#include "daemon/core/relay.hpp"\n'),
        "sideways include": ("orchestrator/solver/a.cpp", '#include "daemon/core/relay.hpp"\n'),
        "one transport in another": ("common/transport/tls/a.cpp", '#include "common/transport/quic/streams.hpp"\n'),
        "a transport in the relay": ("daemon/core/a.cpp", '#include "common/transport/tls/link.hpp"\n'),
        "a transport in the control session": ("daemon/control/a.cpp", '#include "common/transport/quic/quic_transport.hpp"\n'),
        "QUIC's library beside QUIC": ("common/transport/workers/a.cpp", "#include <ngtcp2/ngtcp2.h>\n"),
        "foreign library": ("daemon/core/a.cpp", "#include <rocksdb/db.h>\n"),
        "asio in a core": ("daemon/core/a.cpp", "#include <boost/asio/ip/tcp.hpp>\n"),
        "clock in a core": ("daemon/core/a.cpp", "auto t = std::chrono::steady_clock::now();\n"),
        "sleep": ("daemon/app.cpp", "std::this_thread::sleep_for(1s);\n"),
        "detached": ("daemon/app.cpp", "co_spawn(x, f(), asio::detached);\n"),
        "aggregate": ("daemon/app.cpp", "co_await f(Options{1, 2});\n"),
        "lambda": ("daemon/app.cpp", "co_await f([&x](int) { return x; });\n"),
        "condition": ("daemon/app.cpp", "if (co_await f()) co_return;\n"),
        "loop condition": ("daemon/app.cpp", "while (x && co_await f()) g();\n"),
        "initialiser": ("daemon/app.cpp", "if (const auto r = co_await f(); r) { g(); }\n"),
        "value lambda": ("daemon/app.cpp", "auto r = co_await f([x = std::move(y)] { return 1; });\n"),
    }
    good = {
        "allowed include": ("daemon/core/a.cpp", '#include "common/wire/frame.hpp"\n'),
        "block after": ("daemon/app.cpp", "const auto r = co_await f();\nif (r) { g(); }\n"),
        "branch": ("daemon/app.cpp", "if (x) co_await f();\n"),
        "binding": ("daemon/app.cpp", "const auto [ec, n] = co_await s.async_read(b, as_values);\nfoo({1});\n"),
        "index": ("daemon/app.cpp", "co_await f(names[i]);\n"),
        "comment": ("daemon/core/a.cpp", "// steady_clock::now() and asio::detached\n"),
    }
    wrong = [n for n, (p, s) in bad.items() if not check_file(p, s)]
    wrong += [n for n, (p, s) in good.items() if check_file(p, s)]
    print("self-test:", "failed: " + ", ".join(wrong) if wrong else f"{len(bad) + len(good)} cases passed")
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(self_test() if sys.argv[1] == "--self-test" else check_tree(Path(sys.argv[1])))
