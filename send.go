package holysheep

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holysheep-ai/holysheep-go/internal/wire"
)

// newTransport makes the connection pool of a client.
func newTransport(o *Options) *http.Transport {
	dialer := &net.Dialer{Timeout: o.ConnectTimeout, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: o.ConnectTimeout,
		ForceAttemptHTTP2:   true,
		// A dead HTTP/2 connection would take every call with it until its context ends.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
		// With fewer idle connections than callers, each burst pays for handshakes: 1,196 against 8,455 requests/s.
		MaxIdleConns:        512,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     90 * time.Second,
		Proxy: func(r *http.Request) (*url.URL, error) {
			if r.URL.Scheme != "https" {
				return nil, nil // the proxy would read key and prompt
			}
			return http.ProxyFromEnvironment(r)
		},
	}
}

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
	timer *time.Timer
	tick  time.Duration
	phase atomic.Int32
	beats atomic.Int64 // odd while the caller holds an event; changes with each useful event
	fired atomic.Int32 // the phase whose limit passed, plus one
	last  struct {     // what the tick before saw; the timer's own
		phase int32
		beats int64
		age   time.Duration
	}

	traced atomic.Bool // the transport tells of what follows
	reused atomic.Bool // the connection was used before
	got    atomic.Bool // there is a connection
	wrote  atomic.Bool // the whole request has left
}

const (
	inHeaders   int32 = iota // waiting for the first byte of the answer
	inBody                   // reading a plain answer
	inStream                 // reading events
	inTail                   // finish_reason is there, [DONE] is not
	inErrorBody              // reading an error's body
	ended
)

var errLimit = errors.New("holysheep: time limit passed")

// How often a phase is looked at within its limit: a limit passes up to an eighth of it late.
const ticks = 8

// How long the usage and [DONE] may come after the finish_reason; the answer is complete without them.
const tailTimeout = 5 * time.Second

// limit is how long a phase may last without a change.
func (s *sending) limit(phase int32) time.Duration {
	o := s.call.client.opts
	switch {
	case phase == inHeaders && s.call.stream:
		return o.StreamHeaderTimeout
	case phase == inStream:
		return o.StreamIdleTimeout
	case phase == inTail:
		return min(tailTimeout, o.StreamIdleTimeout)
	case phase == inErrorBody:
		return 0 // its timer is set to the whole of it
	}
	return o.AnswerTimeout
}

// startClock sets the timer.
func (s *sending) startClock() {
	s.tick = s.limit(inHeaders) / ticks
	if s.call.stream {
		s.tick = min(s.tick, s.limit(inStream)/ticks, s.limit(inTail)/2)
	}
	s.tick = max(s.tick, time.Millisecond)
	s.timer = time.AfterFunc(s.tick, s.expire)
}

// expire is one tick of the timer.
func (s *sending) expire() {
	phase, beats := s.phase.Load(), s.beats.Load()
	switch l := &s.last; {
	case phase == ended:
		return
	case phase != l.phase, beats != l.beats, beats%2 == 1:
		l.phase, l.beats, l.age = phase, beats, 0
	default:
		l.age += s.tick
	}
	if s.last.age >= s.limit(phase) {
		s.fired.Store(phase + 1)
		s.cancel(errLimit)
		return
	}
	s.timer.Reset(s.tick)
}

// timedOut reports whether the limit of the phase passed.
func (s *sending) timedOut(phase int32) bool { return s.fired.Load() == phase+1 }

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
	header["Accept"] = acceptJSON
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
	acceptJSON   = []string{"application/json"}
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

// readAll reads a plain answer's body.
func (s *sending) readAll(ctx context.Context) ([]byte, error) {
	o := s.call.client.opts
	s.phase.Store(inBody)
	if s.resp.ContentLength > int64(o.MaxAnswerBytes) {
		return nil, s.tooLarge("the body", o.MaxAnswerBytes)
	}
	body, err := readBounded(s.resp.Body, s.resp.ContentLength, o.MaxAnswerBytes)
	switch {
	case err == errOverLimit: //nolint:errorlint // readBounded's own
		return nil, s.tooLarge("the body", o.MaxAnswerBytes)
	case err != nil:
		return nil, s.torn(ctx, err)
	}
	s.read = true
	return body, nil
}

var errOverLimit = errors.New("holysheep: over the limit")

// readBounded reads r unless it has more than limit bytes. It reads in pieces, because one buffer that doubles would
// hold three times the limit, and because a Content-Length may promise what never comes.
func readBounded(r io.Reader, length int64, limit int) ([]byte, error) {
	const largest = 1 << 20
	size := 8 << 10
	if length >= 0 {
		size = int(min(length+1, largest))
	}
	var pieces [][]byte
	b := make([]byte, 0, size)
	for total := 0; ; {
		n, err := r.Read(b[len(b):min(cap(b), len(b)+limit+1-total)])
		b = b[:len(b)+n]
		total += n
		if total > limit {
			return nil, errOverLimit
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(b) == cap(b) {
			pieces = append(pieces, b)
			size = min(size*4, largest)
			b = make([]byte, 0, size)
		}
	}
	if pieces == nil {
		return b, nil
	}
	return bytes.Join(append(pieces, b), nil), nil
}

// refused makes the error of an answer that is not a 2xx.
func (s *sending) refused(ctx context.Context) error {
	o := s.call.client.opts
	s.phase.Store(inErrorBody)
	s.timer.Reset(o.ErrorBodyTimeout)
	body, _ := io.ReadAll(io.LimitReader(s.resp.Body, int64(o.MaxErrorBytes))) // what came is what we have
	if err := ctx.Err(); err != nil {
		s.at.Billing = billingOf(s.resp.StatusCode, wire.ErrorBody{})
		return &TransportError{Phase: PhaseBody, Err: causeOf(ctx)}
	}
	return s.apiError(body)
}

// apiError makes the error of what the gateway said: an error's body, or an error object inside an answer.
func (s *sending) apiError(body []byte) *APIError {
	said := wire.ParseError(body)
	status := s.resp.StatusCode
	v := judge(status, said)
	e := &APIError{
		StatusCode: status, Code: said.Code, Type: said.Type, Param: said.Param, Message: said.Message,
		RequestID: s.at.RequestID, kind: v.kind, retry: v.retry,
	}
	if e.RequestID == "" {
		e.RequestID = said.RequestID
		s.at.RequestID = said.RequestID
	}
	if status/100 == 3 {
		e.Message = "not followed: it would take the prompt to " + redirectHost(s.resp)
	}
	if e.RetryAfter, e.hinted = wire.RetryAfter(s.resp.Header, time.Now()); !e.hinted && said.HasRetryAfter {
		e.RetryAfter, e.hinted = said.RetryAfter, true
	}
	switch s.resp.Header.Get("X-Should-Retry") {
	case "true":
		e.retry = true
	case "false":
		e.retry = false
	}
	s.at.Billing = billingOf(status, said)
	return e
}

func redirectHost(resp *http.Response) string {
	u, err := resp.Location()
	if err != nil {
		return "an unnamed place"
	}
	return u.Host
}

// malformed makes the error of a 2xx whose body is no answer.
func (s *sending) malformed(body []byte) *APIError {
	what := s.resp.Header.Get("Content-Type")
	if what == "" {
		what = "a body without a content type"
	}
	excerpt := wire.Excerpt(body, 1024)
	if excerpt == "" {
		excerpt = "empty"
	}
	return s.badAnswer(ErrMalformed, what+": "+excerpt)
}

func (s *sending) tooLarge(what string, limit int) *APIError {
	return s.badAnswer(ErrTooLarge, fmt.Sprintf("%s is over the limit of %d bytes", what, limit))
}

func (s *sending) badAnswer(kind error, message string) *APIError {
	return &APIError{StatusCode: s.resp.StatusCode, Message: message, RequestID: s.at.RequestID, kind: kind}
}

// torn makes the error of an answer that broke off with err.
func (s *sending) torn(ctx context.Context, err error) *TransportError {
	o := s.call.client.opts
	e := &TransportError{Phase: PhaseBody, Err: err}
	switch {
	case ctx.Err() != nil:
		e.Err = causeOf(ctx)
	case s.timedOut(inStream):
		e.kind, e.Err = ErrStalled, fmt.Errorf("nothing useful for %v", o.StreamIdleTimeout)
	case s.timedOut(inBody):
		e.kind, e.Err = ErrTimeout, fmt.Errorf("the body took longer than %v", o.AnswerTimeout)
	default:
		e.kind, e.retry = ErrTruncated, true
	}
	return e
}

// failed makes the error of a request that got no answer.
func (s *sending) failed(ctx context.Context, err error) error {
	e := &TransportError{Phase: PhaseConnect, Err: err}
	if s.got.Load() {
		e.Phase = PhaseHeaders
	}
	// A transport of the caller's may not tell when the request has left: only a failed dial is safe then.
	sent := s.wrote.Load() || s.call.client.own == nil && !s.traced.Load() && !isDial(err)
	if sent {
		e.Phase = PhaseHeaders
		s.at.Billing = MaybeBilled
	}
	switch {
	case ctx.Err() != nil:
		e.Err = causeOf(ctx)
	case s.timedOut(inHeaders):
		e.kind = ErrTimeout
		e.Err = fmt.Errorf("no answer within %v", s.limit(inHeaders))
		e.retry = !sent
	case e.Phase == PhaseConnect:
		e.kind = ErrConnect
		e.retry = !isPermanent(err)
		if hint := connectHint(err); hint != "" {
			e.Err = fmt.Errorf("%s: %w", hint, e.Err)
		}
	default:
		e.kind, e.retry = ErrNoAnswer, true
		e.stale = !sent && s.reused.Load()
	}
	return e
}

// causeOf is why a context ended: its error, and the caller's cause if it gave one.
func causeOf(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || errors.Is(cause, err) || errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

func isDial(err error) bool {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" || isTLS(err)
}

// isPermanent reports whether connecting again would fail in the same way.
func isPermanent(err error) bool {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.IsNotFound
	}
	return isTLS(err)
}

func isTLS(err error) bool {
	_, verify := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	return verify || record || alert || invalid || name || unknown ||
		errors.Is(err, http.ErrSchemeMismatch) || strings.HasPrefix(err.Error(), "tls: ") || strings.Contains(err.Error(), "remote error: tls: ")
}

// connectHint names the likely mistake.
func connectHint(err error) string {
	if errors.Is(err, http.ErrSchemeMismatch) {
		return "the server speaks http on this port, the base URL says https"
	}
	if record, ok := errors.AsType[tls.RecordHeaderError](err); ok && string(record.RecordHeader[:]) == "HTTP/" {
		return "the server speaks http on this port, the base URL says https"
	}
	if strings.Contains(err.Error(), "protocol version") {
		return "client and server share no version of TLS"
	}
	return ""
}
