// faye-websocket: an echo server with its defaults.
import { createServer } from 'node:http';
import WebSocket from 'faye-websocket';

const http = createServer((request, response) => response.end('an echo server\n'));
http.on('upgrade', (request, socket, head) => {
  if (!WebSocket.isWebSocket(request)) return socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
  const ws = new WebSocket(request, socket, head);
  ws.on('message', (event) => ws.send(event.data));
});
http.listen(Number(process.argv[2]), '127.0.0.1');
