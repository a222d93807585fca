// undici's WebSocket, which is Node's own: echo until the connection ends, then the next case.
import { createRequire } from "node:module";

const { WebSocket } = createRequire(`${process.argv[3]}/`)("undici");

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
