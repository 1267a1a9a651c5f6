package costs

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// Billed is a line of a gateway's own export.
type Billed struct {
	Time             time.Time
	RequestID        string
	Model            string
	PromptTokens     int64
	CompletionTokens int64
	Cost             holysheep.USD
}

// billedColumns are the columns of an export, and the other names that gateways have for them.
var billedColumns = map[string]string{
	"time": "time", "created_at": "time", "timestamp": "time",
	"request_id": "request_id", "id": "request_id",
	"model": "model", "model_name": "model",
	"prompt_tokens": "prompt_tokens", "input_tokens": "prompt_tokens",
	"completion_tokens": "completion_tokens", "output_tokens": "completion_tokens",
	"cost": "cost", "cost_usd": "cost", "amount": "cost",
}

// ReadBilledCSV reads an export as CSV, whose first line names the columns: time (RFC 3339, or seconds since 1970),
// model and cost (dollars) are needed, request_id, prompt_tokens and completion_tokens are used, others are passed over.
func ReadBilledCSV(r io.Reader) iter.Seq2[Billed, error] {
	return func(yield func(Billed, error) bool) {
		in := csv.NewReader(r)
		in.ReuseRecord = true
		head, err := in.Read()
		if err != nil {
			yield(Billed{}, &RowError{Line: 1, Err: err})
			return
		}
		at := map[string]int{}
		for i, name := range head {
			name = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))
			if column, ok := billedColumns[name]; ok {
				if _, twice := at[column]; twice {
					yield(Billed{}, &RowError{Line: 1, Err: fmt.Errorf("two columns for %s", column)})
					return
				}
				at[column] = i
			}
		}
		for _, needed := range []string{"time", "model", "cost"} {
			if _, ok := at[needed]; !ok {
				yield(Billed{}, &RowError{Line: 1, Err: fmt.Errorf("no column %q among %.200q", needed, head)})
				return
			}
		}
		for {
			fields, err := in.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			var line int
			var b Billed
			if bad, ok := errors.AsType[*csv.ParseError](err); ok {
				line = bad.Line
			}
			if err == nil {
				line, _ = in.FieldPos(0)
				b, err = billedOf(func(column string) string {
					if i, ok := at[column]; ok {
						return fields[i]
					}
					return ""
				})
			}
			if err != nil {
				yield(Billed{}, &RowError{Line: line, Err: err})
				return
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// ReadBilledJSON reads an export of JSON lines, whose members are those that ReadBilledCSV has as columns. The first line
// that is none ends it with a *RowError.
func ReadBilledJSON(r io.Reader) iter.Seq2[Billed, error] {
	return func(yield func(Billed, error) bool) {
		err := eachLine(r, func(_ int, line []byte) error {
			b, err := billedJSON(line)
			if err == nil && !yield(b, nil) {
				return errDone
			}
			return err
		})
		if err != nil && err != errDone { //nolint:errorlint // ours, bare
			yield(Billed{}, err)
		}
	}
}

func billedJSON(line []byte) (Billed, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil {
		return Billed{}, err
	}
	fields := map[string]string{}
	for name, raw := range members {
		column, ok := billedColumns[strings.ToLower(name)]
		if !ok || string(raw) == "null" {
			continue
		}
		if _, twice := fields[column]; twice {
			return Billed{}, fmt.Errorf("two members for %s", column)
		}
		text := string(raw)
		if text[0] == '"' {
			if err := json.Unmarshal(raw, &text); err != nil {
				return Billed{}, err
			}
		}
		fields[column] = text
	}
	return billedOf(func(column string) string { return fields[column] })
}

// billedOf makes a line of its fields.
func billedOf(fieldOf func(column string) string) (b Billed, err error) {
	field := func(name string) string { return strings.TrimSpace(fieldOf(name)) }
	number := func(name string) int64 {
		s := field(name)
		if s == "" || err != nil {
			return 0
		}
		n, bad := strconv.ParseInt(s, 10, 64)
		if bad != nil {
			err = fmt.Errorf("%s: %.40q is no number", name, s)
		}
		return n
	}
	b = Billed{
		RequestID: strings.Clone(field("request_id")), Model: strings.Clone(field("model")),
		PromptTokens: number("prompt_tokens"), CompletionTokens: number("completion_tokens"),
	}
	if err != nil {
		return b, err
	}
	when := field("time")
	if seconds, bad := strconv.ParseInt(when, 10, 64); bad == nil {
		b.Time = time.Unix(seconds, 0)
	} else if b.Time, err = time.Parse(time.RFC3339, when); err != nil {
		return b, fmt.Errorf("time: %.40q is neither RFC 3339 nor seconds since 1970", when)
	}
	cost := strings.TrimPrefix(field("cost"), "$")
	if err := json.Unmarshal([]byte(strconv.Quote(cost)), &b.Cost); err != nil {
		return b, fmt.Errorf("cost: %.40q: %w", cost, err)
	}
	return b, b.check()
}

func (b *Billed) check() error {
	switch {
	case b.Cost < 0 || b.PromptTokens < 0 || b.CompletionTokens < 0:
		return errors.New("a negative amount")
	case b.Model == "":
		return errors.New("no model")
	}
	return nil
}
