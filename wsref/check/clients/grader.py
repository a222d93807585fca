"""The server that plays cases with clients: its addresses, its connections, and a page for browsers.

==========================================  ==============================================================
address                                     what it does
==========================================  ==============================================================
``/``                                       the page that drives a browser through the cases
``/next?agent=NAME``                        the next case of this client; after the last one, the text ``done``
``/case/ID?agent=NAME``                     this case
``/status?agent=NAME``, ``/report?...``     the counts as JSON, and the report as a page, for the browser
``/getCaseCount``, ``/runCase?case=N``      Autobahn's, with ``/getCaseInfo``, ``/getCaseStatus``, ``/updateReports``
==========================================  ==============================================================
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import resources

from ..case import Verdict
from ..codec import CLOSE, TEXT, printable
from ..runner import Report, judge
from ..session import Deadline, Target
from ..verdict import Failed, Outcome, Skipped
from .agents import PROBE, Session
from .autobahn import Spec, behaviour, choose
from .plays import ClientCase
from .session import Client, ClientWire, Request, as_server

#: Connections at a time; further ones wait.
MAX_CONNECTIONS = 64

#: Clients that the grader remembers; a further one gets 503, unless an earlier one is over.
MAX_AGENTS = 64

#: Characters of the name of a client.
MAX_NAME = 200

#: Seconds for a client to send its request.
REQUEST_TIMEOUT = 10.0

#: Seconds after an error of accept(2): the client has gone, or there are no more descriptors for a while.
ACCEPT_AGAIN = 0.05


@dataclass
class Listeners:
    """What happens when something becomes known.  The functions are called in the threads of connections.

    Attributes:
        verdict: Called with each session and its new verdict.
        over: Called when a client is over: it received "done", or it asked for its report.
        page: Formats a report as an HTML page.
    """

    verdict: Callable[[Session, Verdict], None] = lambda session, verdict: None
    over: Callable[[Session], None] = lambda session: None
    page: Callable[[Report], str] = lambda report: ""


@dataclass
class Plan:
    """What to play, and how.

    Attributes:
        cases: The cases, in the order of the report.
        timeout: Seconds to wait for each answer.
        spec: A spec file of Autobahn, which may leave out cases for some agents.
        keep_bytes: Whether to keep the bytes also of cases that pass.
        echo: Whether clients echo messages; None: their first connections show it.
        tls: The server's side of TLS, for wss; None: no TLS.
    """

    cases: Sequence[ClientCase]
    timeout: float = 3.0
    spec: Spec = field(default_factory=Spec)
    keep_bytes: bool = False
    echo: bool | None = None
    tls: ssl.SSLContext | None = None


class Grader:
    """Listens, and plays cases with the clients that connect.

    It has more attributes than most classes here: its address in the forms in which clients and reports need it.

    Args:
        port: 0: any free port.
    Raises:
        OSError: It cannot listen there.
    """

    def __init__(
        self, plan: Plan, listeners: Listeners | None = None, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.plan = plan
        self.sessions: dict[str, Session] = {}
        self.unnamed = "a client"  # the name of a client that gives none
        self._listeners = listeners or Listeners()
        self._socket = socket.create_server((host, port), backlog=128, family=_family(host))
        port = self._socket.getsockname()[1]
        shown = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
        shown = f"[{shown.replace('%', '%25')}]" if ":" in shown else shown  # RFC 6874 §2: so a URL has a zone
        self.target = Target(shown, port, f"{shown}:{port}", secure=plan.tls is not None)
        self.url = self.target.url.removesuffix("/")
        self._room = threading.Semaphore(MAX_CONNECTIONS)
        self._lock = threading.Lock()
        self._is_closed = False

    # -- Connections --------------------------------------------------------------------------

    def start(self) -> None:
        """Accept connections from now on, in the background."""
        threading.Thread(target=self._accept, name="wsref check --client", daemon=True).start()

    def close(self) -> None:
        """Accept no further connection."""
        self._is_closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            self._room.acquire()
            try:
                sock, _ = self._socket.accept()
            except OSError:
                if self._is_closed:
                    return
                self._room.release()
                time.sleep(ACCEPT_AGAIN)
                continue
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with self._secured(sock) as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                wire = ClientWire(sock, self.target, self.plan.timeout)
                if (request := wire.request(Deadline(REQUEST_TIMEOUT))) is not None:
                    self._route(wire, request)
        except (OSError, Failed):
            pass  # the client is gone, or reads no more
        finally:
            self._room.release()

    def _secured(self, sock: socket.socket) -> socket.socket:
        """Return the socket, after a TLS handshake if the grader speaks TLS."""
        if self.plan.tls is None:
            return sock
        sock.settimeout(REQUEST_TIMEOUT)
        try:
            return self.plan.tls.wrap_socket(sock, server_side=True)
        except BaseException:
            sock.close()
            raise

    def _route(self, wire: ClientWire, request: Request) -> None:
        path, query = request.path, request.query
        given = query.get("agent", "")
        name = printable(given)[:MAX_NAME] if given else self.unnamed
        if path.startswith("/case/"):
            found = [case for case in (*self.plan.cases, PROBE) if case.id == path.removeprefix("/case/")]
            self._play_if(wire, request, self.session(name), found[0] if found else None)
        elif path == "/next":
            self._next(wire, request, self.session(name))
        elif path == "/runCase":
            self._play_if(wire, request, self.session(name), self._numbered_case(query))
        elif path in ("/getCaseCount", "/getCaseInfo", "/getCaseStatus", "/updateReports"):
            self._answer_autobahn(wire, request, path, name)
        else:
            self._answer_http(wire, request, name)

    def session(self, name: str, *, once: bool = False) -> Session | None:
        """Return the run of the client with this name, which may be a new one; None: there are too many."""
        with self._lock:
            if name not in self.sessions:
                if len(self.sessions) >= MAX_AGENTS:
                    over = [other for other, session in self.sessions.items() if session.is_over]
                    if not over:
                        return None
                    del self.sessions[over[0]]
                self.sessions[name] = Session(
                    name, self.plan.spec.select(self.plan.cases, name), once=once, echo=self.plan.echo
                )
            return self.sessions[name]

    # -- Cases ------------------------------------------------------------------------------------

    def numbered(self) -> list[ClientCase]:
        """Return the cases with numbers, from 1 on: those whose handshake is an ordinary one."""
        return [case for case in self.plan.cases if case.opens]

    def _numbered_case(self, query: dict[str, str]) -> ClientCase | None:
        if named := query.get("casetuple"):
            return next(iter(choose(self.numbered(), [named])), None)
        number = query.get("case", "")
        cases = self.numbered()
        if not re.fullmatch("[0-9]{1,9}", number) or not 1 <= int(number) <= len(cases):
            return None
        return cases[int(number) - 1]

    def _next(self, wire: ClientWire, request: Request, session: Session | None) -> None:
        if session is None or not request.is_upgrade:
            self._answer_http(wire, request, "", is_full=session is None)
        elif (case := session.next_case()) is not None:
            self.play(wire, request, session, case)
        else:
            session.wait_until_idle(self.plan.timeout * 4)
            self._say(wire, request, "done", session.agent.name)
            self._end(session)

    def _play_if(self, wire: ClientWire, request: Request, session: Session | None, case: ClientCase | None) -> None:
        if session is not None:
            session.by_number = request.path == "/runCase"
        if case is None or session is None or not request.is_upgrade or not session.begin(case):
            self._answer_http(wire, request, "", is_full=session is None)
        else:
            self.play(wire, request, session, case)

    def play(self, wire: ClientWire, request: Request, session: Session, case: ClientCase) -> None:
        """Play a case on a connection, and note its verdict."""
        agent = session.agent
        if request.is_upgrade:
            agent.offers_deflate = any(
                offer.startswith("permessage-deflate") for offer in request.tokens("Sec-WebSocket-Extensions")
            )
        verdict, client = Verdict(case, Outcome.PASS), Client(wire, request, agent, self.plan.timeout)

        def run() -> None:
            if reason := session.skip_reason(case):
                client.open()
                raise Skipped(reason)
            case.play.run(client)

        judge(verdict, run)
        agent.keys.append(client.key)
        if wire.masking_keys:
            agent.first_masks.append(wire.masking_keys[0])
        if verdict.outcome is Outcome.FAIL or self.plan.keep_bytes:
            verdict.recorded = [list(wire.recorded)]
        session.end(case, verdict, wire.close_code)
        if case is not PROBE:
            self._listeners.verdict(session, verdict)
        wire.finish()

    def _end(self, session: Session) -> None:
        """Report once that a client is over."""
        with self._lock:
            was_over, session.is_over = session.is_over, True
        if not was_over:
            self._listeners.over(session)

    def report(self, session: Session, *, stopped: str = "") -> Report:
        """Return the report on a client."""
        return session.report(self.target, stopped=stopped)

    # -- Other addresses ---------------------------------------------------------------------------

    def _say(self, wire: ClientWire, request: Request, message: str, name: str = "") -> None:
        """Open a WebSocket, send one message if there is one, and close."""
        client = Client(wire, request, Session(name, ()).agent, self.plan.timeout)
        client.open()
        wire.send((as_server(TEXT, message.encode()) if message else b"") + as_server(CLOSE, b"\x03\xe8"))
        wire.finish()

    def _answer_autobahn(self, wire: ClientWire, request: Request, path: str, name: str) -> None:
        case = self._numbered_case(request.query)
        session = self.sessions.get(name)
        if path == "/getCaseCount":
            return self._say(wire, request, str(len(self.numbered())))
        if path == "/getCaseInfo" and case is not None:
            about = {
                "id": case.id,
                "description": case.title,
                "expectation": case.play.accepts,
                "section": case.section,
            }
            return self._say(wire, request, json.dumps(about))
        if path == "/getCaseStatus" and case is not None and session is not None:
            session.wait_until_idle(self.plan.timeout * 4, case.id)
            word = behaviour(session.verdicts.get(case.id))
            return self._say(wire, request, json.dumps({"behavior": word, "behaviorClose": word}))
        if path == "/updateReports" and session is not None:
            session.wait_until_idle(self.plan.timeout * 4)
            self._end(session)
            return self._say(wire, request, "")
        return self._answer_http(wire, request, "")

    def _answer_http(self, wire: ClientWire, request: Request, name: str, *, is_full: bool = False) -> None:
        session, status, kind, body = self.sessions.get(name), "200 OK", "text/plain", ""
        if is_full:
            status, body = "503 Service Unavailable", f"{MAX_AGENTS} clients are graded now; use the name of one\n"
        elif request.is_upgrade:
            status, body = "404 Not Found", f"no case is at {request.path}\n"
        elif request.path == "/":
            kind, body = "text/html", resources.files(__package__).joinpath("page.html").read_text("utf-8")
            body = body.replace("{cases}", str(len(self.plan.cases)))
        elif request.path == "/status":
            kind, body = "application/json", json.dumps(_status(session, len(self.plan.cases)))
        elif request.path == "/report" and session is not None:
            kind, body = "text/html", self._listeners.page(self.report(session))
        else:
            status, body = "426 Upgrade Required", "this address opens a WebSocket; / has a page for browsers\n"
        data = body.encode()
        headers = [f"HTTP/1.1 {status}", f"Content-Type: {kind}; charset=utf-8", f"Content-Length: {len(data)}"]
        headers += (
            ["Connection: close, Upgrade", "Upgrade: websocket"] if status.startswith("426") else ["Connection: close"]
        )
        headers += ["Cache-Control: no-store", "X-Content-Type-Options: nosniff", "", ""]
        wire.send("\r\n".join(headers).encode() + data)
        wire.finish()


def _status(session: Session | None, number: int) -> dict[str, object]:
    """Return the counts of a client, and its last failures, for the page."""
    verdicts = list(session.verdicts.values()) if session else []
    failed = [verdict for verdict in verdicts if verdict.outcome is Outcome.FAIL]
    return {
        "all": number,
        "played": len(verdicts),
        "failed": [[v.case.id, v.case.level.value, v.case.title, v.why] for v in failed],
        "over": bool(session and session.is_over),
    }


def _family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
