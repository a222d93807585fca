// Node's ws, as servers.py has the others: node ws.mjs PORT MODE
import { WebSocketServer } from 'ws';

const [port, mode] = process.argv.slice(2);
const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(port),
  backlog: 1024,
  maxPayload: 32 * 1024 * 1024,
  maxFragments: 0, // no limit, for 4 MiB in 64-byte fragments
  perMessageDeflate: mode === 'deflate' ? { threshold: 0 } : false,
});
server.on('connection', (socket) => {
  socket.on('error', () => {});
  socket.on('message', (message, isBinary) => {
    if (mode !== 'broadcast') {
      socket.send(message, { binary: isBinary });
    } else {
      for (const other of server.clients) other.send(message, { binary: isBinary });
    }
  });
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
