%% Yaws, embedded: an echo server with its defaults.
-module(echo_yaws).
-export([main/1, out/1, handle_message/1]).

main([Port]) ->
    Options = [{servername, "localhost"}, {port, list_to_integer(Port)}, {listen, {127, 0, 0, 1}}, {appmods, [{"/", ?MODULE}]}],
    ok = yaws:start_embedded("/tmp", Options, [{logdir, "/tmp"}], "echo").

out(_Request) -> {websocket, ?MODULE, []}.

handle_message({Kind, Data}) when Kind =:= text; Kind =:= binary -> {reply, {Kind, Data}};
handle_message({close, Status, _Reason}) -> {close, Status}.
