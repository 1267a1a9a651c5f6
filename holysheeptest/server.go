package holysheeptest

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// Key is a key that the server takes. It takes every other as well.
const Key = "hs_test_0123456789abcdef"

// Server is a gateway for tests. Its methods are safe for concurrent use; its fields are to be set before the first
// request.
type Server struct {
	// Prices are what requests are billed by. Default: holysheep.ListPrices().
	Prices *holysheep.PriceTable

	// Tokens counts prompts as models do: &tokens.Counter{}. Default: nil, a word or a punctuation mark is a token.
	Tokens holysheep.TokenCounter

	http     *http.Server
	listener net.Listener
	pipes    *pipeListener // nil over TCP
	baseURL  string
	done     chan struct{}
	serving  sync.WaitGroup

	mu       sync.Mutex
	script   []*Reply
	rules    []rule
	chaos    Chaos
	dice     *rand.Rand
	requests []*Request
	billed   holysheep.USD
	clients  []*holysheep.Client
}

type rule struct {
	match   func(*Request) bool
	replies []*Reply
}

// Chaos makes a share of the requests fail, drawn with a seed, each kind from what the ones before it let through.
type Chaos struct {
	Seed        uint64
	RateLimited float64 // share answered 429
	Unavailable float64 // share answered 503
	Cut         float64 // share whose answer is cut in the middle
}

// Start runs a server over in-memory pipes, which work inside testing/synctest. It is closed with the test, which
// fails if a scripted reply was never asked for.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := newServer()
	s.pipes = newPipeListener()
	s.listener = s.pipes
	s.baseURL = "http://localhost/v1"
	s.serve()
	tb.Cleanup(func() {
		s.Close()
		if n := s.Unasked(); n > 0 {
			tb.Errorf("holysheeptest: %d scripted replies were never asked for", n)
		}
	})
	return s
}

// NewServer runs a server on a TCP port of the loopback interface, for programs. Close ends it.
func NewServer() (*Server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("holysheeptest: %w", err)
	}
	s := newServer()
	s.listener = l
	s.baseURL = "http://" + l.Addr().String() + "/v1"
	s.serve()
	return s, nil
}

func newServer() *Server {
	return &Server{Prices: holysheep.ListPrices(), done: make(chan struct{})}
}

func (s *Server) serve() {
	s.http = &http.Server{Handler: http.HandlerFunc(s.handle), ReadHeaderTimeout: time.Minute}
	s.serving.Go(func() { _ = s.http.Serve(s.listener) })
}

// Close ends the server, the clients made by Client, and every connection. It waits for them, and may be called
// more than once.
func (s *Server) Close() {
	s.mu.Lock()
	clients := s.clients
	s.clients = nil
	select {
	case <-s.done:
	default:
		close(s.done)
	}
	s.mu.Unlock()
	_ = s.http.Close()
	for _, c := range clients {
		_ = c.Close()
	}
	s.serving.Wait()
}

// BaseURL is the address for holysheep.Options or any other client.
func (s *Server) BaseURL() string { return s.baseURL }

// Transport reaches the server; for one over pipes there is no other way to it.
func (s *Server) Transport() *http.Transport {
	t := &http.Transport{MaxIdleConnsPerHost: 256}
	if s.pipes != nil {
		t.DialContext = s.pipes.dial
	}
	return t
}

// Client makes a client of the server, closed with it. BaseURL and, over pipes, Transport of opts are filled in;
// opts may be nil. It panics when opts are refused, which is a mistake in the test.
func (s *Server) Client(opts *holysheep.Options) *holysheep.Client {
	var o holysheep.Options
	if opts != nil {
		o = *opts
	}
	o.BaseURL = s.baseURL
	if s.pipes != nil && o.Transport == nil {
		o.Transport = s.Transport()
	}
	c, err := holysheep.New(Key, &o)
	if err != nil {
		panic(err) //nolint:forbidigo // a mistake in the test that calls it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients = append(s.clients, c)
	return c
}

// Reply adds to the script: the next requests are answered with these, in order. A request that finds the script
// empty gets the default answer. An answer for the other kind of request, a text where embeddings are asked for or
// vectors where a chat is, is left for one of its own kind.
func (s *Server) Reply(replies ...*Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, replies...)
}

// ReplyWhen answers the requests that match, before the script is asked: with each of these in order, and with the
// last of them from then on.
func (s *Server) ReplyWhen(match func(*Request) bool, replies ...*Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(replies) > 0 {
		s.rules = append(s.rules, rule{match, replies})
	}
}

// Chaos lets a share of the requests that have no scripted reply fail, from now on.
func (s *Server) Chaos(c Chaos) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chaos = c
	s.dice = rand.New(rand.NewPCG(c.Seed, c.Seed))
}

// Requests are those received so far.
func (s *Server) Requests() []*Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Request(nil), s.requests...)
}

// Count is the number of requests received so far.
func (s *Server) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// Billed is what the requests so far cost.
func (s *Server) Billed() holysheep.USD {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.billed
}

// Unasked is the number of scripted replies that nobody has asked for yet.
func (s *Server) Unasked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.script)
}

func (s *Server) handle(w http.ResponseWriter, hr *http.Request) {
	body, err := io.ReadAll(io.LimitReader(hr.Body, 64<<20))
	if err != nil {
		return
	}
	r := &Request{Time: time.Now(), Method: hr.Method, Path: hr.URL.Path, Header: hr.Header.Clone(), Body: body}
	problem := r.parse()
	reply := s.next(r)
	if problem != "" && reply.status == 0 {
		reply = Error(http.StatusBadRequest, "invalid_request_error", problem)
	}
	x := &exchange{server: s, w: w, ctx: hr.Context(), request: r, reply: reply}
	x.answer()
}

// next records the request and picks its reply.
func (s *Server) next(r *Request) *Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	r.number = len(s.requests)
	for i := range s.rules {
		if rule := &s.rules[i]; rule.match(r) {
			reply := rule.replies[0]
			if len(rule.replies) > 1 {
				rule.replies = rule.replies[1:]
			}
			return reply
		}
	}
	if r.Method != http.MethodGet {
		for i, reply := range s.script {
			if reply.fits(r, i == 0) {
				s.script = slices.Delete(s.script, i, i+1)
				return reply
			}
		}
	}
	return s.throwDice(r)
}

func (s *Server) throwDice(r *Request) *Reply {
	reply := Text(defaultAnswer(r))
	if r.embeds() {
		reply = Vectors()
	}
	if s.dice == nil || r.Method == http.MethodGet {
		return reply
	}
	for _, fault := range []struct {
		share float64
		reply *Reply
	}{
		{s.chaos.RateLimited, Status(http.StatusTooManyRequests)},
		{s.chaos.Unavailable, Status(http.StatusServiceUnavailable)},
		{s.chaos.Cut, reply.CutAfter(2)},
	} {
		if s.dice.Float64() < fault.share {
			return fault.reply
		}
	}
	return reply
}

func (s *Server) bill(r *Request, u holysheep.Usage) {
	price, ok := s.Prices.Lookup(r.Model)
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Usage = u
	if !ok {
		return
	}
	usd := price.Of(u)
	r.Billed = r.Billed.Plus(usd)
	s.billed = s.billed.Plus(usd)
}

// defaultAnswer is what the server says when it was told nothing.
func defaultAnswer(r *Request) string {
	q := []rune(strings.Join(strings.Fields(r.Question()), " "))
	if len(q) > 200 {
		q = append(q[:200], '…')
	}
	return fmt.Sprintf("You asked %s: %q This is the mock gateway, so the words are made up, "+
		"but tokens, cost and retries are counted as with a real one.", r.Model, string(q))
}
