"""uWebSockets, by socketify: an echo server with its defaults."""

import sys

from socketify import App, AppListenOptions

app = App()
app.ws("/", {"message": lambda ws, message, opcode: ws.send(message, opcode)})
app.get("/*", lambda res, req: res.end("an echo server\n"))
app.listen(AppListenOptions(port=int(sys.argv[1]), host="127.0.0.1"), lambda config: None)
app.run()
