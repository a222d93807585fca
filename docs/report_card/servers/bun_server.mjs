// Bun: an echo server with its defaults.
Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.argv[2]),
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response('an echo server\n')),
  websocket: {
    message: (ws, message) => void ws.send(message),
  },
});
