"""The servers of the report card: what they are, and how to install, build and start each one.

``report_card.py --install`` installs packages of PyPI into a virtual environment in ``installed/``, packages of npm
into ``servers/node_modules``, and packages of Debian on the machine (as root).  It compiles the programs that need it
into ``installed/``.  Git ignores both directories.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsref import __version__

HERE = Path(__file__).parent
SERVERS = HERE / "servers"
INSTALLED = HERE / "installed"
PYTHON = INSTALLED / "venv" / "bin" / "python"
NODE_MODULES = SERVERS / "node_modules"

#: By the suffix of a program: how to compile it, in a shell in ``servers/``.
BUILD = {
    ".c": "cc -O2 -o {out} {file} {flags}",
    ".cpp": "c++ -O2 -fPIC -o {out} {file} {flags}",
    ".go": "GO111MODULE=off GOFLAGS= GOPATH=/usr/share/gocode go build -o {out} {file}",
    ".java": "javac -d {installed} -cp {flags} {file}",
    ".hs": "ghc -O -threaded -outputdir {out}-objects -o {out} {file}",
    ".erl": "erlc -o {installed} {file}",
}

#: By the suffix of a program: how to start it.
START = {
    ".py": "{python} {file} {port}",
    ".mjs": "node {file} {port}",
    ".rb": "ruby {file} {port}",
    ".pl": "perl {file} {port}",
    ".java": "java -cp {installed}:{flags} {stem} {port}",
    ".erl": "erl -noinput -pa {installed} {flags} -run {stem} main {port}",
}
COMPILED = "{out} {port}"

JARS = "/usr/share/java/"
TOMCAT = ":".join(
    JARS + f"{jar}.jar" for jar in ("tomcat10-embed-core", "tomcat10-embed-websocket", "jakarta-annotation-api")
)
JETTY = ":".join(
    JARS + f"{jar}.jar"
    for jar in (
        *(f"jetty9-{part}" for part in ("http", "io", "security", "server", "servlet", "util", "client")),
        *(f"jetty9-websocket-{part}" for part in ("api", "common", "server", "servlet", "client")),
        "servlet-api",
    )
)


@dataclass(frozen=True)
class Peer:
    """A server to grade.

    Attributes:
        file: Its program in ``servers/``.
        name: Its name on the page.
        language: The language of the program; "on Rust" and the like: the language of the library.
        packages: ``pip``, ``npm`` or ``apt``, and the packages; the first one has the version.
        about: A sentence for the page; empty: it needs none.
        start: How to start it; empty: see ``START``.
        flags: For the compiler, or the class path.
    """

    file: str
    name: str
    language: str
    packages: str
    about: str = ""
    start: str = ""
    flags: str = ""

    @property
    def key(self) -> str:
        """The name in the results and in links."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower().replace("++", "pp")).strip("-")

    def fill(self, template: str, port: int = 0) -> str:
        """Return a command line for a shell."""
        path = Path(self.file)
        return template.format(
            python=shlex.quote(sys.executable if self.file == "wsref_server.py" else str(PYTHON)),
            file=path,
            stem=path.stem,
            out=shlex.quote(str(INSTALLED / path.stem)),
            installed=shlex.quote(str(INSTALLED)),
            flags=self.flags,
            port=port,
        )


ASGI = "--host 127.0.0.1 --port {port}"

PEERS = (
    Peer("wsref_server.py", "wsref", "Python", "", "The authors of this server wrote the grader."),
    Peer("websockets_sync.py", "websockets (threads)", "Python", "pip websockets"),
    Peer("websockets_asyncio.py", "websockets (asyncio)", "Python", "pip websockets"),
    Peer("aiohttp_server.py", "aiohttp", "Python", "pip aiohttp"),
    Peer("tornado_server.py", "Tornado", "Python", "pip tornado"),
    Peer("wsproto_server.py", "wsproto", "Python", "pip wsproto"),
    Peer("simple_websocket_server.py", "simple-websocket", "Python", "pip simple-websocket"),
    Peer("websocket_server_server.py", "websocket-server", "Python", "pip websocket-server"),
    Peer("trio_websocket_server.py", "trio-websocket", "Python", "pip trio-websocket"),
    Peer("autobahn_server.py", "Autobahn", "Python", "pip autobahn"),
    Peer("gevent_server.py", "gevent-websocket", "Python", "pip gevent-websocket"),
    Peer("ws4py_server.py", "ws4py", "Python", "pip ws4py"),
    Peer("sanic_server.py", "Sanic", "Python", "pip sanic"),
    Peer(
        "asgi.py",
        "uvicorn",
        "Python",
        "pip uvicorn websockets httptools",
        start="{python} -m uvicorn asgi:echo --lifespan off --log-level critical " + ASGI,
    ),
    Peer(
        "asgi.py", "Hypercorn", "Python", "pip hypercorn", start="{python} -m hypercorn asgi:echo -b 127.0.0.1:{port}"
    ),
    Peer(
        "asgi.py",
        "Daphne",
        "Python",
        "pip daphne",
        start="{python} -m daphne -v 0 -b 127.0.0.1 -p {port} asgi:echo",
    ),
    Peer("picows_server.py", "picows", "Python on C", "pip picows"),
    Peer("socketify_server.py", "socketify (uWebSockets)", "Python on C++", "pip socketify"),
    Peer(
        "asgi.py",
        "Granian",
        "Python on Rust",
        "pip granian",
        start="{python} -m granian --interface asgi --no-log asgi:echo " + ASGI,
    ),
    Peer("ws.mjs", "ws", "JavaScript", "npm ws"),
    Peer("websocket_node.mjs", "WebSocket-Node", "JavaScript", "npm websocket"),
    Peer("faye.mjs", "faye-websocket (Node)", "JavaScript", "npm faye-websocket"),
    Peer("bun_server.mjs", "Bun", "JavaScript on C++", "npm bun", start="node_modules/.bin/bun {file} {port}"),
    Peer(
        "deno_server.mjs",
        "Deno",
        "JavaScript on Rust",
        "npm deno",
        start="node_modules/.bin/deno run --no-config --no-remote --allow-net=127.0.0.1 {file} {port}",
    ),
    Peer(
        "lws.c",
        "libwebsockets",
        "C",
        "apt libwebsockets-dev gcc libc6-dev pkg-config",
        flags="$(pkg-config --cflags --libs libwebsockets)",
    ),
    Peer(
        "soup.c",
        "libsoup",
        "C",
        "apt libsoup-3.0-dev gcc libc6-dev pkg-config",
        flags="$(pkg-config --cflags --libs libsoup-3.0)",
    ),
    Peer("beast.cpp", "Boost.Beast", "C++", "apt libboost-dev g++", flags="-pthread"),
    Peer(
        "websocketpp.cpp",
        "WebSocket++",
        "C++",
        "apt libwebsocketpp-dev libboost-system-dev g++",
        flags="-pthread -lboost_system",
    ),
    Peer(
        "qt_server.cpp",
        "Qt WebSockets",
        "C++",
        "apt qt6-websockets-dev g++ pkg-config",
        flags="$(pkg-config --cflags --libs Qt6WebSockets)",
    ),
    Peer("gorilla.go", "gorilla/websocket", "Go", "apt golang-github-gorilla-websocket-dev golang-go"),
    Peer("x_net.go", "x/net/websocket", "Go", "apt golang-golang-x-net-dev golang-go"),
    Peer("nhooyr.go", "nhooyr.io/websocket", "Go", "apt golang-nhooyr-websocket-dev golang-go"),
    Peer(
        "TomcatServer.java",
        "Tomcat",
        "Java",
        "apt libtomcat10-embed-java libjakarta-annotation-api-java default-jdk-headless",
        flags=TOMCAT,
    ),
    Peer(
        "JettyServer.java",
        "Jetty",
        "Java",
        "apt libjetty9-java libjetty9-extra-java default-jdk-headless",
        flags=JETTY,
    ),
    Peer("em_websocket.rb", "em-websocket", "Ruby", "apt ruby-em-websocket ruby"),
    Peer("faye_server.rb", "faye-websocket (Ruby)", "Ruby", "apt ruby-faye-websocket puma ruby"),
    Peer("mojo.pl", "Mojolicious", "Perl", "apt libmojolicious-perl"),
    Peer("echo_yaws.erl", "Yaws", "Erlang", "apt yaws erlang-base", flags="-pa /usr/lib/yaws-*/ebin"),
    Peer("haskell_websockets.hs", "websockets (Haskell)", "Haskell", "apt libghc-websockets-dev ghc"),
)


def build_command(peer: Peer) -> str:
    """Return the shell command that compiles a program; empty: it needs no compiler."""
    return peer.fill(BUILD.get(Path(peer.file).suffix, ""))


def start_command(peer: Peer, port: int) -> str:
    """Return the shell command that starts a server on a port of loopback."""
    return peer.fill(peer.start or START.get(Path(peer.file).suffix, COMPILED), port)


def version(peer: Peer) -> str:
    """Return the installed version; empty: it is not installed."""
    if not peer.packages:
        return __version__
    manager, package, *_ = peer.packages.split()
    if manager == "npm":
        try:
            return str(json.loads((NODE_MODULES / package / "package.json").read_text("utf-8"))["version"])
        except OSError:
            return ""
    if manager == "apt":
        return debian_version(package)
    ask = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
    found = re.match(r"\d[\w.]*", run([str(PYTHON), "-c", ask, package])[1])
    return found[0] if found else ""


def debian_version(package: str) -> str:
    """Return the installed version of a package of Debian, without Debian's own part; empty: it is not installed."""
    words = run(["dpkg-query", "--show", "--showformat=${Version}", package])[1]
    found = re.match(r"(?:\d+:)?(\d[\w.]*)", words)  # 1:2.3.4+dfsg-5
    return found[1] if found else ""


def runtimes() -> dict[str, str]:
    """Return the versions of the languages, as far as they are installed."""
    ask = {
        "CPython": f"{sys.executable} --version",
        "Node": "node --version",
        "GCC": "cc -dumpfullversion",
        "Go": "go version",
        "OpenJDK": "java --version",
        "Ruby": "ruby --version",
        "Perl": "perl -e printf('%vd',$^V)",
        "Erlang": "erl -noinput -eval io:put_chars(erlang:system_info(otp_release)),halt().",
        "GHC": "ghc --numeric-version",
        "Debian": "cat /etc/debian_version",
    }
    answers = {name: re.search(r"\d[\d.]+", run(command.split())[1]) for name, command in ask.items()}
    return {name: found[0] for name, found in answers.items() if found}


def missing(peer: Peer) -> str:
    """Return why a server cannot be started; empty: it can."""
    if not version(peer):
        return "not installed"
    path = INSTALLED / Path(peer.file).stem
    if build_command(peer) and not any(path.with_suffix(suffix).exists() for suffix in ("", ".class", ".beam")):
        return "not compiled"
    return ""


def install(peers: Sequence[Peer] = PEERS) -> int:
    """Install and compile what is possible; say what is missing, and why.  Return the number of missing servers."""
    INSTALLED.mkdir(exist_ok=True)
    if not PYTHON.exists():
        run([sys.executable, "-m", "venv", str(PYTHON.parents[1])])
    if any(peer.packages.startswith("npm") for peer in peers):
        run(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(SERVERS)])  # the list is package.json
    count = 0
    for peer in peers:
        if reason := install_one(peer):
            count += 1
            print(f"{peer.name}: missing: {reason}", file=sys.stderr)
        else:
            print(f"{peer.name} {version(peer)}", file=sys.stderr)
    return count


def install_one(peer: Peer) -> str:
    """Install the packages of a server, and compile its program; return what went wrong."""
    manager, *packages = peer.packages.split() or [""]
    code, words = 0, ""
    if manager == "pip":
        code, words = run([str(PYTHON), "-m", "pip", "install", "--quiet", *packages])
    elif manager == "npm" and not version(peer):
        return "npm did not install it"
    elif manager == "apt":
        code, words = install_from_debian(packages)
    if not code and (command := build_command(peer)):
        code, words = run(["sh", "-c", command], cwd=SERVERS)
    errors = [line for line in words.splitlines() if re.search("error|^E:", line, re.I)]
    return (errors or words.splitlines() or ["it failed"])[0] if code else ""


def install_from_debian(packages: Sequence[str]) -> tuple[int, str]:
    """Install packages of Debian that are not there; return an exit code, and the output or what is missing."""
    if not any(run(["dpkg-query", "--status", package])[0] for package in packages):
        return 0, ""
    if not shutil.which("apt-get") or os.geteuid():
        return 1, f"as root on Debian: apt-get install {' '.join(packages)}"
    return run(["apt-get", "install", "--yes", "--no-install-recommends", *packages])


def run(command: Sequence[str], cwd: Path | None = None) -> tuple[int, str]:
    """Run a command; return its exit code and its output."""
    try:
        done = subprocess.run(
            command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
    except OSError as error:
        return 127, str(error)
    return done.returncode, done.stdout


@contextlib.contextmanager
def started(peer: Peer) -> Iterator[int]:
    """Start a server; yield its port; end the server and its children."""
    port = free_port()
    env = {**os.environ, "PYTHONPATH": str(HERE.parent.parent)} if not peer.packages else dict(os.environ)
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        ["sh", "-c", f"exec {start_command(peer, port)}"],
        cwd=SERVERS,
        env=env,
        stdin=quiet,
        stdout=quiet,
        stderr=quiet,
        start_new_session=True,
    ) as process:
        try:
            wait_for(port, process)
            yield port
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    """Return a free port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    """Wait until a server listens on the port.

    Raises:
        RuntimeError: The server ended, or does not listen in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("it did not start")
