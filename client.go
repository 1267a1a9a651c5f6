package holysheep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"

	"github.com/holysheep-ai/holysheep-go/internal/wire"
)

// Client talks to one gateway. It is a [Completer], safe for concurrent use, and does not change after New.
// It keeps connections open between calls: make one and share it, and Close it at the end.
type Client struct {
	opts *Options
	base *url.URL
	send http.RoundTripper
	own  *http.Transport // send, when it is ours to close

	// The key is kept in a function so that no formatting verb and no encoder can reach it.
	key func(ctx context.Context) (credential, error)

	// What the requests of this client share.
	chatURL, modelsURL *url.URL

	recorder Recorder
	quotas   retryQuotas
	guards   []guard // the budgets, by ledger

	// Set once the gateway has refused stream_options: it is not asked again.
	noStreamOptions atomic.Bool

	closing sync.RWMutex
	closed  bool
	running sync.WaitGroup // calls, and what they leave to be drained
}

// New makes a client. The key may be surrounded by white space. On holysheep.ai hosts it has to start with one of
// the prefixes HolySheep hands out, unless Options.AnyKey is set. opts may be nil. A key or an option that cannot
// work is a *RequestError; no error shows the key.
func New(key string, opts *Options) (*Client, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	base, err := parseBaseURL(o.BaseURL, o.AllowHTTP)
	if err != nil {
		return nil, err
	}
	c := &Client{
		opts: o, base: base, chatURL: base.JoinPath("chat/completions"), modelsURL: base.JoinPath("models"),
		send: o.Transport, recorder: Recorder{observer: o.Observer, prices: o.Prices.Date()},
	}
	if c.key, err = keySource(key, base.Hostname(), o); err != nil {
		return nil, err
	}
	if c.guards, err = newGuards(o.Budgets, c.running.Go); err != nil {
		return nil, err
	}
	if c.send == nil {
		c.own = newTransport(o)
		c.send = c.own
	}
	return c, nil
}

// FromEnv makes a client from HOLYSHEEP_API_KEY and, if it is set and opts name no other, HOLYSHEEP_BASE_URL.
func FromEnv(opts *Options) (*Client, error) {
	key := os.Getenv("HOLYSHEEP_API_KEY")
	if key == "" && (opts == nil || opts.Key == nil) {
		return nil, &RequestError{"HOLYSHEEP_API_KEY", "not set: export HOLYSHEEP_API_KEY=hs_…"}
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	setDefault(&o.BaseURL, os.Getenv("HOLYSHEEP_BASE_URL"))
	return New(key, &o)
}

// credential is a key, and the header made of it.
type credential struct {
	key    string
	header []string
}

func newCredential(key string) credential { return credential{key, []string{"Bearer " + key}} }

func keySource(key, host string, o *Options) (func(context.Context) (credential, error), error) {
	if next := o.Key; next != nil {
		return func(ctx context.Context) (credential, error) {
			key, err := next(ctx)
			if err != nil {
				return credential{}, fmt.Errorf("holysheep: Options.Key: %w", err)
			}
			if key, err = checkKey(key, host, o.AnyKey); err != nil {
				return credential{}, err
			}
			return newCredential(key), nil
		}, nil
	}
	key, err := checkKey(key, host, o.AnyKey)
	if err != nil {
		return nil, err
	}
	only := newCredential(key)
	return func(context.Context) (credential, error) { return only, nil }, nil
}

// BaseURL is the address that requests go to, completed: https://host/v1.
func (c *Client) BaseURL() string { return c.base.String() }

// String names the client by its base URL.
func (c *Client) String() string { return "holysheep.Client(" + c.BaseURL() + ")" }

// Format writes String for every verb, so that no verb shows what is inside.
func (c *Client) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, c.String()) }

// Recorder is where the client reports its calls, for decorators to adopt.
func (c *Client) Recorder() *Recorder { return &c.recorder }

// Prices is the table that calls are priced with.
func (c *Client) Prices() *PriceTable { return c.opts.Prices }

// ModelInfo tells what is known of a model, what Options.Models say of it included.
func (c *Client) ModelInfo(name string) (ModelInfo, bool) {
	if info, ok := c.opts.Models[name]; ok {
		return info, true
	}
	return LookupModel(name)
}

// Meter sums up the calls that have ended, by the model asked for. It equals the sum over the calls that the
// observer saw, at any time and under any concurrency.
func (c *Client) Meter() map[string]Totals { return c.recorder.meter.snapshot() }

// Close refuses new calls (ErrClosed), waits for the running ones and for what they left to be drained, and
// closes the idle connections. Cancel the contexts of the calls to hurry it. It may be called more than once,
// but not from inside a stream's loop, which it would wait for. It returns nil.
func (c *Client) Close() error {
	c.closing.Lock()
	c.closed = true
	c.closing.Unlock()
	c.running.Wait()
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
	return nil
}

// enter counts a call as running, unless the client is closed. Done on running follows.
func (c *Client) enter() error {
	c.closing.RLock()
	defer c.closing.RUnlock()
	if c.closed {
		return fmt.Errorf("holysheep: %w", ErrClosed)
	}
	c.running.Add(1)
	return nil
}

// guardsFor are the budgets and, before them because they answer at once, the caps of the scope.
func (c *Client) guardsFor(scope *Scope) []guard {
	if !scope.isCapped() {
		return c.guards
	}
	return append([]guard{scope}, c.guards...)
}

// Models lists the names of the models that the gateway offers to this key. It costs nothing, so it is also the
// way to check a key.
func (c *Client) Models(ctx context.Context) ([]string, error) {
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.running.Done()
	var list modelList
	k := &call{client: c, method: http.MethodGet, url: c.modelsURL, rec: Call{Operation: "models"}, op: &list}
	if err := k.run(ctx); err != nil {
		return nil, err
	}
	k.rest.drain()
	return list, nil
}

// modelList is the operation behind Models.
type modelList []string

func (l *modelList) read(ctx context.Context, s *sending) error {
	body, err := s.readAll(ctx, nil)
	if err != nil {
		return err
	}
	if *l, err = decodeModels(body); err != nil {
		if wire.ParseError(body).Object {
			return s.apiError(body)
		}
		return s.malformed(body)
	}
	return nil
}

func (*modelList) adapt(*APIError) bool    { return false }
func (*modelList) response() *ChatResponse { return nil }
func (*modelList) texts() []string         { return nil }

func decodeModels(body []byte) ([]string, error) {
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	if list.Data == nil {
		return nil, errors.New("no data")
	}
	names := make([]string, 0, len(list.Data))
	for _, m := range list.Data {
		if m.ID != "" {
			names = append(names, m.ID)
		}
	}
	return names, nil
}
