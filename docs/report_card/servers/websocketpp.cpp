// WebSocket++: an echo server with its defaults.
#include <websocketpp/config/asio_no_tls.hpp>
#include <websocketpp/server.hpp>

typedef websocketpp::server<websocketpp::config::asio> server;

int main(int, char *argv[]) {
    server echo;
    echo.clear_access_channels(websocketpp::log::alevel::all);
    echo.clear_error_channels(websocketpp::log::elevel::all);
    echo.init_asio();
    echo.set_message_handler([&echo](websocketpp::connection_hdl client, server::message_ptr message) {
        websocketpp::lib::error_code error;
        echo.send(client, message->get_payload(), message->get_opcode(), error);
    });
    echo.listen("127.0.0.1", argv[1]);
    echo.start_accept();
    echo.run();
}
