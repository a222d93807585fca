"""Independent peers over real sockets: clients that others wrote."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
from pathlib import Path

import pytest
from conftest import DEADLINE, found, require

from wsref import Echo, Limits
from wsref.cli.serve import tls_context

MESSAGES = ["", "hi", "héllo €😀", "x" * 125, "x" * 126, "x" * 65_535, "x" * 65_536, b"", b"\x00\xff", bytes(200_000)]


class Both(Echo):
    subprotocols = ("chat",)


class TestWebsocketsPackage:
    """https://websockets.readthedocs.io, threaded and asyncio clients."""

    @pytest.fixture(autouse=True)
    def there(self):
        pytest.importorskip("websockets")

    def test_an_echo_of_every_length(self, serve):
        from websockets.sync.client import connect

        with connect(serve(Both).url, subprotocols=["chat"]) as ws:
            assert ws.subprotocol == "chat"
            for message in MESSAGES:
                ws.send(message)
                assert ws.recv(timeout=DEADLINE) == message
            ws.ping().wait(DEADLINE)
            ws.send(["frag", "men", "ted"])
            assert ws.recv(timeout=DEADLINE) == "fragmented"
            ws.close(4000, "bye")
            assert (ws.protocol.close_rcvd.code, ws.protocol.close_sent.code) == (4000, 4000)

    def test_200_messages_sent_before_a_close_are_all_answered(self, serve):
        from websockets.sync.client import connect

        with connect(serve().url) as ws:
            for n in range(200):
                ws.send(str(n))
            assert [ws.recv(timeout=DEADLINE) for _ in range(200)] == [str(n) for n in range(200)]

    def test_a_message_that_is_too_big_gets_1009(self, serve):
        from websockets.exceptions import ConnectionClosedError
        from websockets.sync.client import connect

        server = serve(limits=Limits(max_message_size=1000, shutdown_timeout=0.5))
        with connect(server.url) as ws:
            ws.send("x" * 1001)
            with pytest.raises(ConnectionClosedError) as caught:
                ws.recv(timeout=DEADLINE)
            assert caught.value.rcvd.code == 1009

    @pytest.mark.parametrize("over_tls", [False, True])
    def test_the_asyncio_client(self, serve, certificate, over_tls):
        # (Over TLS, the client with threads uses one SSLSocket in two of them, and loses requests: CPython #143756.)
        from websockets.asyncio.client import connect

        async def talk(url, **options):
            async with connect(url, **options) as ws:
                for message in MESSAGES:
                    await ws.send(message)
                    assert await asyncio.wait_for(ws.recv(), DEADLINE) == message

        if over_tls:
            url = serve(ssl_context=tls_context(*certificate)).url
            asyncio.run(talk(url, ssl=ssl.create_default_context(cafile=certificate[0])))
        else:
            asyncio.run(talk(serve().url))


class TestWebsocketClientPackage:
    """https://websocket-client.readthedocs.io"""

    def test_an_echo_of_every_length(self, serve):
        websocket = pytest.importorskip("websocket")
        ws = websocket.create_connection(serve(Both).url, timeout=DEADLINE, subprotocols=["chat"])
        for message in MESSAGES:
            if isinstance(message, str):
                ws.send(message)
            else:
                ws.send_binary(message)
            opcode, data = ws.recv_data()
            expected = message.encode() if isinstance(message, str) else message
            assert (opcode, data) == (1 if isinstance(message, str) else 2, expected)
        ws.ping(b"x")
        assert ws.recv_data(control_frame=True) == (10, b"x")
        ws.close(status=4000, reason=b"bye", timeout=DEADLINE)


NODE_PROGRAM = """
const WebSocket = require('ws');
const [, url, certificate] = process.argv;
const ws = new WebSocket(url, ['chat'], {ca: certificate && require('fs').readFileSync(certificate)});
const sizes = [0, 1, 125, 126, 65535, 65536, 200000];
const said = {protocol: null, equal: 0, pong: null};
let next = 0;
const say = () => {
  if (next < sizes.length) ws.send('é'.repeat(sizes[next] >> 1));
  else if (next < 2 * sizes.length) ws.send(Buffer.alloc(sizes[next - sizes.length], 7));
  else ws.ping('are you there?');
};
ws.on('open', () => { said.protocol = ws.protocol; say(); });
ws.on('message', (data, binary) => {
  const size = sizes[next % sizes.length];
  const expected = binary ? Buffer.alloc(size, 7) : Buffer.from('é'.repeat(size >> 1));
  if (binary === next >= sizes.length && expected.equals(data)) said.equal++;
  next++;
  say();
});
ws.on('pong', data => { said.pong = data.toString(); ws.close(4000, 'bye'); });
ws.on('error', error => { console.log(JSON.stringify({error: error.message})); process.exit(1); });
ws.on('close', (code, reason) => console.log(JSON.stringify({...said, code})));
"""

NODE_EXPECTED = {"protocol": "chat", "equal": 14, "pong": "are you there?", "code": 4000}


class TestNodeWs:
    """https://github.com/websockets/ws: npm install --prefix tests/node"""

    def run(self, *arguments):
        require(found("node"), "node is not installed")
        folder = Path(os.environ.get("WSREF_NODE_MODULES") or Path(__file__).parent / "node" / "node_modules")
        require((folder / "ws").is_dir(), "Node's ws is not installed: npm install --prefix tests/node")
        environment = {**os.environ, "NODE_PATH": str(folder)}
        done = subprocess.run(
            ["node", "-e", NODE_PROGRAM, *arguments], env=environment, capture_output=True, text=True, timeout=30
        )
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def test_an_echo_of_every_length(self, serve):
        assert self.run(serve(Both).url) == NODE_EXPECTED

    def test_over_tls(self, serve, certificate):
        url = serve(Both, ssl_context=tls_context(*certificate)).url.replace("127.0.0.1", "localhost")
        assert self.run(url, certificate[0]) == NODE_EXPECTED
