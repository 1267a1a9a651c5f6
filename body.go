package holysheep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/holysheep-ai/holysheep-go/internal/wire"
)

// readAll reads a plain answer's body, into buf where it has the room; nil will do.
func (s *sending) readAll(ctx context.Context, buf []byte) ([]byte, error) {
	o := s.call.client.opts
	s.phase.Store(inBody)
	if s.resp.ContentLength > int64(o.MaxAnswerBytes) {
		return nil, s.tooLarge("the body", o.MaxAnswerBytes)
	}
	body, err := readBounded(s.resp.Body, s.resp.ContentLength, o.MaxAnswerBytes, buf)
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
func readBounded(r io.Reader, length int64, limit int, buf []byte) ([]byte, error) {
	const largest = 1 << 20
	size := 8 << 10
	if length >= 0 {
		size = int(min(length+1, largest))
	}
	var pieces [][]byte
	b := buf[:0]
	if cap(b) < size {
		b = make([]byte, 0, size)
	}
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
