package costs

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/holysheep-ai/holysheep-go"
)

// Calculator tells what a number of equal queries costs, model by model and table by table.
//
// Not all figures that the vendor publishes follow from its prices, and this gives none of them: a bill that falls from
// $47,000 to $8,200 a month follows from no token count that is stated (its difference over a year, $465,600, does); the
// price in one of its programs is a thousand times too small, being for a thousand tokens and used for a million; a
// batch saves no 66 %, because running requests at the same time changes nothing of their price; and a cached query has
// no constant cost, because what a hit saves is the price of that answer.
type Calculator struct {
	Queries      int64 // above zero
	InputTokens  int64 // of each
	OutputTokens int64 // of each
	Tables       []NamedTable
}

// NamedTable is a price table under the name of who asks these prices: "list", "Bedrock", "Vertex".
type NamedTable struct {
	Name  string
	Table *holysheep.PriceTable
}

// Line is what the queries cost with one model of one table.
type Line struct {
	Table, Date, Model string
	Each, All          holysheep.USD
}

// Lines prices the queries with every model of every table, the cheapest first. Amounts that are more than a
// [holysheep.USD] holds, and figures that are negative, are a *holysheep.RequestError.
func (c *Calculator) Lines() ([]Line, error) {
	if c.Queries <= 0 || c.InputTokens < 0 || c.OutputTokens < 0 {
		return nil, &holysheep.RequestError{Field: "Calculator", Reason: fmt.Sprintf("%d queries of %d and %d tokens", c.Queries, c.InputTokens, c.OutputTokens)}
	}
	var lines []Line
	for _, t := range c.tables() {
		for _, model := range t.Table.Models() {
			price, _ := t.Table.Lookup(model)
			each := price.Of(holysheep.Usage{PromptTokens: c.InputTokens, CompletionTokens: c.OutputTokens})
			all, ok := times(each, c.Queries)
			if !ok {
				return nil, &holysheep.RequestError{Field: "Calculator.Queries", Reason: fmt.Sprintf("%d queries of %s cost more than there is room for", c.Queries, model)}
			}
			lines = append(lines, Line{t.Name, t.Table.Date(), model, each, all})
		}
	}
	slices.SortStableFunc(lines, func(a, b Line) int {
		switch {
		case a.All < b.All:
			return -1
		case a.All > b.All:
			return 1
		}
		return strings.Compare(a.Model, b.Model)
	})
	return lines, nil
}

func (c *Calculator) tables() []NamedTable {
	if len(c.Tables) > 0 {
		return c.Tables
	}
	return []NamedTable{{"list", holysheep.ListPrices()}}
}

// times multiplies, unless it would overflow.
func times(u holysheep.USD, n int64) (holysheep.USD, bool) {
	if u == math.MaxInt64 || u > 0 && n > math.MaxInt64/int64(u) {
		return 0, false
	}
	return u * holysheep.USD(n), true
}

// Write writes the lines as a table. With a rate above zero, yuan for a dollar, a column shows them in yuan.
func (c *Calculator) Write(w io.Writer, cny float64) error {
	lines, err := c.Lines()
	if err != nil {
		return err
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "model\tprices\tof\tone query\t%d queries\t", c.Queries)
	if cny > 0 {
		fmt.Fprint(out, "in yuan\t")
	}
	fmt.Fprintln(out)
	for _, l := range lines {
		fmt.Fprintf(out, "%s\t%s\t%s\t%v\t%v\t", plain(l.Model), plain(l.Table), plain(l.Date), l.Each, l.All)
		if cny > 0 {
			fmt.Fprintf(out, "%s\t", l.All.CNY(cny))
		}
		fmt.Fprintln(out)
	}
	return out.Flush()
}

// Move is what it brings to pay less from one month to the next.
type Move struct {
	Before, After holysheep.USD // a month
	Cost          holysheep.USD // of moving, once
}

// Yearly is what is paid less in a year; negative if it is more.
func (m Move) Yearly() (holysheep.USD, error) {
	if m.Before < 0 || m.After < 0 || m.Cost < 0 {
		return 0, &holysheep.RequestError{Field: "Move", Reason: "a negative amount"}
	}
	less := m.Before - m.After
	year, ok := times(max(less, -less), 12)
	if !ok {
		return 0, &holysheep.RequestError{Field: "Move", Reason: "more than there is room for"}
	}
	if less < 0 {
		year = -year
	}
	return year, nil
}

// PaidBack is after how many months the cost of moving has come in; +Inf if never.
func (m Move) PaidBack() float64 {
	if less := m.Before - m.After; less > 0 {
		return float64(m.Cost) / float64(less)
	}
	if m.Cost == 0 {
		return 0
	}
	return math.Inf(1)
}
