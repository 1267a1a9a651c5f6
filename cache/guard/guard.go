package guard

// A Guard keeps questions apart. Those of this package are functions without side effects, safe for concurrent use.
type Guard struct {
	name   string
	differ func(a, b *question) bool // of those here
	own    func(a, b string) bool    // of New
}

// New makes a guard of the caller's own. differ reports whether two questions cannot share an answer; it has to be safe
// for concurrent use.
func New(name string, differ func(a, b string) bool) Guard { return Guard{name: name, own: differ} }

// Name is what receipts call the guard.
func (g Guard) Name() string { return g.name }

// Differ reports whether two questions cannot share an answer, as far as the guard sees.
func (g Guard) Differ(a, b string) bool { return First([]Guard{g}, a, b) != "" }

// All are the guards of this package, the cheapest first. They are for a cache that goes by a threshold.
func All() []Guard { return append(Facts(), Words()) }

// Facts are all but Words, which keeps apart most of what is worded differently. They are for a cache that learns how
// often it is wrong, and needs no rule for that.
func Facts() []Guard {
	return []Guard{
		Length(), Numbers(), Identifiers(), Currencies(), Dates(), Units(), Negation(), Directions(), Questions(), Quotes(), Names(),
	}
}

// First gives the name of the first guard that keeps the questions apart, "" when none does. Each question is read once
// for all guards.
func First(guards []Guard, a, b string) string {
	if a == b {
		return ""
	}
	var qa, qb *question
	for _, g := range guards {
		if g.own != nil {
			if g.own(a, b) {
				return g.name
			}
			continue
		}
		if g.differ == nil {
			continue // the zero guard keeps nothing apart
		}
		if qa == nil {
			qa, qb = read(a), read(b)
		}
		if g.differ(qa, qb) {
			return g.name
		}
	}
	return ""
}

// most is how much of a question is read.
const most = 4096

// Length keeps questions apart that differ beyond the 4,096 bytes that the other guards read.
func Length() Guard {
	return Guard{name: "length", differ: func(a, b *question) bool { return a.rest != b.rest }}
}
