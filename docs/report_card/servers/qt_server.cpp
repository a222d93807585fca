// Qt WebSockets: an echo server with its defaults.
#include <QCoreApplication>
#include <QWebSocket>
#include <QWebSocketServer>

int main(int argc, char *argv[]) {
    QCoreApplication app(argc, argv);
    QWebSocketServer server("echo", QWebSocketServer::NonSecureMode);
    QObject::connect(&server, &QWebSocketServer::newConnection, [&server] {
        QWebSocket *ws = server.nextPendingConnection();
        QObject::connect(ws, &QWebSocket::textMessageReceived, ws, &QWebSocket::sendTextMessage);
        QObject::connect(ws, &QWebSocket::binaryMessageReceived, ws, &QWebSocket::sendBinaryMessage);
        QObject::connect(ws, &QWebSocket::disconnected, ws, &QObject::deleteLater);
    });
    if (!server.listen(QHostAddress::LocalHost, QString(argv[1]).toUShort()))
        return 1;
    return app.exec();
}
