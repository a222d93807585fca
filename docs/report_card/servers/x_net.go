// golang.org/x/net/websocket: an echo server.  websocket.Server admits clients without Origin; its codec tells text
// from binary.
package main

import (
	"net/http"
	"os"

	"golang.org/x/net/websocket"
)

type message struct {
	data []byte
	kind byte
}

var codec = websocket.Codec{
	Marshal: func(v interface{}) ([]byte, byte, error) {
		m := v.(*message)
		return m.data, m.kind, nil
	},
	Unmarshal: func(data []byte, kind byte, v interface{}) error {
		*v.(*message) = message{data, kind}
		return nil
	},
}

func echo(ws *websocket.Conn) {
	var m message
	for codec.Receive(ws, &m) == nil && codec.Send(ws, &m) == nil {
	}
}

func main() {
	http.Handle("/", websocket.Server{Handler: echo})
	http.ListenAndServe("127.0.0.1:"+os.Args[1], nil)
}
