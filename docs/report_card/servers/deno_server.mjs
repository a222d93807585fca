// Deno: an echo server with its defaults.
Deno.serve({ hostname: '127.0.0.1', port: Number(Deno.args[0]) }, (request) => {
  if (request.headers.get('upgrade')?.toLowerCase() !== 'websocket') return new Response('an echo server\n');
  const { socket, response } = Deno.upgradeWebSocket(request);
  socket.binaryType = 'arraybuffer';
  socket.onmessage = (event) => socket.send(event.data);
  return response;
});
