package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/route"
	"github.com/holysheep-ai/holysheep-go/stack"
)

// variant is a client under test, and the model that the brown-out takes from it.
type variant struct {
	name string
	main string
	make func(g *gateway, seed uint64) (asker, error)
}

// The variants: what an application may have today, then this library, a part at a time.
func variants() []*variant {
	all := []*variant{
		{"plain client", holysheep.DeepSeekV32, func(g *gateway, _ uint64) (asker, error) {
			return rivalOf(g, holysheep.DeepSeekV32, 1), nil
		}},
		{"retries as openai-go has them", holysheep.DeepSeekV32, func(g *gateway, _ uint64) (asker, error) {
			return rivalOf(g, holysheep.DeepSeekV32, 3), nil
		}},
		{"the same, gpt-4.1 for everything", holysheep.GPT41, func(g *gateway, _ uint64) (asker, error) {
			return rivalOf(g, holysheep.GPT41, 3), nil
		}},
	}
	var with parts
	for _, step := range []struct {
		name string
		add  func(*parts)
	}{
		{"this client", func(*parts) {}},
		{"+ exact cache", func(p *parts) { p.exact = true }},
		{"+ semantic cache, at most 1 % wrong", func(p *parts) { p.semantic = true }},
		{"+ router", func(p *parts) { p.router = true }},
		{"+ breaker and pacing", func(p *parts) { p.gates = true }},
		{"+ fallback", func(p *parts) { p.fallback = true }},
		{"+ hedge", func(p *parts) { p.hedge = true }},
	} {
		step.add(&with)
		has, main := with, holysheep.DeepSeekV32
		if has.router {
			main = holysheep.Gemini25Flash // most questions are simple
		}
		all = append(all, &variant{step.name, main, has.make})
	}
	all = append(all, &variant{"stack.New, all of it", holysheep.Gemini25Flash, whole})
	return all
}

// firstToken is how long a model has before another one is asked: four times what it takes on average.
const firstToken = 3 * time.Second

// parts are those of the library that a variant has.
type parts struct {
	exact, semantic, router, gates, fallback, hedge bool
}

func (p parts) make(g *gateway, seed uint64) (asker, error) {
	opts := &holysheep.Options{Transport: g}
	breaker, err := route.NewBreaker(nil)
	if err != nil {
		return asker{}, err
	}
	if p.gates {
		pacing, err := route.NewPacing(nil)
		if err != nil {
			return asker{}, err
		}
		opts.Gate = route.Gates(pacing, breaker)
	}
	client, err := holysheep.New("sk-peakload", opts)
	if err != nil {
		return asker{}, err
	}
	var chat holysheep.Completer = client
	closing := []func() error{client.Close}
	if p.hedge {
		if chat, err = route.NewHedge(chat, nil); err != nil {
			return asker{}, err
		}
	}
	if p.fallback {
		if chat, err = route.NewFallback(chat, stack.DefaultFallback(), &route.FallbackOptions{FirstToken: firstToken}); err != nil {
			return asker{}, err
		}
	}
	if p.router {
		if chat, err = route.New(chat, route.Default(), nil); err != nil {
			return asker{}, err
		}
	}
	if p.exact || p.semantic {
		store := cache.NewMemory(nil)
		closing = append(closing, store.Close)
		if p.semantic {
			embedder := cache.Embedder(encoder(client), store, nil)
			similar := cache.Semantic(chat, embedder, cache.NewMemoryNeighbours(nil), &cache.SemanticOptions{
				MaxWrong: 0.01, Seed: seed, Probes: g.probes,
			})
			chat, closing = similar, append(closing, similar.Close)
		}
		exact := cache.Exact(chat, store, nil)
		chat, closing = exact, append(closing, exact.Close)
	}
	return asker{
		ask: func(ctx context.Context, q *question) (string, bool, error) { return ask(ctx, chat, q) },
		close: func() (err error) {
			for _, end := range slices.Backward(closing) {
				err = errors.Join(err, end())
			}
			return err
		},
	}, nil
}

// encoder sends a request for each question: those that share one would go on at the same instant, in no order.
func encoder(c *holysheep.Client) holysheep.Embedder {
	return c.Embedder("text-embedding-3-small", &holysheep.EmbedOptions{MaxHold: -1})
}

// whole is what an application would write.
func whole(g *gateway, seed uint64) (asker, error) {
	chat, err := stack.New("sk-peakload", &stack.Options{
		Client:     holysheep.Options{Transport: g},
		Embedder:   encoder,
		Semantic:   &cache.SemanticOptions{MaxWrong: 0.01, Seed: seed, Probes: g.probes},
		FirstToken: firstToken, Hedge: &route.HedgeOptions{}, Ladder: &route.LadderOptions{},
	})
	if err != nil {
		return asker{}, err
	}
	return asker{
		ask:   func(ctx context.Context, q *question) (string, bool, error) { return ask(ctx, chat, q) },
		close: chat.Close,
	}, nil
}

// ask puts a question to a completer.
func ask(ctx context.Context, chat holysheep.Completer, q *question) (answer string, cached bool, err error) {
	ctx, _ = holysheep.NewScope(ctx, holysheep.Tags{"tenant": "shop"})
	if q.premium {
		ctx = route.WithPriority(route.WithQuality(ctx, route.Premium), route.Critical)
	}
	resp, err := chat.Chat(ctx, &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(q.text)}, MaxTokens: new(maxTokens)})
	if err != nil {
		return "", false, err
	}
	return resp.Text(), resp.Cached, nil
}

// kindOf names a failure for the table.
func kindOf(err error) string {
	if code, ok := errors.AsType[refusal](err); ok {
		return strconv.Itoa(int(code))
	}
	for _, kind := range []struct {
		err  error
		name string
	}{
		{context.DeadlineExceeded, "deadline"},
		{route.ErrRefused, "refused"},
		{route.ErrOpen, "breaker open"},
		{route.ErrQueueFull, "queue full"},
		{route.ErrNoTurn, "no turn in time"},
		{holysheep.ErrRateLimited, "429"},
		{holysheep.ErrOverloaded, "503"},
	} {
		if errors.Is(err, kind.err) {
			return kind.name
		}
	}
	return "other"
}
