// The article's server, in its order and with its names: node server.mjs [PORT]
// What the article left for later, the frames and all that follows, is in conversation.mjs.

import { createHash } from 'node:crypto';
import { createServer, ServerResponse, STATUS_CODES } from 'node:http';
import { converse, hangUp } from './conversation.mjs';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'; // RFC 6455 §1.3
const VERSIONS = ['13', '8'];
const TCHAR = "[!#$%&'*+\\-.^_`|~\\w]"; // RFC 9110 §5.6.2
const TOKEN = new RegExp(`^${TCHAR}+$`);
const PARAMETER = new RegExp(`^${TCHAR}+([ \\t]*=[ \\t]*(${TCHAR}+|"(\\\\?${TCHAR})+"))?$`); // RFC 6455 §9.1
const KEY = /^[+/0-9A-Za-z]{22}==$/; // 16 bytes in base64
const HOST = /^([-.\w~%!$&'()*+,;=]*|\[[\da-f:.]+\])(:\d*)?$/i; // RFC 9110 §7.2
const PAGES = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/; // we listen on loopback only

// Chapter 1: an HTTP base.  Node reads the head; what is not HTTP it answers itself, with 400.
const server = createServer(fallback);

// Chapter 2: upgrade detection.  Node fires when Connection names upgrade and there is an Upgrade header.
server.on('upgrade', handleUpgrade);

function handleUpgrade(request, socket, head) {
  socket.on('error', () => socket.destroy()); // a client that vanishes must not end the server
  if (request.httpVersion === '1.0') return notAnUpgrade(request, socket);
  const broken = validate(request);
  if (broken.length > 0) return abortHandshake(request, socket, 400, broken);
  if (!verifyClient(request)) return abortHandshake(request, socket, 403, ['a page from elsewhere']);
  completeUpgrade(request, socket);
  converse(socket, head, (message, send) => send(message)); // an echo
}

// Node fires for HTTP/1.0 too.  RFC 9110 §7.8: "A server that receives an Upgrade header field in an
// HTTP/1.0 request MUST ignore that Upgrade field."
function notAnUpgrade(request, socket) {
  const response = new ServerResponse(request);
  response.assignSocket(socket);
  response.on('finish', () => hangUp(socket));
  fallback(request, response);
}

// Chapter 3: validation.  One row for each rule: what is asked, and whether it is so.
function validate(request) {
  const lines = (name) => request.headersDistinct[name] ?? [];
  const only = (name) => (lines(name).length === 1 ? lines(name)[0] : '');
  const elements = (name) => lines(name).join().split(',').map((word) => word.trim()).filter(Boolean);
  const upgrades = elements('upgrade').map((name) => name.toLowerCase());
  const protocols = elements('sec-websocket-protocol');
  const extensions = elements('sec-websocket-extensions').map((element) => element.split(';'));
  const rules = [
    ['there must be one Host', hasOneHost(request)],
    ['the method must be GET', request.method === 'GET'],
    ['Upgrade must name websocket', upgrades.includes('websocket')],
    ['there must be one key, 16 bytes in base64', KEY.test(only('sec-websocket-key'))],
    ['the version must be 13 or 8', VERSIONS.includes(only('sec-websocket-version'))],
    ['a subprotocol is a token', protocols.every((name) => TOKEN.test(name))],
    ['a subprotocol is offered once', new Set(protocols).size === protocols.length],
    ['an extension is a name, perhaps with parameters', extensions.every(isExtension)],
    ['there must be no body', !lines('transfer-encoding').length && !Number(lines('content-length').join())],
  ];
  return rules.filter(([, holds]) => !holds).map(([asked]) => asked);
}

// RFC 6455 §9.1: NAME; NAME=VALUE; NAME="VALUE".  A value is a token also in quotation marks, so no comma
// or semicolon is in one.
function isExtension([name, ...parameters]) {
  return TOKEN.test(name.trim()) && parameters.every((parameter) => PARAMETER.test(parameter.trim()));
}

// RFC 9112 §3.2: else 400.  Of two lines, request.headers would keep the first and drop the other.
function hasOneHost(request) {
  const hosts = request.headersDistinct.host ?? [];
  if (request.httpVersion === '1.0' && hosts.length === 0) return true;
  return hosts.length === 1 && HOST.test(hosts[0]);
}

function abortHandshake(request, socket, status, reasons) {
  const line = `${status} ${STATUS_CODES[status]}`;
  const body = [line, '', ...reasons.map((reason) => `- ${reason}`), ''].join('\n');
  const head = [
    `HTTP/1.1 ${line}`,
    `Date: ${new Date().toUTCString()}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `Sec-WebSocket-Version: ${VERSIONS.join(', ')}`, // RFC 6455 §4.4: which versions would do
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n${request.method === 'HEAD' ? '' : body}`);
  hangUp(socket);
}

// ws has a hook of this name.  A browser says which page opens a WebSocket; other clients say nothing.
function verifyClient(request) {
  const { headers } = request;
  const old = headers['sec-websocket-version'] === '8'; // it has another name for it
  const origin = (old && headers['sec-websocket-origin']) || headers.origin;
  return origin === undefined || PAGES.test(origin);
}

// Chapter 4: the 101.
function completeUpgrade(request, socket) {
  const key = request.headers['sec-websocket-key'];
  const accept = createHash('sha1').update(key + GUID).digest('base64');
  socket.write([
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${accept}`,
    '',
    '',
  ].join('\r\n'));
}

// Chapter 5: 426 for everybody else.  RFC 9110 §15.5.22: its Upgrade says what is required.
function fallback(request, response) {
  if (!hasOneHost(request)) return response.writeHead(400, { Connection: 'close' }).end();
  const body = '426 Upgrade Required\n\nA WebSocket server; that was a plain HTTP request.\n';
  response.writeHead(426, {
    Upgrade: 'websocket',
    Connection: 'Upgrade, close',
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
  });
  response.end(body);
}

server.listen(Number(process.argv[2] ?? 8765), '127.0.0.1', () => {
  console.log(`ws://127.0.0.1:${server.address().port}/ echoes what it is sent.  Ctrl-C ends it.`);
});
