package holysheep

import (
	"context"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// An Observer sees every call: logs, traces and metrics are observers. Its methods run on the goroutine of the
// call, concurrently for concurrent calls, and should be quick. The request and the answer's text are in Call
// for observers that were asked to show them; an observer shows neither unless told to.
type Observer interface {
	// Begin is told of a call before anything is sent. The context it returns is the one the call goes on with:
	// a place for a span.
	Begin(ctx context.Context, call *Call) context.Context

	// Wait is told of a wait between two attempts before it starts.
	Wait(ctx context.Context, call *Call, w Wait)

	// End is told of the finished call, settled and with all its figures.
	End(ctx context.Context, call *Call)
}

// Wait is a pause before the next attempt: "rate limited, retrying in 2.3 s".
type Wait struct {
	Attempt int           // the number of the attempt that follows; the first is 1
	Delay   time.Duration // how long
	Cause   error         // what the attempt before it ended with
}

// Call is the record of one operation: a chat, a stream, or a decorator's part in one. It belongs to the
// goroutine that made it until it ends; afterwards nothing changes it and it may be kept.
type Call struct {
	ID         string // unique; sent as Idempotency-Key with every attempt
	Parent     *Call  // the call this one is a part of; nil at the top
	Operation  string // "chat", "embed", "models", or a decorator's own word
	Stream     bool   // whether the caller reads it as a stream
	Model      string // the model asked for
	Served     string // the model that answered, as the gateway names it
	Request    *ChatRequest
	Response   *ChatResponse // nil if there was none; partial after an error
	Start      time.Time
	Latency    time.Duration // from Begin to the end
	FirstToken time.Duration // from Begin to the first text, reasoning or tool call; 0 if none came
	Attempts   []Attempt     // every request sent
	Usage      Usage
	Cost       Cost   // what this call itself spent; see Spent for what lies beneath
	Prices     string // the date of the price table that it is priced with
	Saved      USD    // what it saved
	Reserved   USD    // what was held for it
	Overrun    USD    // what it cost beyond that
	Steps      []Step // a decorator's receipts
	Err        error  // how it ended

	scope   *Scope
	mu      sync.Mutex
	beneath Cost
}

// Tags are those of the scope that the call belongs to.
func (c *Call) Tags() Tags { return c.scope.Tags() }

// Spent is the cost of this call and of every ended call beneath it. Safe for concurrent use.
func (c *Call) Spent() Cost {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Cost.Plus(c.beneath)
}

// Attempt is the record of one request sent, or about to be.
type Attempt struct {
	Number    int           // from 1
	Host      string        // where it goes
	Model     string        // the model asked for
	Start     time.Time     // when it was sent
	Wait      time.Duration // the wait before it
	FirstByte time.Duration // from Start to the answer's headers; 0 if none came
	Latency   time.Duration // from Start to its end
	Status    int           // HTTP status; 0 if none came
	RequestID string        // the gateway's; "" if none
	Header    http.Header   // the answer's; nil if none came
	Billing   Billing
	Usage     Usage
	Cost      Cost
	Err       error // how it ended

	// Shared says that the request was sent for other calls as well (embed), one of which counts it: Usage and Cost
	// are this call's part, and over all of them they add up to the whole.
	Shared bool
}

// A Recorder is where calls are reported: the meter and the observer of a client. Decorators adopt the one of
// what they wrap ([RecorderOf]) and report their own part with it, so that nothing is wired twice. Safe for
// concurrent use.
type Recorder struct {
	observer Observer
	prices   string // the date of the table
	meter    meter
}

// RecorderOf gives the recorder of the client beneath c; where there is none, one that nobody listens to.
func RecorderOf(c Completer) *Recorder {
	if r, ok := find[interface{ Recorder() *Recorder }](c); ok {
		return r.Recorder()
	}
	return &Recorder{}
}

// Begin starts a decorator's call: it fills in ID, Parent and Start. Calls made with the returned context are
// its children, and their cost becomes part of Spent. End has to follow.
func (r *Recorder) Begin(ctx context.Context, call *Call) context.Context {
	return context.WithValue(r.begin(ctx, call), callKey{}, call)
}

// End finishes a decorator's call. Money is booked by the client's calls alone: of a decorator the meter takes
// what it saved.
func (r *Recorder) End(ctx context.Context, call *Call, err error) {
	if call.Saved != 0 {
		r.count(call, Totals{Saved: call.Saved})
	}
	r.end(ctx, call, err)
}

type callKey struct{}

func (r *Recorder) begin(ctx context.Context, call *Call) context.Context {
	call.ID = newID()
	call.Parent, _ = ctx.Value(callKey{}).(*Call)
	call.scope = ScopeOf(ctx)
	call.Prices = r.prices
	call.Start = time.Now()
	if r.observer != nil {
		ctx = r.observer.Begin(ctx, call)
	}
	return ctx
}

// count adds what a call brought to the meter and to the scopes above it.
func (r *Recorder) count(call *Call, t Totals) {
	r.meter.add(call.Model, t)
	call.scope.add(t)
}

func (r *Recorder) wait(ctx context.Context, call *Call, w Wait) {
	if r.observer != nil {
		r.observer.Wait(ctx, call, w)
	}
}

func (r *Recorder) end(ctx context.Context, call *Call, err error) {
	call.Latency = time.Since(call.Start)
	call.Err = err
	if p := call.Parent; p != nil {
		spent := call.Spent()
		p.mu.Lock()
		p.beneath = p.beneath.Plus(spent)
		p.mu.Unlock()
	}
	if r.observer != nil {
		r.observer.End(ctx, call)
	}
}

// newID makes a name that no other call has: 128 random bits. It is no secret, so the fast source will do.
func newID() string {
	var raw [16]byte
	var text [32]byte
	hi, lo := rand.Uint64(), rand.Uint64()
	for i := range 8 {
		raw[i], raw[8+i] = byte(hi>>(8*i)), byte(lo>>(8*i))
	}
	hex.Encode(text[:], raw[:])
	return string(text[:])
}

// SlogObserver logs each call that ended (Info; Warn with an error) and each wait (Info). Neither prompt nor
// answer is logged. A nil logger stands for slog.Default at the time of the call.
func SlogObserver(l *slog.Logger) Observer { return slogObserver{l} }

type slogObserver struct{ l *slog.Logger }

func (o slogObserver) logger() *slog.Logger {
	if o.l == nil {
		return slog.Default()
	}
	return o.l
}

func (o slogObserver) Begin(ctx context.Context, _ *Call) context.Context { return ctx }

func (o slogObserver) Wait(ctx context.Context, call *Call, w Wait) {
	o.logger().LogAttrs(ctx, slog.LevelInfo, "holysheep: retrying",
		slog.String("call", call.ID), slog.String("model", call.Model),
		slog.Int("attempt", w.Attempt), slog.Duration("delay", w.Delay), slog.Any("cause", w.Cause))
}

func (o slogObserver) End(ctx context.Context, call *Call) {
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("call", call.ID), slog.String("operation", call.Operation), slog.String("model", call.Model),
		slog.Int("attempts", len(call.Attempts)), slog.Duration("latency", call.Latency),
		slog.Duration("first_token", call.FirstToken),
		slog.Int64("prompt_tokens", call.Usage.PromptTokens), slog.Int64("completion_tokens", call.Usage.CompletionTokens),
		slog.String("cost", call.Cost.String()),
	}
	if call.Parent != nil {
		attrs = append(attrs, slog.String("parent", call.Parent.ID))
	}
	if call.Saved != 0 {
		attrs = append(attrs, slog.String("saved", call.Saved.String()))
	}
	if call.Err != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.Any("error", call.Err))
	}
	o.logger().LogAttrs(ctx, level, "holysheep: call", attrs...)
}
