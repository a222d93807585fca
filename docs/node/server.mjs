// The article's server, in its order and with its names: node server.mjs [PORT]
// The part that the article leaves for later is in conversation.mjs: frames, messages, closing.

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

// Chapter 1: an HTTP base.  Node reads the head, and answers 400 itself if it is not HTTP.
const server = createServer(fallback);

// Chapter 2: upgrade detection.  Node fires when Connection names upgrade and there is an Upgrade header.
server.on('upgrade', handleUpgrade);

function handleUpgrade(request, socket, head) {
  // A client that vanishes must not end the server.
  socket.on('error', () => socket.destroy());
  if (request.httpVersion === '1.0') {
    return notAnUpgrade(request, socket);
  }
  const reasons = validate(request);
  if (reasons.length > 0) {
    return abortHandshake(request, socket, 400, reasons);
  }
  if (!verifyClient(request)) {
    const foreign = ['the page is from another site'];
    return abortHandshake(request, socket, 403, foreign);
  }
  completeUpgrade(request, socket);
  const echo = (message, send) => send(message);
  converse(socket, head, echo);
}

// Node fires for HTTP/1.0 too.  RFC 9110 §7.8: "A server that receives an Upgrade header field in an
// HTTP/1.0 request MUST ignore that Upgrade field."
function notAnUpgrade(request, socket) {
  const response = new ServerResponse(request);
  response.assignSocket(socket);
  response.on('finish', () => hangUp(socket));
  fallback(request, response);
}

// Chapter 3: validation.  One row for each rule: its text, and whether the request keeps it.
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
  return rules.filter(([, kept]) => !kept).map(([rule]) => rule);
}

// RFC 6455 §9.1: NAME; NAME=VALUE; NAME="VALUE".  A value in quotation marks is a token, too, so it has
// no comma or semicolon.
function isExtension([name, ...parameters]) {
  return TOKEN.test(name.trim()) && parameters.every((parameter) => PARAMETER.test(parameter.trim()));
}

// RFC 9112 §3.2: otherwise 400.  Of two Host lines, request.headers keeps only the first.
function hasOneHost(request) {
  const hosts = request.headersDistinct.host ?? [];
  if (request.httpVersion === '1.0' && hosts.length === 0) return true;
  return hosts.length === 1 && HOST.test(hosts[0]);
}

function abortHandshake(request, socket, status, reasons) {
  const line = `${status} ${STATUS_CODES[status]}`;
  const list = reasons.map((reason) => `- ${reason}\n`);
  const body = `${line}\n\n${list.join('')}`;
  const head = [
    `HTTP/1.1 ${line}`,
    `Date: ${new Date().toUTCString()}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    // RFC 6455 §4.4: name the versions that we speak.
    `Sec-WebSocket-Version: ${VERSIONS.join(', ')}`,
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  if (request.method !== 'HEAD') socket.write(body);
  hangUp(socket);
}

// `ws` has a hook of this name.  A browser names the page that opens a WebSocket; other clients need not.
function verifyClient(request) {
  const { headers } = request;
  const old = headers['sec-websocket-version'] === '8'; // it has another name for the header
  const origin = (old && headers['sec-websocket-origin']) || headers.origin;
  return origin === undefined || PAGES.test(origin);
}

// Chapter 4: the 101.
function completeUpgrade(request, socket) {
  const key = request.headers['sec-websocket-key'];
  const hash = createHash('sha1').update(key + GUID);
  const accept = hash.digest('base64');
  socket.write([
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${accept}`,
    '',
    '',
  ].join('\r\n'));
}

// Chapter 5: 426 for all other requests.  RFC 9110 §15.5.22: its Upgrade names the protocol to use.
function fallback(request, response) {
  if (!hasOneHost(request)) {
    return response.writeHead(400, { Connection: 'close' }).end();
  }
  const body = [
    '426 Upgrade Required',
    '',
    'This is a WebSocket server: open a WebSocket to this address.',
    '',
  ].join('\n');
  response.writeHead(426, {
    Upgrade: 'websocket',
    Connection: 'Upgrade, close',
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
  });
  response.end(body);
}

server.listen(Number(process.argv[2] ?? 8765), '127.0.0.1', () => {
  console.log(`ws://127.0.0.1:${server.address().port}/ sends every message back.  Ctrl-C ends it.`);
});
