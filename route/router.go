package route

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// routerOperation is what the rows of the router are called.
const routerOperation = "route"

// Router chooses the model of each request that leaves it open. See [New]. Safe for concurrent use.
type Router struct {
	next     holysheep.Completer
	policy   Policy
	opts     RouterOptions
	recorder *holysheep.Recorder
	prices   *holysheep.PriceTable
	rules    []compiledRule
	print    string // of the policy

	premium, usual, baseline *routedModel

	maxTokens int64 // of requests that set none
}

// RouterOptions change what a [Router] does. The zero value of each field is its default.
type RouterOptions struct {
	// Override chooses for requests that name a model as well. Default: false, they are left alone.
	Override bool

	// Baseline is the model that Step.Saved, ChatResponse.Saved and the meter count against: the one that you would
	// ask without a router. With Override it is the one that the request names, if that has a price.
	// Default: claude-sonnet-4.5.
	Baseline string
}

// New makes a router before next. A zero policy is [Default]; opts may be nil. The error lists everything that is wrong
// with them, each a *holysheep.RequestError: models that are not known or have no price, rules that never fit,
// thresholds that cannot be.
//
// The router chooses where a request names no model, or [Auto]; the default model of the client does not matter then. A
// request that names one passes as it is. The choice takes some microseconds and asks no network, unless the policy's
// classifier does.
//
// Each choice is a [Receipt] in a Step of kind "route" of the response, of the row of the call, and of a plan. Prices
// and what is known of models are those of the client beneath, or where there is none those of the package.
func New(next holysheep.Completer, policy Policy, opts *RouterOptions) (*Router, error) {
	r := &Router{next: next, policy: policy.complete(), recorder: holysheep.RecorderOf(next)}
	if opts != nil {
		r.opts = *opts
	}
	known := knownBeneath(next)
	r.prices = known.prices
	errs := r.policy.problems(func(model string) (bool, bool) {
		_, isKnown, isPriced := known.look(model)
		return isKnown, isPriced
	})
	if next == nil {
		errs = append(errs, &holysheep.RequestError{Field: "next", Reason: "nil"})
	}
	if b := r.opts.Baseline; b != "" {
		if _, _, priced := known.look(b); !priced {
			errs = append(errs, &holysheep.RequestError{Field: "RouterOptions.Baseline", Reason: fmt.Sprintf("%.60q has no price", b)})
		}
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	for i := range r.policy.Rules {
		rule := &r.policy.Rules[i]
		compiled := compiledRule{Rule: rule}
		for _, name := range rule.Models {
			m, _, _ := known.look(name)
			compiled.models = append(compiled.models, m)
			compiled.reasons = append(compiled.reasons, rule.Name+": "+name)
		}
		r.rules = append(r.rules, compiled)
	}
	r.premium, _, _ = known.look(premiumModel)
	r.usual, _, _ = known.look(usualModel)
	if r.baseline = r.premium; r.opts.Baseline != "" {
		r.baseline, _, _ = known.look(r.opts.Baseline)
	}
	r.maxTokens = defaultAnswer(next)
	sum := sha256.Sum256([]byte(r.policy.String()))
	r.print = "route:" + hex.EncodeToString(sum[:8])
	return r, nil
}

// modelSource is what a client knows of models.
type modelSource interface {
	Prices() *holysheep.PriceTable
	ModelInfo(name string) (holysheep.ModelInfo, bool)
}

// modelsBeneath finds the first completer from c down that knows models; nil if there is none.
func modelsBeneath(c holysheep.Completer) modelSource {
	for c != nil {
		if m, ok := c.(modelSource); ok {
			return m
		}
		w, ok := c.(interface{ Unwrap() holysheep.Completer })
		if !ok {
			break
		}
		c = w.Unwrap()
	}
	return nil
}

// routedModels are the models that have been looked at: one for each name, however many rules name it.
type routedModels struct {
	info   func(name string) (holysheep.ModelInfo, bool)
	prices *holysheep.PriceTable
	byName map[string]*routedModel
}

func knownBeneath(next holysheep.Completer) routedModels {
	known := routedModels{info: holysheep.LookupModel, prices: holysheep.ListPrices(), byName: map[string]*routedModel{}}
	if c := modelsBeneath(next); c != nil {
		known.info, known.prices = c.ModelInfo, c.Prices()
	}
	return known
}

func (k routedModels) look(name string) (m *routedModel, known, priced bool) {
	if m = k.byName[name]; m == nil {
		m = &routedModel{name: name}
		k.byName[name] = m
	}
	m.info, known = k.info(name)
	m.price, priced = k.prices.Lookup(name)
	return m, known, priced
}

// defaultAnswer is how long an answer may be where the request does not say, or a guess at it.
func defaultAnswer(next holysheep.Completer) int64 {
	const guess = 2048
	probe := &holysheep.ChatRequest{Model: holysheep.DeepSeekV32, Messages: []holysheep.Message{holysheep.User("?")}}
	resolved, _, err := holysheep.Resolve(next, probe)
	if err != nil || resolved.MaxTokens == nil {
		return guess
	}
	return int64(*resolved.MaxTokens)
}

// Unwrap gives what the router is before.
func (r *Router) Unwrap() holysheep.Completer { return r.next }

// Policy gives the table that the router goes by, with its defaults filled in.
func (r *Router) Policy() Policy { return r.policy.complete() }

// open takes a request up and reads it, and classifies where that takes no function of the user's. It gives nil for a
// request that is none of the router's.
func (r *Router) open(ctx context.Context, req *holysheep.ChatRequest) (*decision, error) {
	if req == nil {
		return nil, nil //nolint:nilnil // neither an error nor for us: next says what is wrong
	}
	q, routed, err := wanted(ctx, req.Model)
	if err != nil {
		return nil, err
	}
	if !routed && !r.opts.Override {
		return nil, nil //nolint:nilnil // likewise
	}
	d := &decision{req: *req}
	rec := &d.receipt
	rec.Quality = q
	if !routed {
		rec.InPlaceOf = req.Model
	}
	f := &rec.Features
	readFeatures(f, req)
	if f.MaxTokens == 0 {
		f.MaxTokens = r.maxTokens
	}
	if req.N != nil {
		f.MaxTokens *= int64(min(max(*req.N, 1), mostAnswers))
	}
	if pure := r.policy.Classifier.pure; pure != nil {
		rec.Class = pure(f)
	}
	return d, nil
}

// mostAnswers is what requests may ask for; for more they are refused beneath.
const mostAnswers = 128

// start opens the row of the call, whose context it gives. endRow has to follow.
func (r *Router) start(ctx context.Context, d *decision, req *holysheep.ChatRequest, stream bool) context.Context {
	d.call.Operation, d.call.Stream, d.call.Request = routerOperation, stream, req
	if r.policy.Classifier.pure != nil {
		r.decide(d, time.Now())
	}
	return r.recorder.Begin(ctx, &d.call)
}

// classify asks the user's classifier, and chooses. What that costs belongs to the call, which has begun.
func (r *Router) classify(ctx context.Context, d *decision, now time.Time) {
	c := r.policy.Classifier
	if c.pure != nil {
		return
	}
	rec := &d.receipt
	if rec.Class, rec.Unsure = c.Classify(ctx, d.call.Request, &rec.Features); rec.Unsure != nil {
		rec.Class = byWords(&rec.Features, simpleUnder, complexAbove)
	}
	r.decide(d, now)
}

var errRoutePanicked = errors.New("route: a classifier, the loop over a stream or what is beneath panicked")

// endRow closes the row of the call, once.
func (r *Router) endRow(ctx context.Context, d *decision, err error) {
	if d.ended {
		return
	}
	d.ended = true
	if !d.receipt.Final {
		d.steps[0].Saved = 0
	}
	if err != nil && d.rule != nil && tellsOfSlowness(err) {
		d.rule.models[d.chosen].seen.add(time.Now(), time.Since(d.call.Start))
	}
	r.recorder.End(ctx, &d.call, err)
}

// tellsOfSlowness reports whether the time that an error took is one that callers wait for the model.
func tellsOfSlowness(err error) bool {
	for _, kind := range []error{
		holysheep.ErrTimeout, holysheep.ErrOverloaded, holysheep.ErrServer, holysheep.ErrStalled, holysheep.ErrNoAnswer,
		holysheep.ErrRateLimited,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// finish gives the answer with what the router has to say.
func (r *Router) finish(d *decision, resp *holysheep.ChatResponse, asking holysheep.Cost) *holysheep.ChatResponse {
	d.resp = *resp // an observer may have the one of the client
	own := &d.resp
	own.Cost = own.Cost.Plus(asking)
	r.settleReceipt(d, own)
	own.Saved = own.Saved.Plus(d.saved)
	if own.Steps == nil {
		own.Steps = d.steps[:]
	} else {
		own.Steps = append(slices.Clone(own.Steps), d.steps[0])
	}
	d.call.Response, d.call.Served, d.call.Saved, d.call.FirstToken = own, own.Model, d.saved, own.FirstToken
	// What stands in for the model has its own times.
	if !own.Cached && (own.Requested == d.req.Model || own.Requested == "") {
		d.rule.models[d.chosen].seen.add(time.Now(), own.FirstToken)
	}
	return own
}

// Chat asks the chosen model.
func (r *Router) Chat(ctx context.Context, req *holysheep.ChatRequest) (resp *holysheep.ChatResponse, err error) {
	d, err := r.open(ctx, req)
	switch {
	case err != nil:
		return nil, err
	case d == nil:
		return r.next.Chat(ctx, req)
	}
	ctx = r.start(ctx, d, req, false)
	err = errRoutePanicked // unless we get there
	defer func() { r.endRow(ctx, d, err) }()
	r.classify(ctx, d, time.Now())
	asking := d.call.Spent()
	if resp, err = r.next.Chat(ctx, &d.req); err != nil {
		return nil, err
	}
	return r.finish(d, resp, asking), nil
}

// Stream asks the chosen model likewise. Nothing happens before the range starts. See [holysheep.Client.Stream] for the
// rest.
func (r *Router) Stream(ctx context.Context, req *holysheep.ChatRequest) iter.Seq2[holysheep.StreamEvent, error] {
	var used atomic.Bool
	return func(yield func(holysheep.StreamEvent, error) bool) {
		if used.Swap(true) {
			yield(holysheep.StreamEvent{}, fmt.Errorf("route: %w", holysheep.ErrStreamUsed))
			return
		}
		d, err := r.open(ctx, req)
		switch {
		case err != nil:
			yield(holysheep.StreamEvent{}, err)
		case d == nil:
			r.next.Stream(ctx, req)(yield)
		default:
			r.stream(ctx, d, req, yield)
		}
	}
}

// stream passes the answer on. Its figures are final, and its row closed, before the last event.
func (r *Router) stream(ctx context.Context, d *decision, req *holysheep.ChatRequest, yield func(holysheep.StreamEvent, error) bool) {
	ctx = r.start(ctx, d, req, true)
	err := errRoutePanicked // unless we get there
	defer func() { r.endRow(ctx, d, err) }()
	r.classify(ctx, d, time.Now())
	asking := d.call.Spent()
	for ev, failed := range r.next.Stream(ctx, &d.req) {
		if ev.Response != nil {
			ev.Response = r.finish(d, ev.Response, asking)
		}
		if ev.Response != nil || failed != nil {
			r.endRow(ctx, d, failed)
		}
		if !yield(ev, failed) {
			break
		}
	}
	err = nil // a break is no error of the call
}

var errNotAsked = errors.New("the classifier is asked when the call is made")

// Plan prices the call that the router would make, and shows the choice. A Remote classifier is not asked: words decide
// then, and the receipt says so.
func (r *Router) Plan(ctx context.Context, req *holysheep.ChatRequest) (*holysheep.Quote, error) {
	d, err := r.open(ctx, req)
	switch {
	case err != nil:
		return nil, err
	case d == nil:
		return holysheep.Plan(ctx, r.next, req)
	}
	r.settle(ctx, d, req, time.Now())
	q, err := holysheep.Plan(ctx, r.next, &d.req)
	if err != nil {
		return nil, err
	}
	q.Steps = append(q.Steps, d.steps[0])
	return q, nil
}

// settle chooses without a call.
func (r *Router) settle(ctx context.Context, d *decision, req *holysheep.ChatRequest, now time.Time) {
	d.call.Request = req
	switch c := r.policy.Classifier; {
	case c.pure != nil:
		r.decide(d, now)
	case c.Remote:
		d.receipt.Unsure = errNotAsked
		d.receipt.Class = byWords(&d.receipt.Features, simpleUnder, complexAbove)
		r.decide(d, now)
	default:
		r.classify(ctx, d, now)
	}
}

// Resolve gives the request with the chosen model, as it would be sent, and a fingerprint that tells policies apart.
// What a context wants is left to [Router.Vary], and times are not looked at, so that a cache does not miss because a
// model has become slower. With a Remote classifier, which is not asked, the model stays "auto" and its quality.
func (r *Router) Resolve(req *holysheep.ChatRequest) (resolved *holysheep.ChatRequest, fingerprint string, err error) {
	ctx := context.Background()
	d, err := r.open(ctx, req)
	switch {
	case err != nil:
		return nil, "", err
	case d == nil:
		return holysheep.Resolve(r.next, req)
	}
	if r.policy.Classifier.Remote {
		d.req.Model = d.receipt.Quality.Model()
	} else {
		r.settle(ctx, d, req, time.Time{})
	}
	if resolved, fingerprint, err = holysheep.Resolve(r.next, &d.req); err != nil {
		return nil, "", err
	}
	return resolved, fingerprint + "|" + r.print, nil
}

// Vary says what a context asks of the router, for keys of caches.
func (r *Router) Vary(ctx context.Context) string { return varyByQuality(ctx) }
