package route_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/route"
)

// labelled reads testdata/questions.txt.
func labelled(t *testing.T) []route.Example {
	t.Helper()
	raw, err := os.ReadFile("testdata/questions.txt")
	require.NoError(t, err)
	var examples []route.Example
	for line := range strings.Lines(string(raw)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		class, text, ok := strings.Cut(line, ": ")
		require.True(t, ok, line)
		examples = append(examples, route.Example{Text: text, Class: route.Class(class)})
	}
	require.GreaterOrEqual(t, len(examples), 300)
	return examples
}

func isChinese(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}

func ask(text string) *holysheep.ChatRequest {
	return &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(text)}}
}

// confusion counts what a classifier makes of questions.
type confusion struct {
	classes, given []route.Class
	counts         map[[2]route.Class]int
}

func confuse(t *testing.T, p route.Policy, examples []route.Example, given ...route.Class) *confusion {
	t.Helper()
	r, err := route.New(nothing{}, p, nil)
	require.NoError(t, err)
	c := &confusion{[]route.Class{route.Simple, route.Complex, route.Code, route.Maths}, given, map[[2]route.Class]int{}}
	for _, e := range examples {
		class := receiptOf(t, r, ask(e.Text)).Class
		c.counts[[2]route.Class{e.Class, class}]++
		if class != e.Class && os.Getenv("ROUTE_SHOW") != "" {
			t.Logf("%-8s taken for %-8s %s", e.Class, class, e.Text)
		}
	}
	return c
}

func (c *confusion) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "is \\ taken for\t")
	for _, g := range c.given {
		fmt.Fprintf(w, "%s\t", g)
	}
	fmt.Fprintln(w)
	for _, is := range c.classes {
		fmt.Fprintf(w, "%s\t", is)
		for _, g := range c.given {
			fmt.Fprintf(w, "%d\t", c.counts[[2]route.Class{is, g}])
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	return b.String()
}

// right is the share for which good holds.
func (c *confusion) right(good func(is, taken route.Class) bool) float64 {
	all, right := 0, 0
	for k, n := range c.counts {
		all += n
		if good(k[0], k[1]) {
			right += n
		}
	}
	return float64(right) / float64(all)
}

// of is the share of the questions of one class that are taken for one of the others given.
func (c *confusion) of(is route.Class, taken ...route.Class) float64 {
	all, hit := 0, 0
	for k, n := range c.counts {
		if k[0] != is {
			continue
		}
		all += n
		for _, one := range taken {
			if k[1] == one {
				hit += n
			}
		}
	}
	return float64(hit) / float64(all)
}

func TestConfusion(t *testing.T) {
	all := labelled(t)
	var english, chinese []route.Example
	for _, e := range all {
		if isChinese(e.Text) {
			chinese = append(chinese, e)
		} else {
			english = append(english, e)
		}
	}
	require.InDelta(t, len(english), len(chinese), 10)
	for _, set := range []struct {
		name     string
		examples []route.Example
	}{{"English", english}, {"Chinese", chinese}, {"both", all}} {
		words := confuse(t, route.Default(), set.examples, route.Simple, route.Standard, route.Complex)
		same := words.right(func(is, taken route.Class) bool { return (is == route.Simple) == (taken == route.Simple) })
		t.Logf("%s, %d questions, by words: %.1f %% on the right side of simple\n%v", set.name, len(set.examples), 100*same, words)
		// What the vendor's rule is worth: most short questions about code and mathematics count as simple.
		require.GreaterOrEqual(t, same, 0.62)
		require.GreaterOrEqual(t, words.of(route.Simple, route.Simple), 0.75)
		require.GreaterOrEqual(t, words.of(route.Complex, route.Standard, route.Complex), 0.70)

		content := confuse(t, route.ByContent(), set.examples, route.Simple, route.Complex, route.Code, route.Maths)
		right := content.right(func(is, taken route.Class) bool { return is == taken })
		t.Logf("%s, %d questions, by content: %.1f %% right\n%v", set.name, len(set.examples), 100*right, content)
		require.GreaterOrEqual(t, right, 0.77)
		require.GreaterOrEqual(t, content.of(route.Simple, route.Simple), 0.97, "what is easy is not sent to the dear models")
		require.GreaterOrEqual(t, content.of(route.Complex, route.Complex), 0.50)
		require.GreaterOrEqual(t, content.of(route.Code, route.Code), 0.64)
		require.GreaterOrEqual(t, content.of(route.Maths, route.Maths), 0.64)
	}
}
