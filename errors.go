package holysheep

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/holysheep-ai/holysheep-go/internal/wire"
)

// What went wrong, for errors.Is. The comments say what the errors that match them are.
var (
	ErrBadRequest          = errors.New("bad request")             // *RequestError (nothing sent), or 400, 422 and other 4xx
	ErrUnauthorized        = errors.New("key refused")             // 401
	ErrInsufficientBalance = errors.New("balance or quota spent")  // 402, or any status whose body says so
	ErrForbidden           = errors.New("not allowed")             // 403
	ErrNotFound            = errors.New("no such endpoint")        // 404 that is not about a model: look at the base URL
	ErrModelNotFound       = errors.New("model not available")     // 404 or 503: the gateway has no such model, or no price for it
	ErrContextLength       = errors.New("context too long")        // 413, or 400 whose body says so
	ErrContentFiltered     = errors.New("content refused")         // 400 by the gateway's content policy
	ErrConflict            = errors.New("conflict")                // 409, after retries
	ErrRateLimited         = errors.New("rate limited")            // 429, after retries
	ErrOverloaded          = errors.New("overloaded")              // 503 or 529, after retries
	ErrServer              = errors.New("server error")            // other 5xx, after retries where they help
	ErrConnect             = errors.New("no connection")           // name look-up, dial or TLS failed: nothing sent
	ErrNoAnswer            = errors.New("no answer")               // sent, and the connection broke before an answer, after retries
	ErrTimeout             = errors.New("timed out")               // a time limit of Options passed, or 408
	ErrRedirect            = errors.New("redirect refused")        // 3xx: never followed, it would take the prompt along
	ErrMalformed           = errors.New("answer not understood")   // HTML, an empty body, bad JSON, vectors that are not those of the texts
	ErrTooLarge            = errors.New("answer too large")        // over a size limit of Options
	ErrEmpty               = errors.New("empty answer")            // no choices, or [DONE] and nothing else
	ErrTruncated           = errors.New("answer cut short")        // the body ended before a finish_reason
	ErrStalled             = errors.New("stream stalled")          // nothing useful within StreamIdleTimeout
	ErrBudgetExceeded      = errors.New("budget exceeded")         // *BudgetError: nothing sent, or not sent again
	ErrUnknownPrice        = errors.New("no price for this model") // with a budget in force: nothing sent
	ErrClosed              = errors.New("client closed")           // the call came after Close
	ErrStreamUsed          = errors.New("stream already used")     // a second range would buy a second answer
)

// RequestError is a request or an option that cannot be sent as it is. Nothing was sent or spent.
// It matches [ErrBadRequest].
type RequestError struct {
	Field  string // "Messages[2].Content[0].URL"
	Reason string
}

func (e *RequestError) Error() string { return "holysheep: " + e.Field + ": " + e.Reason }

// Is reports whether target is ErrBadRequest.
func (e *RequestError) Is(target error) bool { return target == ErrBadRequest }

// APIError is what the gateway said instead of an answer: an error status, an error object inside a 200 or a
// stream, or a body that is no answer at all. errors.Is tells the kinds apart.
type APIError struct {
	StatusCode int           // HTTP status; 200 when the error came inside an answer
	Code       string        // the gateway's own code, "" if none
	Type       string        // the gateway's own type, "" if none
	Param      string        // the parameter it complains about, "" if none
	Message    string        // what it says; at most 1 KiB of readable text where it sent no error object
	RequestID  string        // to name in a support case, "" if none
	RetryAfter time.Duration // when the gateway asked to come back; 0 without a hint
	Attempts   int           // requests sent for this call, this one included
	Billing    Billing       // whether the call may be on the bill, all its attempts taken together

	kind   error
	retry  bool
	hinted bool // RetryAfter was given, be it zero

	adapted bool // the request has been changed so that this refusal will not come again
}

func (e *APIError) Error() string {
	var b strings.Builder
	b.WriteString("holysheep: ")
	if e.StatusCode != 0 && e.StatusCode != http.StatusOK {
		fmt.Fprintf(&b, "%d ", e.StatusCode)
	}
	fmt.Fprintf(&b, "%v", e.kind)
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	var notes []string
	if e.Code != "" {
		notes = append(notes, "code "+e.Code)
	}
	if e.RetryAfter > 0 {
		notes = append(notes, "retry after "+e.RetryAfter.String())
	}
	if e.RequestID != "" {
		notes = append(notes, "request "+e.RequestID)
	}
	if notes = appendOutcome(notes, e.Attempts, e.Billing); len(notes) > 0 {
		b.WriteString(" (" + strings.Join(notes, ", ") + ")")
	}
	return b.String()
}

// Is reports whether the error is of target's kind.
func (e *APIError) Is(target error) bool { return target == e.kind }

// The phases of a [TransportError].
const (
	PhaseConnect = "connect" // look-up, dial, TLS
	PhaseHeaders = "headers" // sent, and no answer began
	PhaseBody    = "body"    // the answer broke off
	PhaseWait    = "wait"    // cancelled between two attempts; nothing was under way
)

// TransportError is a call that ended without the gateway's word: no connection, a time limit, a torn body, or
// the caller's own context. It unwraps to the cause, so errors.Is(err, context.Canceled) holds where it applies,
// and to the last answer before it, if there was one.
type TransportError struct {
	Phase    string  // one of the Phase constants
	Attempts int     // requests sent for this call, this one included
	Billing  Billing // whether the call may be on the bill, all its attempts taken together
	Err      error   // the cause
	Last     error   // what the attempt before it ended with; nil if there was none

	kind  error
	retry bool
	stale bool // a kept connection that was dead already: nothing was sent, and nothing is wrong
}

func (e *TransportError) Error() string {
	var b strings.Builder
	b.WriteString("holysheep: ")
	if e.kind != nil {
		fmt.Fprintf(&b, "%v: ", e.kind)
	}
	fmt.Fprintf(&b, "%v", e.Err)
	notes := appendOutcome([]string{"phase " + e.Phase}, e.Attempts, e.Billing)
	b.WriteString(" (" + strings.Join(notes, ", ") + ")")
	if e.Last != nil {
		b.WriteString("; before: " + strings.TrimPrefix(e.Last.Error(), "holysheep: "))
	}
	return b.String()
}

// Is reports whether the error is of target's kind.
func (e *TransportError) Is(target error) bool { return e.kind != nil && target == e.kind }

// Unwrap gives the cause and, if there is one, the error before it.
func (e *TransportError) Unwrap() []error {
	if e.Last == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Last}
}

// Timeout reports whether a time limit passed, as net.Error has it.
func (e *TransportError) Timeout() bool { return e.Is(ErrTimeout) || e.Is(ErrStalled) }

func appendOutcome(notes []string, attempts int, billing Billing) []string {
	if attempts > 1 {
		notes = append(notes, fmt.Sprintf("%d attempts", attempts))
	}
	if billing == MaybeBilled {
		notes = append(notes, billing.String())
	}
	return notes
}

// StreamError is an error that came after a part of the answer. It unwraps to the cause.
type StreamError struct {
	Partial *ChatResponse // what came before, with the estimated usage and both ends of its cost
	Err     error
}

func (e *StreamError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *StreamError) Unwrap() error { return e.Err }

// verdict is how an error answer is read: what it is and whether asking again can help.
type verdict struct {
	kind  error
	retry bool
}

// bodyRules read an error by what it says; they come before its status, because gateways disagree on statuses.
// Sources: the error codes of OpenAI, Anthropic and one-api-style relays, whose messages are partly Chinese.
var bodyRules = []struct {
	words []string // any of them in code, type or message, lower case
	in    []int    // only with these statuses; nil: any
	verdict
}{
	{words: []string{
		"insufficient_quota", "insufficient_user_quota", "pre_consume_token_quota_failed", "insufficient_balance",
		"billing_hard_limit", "billing_error", "额度已用尽", "额度不足", "余额不足",
		"insufficient balance", "insufficient credit", "insufficient funds",
	}, verdict: verdict{ErrInsufficientBalance, false}},
	{words: []string{"model_price_error"}, verdict: verdict{ErrModelNotFound, false}},
	{words: []string{"无权访问"}, verdict: verdict{ErrForbidden, false}},
	{
		words: []string{"model_not_found", "model_not_exist", "无可用渠道", "no available channel", "no such model", "unknown model"},
		in:    []int{200, 400, 404, 422, 500, 503}, verdict: verdict{ErrModelNotFound, false},
	},
	{
		words: []string{"context_length_exceeded", "maximum context length", "context window", "prompt is too long", "string_above_max_length"},
		in:    []int{200, 400, 413, 422, 500}, verdict: verdict{ErrContextLength, false},
	},
	{
		words: []string{"content_filter", "content_policy_violation", "data_inspection_failed"},
		in:    []int{200, 400, 403, 422}, verdict: verdict{ErrContentFiltered, false},
	},
}

// statusRules read an error by its HTTP status.
var statusRules = map[int]verdict{
	400: {ErrBadRequest, false},
	401: {ErrUnauthorized, false},
	402: {ErrInsufficientBalance, false},
	403: {ErrForbidden, false},
	404: {ErrNotFound, false},
	408: {ErrTimeout, true},
	409: {ErrConflict, true},
	413: {ErrContextLength, false},
	425: {ErrConflict, true},
	429: {ErrRateLimited, true},
	500: {ErrServer, true},
	502: {ErrServer, true},
	503: {ErrOverloaded, true},
	504: {ErrServer, true},
	529: {ErrOverloaded, true},
	// What Cloudflare answers when the origin behind it fails.
	520: {ErrServer, true}, 521: {ErrServer, true}, 522: {ErrServer, true}, 523: {ErrServer, true}, 524: {ErrServer, true},
}

// typeStatus gives error objects that come without a status of their own (inside a 200 or a stream) the one
// their type or code stands for.
var typeStatus = map[string]int{
	"invalid_request_error": 400, "authentication_error": 401, "invalid_api_key": 401, "permission_error": 403,
	"not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "rate_limit_exceeded": 429,
	"requests": 429, "tokens": 429, "api_error": 500, "server_error": 500, "internal_server_error": 500,
	"upstream_error": 502, "timeout_error": 504, "overloaded_error": 529, "service_unavailable": 503,
}

// judge reads an error answer.
func judge(status int, body wire.ErrorBody) verdict {
	said := strings.ToLower(body.Code + "\n" + body.Type + "\n" + body.Message)
	for _, rule := range bodyRules {
		if rule.in != nil && !slices.Contains(rule.in, status) {
			continue
		}
		for _, word := range rule.words {
			if strings.Contains(said, word) {
				return rule.verdict
			}
		}
	}
	if status == http.StatusNotFound && body.Object && strings.Contains(said, "model") {
		return verdict{ErrModelNotFound, false}
	}
	if status == http.StatusOK {
		status = statusInside(body)
	}
	if v, ok := statusRules[status]; ok {
		return v
	}
	switch {
	case status >= 300 && status < 400:
		return verdict{ErrRedirect, false}
	case status >= 400 && status < 500:
		return verdict{ErrBadRequest, false}
	case status >= 500 && status < 600:
		return verdict{ErrServer, false}
	}
	return verdict{ErrMalformed, false}
}

// statusInside is the status an error object inside a 200 stands for; 500 when it does not say.
func statusInside(body wire.ErrorBody) int {
	for _, word := range []string{body.Code, body.Type} {
		if s, ok := typeStatus[strings.ToLower(word)]; ok {
			return s
		}
		if len(word) == 3 {
			if v := int(word[0]-'0')*100 + int(word[1]-'0')*10 + int(word[2]-'0'); v >= 400 && v < 600 {
				return v
			}
		}
	}
	return http.StatusInternalServerError
}

// billingOf says whether an error answer is on the bill. Gateways do not charge for what they refuse; a 5xx
// without their own error object may come from something in front of one that did the work.
func billingOf(status int, body wire.ErrorBody) Billing {
	switch {
	case status < 300:
		return MaybeBilled
	case status < 500, status == http.StatusServiceUnavailable, status == 529, body.Object:
		return NotBilled
	}
	return MaybeBilled
}
