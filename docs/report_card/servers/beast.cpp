// Boost.Beast: an echo server with its defaults, a thread for each client.
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>
#include <cstdlib>
#include <thread>

namespace beast = boost::beast;
namespace net = boost::asio;
using net::ip::tcp;

void echo(tcp::socket socket) {
    try {
        beast::websocket::stream<tcp::socket> ws(std::move(socket));
        ws.accept();
        for (;;) {
            beast::flat_buffer buffer;
            ws.read(buffer);
            ws.text(ws.got_text());
            ws.write(buffer.data());
        }
    } catch (const beast::system_error &) {
    }
}

int main(int, char *argv[]) {
    net::io_context context;
    tcp::acceptor acceptor(context, {net::ip::make_address("127.0.0.1"), static_cast<unsigned short>(std::atoi(argv[1]))});
    for (;;)
        std::thread(echo, acceptor.accept()).detach();
}
