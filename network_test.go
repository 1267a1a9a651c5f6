package holysheep

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// swallowing is a connection whose other end has gone without a word: what is written is lost, and nothing comes.
type swallowing struct {
	net.Conn
	dead  atomic.Bool
	never chan struct{}
	once  sync.Once
}

func (c *swallowing) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.dead.Load() {
		<-c.never
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *swallowing) Write(p []byte) (int, error) {
	if c.dead.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *swallowing) Close() error {
	c.once.Do(func() { close(c.never) })
	return c.Conn.Close()
}

// A dead HTTP/2 connection is found out by pings within 20 s, and the next call gets a new one. This is the client's
// own pool, over pipes and in virtual time.
func TestDeadHTTP2Connection(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Request-Id", r.Proto)
		_, _ = io.WriteString(w, guardAnswer)
	})
	// Only for its certificate, which is made outside of the bubble.
	sample := httptest.NewTLSServer(handler)
	cert := sample.TLS.Certificates[0]
	sample.Close()
	synctest.Test(t, func(t *testing.T) {
		roots := x509.NewCertPool()
		leaf, err := x509.ParseCertificate(cert.Certificate[0])
		require.NoError(t, err)
		roots.AddCert(leaf)
		// The certificate is from our days, and a bubble's clock begins in 2000.
		today := func() time.Time { return leaf.NotBefore.Add(time.Hour) }

		pipes := make(chan net.Conn)
		done := make(chan struct{})
		server := &http.Server{
			Handler: handler, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Hour,
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12, Time: today},
		}
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.ServeTLS(pipeListener{pipes, done}, "", "") })

		var conns []*swallowing
		c, err := New("hs_0123456789", &Options{BaseURL: "https://example.com", MaxAttempts: 1})
		require.NoError(t, err)
		c.own.Proxy = nil
		c.own.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, Time: today}
		c.own.DialContext = func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			conn := &swallowing{Conn: client, never: make(chan struct{})}
			conns = append(conns, conn)
			pipes <- server
			return conn, nil
		}

		resp, err := c.Chat(t.Context(), guardRequest())
		require.NoError(t, err)
		require.Equal(t, "HTTP/2.0", resp.RequestID)

		conns[0].dead.Store(true)
		start := time.Now()
		_, err = c.Chat(t.Context(), guardRequest())
		require.ErrorIs(t, err, ErrNoAnswer)
		require.LessOrEqual(t, time.Since(start), 21*time.Second)

		start = time.Now()
		_, err = c.Chat(t.Context(), guardRequest())
		require.NoError(t, err)
		require.Less(t, time.Since(start), time.Second)
		require.Len(t, conns, 2)

		require.NoError(t, c.Close())
		for _, conn := range conns {
			_ = conn.Close()
		}
		close(done)
		_ = server.Close()
		serving.Wait()
	})
}

type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (pipeListener) Close() error   { return nil }
func (pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// 64 callers over TLS: the pool of the client keeps a connection for each, and opens none after the warm-up.
func TestPoolOverTLS(t *testing.T) {
	var opened atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, guardAnswer)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	c, err := New("hs_0123456789", &Options{BaseURL: server.URL, MaxAttempts: 1})
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	c.own.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}

	const callers = 64
	run := func(calls int) {
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range calls {
					if _, err := c.Chat(t.Context(), guardRequest()); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	// net/http dials for each caller that finds no idle connection, also when one becomes idle meanwhile: the busier
	// the machine, the more the warm-up opens.
	run(10)
	warm := opened.Load()
	t.Logf("%d connections for %d callers after the warm-up", warm, callers)
	run(20)
	require.Equal(t, max(warm, callers), max(opened.Load(), callers), "none is opened after it")
	require.NoError(t, c.Close())
}
