# Mojolicious: an echo server with its defaults.
use Mojolicious::Lite -signatures;

app->log->level('fatal');
websocket '/' => sub ($c) {
  $c->on(text => sub ($c, $bytes) { $c->send({text => $bytes}) });
  $c->on(binary => sub ($c, $bytes) { $c->send({binary => $bytes}) });
};
my $port = shift @ARGV;
app->start('daemon', '-l', "http://127.0.0.1:$port");
