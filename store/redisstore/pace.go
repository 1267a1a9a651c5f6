package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/route"
)

// Pace is a [route.SharedPace] in Redis: every process that opens it under the same name keeps to the limits together.
// Time is that of Redis, so that the clocks of machines do not matter. Each step is one script. Safe for concurrent use.
type Pace struct {
	steps  gatherer
	prefix string
}

// PaceOptions are what a pace can be told.
type PaceOptions struct {
	// Name tells paces in one Redis apart; printable, without braces. Default: "pace".
	Name string
}

var _ route.SharedPace = (*Pace)(nil)

// NewPace makes the pace in rdb, which stays the caller's to close. Nothing is sent yet. The client has to honour the
// deadlines of contexts: redis.Options.ContextTimeoutEnabled. opts may be nil.
func NewPace(rdb redis.UniversalClient, opts *PaceOptions) (*Pace, error) {
	var o PaceOptions
	if opts != nil {
		o = *opts
	}
	if o.Name == "" {
		o.Name = "pace"
	}
	if strings.ContainsAny(o.Name, "{} \t\r\n") {
		return nil, &holysheep.RequestError{Field: "PaceOptions.Name", Reason: fmt.Sprintf("%.40q has braces or white space", o.Name)}
	}
	if err := checkDeadlines(rdb); err != nil {
		return nil, err
	}
	return &Pace{steps: gatherer{rdb: rdb}, prefix: "holysheep:{" + o.Name + "}:bucket:"}, nil
}

// A bucket is a hash of its level, which is below zero by what has been promised to those who wait, and of when that
// was, in microseconds. One that is not there is full, and so one that has filled up is forgotten.

// paceScript: KEYS the buckets; ARGV most in microseconds, -1 for takes that are given back, then rate, burst and amount
// of each bucket. Gives the wait in microseconds.
var paceScript = redis.NewScript(`
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local most, wait, levels = tonumber(ARGV[1]), 0, {}
for i = 1, #KEYS do
  local rate, burst, amount = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  local b = redis.call('HMGET', KEYS[i], 'level', 'at')
  local level = burst
  if b[1] then level = math.min(burst, b[1] + rate * math.max(0, now - b[2]) / 1000000) end
  levels[i] = level
  if most >= 0 then wait = math.max(wait, math.ceil((math.min(amount, burst) - level) * 1000000 / rate)) end
end
if most >= 0 and wait > most then return wait end
for i = 1, #KEYS do
  local rate, burst = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local level = math.min(burst, levels[i] - ARGV[3 * i + 1])
  redis.call('HSET', KEYS[i], 'level', string.format('%.9f', level), 'at', string.format('%.0f', now))
  redis.call('PEXPIRE', KEYS[i], math.ceil((burst - level) * 1000 / rate) + 1000)
end
return wait
`)

// Reserve implements [route.SharedPace]. Who comes first is served first.
func (p *Pace) Reserve(ctx context.Context, takes []route.SharedTake, most time.Duration) (wait time.Duration, err error) {
	return p.run(ctx, takes, 1, max(most, 0).Microseconds())
}

// Return implements [route.SharedPace].
func (p *Pace) Return(ctx context.Context, takes []route.SharedTake) error {
	_, err := p.run(ctx, takes, -1, -1)
	return err
}

func (p *Pace) run(ctx context.Context, takes []route.SharedTake, sign float64, most int64) (time.Duration, error) {
	if len(takes) == 0 {
		return 0, nil
	}
	keys, args := make([]string, len(takes)), append(make([]any, 0, 1+3*len(takes)), most)
	for i, t := range takes {
		if !(t.Rate > 0 && t.Burst > 0) { // written so that NaN fails it
			return 0, &holysheep.RequestError{Field: "SharedTake", Reason: fmt.Sprintf("rate %v and burst %v are not above 0", t.Rate, t.Burst)}
		}
		keys[i] = p.prefix + t.Key
		for _, n := range []float64{t.Rate, t.Burst, sign * t.Amount} {
			args = append(args, strconv.FormatFloat(n, 'g', -1, 64))
		}
	}
	us, err := p.steps.run(ctx, paceScript, keys, args).Int64()
	if err != nil {
		return 0, fmt.Errorf("redisstore: pace: %w", err)
	}
	return time.Duration(us) * time.Microsecond, nil
}
