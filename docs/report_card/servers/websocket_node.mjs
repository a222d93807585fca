// WebSocket-Node (the package "websocket"): an echo server with its defaults.
import { createServer } from 'node:http';
import websocket from 'websocket';

const http = createServer((request, response) => response.end('an echo server\n'));
const server = new websocket.server({ httpServer: http });
server.on('request', (request) => {
  const connection = request.accept(null, request.origin);
  connection.on('message', ({ type, utf8Data, binaryData }) => {
    if (type === 'utf8') connection.sendUTF(utf8Data);
    else connection.sendBytes(binaryData);
  });
});
http.listen(Number(process.argv[2]), '127.0.0.1');
