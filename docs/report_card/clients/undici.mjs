// undici's WebSocket, which is Node's own, plays what builtin.mjs plays.
import { createRequire } from "node:module";

globalThis.WebSocket = createRequire(`${process.argv[3]}/`)("undici").WebSocket;
await import("./builtin.mjs");
