// A driver for "python -m wsref check --client": it grades Node's ws.
import WebSocket from "ws";

const playNext = () => new Promise((resolve) => {
  const socket = new WebSocket(process.argv[2]);  // ws://127.0.0.1:9001/next?agent=ws
  let done = false;
  socket.on("message", (data, isBinary) => {
    done = String(data) === "done";
    if (!done) socket.send(data, { binary: isBinary });
  });
  socket.on("error", () => {});  // the grader breaks rules on purpose
  socket.on("close", () => resolve(done));
});

while (!(await playNext()));
