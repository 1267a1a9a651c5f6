package holysheep

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
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
		WriteBufferSize:     16 << 10, // what most requests fit into, to leave in one piece
		Proxy: func(r *http.Request) (*url.URL, error) {
			if r.URL.Scheme != "https" {
				return nil, nil // the proxy would read key and prompt
			}
			return http.ProxyFromEnvironment(r)
		},
	}
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
