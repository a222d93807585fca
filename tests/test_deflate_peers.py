"""Chapter 9 over real sockets: every combination of parameters, with peers that others wrote."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import threading
from pathlib import Path

import pytest
from conftest import DEADLINE, found, require, wait_until
from rawclient import TEXT, RawClient, connected, upgrade

from wsref import Compression, Connection, Echo, Message, Role
from wsref.protocol.deflate import accept_response, build_offer
from wsref.protocol.extensions import parse_extensions

WORDS = [f"message {n}: the quick brown fox jumps over the lazy dog, {n * 7919 % 1000}. " for n in range(30)]
MESSAGES = ["", "hi", *WORDS, "x" * 100_000, "".join(WORDS) * 20, random.Random(7).randbytes(70_000), bytes(300_000)]

#: Both ways: (server_no_context_takeover, client_no_context_takeover), as the client asks.
TAKEOVER = list(itertools.product([False, True], repeat=2))
BITS = range(9, 16)


class TestOpening:
    """What stands in the 101."""

    def test_a_server_without_compression_agrees_on_none(self, serve):
        with connected(serve(), None) as client:
            assert "Extensions" not in client.open(Sec_WebSocket_Extensions="permessage-deflate")

    def test_a_client_that_offers_none_gets_none(self, serve):
        with connected(serve(compression=Compression()), None) as client:
            assert "Extensions" not in client.open()

    def test_the_first_good_offer_is_taken_over_several_lines_and_once(self, serve):
        server = serve(compression=Compression(window_bits=15))
        offers = "x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=8, permessage-deflate; foo"
        with connected(server, None) as client:
            request = upgrade(Sec_WebSocket_Extensions=offers)
            more = (
                b"sec-websocket-extensions: permessage-deflate; server_max_window_bits=10, permessage-deflate\r\n\r\n"
            )
            client.send(request[:-2] + more)
            head = client.head()
        assert head.count("Extensions") == 1
        assert head.endswith("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10")

    def test_offers_that_are_all_declined_leave_a_connection_without(self, serve):
        server = serve(compression=Compression())
        with connected(server, None) as client:
            assert "Extensions" not in client.open(Sec_WebSocket_Extensions="foo, permessage-deflate; bar")
            client.send(b"\xc1\x80\0\0\0\0")
            code, reason = client.closed()
            assert code == 1002
            assert "no extension defines them" in reason

    def test_a_malformed_header_gets_400_naming_the_fault(self, serve):
        client = RawClient(serve(compression=Compression()).server_address)
        client.send(upgrade(Sec_WebSocket_Extensions='permessage-deflate; a="b c"'))
        answer = client.rest().decode()
        client.socket.close()
        assert answer.startswith("HTTP/1.1 400 ")
        assert """neither a name nor name=value: 'a="b c"' (RFC 6455 §9.1)""" in answer

    def test_a_broadcast_is_not_compressed(self, serve):
        server = serve(compression=Compression())
        with connected(server, None) as client:
            assert "permessage-deflate" in client.open(Sec_WebSocket_Extensions="permessage-deflate")
            wait_until(lambda: server.handlers)
            server.broadcast("x" * 1000)
            assert client.frame() == (TEXT, b"x" * 1000)  # it fails on RSV1


class TestWebsocketsPackage:
    """Its client, with each value of each parameter."""

    @pytest.mark.parametrize("takeover", TAKEOVER)
    @pytest.mark.parametrize("server_bits", BITS)
    def test_every_combination(self, serve, takeover, server_bits):
        pytest.importorskip("websockets")
        from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
        from websockets.sync.client import connect

        server = serve(compression=Compression(window_bits=15, threshold=0))
        for client_bits in BITS:
            factory = ClientPerMessageDeflateFactory(*takeover, server_bits, client_bits)
            with connect(server.url, compression=None, extensions=[factory]) as ws:
                (extension,) = ws.protocol.extensions
                assert extension.remote_no_context_takeover is takeover[0]
                assert extension.local_no_context_takeover is takeover[1]
                assert (extension.remote_max_window_bits, extension.local_max_window_bits) == (server_bits, client_bits)
                for message in MESSAGES[:: 1 if client_bits == 15 else 4]:
                    ws.send(message)
                    assert ws.recv(timeout=DEADLINE) == message
                ws.send(["frag", "men", "ted " * 1000])
                assert ws.recv(timeout=DEADLINE) == "fragmen" + "ted " * 1000

    def test_its_default_offer_and_ours(self, serve):
        pytest.importorskip("websockets")
        from websockets.sync.client import connect

        with connect(serve(compression=Compression()).url) as ws:
            assert len(ws.protocol.extensions) == 1
            for message in MESSAGES:
                ws.send(message)
                assert ws.recv(timeout=DEADLINE) == message


class TestAsAClient:
    """Our client's side against the server of the ``websockets`` package."""

    @pytest.mark.parametrize("takeover", [False, True])
    def test_every_window_both_ways(self, takeover):
        pytest.importorskip("websockets")
        from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
        from websockets.sync.server import serve

        def echo(ws):
            for message in ws:
                ws.send(message)

        for bits in BITS:
            factory = ServerPerMessageDeflateFactory(
                server_no_context_takeover=not takeover, client_no_context_takeover=not takeover,
                server_max_window_bits=bits, client_max_window_bits=bits,
            )  # fmt: skip
            wish = Compression(window_bits=bits, context_takeover=takeover, threshold=0)
            with serve(echo, "127.0.0.1", 0, compression=None, extensions=[factory]) as server:
                thread = threading.Thread(target=server.serve_forever)
                thread.start()
                client = RawClient(server.socket.getsockname())
                head = client.open(Sec_WebSocket_Extensions=build_offer(wish))
                (line,) = (line for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Extensions: "))
                (answer,) = parse_extensions(line.partition(": ")[2])
                connection = Connection(
                    Role.CLIENT, parameters=accept_response(answer.parameters, wish), compression=wish
                )
                for message in MESSAGES[::3]:
                    client.send(connection.send(message))
                    while not (event := connection.next_event()):
                        assert client.more()
                        connection.receive(bytes(client.buffer))
                        client.buffer.clear()
                    assert event == Message(message)
                client.send(connection.close())
                client.rest()
                client.socket.close()
                server.shutdown()
                thread.join()


NODE_PROGRAM = """
const WebSocket = require('ws');
const [, url] = process.argv;
const bits = [9, 10, 11, 12, 13, 14, 15];
const cases = [];
for (const s of [false, true]) for (const c of [false, true])
  for (const serverBits of bits) for (const clientBits of bits)
    cases.push({serverNoContextTakeover: s, clientNoContextTakeover: c,
                serverMaxWindowBits: serverBits, clientMaxWindowBits: clientBits, threshold: 0});
const words = [...Array(20).keys()].map(n => `message ${n}: the quick brown fox jumps over the lazy dog. `);
const messages = ['', 'hi', ...words, words.join('').repeat(40), Buffer.alloc(100000, 'abcdefg')];
const run = options => new Promise((resolve, reject) => {
  const ws = new WebSocket(url, {perMessageDeflate: options});
  let next = 0;
  const say = () => next < messages.length ? ws.send(messages[next]) : ws.close(1000);
  ws.on('open', () => { if (!ws.extensions) reject(new Error('no extension')); say(); });
  ws.on('message', data => {
    if (!Buffer.from(messages[next]).equals(data)) reject(new Error('not equal: ' + next));
    next++;
    say();
  });
  ws.on('error', reject);
  ws.on('close', code => code === 1000 ? resolve() : reject(new Error('closed ' + code)));
});
(async () => {
  let good = 0;
  for (const options of cases) {
    try { await run(options); good++; } catch (error) { console.log(JSON.stringify({options, error: error.message})); }
  }
  console.log(JSON.stringify({good}));
})();
"""


@pytest.mark.slow
def test_every_combination_with_nodes_ws(serve):
    require(found("node"), "node is not installed")
    folder = Path(os.environ.get("WSREF_NODE_MODULES") or Path(__file__).parent / "node" / "node_modules")
    require((folder / "ws").is_dir(), "Node's ws is not installed: npm install --prefix tests/node")
    server = serve(Echo, compression=Compression(window_bits=15, threshold=0))
    done = subprocess.run(
        ["node", "-e", NODE_PROGRAM, server.url],
        env={**os.environ, "NODE_PATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"good": 196}], done.stderr
