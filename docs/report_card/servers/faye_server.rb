# faye-websocket under Puma: an echo server with its defaults.
require "faye/websocket"
require "puma"

Faye::WebSocket.load_adapter("puma")
app = lambda do |env|
  next [200, { "content-type" => "text/plain" }, ["an echo server\n"]] unless Faye::WebSocket.websocket?(env)

  ws = Faye::WebSocket.new(env)
  ws.on(:message) { |event| ws.send(event.data) }
  ws.rack_response
end
server = Puma::Server.new(app)
server.add_tcp_listener("127.0.0.1", ARGV[0].to_i)
server.run.join
