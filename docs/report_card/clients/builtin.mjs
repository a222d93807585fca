// The WebSocket of Node, Deno and Bun: echo until the connection ends, then the next case.
import process from "node:process";

const play = () => new Promise((resolve) => {
  const socket = new WebSocket(process.argv[2]);
  let done = !process.argv[2].includes("/next");
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    if (data === "done") done = true;
    else socket.send(data);
  };
  socket.onclose = () => resolve(done);
});

while (!(await play()));
