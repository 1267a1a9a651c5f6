package route

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// HedgeReceipt is a request that was asked twice, in Step.Detail.
type HedgeReceipt struct {
	After time.Duration // how long the first call was waited for
	Won   string        // "first", "second", or "neither" where both failed
	Extra holysheep.USD // what the call that was not given may be billed
}

func (r *HedgeReceipt) step() holysheep.Step {
	return holysheep.Step{
		Kind: "hedge", Detail: r,
		Reason: fmt.Sprintf("no first token within %v: asked twice, the %s was given for %s more", r.After.Round(time.Millisecond), r.Won, roundUSD(r.Extra)),
	}
}

// hedgePurse keeps what is spent on second calls to a share of what is spent. Older spending fades away, so that a night
// without calls leaves nothing for a morning of them.
type hedgePurse struct {
	share float64

	mu                  sync.Mutex
	at                  time.Time
	spent, second, held float64 // picodollars
}

const purseMemory = 10 * time.Minute // the time constant

// fade forgets. The lock is held.
func (p *hedgePurse) fade(now time.Time) {
	if dt := now.Sub(p.at); dt > 0 {
		keep := math.Exp(-dt.Seconds() / purseMemory.Seconds())
		p.spent, p.second, p.at = p.spent*keep, p.second*keep, now
	}
}

// take holds what a second call may cost, or refuses.
func (p *hedgePurse) take(now time.Time, cost holysheep.USD) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fade(now)
	if p.second+p.held+float64(cost) > p.share*p.spent {
		return false
	}
	p.held += float64(cost)
	return true
}

// settle takes in what was spent, on the call that is given and on the other one, in place of what was held.
func (p *hedgePurse) settle(now time.Time, held, second, spent holysheep.USD) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fade(now)
	p.held -= float64(held)
	p.second += float64(second)
	p.spent += float64(spent)
}

// mayCost is what a second call may cost; not priced, it is not sent.
func (h *Hedge) mayCost(req *holysheep.ChatRequest) (usd holysheep.USD, priced bool) {
	r, _, err := holysheep.Resolve(h.next, req)
	if err != nil || r.MaxTokens == nil {
		return 0, false
	}
	price, priced := h.prices.Lookup(r.Model)
	answers := 1
	if r.N != nil {
		answers = *r.N
	}
	return price.Of(holysheep.Usage{
		PromptTokens: r.EstimateTokens(), CompletionTokens: int64(*r.MaxTokens) * int64(answers),
	}), priced
}
