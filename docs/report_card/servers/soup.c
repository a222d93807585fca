/* libsoup: an echo server with its defaults. */
#include <libsoup/soup.h>
#include <stdlib.h>

static void on_message(SoupWebsocketConnection *ws, gint type, GBytes *message, gpointer data) {
    soup_websocket_connection_send_message(ws, type, message);
}

static void on_websocket(SoupServer *server, SoupServerMessage *request, const char *path,
                         SoupWebsocketConnection *ws, gpointer data) {
    g_object_ref(ws);
    g_signal_connect(ws, "message", G_CALLBACK(on_message), NULL);
    g_signal_connect(ws, "closed", G_CALLBACK(g_object_unref), NULL);
}

int main(int argc, char **argv) {
    SoupServer *server = soup_server_new(NULL, NULL);
    GError *error = NULL;
    GInetAddress *host = g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV4);
    GSocketAddress *address = g_inet_socket_address_new(host, atoi(argv[1]));
    soup_server_add_websocket_handler(server, "/", NULL, NULL, on_websocket, NULL, NULL);
    if (!soup_server_listen(server, address, 0, &error))
        return 1;
    g_main_loop_run(g_main_loop_new(NULL, FALSE));
}
