package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holysheep-ai/holysheep-go"
)

// Ledger is a [holysheep.Ledger] in Redis, shared by every process that opens it under the same name. Each step is
// one script, so that no two of them mix, and has an id that makes its repetition harmless.
type Ledger struct {
	rdb    redis.UniversalClient
	steps  gatherer
	prefix string
	keys   []string
	must   bool

	epoch   atomic.Pointer[string] // of the accounts that this process knows
	joining sync.Mutex
	pending sync.Map     // id → *pending
	swept   atomic.Int64 // the second in which leases were last let run out
}

// LedgerOptions are what a ledger can be told.
type LedgerOptions struct {
	// Name tells ledgers in one Redis apart; printable, without braces. Default: "budgets".
	Name string

	// MustExist refuses to begin a ledger that is not there. A process that runs notices when Redis has lost the
	// accounts, and refuses; one that starts after that could not tell a loss from a first start, and begins anew.
	// Default: false.
	MustExist bool
}

// NewLedger makes the ledger in rdb, which stays the caller's to close. Nothing is sent yet. The client has to honour
// the deadlines of contexts: redis.Options.ContextTimeoutEnabled. opts may be nil.
func NewLedger(rdb redis.UniversalClient, opts *LedgerOptions) (*Ledger, error) {
	var o LedgerOptions
	if opts != nil {
		o = *opts
	}
	if o.Name == "" {
		o.Name = "budgets"
	}
	if strings.ContainsAny(o.Name, "{} \t\r\n") {
		return nil, &holysheep.RequestError{Field: "LedgerOptions.Name", Reason: fmt.Sprintf("%.40q has braces or white space", o.Name)}
	}
	if err := checkDeadlines(rdb); err != nil {
		return nil, err
	}
	prefix := "holysheep:{" + o.Name + "}:"
	return &Ledger{
		rdb: rdb, steps: gatherer{rdb: rdb}, prefix: prefix + "account:", keys: []string{prefix + "epoch", prefix + "leases", prefix + "late", prefix + "switches", prefix + "known"}, must: o.MustExist,
	}, nil
}

var errLost = fmt.Errorf("redisstore: %w: accounts are gone from Redis, which was restarted without its append-only file or had keys deleted: restore them, or begin anew under another LedgerOptions.Name", holysheep.ErrLedger)

// pending is a reservation as Redis has it.
type pending struct {
	member string
	holds  []holysheep.Hold
	until  time.Time
}

// Reserve implements [holysheep.Ledger].
func (l *Ledger) Reserve(ctx context.Context, r holysheep.Reservation) (refused int, err error) {
	epoch, err := l.join(ctx)
	if err != nil {
		return 0, err
	}
	p := &pending{holds: r.Holds, until: r.Now.Add(r.Lease)}
	var member strings.Builder
	member.WriteString(r.ID)
	keys, args := l.step(epoch, r.Now, r.Holds)
	args = append(args, p.until.UnixMilli(), "", "")
	for i, h := range r.Holds {
		if h.Amount < 0 || h.Limit < 0 {
			return i, nil
		}
		amount, keep := strconv.FormatInt(int64(h.Amount), 10), int64(0)
		if !h.Ends.IsZero() {
			// A length and not a time: what the server's clock would call the past, it would forget at once.
			keep = (max(h.Ends.Sub(r.Now), 0) + keepFor).Milliseconds()
		}
		args = append(args, amount, int64(h.Limit), keep)
		member.WriteString("\n" + h.Key + "\n" + amount)
	}
	if strings.Count(member.String(), "\n") != 2*len(r.Holds) {
		return 0, &holysheep.RequestError{Field: "Reservation", Reason: "a line break in its ID or a key"}
	}
	for _, target := range r.Targets() {
		args = append(args, target)
	}
	p.member = member.String()
	args[4] = p.member
	l.pending.Store(r.ID, p)
	got, _, err := twice(ctx, func(again string) (any, error) {
		args[5] = again
		return l.steps.run(ctx, reserveScript, keys, args).Result()
	})
	if err != nil {
		return 0, failed(err)
	}
	switch got := got.(type) {
	case int64:
		if got == -2 {
			return 0, errLost
		}
		if got >= 0 {
			l.pending.Delete(r.ID)
		}
		return int(got), nil
	case string:
		l.pending.Delete(r.ID)
		var s holysheep.Switch
		if err := json.Unmarshal([]byte(got), &s); err != nil {
			return 0, failed(err)
		}
		return 0, s.Blocked()
	}
	return 0, failed(fmt.Errorf("%T from a script", got))
}

// keepFor is how long a settle may come after the lease, or an account is kept after its period.
const keepFor = 24 * time.Hour

// step gives the keys and arguments that all scripts share. Once a second it lets leases run out.
func (l *Ledger) step(epoch string, now time.Time, holds []holysheep.Hold) (keys []string, args []any) {
	keys = append(make([]string, 0, len(l.keys)+len(holds)), l.keys...)
	for i := range holds {
		keys = append(keys, l.prefix+holds[i].Key)
	}
	prefix, last := "", l.swept.Load()
	if second := now.Unix(); second != last && l.swept.CompareAndSwap(last, second) {
		prefix = l.prefix
		l.pending.Range(func(id, p any) bool {
			if now.Sub(p.(*pending).until) > keepFor { //nolint:forcetypeassert // nothing else is in there
				l.pending.Delete(id)
			}
			return true
		})
	}
	return keys, append(make([]any, 0, 6+3*len(holds)), epoch, now.UnixMilli(), prefix)
}

// Settle implements [holysheep.Ledger], for the reservations of this process.
func (l *Ledger) Settle(ctx context.Context, id string, now time.Time, spent holysheep.USD) ([]holysheep.Account, error) {
	epoch, err := l.join(ctx)
	if err != nil {
		return nil, err
	}
	none := fmt.Errorf("redisstore: %w: %q", holysheep.ErrNoReservation, id)
	known, ok := l.pending.Load(id)
	if !ok {
		return nil, none
	}
	p, _ := known.(*pending)
	spent = max(spent, 0)
	keys, args := l.step(epoch, now, p.holds)
	args = append(args, p.member, int64(spent))
	for _, h := range p.holds {
		args = append(args, int64(spent-h.Amount), int64(-h.Amount))
	}
	got, again, err := twice(ctx, func(string) ([]string, error) { return l.steps.run(ctx, settleScript, keys, args).StringSlice() })
	if err != nil {
		return nil, failed(err)
	}
	if len(got) == 1 && got[0] == "lost" {
		return nil, errLost
	}
	l.pending.Delete(id)
	if len(got) == 1 {
		if again {
			return nil, nil // the first try did it, and its answer was lost
		}
		return nil, none
	}
	accounts := make([]holysheep.Account, len(p.holds))
	for i, h := range p.holds {
		if accounts[i], err = parseAccount(h.Key, got[min(accountFields*i, len(got)):]); err != nil {
			return nil, err
		}
	}
	return accounts, nil
}

// Account implements [holysheep.Ledger].
func (l *Ledger) Account(ctx context.Context, key string, now time.Time) (holysheep.Account, error) {
	epoch, err := l.join(ctx)
	if err != nil {
		return holysheep.Account{}, err
	}
	keys, args := l.step(epoch, now, []holysheep.Hold{{Key: key}})
	got, _, err := twice(ctx, func(string) ([]string, error) { return accountScript.Run(ctx, l.rdb, keys, args...).StringSlice() })
	if err != nil {
		return holysheep.Account{}, failed(err)
	}
	return parseAccount(key, got)
}

const accountFields = 4

// parseAccount reads used, spent, expired and limit.
func parseAccount(key string, fields []string) (holysheep.Account, error) {
	if len(fields) < accountFields {
		return holysheep.Account{}, errLost
	}
	var n [accountFields]int64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
			return holysheep.Account{}, fmt.Errorf("redisstore: %w: account %q holds %.40q", holysheep.ErrLedger, key, fields[i])
		}
	}
	return holysheep.Account{
		Key: key, Spent: holysheep.USD(n[1]), Reserved: holysheep.USD(n[0] - n[1]), Expired: holysheep.USD(n[2]), Limit: holysheep.USD(n[3]),
	}, nil
}

// SetSwitch implements [holysheep.Operator].
func (l *Ledger) SetSwitch(ctx context.Context, s holysheep.Switch) error {
	if err := s.Check(); err != nil {
		return err
	}
	if _, err := l.join(ctx); err != nil {
		return err
	}
	row, err := json.Marshal(s)
	if err != nil {
		return failed(err)
	}
	_, err = l.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		switches, rows := l.keys[3], l.keys[3]+":rows"
		account, isLimit := strings.CutPrefix(s.Target, holysheep.SwitchLimit)
		switch {
		case isLimit && s.On:
			p.HSet(ctx, switches, l.prefix+account, int64(s.Limit))
		case isLimit:
			p.HDel(ctx, switches, l.prefix+account)
		case s.On:
			p.HSet(ctx, switches, s.Target, row)
		default:
			p.HDel(ctx, switches, s.Target)
		}
		p.RPush(ctx, rows, row)
		p.LTrim(ctx, rows, -10_000, -1)
		return nil
	})
	if err != nil {
		return failed(err)
	}
	return nil
}

// Switches implements [holysheep.Operator].
func (l *Ledger) Switches(ctx context.Context) ([]holysheep.Switch, error) {
	rows, err := l.rdb.LRange(ctx, l.keys[3]+":rows", 0, -1).Result()
	if err != nil {
		return nil, failed(err)
	}
	switches := make([]holysheep.Switch, len(rows))
	for i, row := range rows {
		if err := json.Unmarshal([]byte(row), &switches[i]); err != nil {
			return nil, failed(err)
		}
	}
	return switches, nil
}

// join gives the epoch of the accounts; the first process makes it, and checks that Redis will keep them.
func (l *Ledger) join(ctx context.Context) (string, error) {
	if e := l.epoch.Load(); e != nil {
		return *e, nil
	}
	l.joining.Lock()
	defer l.joining.Unlock()
	if e := l.epoch.Load(); e != nil {
		return *e, nil
	}
	if err := l.keeps(ctx); err != nil {
		return "", err
	}
	key := l.keys[0]
	if !l.must {
		if err := l.rdb.SetNX(ctx, key, strconv.FormatInt(time.Now().UnixNano(), 36), 0).Err(); err != nil {
			return "", failed(err)
		}
	}
	epoch, err := l.rdb.Get(ctx, key).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return "", fmt.Errorf("redisstore: %w: there is none at %s, and MustExist is set", holysheep.ErrLedger, key)
	case err != nil:
		return "", failed(err)
	}
	l.epoch.Store(&epoch)
	return epoch, nil
}

// keeps refuses a Redis that may throw accounts away when its memory is full.
func (l *Ledger) keeps(ctx context.Context) error {
	if _, cluster := l.rdb.(*redis.ClusterClient); cluster {
		return nil // INFO would ask any node
	}
	info, err := l.rdb.Info(ctx, "memory").Result()
	if err != nil {
		return failed(err)
	}
	policy, limited := "", true
	for line := range strings.Lines(info) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name {
		case "maxmemory_policy":
			policy = value
		case "maxmemory":
			limited = value != "0"
		}
	}
	if limited && policy != "" && policy != "noeviction" {
		return fmt.Errorf("redisstore: %w: Redis evicts keys (maxmemory-policy %s): use noeviction, or another Redis, for money", holysheep.ErrLedger, policy)
	}
	return nil
}

// twice repeats a step whose answer did not come: its id makes that harmless.
func twice[T any](ctx context.Context, step func(again string) (T, error)) (result T, again bool, err error) {
	result, err = step("")
	var answered redis.Error
	if err == nil || errors.As(err, &answered) || ctx.Err() != nil {
		return result, false, err
	}
	result, err = step("again")
	return result, true, err
}

func failed(err error) error { return fmt.Errorf("redisstore: %w: %w", holysheep.ErrLedger, err) }
