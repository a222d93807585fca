"""Chapter 11: TLS over TCP, safe for the two threads of a threaded server.

An ``ssl.SSLSocket`` is not: a broadcast would write to it while another thread waits in a
read, and OpenSSL's objects may be used by one thread at a time (openssl #18209, CPython
#143756); with a peer that sends KeyUpdate that crashes the interpreter.  A lock around it
would be held while waiting.

So TLS works on bytes in memory (``ssl.MemoryBIO``), under a lock that no thread waits
under, and the waiting is done on the plain socket, as without TLS.  The order of encryption
must be the order on the wire; the write lock, which the sender holds already, ensures that.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time

from ..protocol.errors import ConnectionClosed, HTTPError
from ..protocol.limits import Limits
from .transport import Transport


class TLSTransport(Transport):
    """A :class:`~wsref.network.transport.Transport` that speaks TLS.

    Args:
        sock, limits: As for :class:`~wsref.network.transport.Transport`.
        context: Certificates, versions.
        server_hostname: If we are the client, the host that the certificate must name (and the
            SNI); None: we are the server.
    """

    secure = True
    passthrough = False
    max_record = 256 * 1024  # bytes that a sender holds twice, plain and sealed

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        limits: Limits = Limits(),
        *,
        server_hostname: str | None = None,
    ) -> None:
        super().__init__(sock, limits)
        self._from_wire, self._to_wire = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._from_wire, self._to_wire, server_side=server_hostname is None, server_hostname=server_hostname
        )
        self._tls_lock = threading.Lock()

    def handshake(self, deadline: float) -> None:
        """Do the TLS handshake, in the connection's own thread.

        Args:
            deadline: Monotonic seconds.
        Raises:
            HTTPError: With status 0: close without an answer; no HTTP has been spoken yet.
            ssl.SSLCertVerificationError: We are the client and do not trust the server's
                certificate.
        """
        while True:
            try:
                with self._tls_lock:
                    self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._send_tls_records()
                left = deadline - time.monotonic()
                data = super().receive(65536, left) if left > 0 else None
                if not data:
                    how = "took too long" if data is None else "was cut off by the peer"
                    raise HTTPError(0, f"the TLS handshake {how}") from None
                self.received_any = True
                with self._tls_lock:
                    self._from_wire.write(data)
            except ssl.SSLError as error:
                self._send_tls_records()  # the alert
                if isinstance(error, ssl.SSLCertVerificationError) and not self._tls.server_side:
                    raise
                why = error.reason or str(error)
                if why == "HTTP_REQUEST":
                    why = "plain HTTP: this port speaks wss:// and https://"
                raise HTTPError(0, f"the TLS handshake failed: {why}") from None
            else:
                return self._send_tls_records()

    def _send_tls_records(self) -> None:
        """Send TLS's own records: handshake messages, alerts, answers to KeyUpdate."""
        if self._to_wire.pending:
            with self.write_lock:
                try:
                    super().send(b"")
                except ConnectionClosed:
                    pass  # the next receive notices

    def receive(self, size: int, timeout: float) -> bytes | None:
        """As in plain TCP; ``size`` counts decrypted bytes."""
        # Half a record, or a record of TLS's own, is not an answer: the timeout is for
        # decrypted bytes, however often the peer sends something.
        deadline = time.monotonic() + timeout
        while True:
            data = self._decrypt(size)
            self._send_tls_records()
            if data is not None:
                return data
            left = deadline - time.monotonic()
            sealed = super().receive(max(size, 16 * 1024 + 512), left) if left > 0 else None  # a record at least
            if not sealed:
                return sealed
            with self._tls_lock:
                self._from_wire.write(sealed)

    def _decrypt(self, size: int) -> bytes | None:
        """Return the bytes that can be read now: None if more must come first, b"" at the end."""
        pieces = []
        try:
            with self._tls_lock:
                while size > 0:
                    piece = self._tls.read(size)
                    if not piece:  # close_notify
                        break
                    pieces.append(piece)
                    size -= len(piece)
        except ssl.SSLWantReadError:
            return b"".join(pieces) or None
        except ssl.SSLError:  # invalid or forged records
            pass
        return b"".join(pieces)

    def _seal(self, data: bytes | memoryview) -> bytes | memoryview:
        try:
            with self._tls_lock:
                if data:
                    self._tls.write(data)
                return self._to_wire.read()
        except ssl.SSLError as error:
            # A peer that stops inside a KeyUpdate makes even write raise "want read".
            raise self.abort(f"TLS cannot send: {error}") from None

    def _send_close_notify(self) -> None:
        """RFC 8446 §6.1: without a close_notify the peer cannot tell the end from a cut."""
        try:
            with self._tls_lock:
                self._tls.unwrap()
        except ssl.SSLError:
            pass  # "want read": we do not wait for the peer's close_notify
        try:
            if not self.has_backlog:
                self._try_send(self._to_wire.read())
        except ConnectionClosed:
            pass
