package holysheep

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
	"unicode/utf8"
)

// Options change what a [Client] does. The zero value of each field is its default; New copies the struct, and
// nothing of it is to be changed afterwards.
type Options struct {
	// BaseURL of the gateway, with or without /v1. Default: https://api.holysheep.ai/v1.
	BaseURL string

	// Model for requests that name none. Default: deepseek-v3.2.
	Model string

	// Temperature for requests that set none. Default: 0.7; it is not sent to models that refuse it.
	Temperature *float64

	// MaxTokens for requests that set none. Default: 2048.
	MaxTokens *int

	// ServerDefaults leaves temperature and max_tokens to the server where neither request nor options set them.
	// The worst case of a call is then the model's longest answer. Default: false.
	ServerDefaults bool

	// Prices of the models. Default: ListPrices().
	Prices *PriceTable

	// Models overrides what is known of models, by the name they are asked for. Default: none.
	Models map[string]ModelInfo

	// MaxAttempts is how often a call is sent at most, 1 (no retries) to 8. Default: 5.
	MaxAttempts int

	// MaxRetryWait is the longest a gateway may ask a retry to wait. Over it the call fails at once, with the
	// hint in the error, so that the caller can queue the work. Default: 60 s.
	MaxRetryWait time.Duration

	// AmbiguousRetries is how many attempts whose outcome is not known (sent, no answer: they may be billed) are
	// repeated in one call. new(0) repeats none. Default: as MaxAttempts allows.
	AmbiguousRetries *int

	// CollectStreams makes Chat ask for a stream and collect it, so that a long answer is limited by silence and
	// not by its length. Default: false.
	CollectStreams bool

	// TrustDone takes a stream that ends with [DONE] for complete although it named no finish_reason, for
	// servers that never send one. Default: false, because gateways write [DONE] after a cut as well.
	TrustDone bool

	// The limits from here to StreamIdleTimeout pass up to an eighth late: they are looked at by ticks.

	// ConnectTimeout limits dialing and, apart from it, the TLS handshake. Default: 10 s.
	ConnectTimeout time.Duration

	// StreamHeaderTimeout limits the time from sending to the first byte of a stream. Default: 120 s.
	StreamHeaderTimeout time.Duration

	// AnswerTimeout limits the time from sending to the first byte of a plain answer, and from there to its last.
	// Default: 300 s.
	AnswerTimeout time.Duration

	// StreamIdleTimeout limits the time between two useful events of a stream; keep-alives are not useful. Time
	// that the reader takes does not count. Default: 60 s.
	StreamIdleTimeout time.Duration

	// MaxAnswerBytes limits an answer after decompression. Default: 32 MiB.
	MaxAnswerBytes int

	// MaxEventBytes limits one event of a stream. Default: 8 MiB.
	MaxEventBytes int

	// MaxErrorBytes limits what is read of an error's body. Default: 64 KiB.
	MaxErrorBytes int

	// ErrorBodyTimeout limits how long an error's body is read. Default: 250 ms.
	ErrorBodyTimeout time.Duration

	// Headers are sent with every request. Default: none.
	Headers http.Header

	// Key is asked for the key before each attempt, for keys that rotate; New's key may be empty then. It must be
	// safe for concurrent use. Default: nil, New's key is used.
	Key func(ctx context.Context) (string, error)

	// AnyKey switches off the check of the key's prefix on holysheep.ai hosts. Default: false.
	AnyKey bool

	// AllowHTTP permits http:// to other hosts than this one. Key and prompts can be read on the way.
	// Default: false.
	AllowHTTP bool

	// Transport sends the requests. It must not retry or follow redirects. Default: a pool of the client's own,
	// fit for 256 concurrent calls, with proxies from the environment for https.
	Transport http.RoundTripper

	// Budgets guard every call: what could exceed one of them is refused before it is sent. Default: none.
	Budgets []*Budget

	// Tokens counts the tokens of a request before it is sent, which is what reservations are made of. Default: an
	// estimate that needs no tables and errs upward.
	Tokens TokenCounter

	// Gate is asked before each attempt. Default: nil.
	Gate Gate

	// Observer sees every call. Default: nil.
	Observer Observer
}

// DefaultBaseURL is the address of HolySheep AI.
const DefaultBaseURL = "https://api.holysheep.ai/v1"

const (
	defaultTemperature = 0.7
	defaultMaxTokens   = 2048
)

// withDefaults gives a copy with every default filled in, or says which field is wrong.
func (o *Options) withDefaults() (*Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	setDefault(&c.BaseURL, DefaultBaseURL)
	setDefault(&c.Model, DeepSeekV32)
	if !c.ServerDefaults {
		setDefault(&c.Temperature, new(defaultTemperature))
		setDefault(&c.MaxTokens, new(defaultMaxTokens))
	}
	if c.Prices == nil {
		c.Prices = ListPrices()
	}
	c.Headers = c.Headers.Clone()
	setDefault(&c.MaxAttempts, defaultAttempts)
	setDefault(&c.MaxRetryWait, 60*time.Second)
	setDefault(&c.ConnectTimeout, 10*time.Second)
	setDefault(&c.StreamHeaderTimeout, 120*time.Second)
	setDefault(&c.AnswerTimeout, 300*time.Second)
	setDefault(&c.StreamIdleTimeout, 60*time.Second)
	setDefault(&c.MaxAnswerBytes, 32<<20)
	setDefault(&c.MaxEventBytes, 8<<20)
	setDefault(&c.MaxErrorBytes, 64<<10)
	setDefault(&c.ErrorBodyTimeout, 250*time.Millisecond)
	return &c, c.validate()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o *Options) validate() error {
	probe := ChatRequest{Model: o.Model, Messages: []Message{User("")}, Temperature: o.Temperature, MaxTokens: o.MaxTokens}
	if err := probe.validate(); err != nil {
		return inOptions(err)
	}
	if o.MaxAttempts < 1 || o.MaxAttempts > maxAttempts {
		return &RequestError{"Options.MaxAttempts", fmt.Sprintf("%d is not between 1 and %d", o.MaxAttempts, maxAttempts)}
	}
	if n := o.AmbiguousRetries; n != nil && *n < 0 {
		return &RequestError{"Options.AmbiguousRetries", fmt.Sprintf("%d is negative", *n)}
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"MaxRetryWait", o.MaxRetryWait},
		{"ConnectTimeout", o.ConnectTimeout},
		{"StreamHeaderTimeout", o.StreamHeaderTimeout},
		{"AnswerTimeout", o.AnswerTimeout},
		{"StreamIdleTimeout", o.StreamIdleTimeout},
		{"ErrorBodyTimeout", o.ErrorBodyTimeout},
	} {
		if d.value < 0 {
			return &RequestError{"Options." + d.field, fmt.Sprintf("%v is negative", d.value)}
		}
	}
	for _, n := range []struct {
		field string
		value int
	}{
		{"MaxAnswerBytes", o.MaxAnswerBytes},
		{"MaxEventBytes", o.MaxEventBytes},
		{"MaxErrorBytes", o.MaxErrorBytes},
	} {
		if n.value < 0 || n.value > 1<<30 {
			return &RequestError{"Options." + n.field, fmt.Sprintf("%d is not between 1 and 1 GiB", n.value)}
		}
	}
	return inOptions(validHeaders("Headers", o.Headers))
}

func inOptions(err error) error {
	if e, ok := err.(*RequestError); ok { //nolint:errorlint // made here, never wrapped
		return &RequestError{"Options." + e.Field, e.Reason}
	}
	return err
}

// Headers that the client sets itself, or that would change how an answer has to be read.
var reservedHeaders = []string{
	"Authorization", "Content-Type", "Content-Length", "Transfer-Encoding", "Accept", "Accept-Encoding",
	"Connection", "Host", "Idempotency-Key",
}

func validHeaders(field string, h http.Header) error {
	for name, values := range h {
		where := fmt.Sprintf("%s[%q]", field, name)
		if !validToken(name) {
			return &RequestError{where, "no header name"}
		}
		for _, reserved := range reservedHeaders {
			if strings.EqualFold(name, reserved) {
				return &RequestError{where, "is the client's to set"}
			}
		}
		for _, v := range values {
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return &RequestError{where, "value with control characters"}
			}
		}
	}
	return nil
}

func validToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// parseBaseURL checks a base URL and completes it: without a path it gets /v1.
func parseBaseURL(raw string, allowHTTP bool) (*url.URL, error) {
	fail := func(reason string) (*url.URL, error) { return nil, &RequestError{"Options.BaseURL", reason} }
	raw = strings.TrimSpace(raw)
	if !printable(raw) {
		return fail("has white space, control characters or invalid UTF-8")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return fail("not a URL") // the parser's message would repeat it, with a password that may be in it
	case u.User != nil:
		return fail("has a user name or password: pass the key to New")
	case u.Scheme != "http" && u.Scheme != "https":
		return fail("has to start with https://")
	case u.Hostname() == "":
		return fail("has no host")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#"):
		return fail("has a query or a fragment")
	case u.Scheme == "http" && !allowHTTP && !isLoopback(u.Hostname()):
		return fail("http:// would send key and prompts in the open; use https://, or AllowHTTP")
	}
	p := path.Clean("/" + u.Path)
	if p == "/" {
		p = "/v1"
	}
	u.Path, u.RawPath = p, ""
	u.Host = strings.ToLower(u.Host)
	return u, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// keyPrefixes are the beginnings of keys that HolySheep has handed out.
var keyPrefixes = []string{"hs_", "cr_", "sk-", "sk_"}

// checkKey trims a key and says, without showing it, what is wrong with it.
func checkKey(key, host string, anyKey bool) (string, error) {
	key = strings.TrimSpace(key)
	switch {
	case key == "":
		return "", &RequestError{"key", "empty"}
	case !printable(key) || !utf8.ValidString(key):
		return "", &RequestError{"key", "has white space, control characters or invalid UTF-8 inside"}
	case strings.ContainsFunc(key, func(r rune) bool { return r >= 0x7f }):
		return "", &RequestError{"key", "has characters outside ASCII"}
	}
	if anyKey || host != "holysheep.ai" && !strings.HasSuffix(host, ".holysheep.ai") {
		return key, nil
	}
	for _, prefix := range keyPrefixes {
		if strings.HasPrefix(key, prefix) {
			return key, nil
		}
	}
	return "", &RequestError{"key", fmt.Sprintf(
		"%s does not look like a HolySheep key, which starts with %s; Options.AnyKey switches this check off",
		mask(key), strings.Join(keyPrefixes, ", "))}
}

// mask shows enough of a key to tell two apart: two characters and the length.
func mask(key string) string {
	if len(key) < 12 {
		return fmt.Sprintf("a key of %d characters", len(key))
	}
	return fmt.Sprintf("%q and %d more characters", key[:2]+"…", len(key)-2)
}
