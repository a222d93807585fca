# em-websocket: an echo server with its defaults.
require "em-websocket"

EM.run do
  EM::WebSocket.run(host: "127.0.0.1", port: ARGV[0].to_i) do |ws|
    ws.onmessage { |text| ws.send(text) }
    ws.onbinary { |data| ws.send_binary(data) }
    ws.onerror { |error| } # without this, an error of one client ends the server
  end
end
