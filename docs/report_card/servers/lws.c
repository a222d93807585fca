/* libwebsockets: an echo server with compression and UTF-8 validation, which are off by default.  The library gives
   pieces of messages, which go back piece by piece. */
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

struct piece {
    struct piece *next;
    size_t size;
    int flags;
    unsigned char data[];
};

struct client {
    struct piece *first, **last;
};

static int echo(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t size) {
    struct client *client = user;
    struct piece *piece;
    int sent, flags;

    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        client->last = &client->first;
        break;
    case LWS_CALLBACK_RECEIVE:
        flags = lws_write_ws_flags(lws_frame_is_binary(wsi) ? LWS_WRITE_BINARY : LWS_WRITE_TEXT,
                                   lws_is_first_fragment(wsi), lws_is_final_fragment(wsi));
        piece = malloc(sizeof *piece + LWS_PRE + size);
        piece->next = NULL;
        piece->size = size;
        piece->flags = flags;
        memcpy(piece->data + LWS_PRE, in, size);
        *client->last = piece;
        client->last = &piece->next;
        lws_callback_on_writable(wsi);
        break;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        if (!(piece = client->first))
            break;
        sent = lws_write(wsi, piece->data + LWS_PRE, piece->size, piece->flags);
        if (!(client->first = piece->next))
            client->last = &client->first;
        free(piece);
        if (sent < 0)
            return -1;
        if (client->first)
            lws_callback_on_writable(wsi);
        break;
    case LWS_CALLBACK_CLOSED:
        while ((piece = client->first)) {
            client->first = piece->next;
            free(piece);
        }
        break;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, size);
    }
    return 0;
}

int main(int argc, char **argv) {
    static const struct lws_protocols protocols[] = {{"echo", echo, sizeof(struct client), 0}, {0}};
    static const struct lws_extension extensions[] = {
        {"permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate"}, {0}};
    struct lws_context_creation_info info = {0};

    lws_set_log_level(0, NULL);
    info.port = atoi(argv[1]);
    info.iface = "127.0.0.1";
    info.protocols = protocols;
    info.extensions = extensions;
    info.options = LWS_SERVER_OPTION_VALIDATE_UTF8; /* as in the library's echo example */
    struct lws_context *context = lws_create_context(&info);
    while (context && lws_service(context, 0) >= 0)
        ;
    return 1;
}
