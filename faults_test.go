package holysheep_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

// The faults of a network and of what answers on it, each with what has to come of it. Those that the tables of
// endings_test.go have are not repeated here.

func clientOf(t *testing.T, baseURL string, opts holysheep.Options) *holysheep.Client {
	t.Helper()
	opts.BaseURL = baseURL
	c, err := holysheep.New("hs_0123456789", &opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func transportError(t *testing.T, err error) *holysheep.TransportError {
	t.Helper()
	e, ok := unwrapStream(err).(*holysheep.TransportError) //nolint:errorlint // the error itself is what is tested
	require.True(t, ok, "%T: %v", err, err)
	return e
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = clientOf(t, "http://"+l.Addr().String(), holysheep.Options{MaxAttempts: 2}).Chat(t.Context(), ask("x"))
	require.ErrorIs(t, err, holysheep.ErrConnect)
	e := transportError(t, err)
	require.Equal(t, holysheep.PhaseConnect, e.Phase)
	require.Equal(t, 2, e.Attempts)
	require.Equal(t, holysheep.NotBilled, e.Billing)
	require.ErrorContains(t, err, "refused")
}

func TestNoSuchHost(t *testing.T) {
	t.Parallel()
	_, err := clientOf(t, "https://gateway.invalid", holysheep.Options{}).Chat(t.Context(), ask("x"))
	require.ErrorIs(t, err, holysheep.ErrConnect)
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		require.Equal(t, 1, transportError(t, err).Attempts)
	}
}

func transportErrorOf(err error) *holysheep.TransportError {
	e, _ := err.(*holysheep.TransportError) //nolint:errorlint // the error itself is what is tested
	return e
}

func TestTLSFaults(t *testing.T) {
	t.Parallel()
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, cannedAnswer) })
	quiet := log.New(io.Discard, "", 0)
	secure := httptest.NewUnstartedServer(answer)
	secure.Config.ErrorLog = quiet
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(answer)
	t.Cleanup(plain.Close)
	old := httptest.NewUnstartedServer(answer)
	old.Config.ErrorLog = quiet
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10} //nolint:gosec // the fault
	old.StartTLS()
	t.Cleanup(old.Close)

	for name, r := range map[string]struct{ url, says string }{
		"unknown CA":     {secure.URL, "certificate"},
		"https to http":  {"https://" + strings.TrimPrefix(plain.URL, "http://"), "speaks http"},
		"too old TLS":    {old.URL, "version of TLS"},
		"the wrong name": {strings.Replace(secure.URL, "127.0.0.1", "localhost", 1), "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := clientOf(t, r.url, holysheep.Options{}).Chat(t.Context(), ask("x"))
			require.ErrorIs(t, err, holysheep.ErrConnect)
			require.ErrorContains(t, err, r.says)
			e := transportError(t, err)
			require.Equal(t, 1, e.Attempts)
			require.Equal(t, holysheep.NotBilled, e.Billing)
		})
	}

	// With the certificate known, all is well.
	pool := x509.NewCertPool()
	pool.AddCert(secure.Certificate())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	_, err := clientOf(t, secure.URL, holysheep.Options{Transport: transport}).Chat(t.Context(), ask("x"))
	require.NoError(t, err)
}

// A host that swallows the connection attempt: ConnectTimeout ends it. The pool of the client is asked here for an
// address that its dialer waits for in vain.
func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	// It accepts and never says hello: the TLS handshake hangs.
	start := time.Now()
	_, err = clientOf(t, "https://"+l.Addr().String(), holysheep.Options{ConnectTimeout: 50 * time.Millisecond, MaxAttempts: 1}).
		Chat(t.Context(), ask("x"))
	require.ErrorIs(t, err, holysheep.ErrConnect)
	require.Less(t, time.Since(start), 10*time.Second)
	require.Equal(t, holysheep.PhaseConnect, transportError(t, err).Phase)
}

// A connection that breaks before, while and after the request is sent: only the last may be billed, and with
// AmbiguousRetries 0 it is not repeated.
func TestBrokenConnections(t *testing.T) {
	for _, r := range []struct {
		name      string
		ambiguous *int
		read      int // bytes of the request that the server takes; -1: all
		sent      int
		billing   holysheep.Billing
	}{
		{"before", new(0), 0, 3, holysheep.NotBilled},
		{"while", new(0), 100, 3, holysheep.NotBilled},
		{"after", new(0), -1, 1, holysheep.MaybeBilled},
		{"after, with retries", nil, -1, 3, holysheep.MaybeBilled},
		{"after, with one retry", new(1), -1, 2, holysheep.MaybeBilled},
	} {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var conns atomic.Int64
				transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
					conns.Add(1)
					client, server := net.Pipe()
					go func() {
						defer func() { _ = server.Close() }()
						if r.read < 0 {
							req, err := http.ReadRequest(bufio.NewReader(server))
							if err == nil {
								_, _ = io.Copy(io.Discard, req.Body)
							}
							return
						}
						_, _ = io.CopyN(io.Discard, server, int64(r.read))
					}()
					return client, nil
				}}
				c, err := holysheep.New("hs_0123456789", &holysheep.Options{
					BaseURL: "http://localhost", Transport: transport, MaxAttempts: 3, AmbiguousRetries: r.ambiguous,
				})
				require.NoError(t, err)
				_, err = c.Chat(t.Context(), ask(strings.Repeat("long ", 2000)))
				require.ErrorIs(t, err, holysheep.ErrNoAnswer)
				e := transportError(t, err)
				require.Equal(t, r.sent, e.Attempts)
				require.EqualValues(t, r.sent, conns.Load())
				require.Equal(t, r.billing, e.Billing)
			})
		})
	}
}

// A kept connection that the server has closed is no fault: the call goes through, at once, and is sent once.
func TestStaleConnection(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		served.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, cannedAnswer)
	}))
	t.Cleanup(s.Close)
	c := clientOf(t, s.URL, holysheep.Options{AmbiguousRetries: new(0)})
	for range 20 {
		_, err := c.Chat(t.Context(), ask("x"))
		require.NoError(t, err)
		s.CloseClientConnections()
		time.Sleep(2 * time.Millisecond) // for the client's end to see it
	}
	require.EqualValues(t, 20, served.Load())
}

// An answer that drips is bounded: an error's body by ErrorBodyTimeout, a header by AnswerTimeout, a body by the
// same again.
func TestDrips(t *testing.T) {
	drip := func(conn net.Conn, head, piece string) {
		if _, err := io.WriteString(conn, head); err != nil {
			return
		}
		for range 10_000 {
			time.Sleep(time.Second)
			if _, err := io.WriteString(conn, piece); err != nil {
				return
			}
		}
	}
	for _, r := range []struct {
		name, head, piece string
		stream            bool
		is                error
		after             time.Duration
	}{
		{"headers", "HTTP/1.1 200 OK\r\n", "X", false, holysheep.ErrTimeout, 300 * time.Second},
		{"headers of a stream", "HTTP/1.1 200 OK\r\n", "X", true, holysheep.ErrTimeout, 120 * time.Second},
		{"body", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n", " ", false, holysheep.ErrTimeout, 300 * time.Second},
		{"keep-alives", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", ": ping\n\n", true, holysheep.ErrStalled, 60 * time.Second},
		{"empty chunks", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", "data: {\"choices\":[{\"index\":0,\"delta\":{}}]}\n\n", true, holysheep.ErrStalled, 60 * time.Second},
		{"error body", "HTTP/1.1 400 Bad Request\r\nContent-Length: 100000\r\n\r\n", "x", false, holysheep.ErrBadRequest, 250 * time.Millisecond},
	} {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := pipeGateway(t, nil, func(conn net.Conn, _ *http.Request) bool {
					drip(conn, r.head, r.piece)
					return false
				})
				start := time.Now()
				var err error
				if r.stream {
					err = drainStream(t.Context(), c, ask("x")).err
				} else {
					_, err = c.Chat(t.Context(), ask("x"))
				}
				require.ErrorIs(t, err, r.is)
				require.LessOrEqual(t, time.Since(start), r.after*9/8+time.Second)
				require.GreaterOrEqual(t, time.Since(start), r.after)
				if e := transportErrorOf(err); e != nil {
					require.True(t, e.Timeout())
				}
			})
		})
	}
}

// A reader that takes its time is no stall, however long, and the answer is whole.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Text("one two three four").Drip(time.Second))
		var text string
		for ev, err := range gw.Client(nil).Stream(t.Context(), ask("x")) {
			require.NoError(t, err)
			text += ev.Text
			time.Sleep(5 * time.Minute)
		}
		require.Equal(t, "one two three four", text)
	})
}

// A redirect is not followed: the other host hears nothing.
func TestRedirect(t *testing.T) {
	t.Parallel()
	var heard atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard.Add(1) }))
	t.Cleanup(other.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := httptest.NewServer(http.RedirectHandler(other.URL+"/v1/chat/completions", status))
		t.Cleanup(s.Close)
		_, err := clientOf(t, s.URL, holysheep.Options{}).Chat(t.Context(), ask("x"))
		require.ErrorIs(t, err, holysheep.ErrRedirect)
		require.ErrorContains(t, err, strings.TrimPrefix(other.URL, "http://"))
	}
	require.Zero(t, heard.Load())
}

// Bodies without end, and ones that unpack to far more than was sent, are given up at the limit, with flat memory.
func TestHugeBodies(t *testing.T) {
	const size = 200 << 20
	zeros := func(w io.Writer) {
		block := bytes.Repeat([]byte(" "), 1<<20)
		for range size / len(block) {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
	for name, r := range map[string]struct {
		serve  http.HandlerFunc
		stream bool
		is     error
	}{
		"answer": {func(w http.ResponseWriter, _ *http.Request) { zeros(w) }, false, holysheep.ErrTooLarge},
		"known length": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(size))
			zeros(w)
		}, false, holysheep.ErrTooLarge},
		"gzip bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			zeros(z)
			_ = z.Close()
		}, false, holysheep.ErrTooLarge},
		"error": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest); zeros(w) }, false, holysheep.ErrBadRequest},
		"line": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: ")
			zeros(w)
		}, true, holysheep.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(r.serve)
			defer s.Close()
			c := clientOf(t, s.URL, holysheep.Options{})
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			var err error
			if r.stream {
				err = drainStream(t.Context(), c, ask("x")).err
			} else {
				_, err = c.Chat(t.Context(), ask("x"))
			}
			runtime.ReadMemStats(&after)
			require.ErrorIs(t, err, r.is)
			require.Less(t, len(err.Error()), 4096)
			// All that was allocated, collected or not: 32 MiB of answer, and what its pieces take beside.
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(48<<20))
		})
	}
}

// A large event within the limit is delivered.
func TestLargeEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Text("").Huge(2 << 20))
		got := drainStream(t.Context(), gw.Client(nil), ask("x"))
		require.NoError(t, got.err)
		require.Len(t, got.text, 2<<20)
	})
}

// Streams that are left in the middle leave nothing behind, and the server is told.
func TestBreakLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	gw := tcpGateway(t)
	gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, holysheeptest.Text("one two three four").StallAfter(2))
	c := gw.Client(nil)
	for range 200 {
		for ev, err := range c.Stream(t.Context(), ask("x")) {
			require.NoError(t, err)
			require.Equal(t, "one", ev.Text)
			break
		}
	}
	gw.Close()
	settleGoroutines(t, before)
}

// Connections are used again: none is opened after the warm-up, also beside calls that fail, and after streams.
func TestConnectionsAreReused(t *testing.T) {
	var opened atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case bytes.Contains(body, []byte("fail")):
			http.Error(w, `{"error":{"message":"x"}}`, http.StatusInternalServerError)
		case bytes.Contains(body, []byte(`"stream":true`)):
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, recorded)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Millisecond) // lingers after [DONE]
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, cannedAnswer)
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c := clientOf(t, s.URL, holysheep.Options{MaxAttempts: 1})
	run := func() {
		atOnce(callers*20, func(i int) {
			switch i % 4 {
			case 0:
				_, _ = c.Chat(t.Context(), ask("fail"))
			case 1:
				ctx, cancel := context.WithCancel(t.Context())
				_ = drainStream(ctx, c, ask("x"))
				cancel() // as callers do with defer
			default:
				_, _ = c.Chat(t.Context(), ask("x"))
			}
		})
	}
	run()
	warm := opened.Load()
	require.LessOrEqual(t, warm, int64(callers*3/2))
	// Nearly none in some round: a stream whose end comes late on a busy machine is not waited for. A client that drops
	// the connection of each stream, or of each error, opens 320 in every round.
	fewest := int64(callers * 20)
	for range 5 {
		before := opened.Load()
		run()
		if fewest = min(fewest, opened.Load()-before); fewest <= callers/2 {
			return
		}
	}
	t.Errorf("at least %d connections were opened in each round after the warm-up", fewest)
}

// A proxy from the environment never sees an http:// request, in which it could read key and prompt.
func TestProxySeesNothing(t *testing.T) {
	if os.Getenv("HOLYSHEEP_TEST_PROXY_CHILD") != "" {
		c, err := holysheep.New("hs_0123456789", &holysheep.Options{BaseURL: "http://gateway.invalid/v1", AllowHTTP: true, MaxAttempts: 1})
		require.NoError(t, err)
		_, err = c.Chat(t.Context(), ask("x"))
		require.ErrorIs(t, err, holysheep.ErrConnect)
		return
	}
	var heard atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard.Add(1) }))
	t.Cleanup(proxy.Close)
	self, err := os.Executable()
	require.NoError(t, err)
	child := exec.CommandContext(t.Context(), self, "-test.run", "^TestProxySeesNothing$")
	child.Env = append(os.Environ(), "HOLYSHEEP_TEST_PROXY_CHILD=1", "HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL)
	out, err := child.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Zero(t, heard.Load())
}

// A caller's own cause is in the error, and a deadline is told apart from a cancel.
func TestContextErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, holysheeptest.Text("one two").After(time.Minute))
		c := gw.Client(nil)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Chat(ctx, ask("x"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, holysheep.MaybeBilled, transportError(t, err).Billing)

		why := fmt.Errorf("the user closed the page")
		ctx2, cancel2 := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel2(why) })
		_, err = c.Chat(ctx2, ask("x"))
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, why)

		ctx3, cancel3 := context.WithCancel(t.Context())
		cancel3()
		before := gw.Count()
		_, err = c.Chat(ctx3, ask("x"))
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, before, gw.Count(), "nothing was sent")
		require.Equal(t, holysheep.NotBilled, transportError(t, err).Billing)
	})
}

// A deadline that ends before the wait would: the call fails at once, with the real cause.
func TestDeadlineBeforeWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Status(429).RetryAfter(30 * time.Second))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		_, err := gw.Client(nil).Chat(ctx, ask("x"))
		require.ErrorIs(t, err, holysheep.ErrRateLimited)
		require.Zero(t, time.Since(start))
	})
}

// A cancel in a wait ends it at once; the error has both, the cancel and what was waited for.
func TestCancelInWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Status(429).RetryAfter(30 * time.Second))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, cancel)
		start := time.Now()
		_, err := gw.Client(nil).Chat(ctx, ask("x"))
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, holysheep.ErrRateLimited)
		require.Equal(t, holysheep.PhaseWait, transportError(t, err).Phase)
		require.Equal(t, holysheep.NotBilled, transportError(t, err).Billing)
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}
