package holysheep

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// sending is one attempt under way: its request, its answer, and the clock over both.
type sending struct {
	call   *call
	at     *Attempt
	trace  httptrace.ClientTrace
	resp   *http.Response
	cancel context.CancelCauseFunc
	stop   func() bool // lets go of the caller's context; nil if it was never held
	read   bool        // the body has been read to its end

	// One timer looks after all phases: it ticks, and each tick without a change adds to the age of the silence.
	// Setting it anew for each phase wakes the network poller each time, which showed in every profile.
	timer    *time.Timer
	starting sync.Mutex
	tick     time.Duration
	phase    atomic.Int32
	beats    atomic.Int64 // odd while the caller holds an event; changes with each useful event
	fired    atomic.Int32 // the phase whose limit passed, plus one
	last     struct {     // what the tick before saw; the timer's own
		phase int32
		beats int64
		age   time.Duration
	}

	traced atomic.Bool // the transport tells of what follows
	reused atomic.Bool // the connection was used before
	got    atomic.Bool // there is a connection
	wrote  atomic.Bool // the whole request has left
}

// roundTrip sends the request and waits for an answer that is no error.
func (s *sending) roundTrip(ctx context.Context) error {
	sendCtx := ctx
	if s.call.stream {
		// A stream's connection is drained after the caller has its answer and perhaps has cancelled its context;
		// tied to that, the connection would be lost.
		sendCtx = context.WithoutCancel(ctx)
	}
	sendCtx, s.cancel = context.WithCancelCause(sendCtx)
	if s.call.stream && ctx.Done() != nil {
		s.stop = context.AfterFunc(ctx, func() { s.cancel(context.Cause(ctx)) })
	}
	s.startClock()

	var err error
	s.resp, err = s.call.client.send.RoundTrip(s.request(sendCtx)) //nolint:bodyclose // closed by abandon or drain
	if err != nil {
		return s.failed(ctx, err)
	}
	s.at.FirstByte = time.Since(s.at.Start)
	s.at.Status = s.resp.StatusCode
	s.at.Header = s.resp.Header
	s.at.RequestID = requestID(s.resp.Header)
	if s.resp.StatusCode/100 != 2 {
		return s.refused(ctx)
	}
	s.at.Billing = MaybeBilled // until the answer is whole
	return nil
}

// request makes the HTTP request. It has no GetBody, so that net/http cannot send it again behind our counter.
func (s *sending) request(ctx context.Context) *http.Request {
	k := s.call
	if k.client.own == nil { // ours does
		s.trace.GetConn = func(string) { s.traced.Store(true) }
	}
	s.trace.GotConn = func(info httptrace.GotConnInfo) {
		s.reused.Store(info.Reused)
		s.got.Store(true)
	}
	s.trace.WroteRequest = func(info httptrace.WroteRequestInfo) {
		if info.Err == nil {
			s.wrote.Store(true)
		}
	}
	ctx = httptrace.WithClientTrace(ctx, &s.trace)
	header := make(http.Header, 8)
	for name, values := range k.client.opts.Headers {
		header[http.CanonicalHeaderKey(name)] = values
	}
	for name, values := range k.header {
		header[http.CanonicalHeaderKey(name)] = values
	}
	header["Authorization"] = k.key.header
	if header["User-Agent"] == nil {
		header["User-Agent"] = userAgent
	}
	r := blank.WithContext(ctx)
	r.Method, r.URL, r.Host, r.Header = k.method, k.url, k.url.Host, header
	if k.body != nil {
		header["Content-Type"] = typeJSON
		header["Idempotency-Key"] = []string{k.rec.ID}
		if k.stream {
			header["Accept"] = acceptEvents
		}
		// A known reader lets net/http send headers and body in one packet.
		r.Body = io.NopCloser(bytes.NewReader(k.body))
		r.ContentLength = int64(len(k.body))
	}
	return r
}

// blank is copied for each request.
var blank = &http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}

var (
	userAgent    = []string{"holysheep-go"}
	typeJSON     = []string{"application/json"}
	acceptEvents = []string{"text/event-stream, application/json"}
)

func requestID(h http.Header) string {
	for _, name := range []string{"X-Request-Id", "X-Oneapi-Request-Id", "Request-Id"} {
		if id := h.Get(name); id != "" {
			return id[:min(len(id), 200)]
		}
	}
	return ""
}

// abandon ends an attempt whose answer is not wanted any more: its connection is given up.
func (s *sending) abandon() {
	if s.cancel == nil {
		return // never sent
	}
	s.letGo()
	s.cancel(nil)
	if s.resp != nil {
		_ = s.resp.Body.Close()
	}
}

// letGo takes the clock and the caller's context off the connection.
func (s *sending) letGo() {
	s.phase.Store(ended)
	s.timer.Stop()
	if s.stop != nil {
		s.stop()
	}
}

// How much a server may still send after a complete answer, and for how long, before its connection is given up;
// the caller waits for no more than drainGrace of that.
const (
	drainBytes = 256 << 10
	drainLimit = 500 * time.Millisecond
	drainGrace = 3 * time.Millisecond
)

// drain reads what the server still sends after a complete answer, so that its connection can be used again.
func (s *sending) drain() {
	if s == nil {
		return
	}
	if s.read {
		s.abandon()
		return
	}
	s.letGo()
	done := make(chan struct{})
	s.call.client.running.Go(func() {
		defer close(done)
		limit := time.AfterFunc(drainLimit, func() { s.cancel(nil) })
		defer limit.Stop()
		_, _ = io.CopyN(io.Discard, s.resp.Body, drainBytes)
		_ = s.resp.Body.Close()
		s.cancel(nil)
	})
	grace := time.NewTimer(drainGrace)
	defer grace.Stop()
	select {
	case <-done:
	case <-grace.C:
	}
}
