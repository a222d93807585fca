// Jetty, embedded: an echo server with its defaults.
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.websocket.api.Session;
import org.eclipse.jetty.websocket.api.annotations.OnWebSocketMessage;
import org.eclipse.jetty.websocket.api.annotations.WebSocket;
import org.eclipse.jetty.websocket.server.WebSocketHandler;
import org.eclipse.jetty.websocket.servlet.WebSocketServletFactory;

public class JettyServer {
    @WebSocket
    public static class Echo {
        @OnWebSocketMessage
        public void text(Session session, String message) throws IOException {
            session.getRemote().sendString(message);
        }

        @OnWebSocketMessage
        public void binary(Session session, byte[] data, int offset, int length) throws IOException {
            session.getRemote().sendBytes(ByteBuffer.wrap(data, offset, length));
        }
    }

    public static void main(String[] args) throws Exception {
        Server server = new Server(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])));
        server.setHandler(new WebSocketHandler() {
            @Override
            public void configure(WebSocketServletFactory factory) {
                factory.register(Echo.class);
            }
        });
        server.start();
        server.join();
    }
}
