// Chapters 6 to 8 in Node: frames, messages, closing.  RFC 6455 §5, §7, §8.

const MAX_MESSAGE = 1024 * 1024; // bytes
const MAX_FRAGMENTS = 10_000; // of one message: empty fragments never reach a limit in bytes
const CLOSE_TIMEOUT = 2000; // milliseconds that the client has to end its side of TCP
const OPCODES = [0, 1, 2, 8, 9, 10];
const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = OPCODES;

/** The peer broke a rule: the connection ends with a Close that says which. */
class Failure extends Error {
  constructor(code, reason) {
    super(reason);
    this.code = code;
  }
}

// Chapter 6: frames.  Null: the frame is not complete yet.
function parseFrame(bytes) {
  if (bytes.length < 2) return null;
  const [first, second] = bytes;
  const fin = Boolean(first & 0x80), opcode = first & 0x0f;
  let length = second & 0x7f, at = 2;

  if (first & 0x70) throw new Failure(1002, 'an RSV bit is set, and there is no extension');
  if (!OPCODES.includes(opcode)) throw new Failure(1002, 'a reserved opcode');
  if (opcode & 8 && !fin) throw new Failure(1002, 'a control frame must not be fragmented');
  if (opcode & 8 && length > 125) throw new Failure(1002, 'a control frame holds at most 125 bytes');
  if (!(second & 0x80)) throw new Failure(1002, 'a frame from a client must be masked');

  if (length === 126) {
    if (bytes.length < 4) return null;
    length = bytes.readUInt16BE(2);
    at = 4;
    if (length < 126) throw new Failure(1002, 'a length in 16 bits that fits in 7');
  } else if (length === 127) {
    if (bytes.length < 10) return null;
    const long = bytes.readBigUInt64BE(2); // a Number would be rounded from 2^53 on
    at = 10;
    if (long >> 63n) throw new Failure(1002, 'the top bit of a length is set');
    if (long < 65536n) throw new Failure(1002, 'a length in 64 bits that fits in fewer');
    if (long > MAX_MESSAGE) throw new Failure(1009, 'the frame is too big');
    length = Number(long);
  }

  const begin = at + 4, end = begin + length;
  if (bytes.length < end) return null;
  const key = bytes.subarray(at, begin);
  const payload = bytes.subarray(begin, end).map((octet, i) => octet ^ key[i & 3]);
  return { fin, opcode, payload, end };
}

function buildFrame(opcode, payload) {
  const length = payload.length;
  let header = Buffer.from([0x80 | opcode, length]); // no mask: we are a server
  if (length > 65535) {
    header = Buffer.from([0x80 | opcode, 127, 0, 0, 0, 0, 0, 0, 0, 0]);
    header.writeBigUInt64BE(BigInt(length), 2);
  } else if (length > 125) {
    header = Buffer.from([0x80 | opcode, 126, length >> 8, length & 0xff]);
  }
  return Buffer.concat([header, payload]);
}

// Chapter 7: messages.  Text is checked as it arrives, across the borders of its fragments.
class Assembler {
  #kind = null; // the opcode of the message whose fragments are arriving; null: no message
  #parts = [];
  #size = 0;
  #decoder = null;

  /** Return a whole message, a string or a Buffer; null: more fragments follow. */
  take({ fin, opcode, payload }) {
    const begins = opcode !== CONTINUATION;
    if (!begins && this.#kind === null) throw new Failure(1002, 'a continuation without a message');
    if (begins && this.#kind !== null) throw new Failure(1002, 'a message inside another');
    if (begins) {
      this.#kind = opcode;
      this.#decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    }
    this.#size += payload.length;
    if (this.#size > MAX_MESSAGE) throw new Failure(1009, 'the message is too big');
    if (this.#parts.length === MAX_FRAGMENTS) throw new Failure(1008, 'too many fragments');
    this.#parts.push(this.#kind === TEXT ? utf8(payload, this.#decoder, !fin) : payload);
    if (!fin) return null;
    const message = this.#kind === TEXT ? this.#parts.join('') : Buffer.concat(this.#parts);
    [this.#kind, this.#parts, this.#size] = [null, [], 0];
    return message;
  }
}

function utf8(bytes, decoder, stream = false) {
  try {
    return decoder.decode(bytes, { stream });
  } catch {
    throw new Failure(1007, 'text that is not UTF-8');
  }
}

// Chapter 8: closing.  Return the payload of the Close that answers this one.
function answerToClose(payload) {
  if (payload.length === 0) return payload;
  if (payload.length === 1) throw new Failure(1002, 'a Close with half a code');
  const code = payload.readUInt16BE(0);
  const named = code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code);
  const free = code >= 3000 && code <= 4999;
  if (!named && !free) throw new Failure(1002, 'a Close may not carry this code');
  utf8(payload.subarray(2), new TextDecoder('utf-8', { fatal: true }));
  return payload.subarray(0, 2);
}

/** End our side of TCP, then wait for the client to end its side, but not longer than CLOSE_TIMEOUT. */
export function hangUp(socket) {
  socket.end();
  socket.resume(); // read and discard: unread bytes would turn the end into a reset
  const timer = setTimeout(() => socket.destroy(), CLOSE_TIMEOUT);
  socket.once('close', () => clearTimeout(timer));
}

/** Everything between the 101 and the end of TCP. */
export function converse(socket, head, onMessage) {
  const assembler = new Assembler();
  let bytes = Buffer.alloc(0); // not parsed yet
  let open = true;

  function write(opcode, payload) {
    if (!open) return;
    if (!socket.write(buildFrame(opcode, payload))) socket.pause(); // the client does not read, so neither do we
  }

  function close(payload) {
    write(CLOSE, payload);
    open = false;
    hangUp(socket);
  }

  function send(message) {
    if (typeof message === 'string') write(TEXT, Buffer.from(message));
    else write(BINARY, message);
  }

  function take(frame) {
    if (frame.opcode === CLOSE) close(answerToClose(frame.payload));
    else if (frame.opcode === PING) write(PONG, frame.payload);
    else if (frame.opcode !== PONG) {
      const message = assembler.take(frame);
      if (message !== null) onMessage(message, send);
    }
  }

  function receive(piece) {
    if (!open) return;
    bytes = Buffer.concat([bytes, piece]);
    try {
      for (let frame; open && (frame = parseFrame(bytes)); ) {
        bytes = bytes.subarray(frame.end);
        take(frame);
      }
    } catch (failure) {
      const theirs = failure instanceof Failure;
      if (!theirs) console.error(failure);
      const code = theirs ? failure.code : 1011; // our fault: "an unexpected condition"
      const reason = Buffer.from(theirs ? failure.message : '');
      close(Buffer.concat([Buffer.from([code >> 8, code & 0xff]), reason]));
    }
  }

  socket.on('drain', () => socket.resume()); // the client reads again
  socket.on('data', receive);
  socket.on('end', () => socket.end());
  receive(head); // bytes that arrived with the request
}
