// ws: echo until the connection ends, then the next case.
import { createRequire } from "node:module";

const WebSocket = createRequire(`${process.argv[3]}/`)("ws");

const play = () => new Promise((resolve) => {
  const socket = new WebSocket(process.argv[2]);
  let done = !process.argv[2].includes("/next");
  socket.on("message", (data, isBinary) => {
    if (String(data) === "done") done = true;
    else socket.send(data, { binary: isBinary });
  });
  socket.on("error", () => {});  // the grader breaks rules on purpose
  socket.on("close", () => resolve(done));
});

while (!(await play()));
