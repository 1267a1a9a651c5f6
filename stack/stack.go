// Package stack puts the recommended parts before a client, in one call:
//
//	chat, err := stack.New(os.Getenv("HOLYSHEEP_API_KEY"), nil)
//	defer chat.Close()
//	resp, err := chat.Chat(ctx, &holysheep.ChatRequest{Messages: …})
//
// A call goes down until somebody answers it:
//
//	ladder       gives up a little while things are bad               (Options.Ladder)
//	exact cache  equal questions
//	semantic     similar questions                                    (Options.Embedder)
//	router       chooses the model where the request names none
//	fallback     moves on to another model or gateway
//	hedge        asks twice where the first token is late             (Options.Hedge)
//	client       retries, budgets; its gates are pacing and breaker
//
// Every part is one of packages cache and route, and works the same when it is put together by hand.
package stack

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/route"
)

// Options change what a [Stack] is made of. The zero value of each field is its default.
type Options struct {
	// Client are the options of the client. Its Gate is asked before pacing and breaker. Default: those of holysheep.New.
	Client holysheep.Options

	// Policy chooses models. Default: route.Default().
	Policy route.Policy

	// Fallback lists for each model where its requests go when it cannot answer. Default: for each of the four of
	// HolySheep one or two others.
	Fallback map[string][]route.Target

	// FirstToken is how long a model has for its first token, of a plain answer for all of it, before another one is
	// asked. Default: 15 s.
	FirstToken time.Duration

	// Store keeps answers. It stays the caller's. Default: 64 MiB of memory of the stack's own.
	Store cache.Store

	// Exact are the options of the exact cache. Default: nil, its own.
	Exact *cache.ExactOptions

	// Embedder reads questions for the semantic cache; wrap it in cache.Embedder to keep its vectors. Default: nil, there
	// is no semantic cache.
	Embedder func(client *holysheep.Client) holysheep.Embedder

	// Neighbours keep the questions of the semantic cache. Default: memory of the stack's own.
	Neighbours cache.Neighbours

	// Semantic are the options of the semantic cache. Default: nil, its own.
	Semantic *cache.SemanticOptions

	// Breaker and Pacing are the options of the gates. Default: nil, their own.
	Breaker *route.BreakerOptions
	Pacing  *route.PacingOptions

	// Hedge asks twice where the first token is late. Default: nil, it does not.
	Hedge *route.HedgeOptions

	// Ladder gives up a little of each call when the breaker opens, or one of Client.Budgets will not last. Default: nil,
	// it does not.
	Ladder *route.LadderOptions
}

// Stack is a completer with everything before it that is recommended. See [New]. Safe for concurrent use. The fields are
// its parts, to look at; nil where there is none.
type Stack struct {
	Client   *holysheep.Client
	Breaker  *route.Breaker
	Pacing   *route.Pacing
	Hedge    *route.Hedge
	Fallback *route.Fallback
	Router   *route.Router
	Semantic *cache.SemanticCache
	Exact    *cache.ExactCache
	Ladder   *route.Ladder

	top     holysheep.Completer
	closing []func() error // in the order they were made
}

// DefaultFallback is where requests go that a model of HolySheep cannot answer.
func DefaultFallback() map[string][]route.Target {
	return map[string][]route.Target{
		holysheep.Gemini25Flash:  {{Model: holysheep.DeepSeekV32}, {Model: holysheep.GPT41}},
		holysheep.DeepSeekV32:    {{Model: holysheep.Gemini25Flash}, {Model: holysheep.GPT41}},
		holysheep.ClaudeSonnet45: {{Model: holysheep.GPT41}},
		holysheep.GPT41:          {{Model: holysheep.ClaudeSonnet45}},
	}
}

// New makes a client with this key, and the stack before it. opts may be nil. The error lists everything that is wrong with
// the key and the options, each a *holysheep.RequestError; nothing is left open then.
//
// Close ends the parts and the client, after the calls that are under way.
func New(key string, opts *Options) (*Stack, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.FirstToken == 0 {
		o.FirstToken = 15 * time.Second
	}
	if o.Fallback == nil {
		o.Fallback = DefaultFallback()
	}
	s := &Stack{}
	if err := s.build(key, &o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// build puts the parts on one another, from the client up.
func (s *Stack) build(key string, o *Options) (err error) {
	if err := s.buildClient(key, o); err != nil {
		return err
	}
	if o.Hedge != nil {
		if s.Hedge, err = route.NewHedge(s.top, o.Hedge); err != nil {
			return err
		}
		s.top = s.Hedge
	}
	if s.Fallback, err = route.NewFallback(s.top, o.Fallback, &route.FallbackOptions{FirstToken: o.FirstToken}); err != nil {
		return err
	}
	if s.Router, err = route.New(s.Fallback, o.Policy, nil); err != nil {
		return err
	}
	s.top = s.Router
	if err := s.buildCaches(o); err != nil {
		return err
	}
	if o.Ladder == nil {
		return nil
	}
	signals := []route.Signal{route.BreakerSignal(s.Breaker)}
	for _, b := range o.Client.Budgets {
		signals = append(signals, route.BudgetSignal(b))
	}
	if s.Ladder, err = route.NewLadder(s.top, signals, o.Ladder); err != nil {
		return err
	}
	s.top = s.Ladder
	return nil
}

func (s *Stack) buildClient(key string, o *Options) error {
	var problems [3]error
	s.Breaker, problems[0] = route.NewBreaker(o.Breaker)
	s.Pacing, problems[1] = route.NewPacing(o.Pacing)
	if errors.Join(problems[:]...) == nil {
		o.Client.Gate = route.Gates(o.Client.Gate, s.Pacing, s.Breaker)
	}
	s.Client, problems[2] = holysheep.New(key, &o.Client)
	if s.Client != nil {
		s.top, s.closing = s.Client, append(s.closing, s.Client.Close)
	}
	return errors.Join(problems[:]...)
}

func (s *Stack) buildCaches(o *Options) error {
	store := o.Store
	if store == nil {
		memory := cache.NewMemory(nil)
		store, s.closing = memory, append(s.closing, memory.Close)
	}
	if o.Embedder != nil {
		embedder := o.Embedder(s.Client)
		if embedder == nil {
			return &holysheep.RequestError{Field: "Options.Embedder", Reason: "it gave nil"}
		}
		neighbours := o.Neighbours
		if neighbours == nil {
			neighbours = cache.NewMemoryNeighbours(nil)
		}
		s.Semantic = cache.Semantic(s.top, embedder, neighbours, o.Semantic)
		s.top, s.closing = s.Semantic, append(s.closing, s.Semantic.Close)
	}
	s.Exact = cache.Exact(s.top, store, o.Exact)
	s.top, s.closing = s.Exact, append(s.closing, s.Exact.Close)
	if s.Semantic == nil {
		return s.Exact.Err()
	}
	return errors.Join(s.Semantic.Err(), s.Exact.Err())
}

// Chat answers req.
func (s *Stack) Chat(ctx context.Context, req *holysheep.ChatRequest) (*holysheep.ChatResponse, error) {
	return s.top.Chat(ctx, req)
}

// Stream answers req piece by piece. See [holysheep.Client.Stream].
func (s *Stack) Stream(ctx context.Context, req *holysheep.ChatRequest) iter.Seq2[holysheep.StreamEvent, error] {
	return s.top.Stream(ctx, req)
}

// Unwrap gives the uppermost part.
func (s *Stack) Unwrap() holysheep.Completer { return s.top }

// Close refuses new calls, waits for those under way, and closes what New has opened. It may be called more than once.
func (s *Stack) Close() error {
	var errs []error
	for _, end := range slices.Backward(s.closing) {
		if err := end(); err != nil {
			errs = append(errs, fmt.Errorf("stack: %w", err))
		}
	}
	return errors.Join(errs...)
}
