package holysheep_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

// ask makes a request with one question.
func ask(question string) *holysheep.ChatRequest {
	return &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(question)}}
}

// pipeGateway answers each request with what serve writes to the connection; serve says whether the connection
// can be used again. It works inside synctest and, unlike a server, can break every rule of HTTP.
func pipeGateway(t *testing.T, opts *holysheep.Options, serve func(conn net.Conn, r *http.Request) bool) *holysheep.Client {
	t.Helper()
	var mu sync.Mutex
	var open []net.Conn
	var serving sync.WaitGroup
	transport := &http.Transport{
		MaxIdleConnsPerHost: 64,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			mu.Lock()
			open = append(open, client, server)
			mu.Unlock()
			serving.Go(func() { serveConn(server, serve) })
			return client, nil
		},
	}
	o := holysheep.Options{}
	if opts != nil {
		o = *opts
	}
	o.BaseURL, o.Transport = "http://localhost", transport
	c, err := holysheep.New("hs_test_key_0123456789", &o)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		mu.Lock()
		for _, conn := range open {
			_ = conn.Close()
		}
		mu.Unlock()
		serving.Wait()
		transport.CloseIdleConnections()
	})
	return c
}

func serveConn(conn net.Conn, serve func(net.Conn, *http.Request) bool) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(newReader(body))
		if !serve(conn, r) {
			return
		}
	}
}

type byteReader struct{ rest []byte }

func newReader(b []byte) io.Reader { return &byteReader{b} }

func (r *byteReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// events writes a whole stream with a content length.
func events(conn net.Conn, body string) bool {
	return respond(conn, "200 OK", "text/event-stream", body)
}

func respond(conn net.Conn, status, contentType, body string) bool {
	_, err := fmt.Fprintf(conn, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", status, contentType, len(body), body)
	return err == nil
}

// streamed is what a stream yielded.
type streamed struct {
	text     string
	events   int
	response *holysheep.ChatResponse
	err      error
}

func drainStream(ctx context.Context, c holysheep.Completer, req *holysheep.ChatRequest) streamed {
	var s streamed
	for ev, err := range c.Stream(ctx, req) {
		s.events++
		s.text += ev.Text
		s.response = ev.Response
		s.err = err
	}
	return s
}

// partial is what came before the error.
func (s streamed) partial(t *testing.T) *holysheep.ChatResponse {
	t.Helper()
	broken, ok := errors.AsType[*holysheep.StreamError](s.err)
	require.True(t, ok, "%v is no StreamError", s.err)
	return broken.Partial
}

// tcpGateway runs the mock gateway over TCP for tests of real connections.
func tcpGateway(t *testing.T) *holysheeptest.Server {
	t.Helper()
	gw, err := holysheeptest.NewServer()
	require.NoError(t, err)
	t.Cleanup(gw.Close)
	return gw
}

// settleGoroutines waits until no more goroutines run than before.
func settleGoroutines(t *testing.T, before int) {
	t.Helper()
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	buf := make([]byte, 64<<10)
	t.Fatalf("%d goroutines before, %d now\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
}
