package route

import (
	"context"
	"fmt"
	"strings"

	"github.com/holysheep-ai/holysheep-go"
)

// Quality is what the caller wants of an answer. The zero value is [Balanced].
type Quality uint8

// The qualities.
const (
	Balanced Quality = iota // as the question needs
	Economy                 // the cheapest that can do it
	Premium                 // the best answer
	Coding                  // for code
)

var qualityNames = [...]string{"balanced", "economy", "premium", "coding"}

func (q Quality) String() string {
	if int(q) < len(qualityNames) {
		return qualityNames[q]
	}
	return fmt.Sprintf("Quality(%d)", uint8(q))
}

// Auto as the model of a request asks for the router's choice, as an empty one does.
const Auto = "auto"

var autoModels = [...]string{Auto + ":balanced", Auto + ":economy", Auto + ":premium", Auto + ":coding"}

// Model is the name that asks for the router's choice in this quality, for one request: "auto:premium". It goes before
// what [WithQuality] says.
func (q Quality) Model() string {
	if int(q) < len(autoModels) {
		return autoModels[q]
	}
	return Auto + ":" + q.String()
}

type qualityKey struct{}

// WithQuality sets the quality that the calls of a context want. It says nothing to calls that name a model.
func WithQuality(ctx context.Context, q Quality) context.Context {
	return context.WithValue(ctx, qualityKey{}, q)
}

// wantedBy gives the quality of a context, and whether it has one.
func wantedBy(ctx context.Context) (q Quality, ok bool) {
	q, ok = ctx.Value(qualityKey{}).(Quality)
	return q, ok
}

// wanted is the quality for a request, and whether the choice is the router's.
func wanted(ctx context.Context, model string) (q Quality, routed bool, err error) {
	name, auto := strings.CutPrefix(model, Auto)
	if model != "" && (!auto || name != "" && name[0] != ':') {
		return wantedInContext(ctx, false)
	}
	if name == "" {
		return wantedInContext(ctx, true)
	}
	for q, known := range qualityNames {
		if name[1:] == known {
			return Quality(q), true, nil
		}
	}
	return 0, false, &holysheep.RequestError{
		Field: "Model", Reason: fmt.Sprintf("%.40q: what follows %q is one of %s", model, Auto+":", strings.Join(qualityNames[:], ", ")),
	}
}

func wantedInContext(ctx context.Context, routed bool) (Quality, bool, error) {
	q, _ := wantedBy(ctx)
	if int(q) >= len(qualityNames) {
		return 0, false, &holysheep.RequestError{Field: "WithQuality", Reason: q.String() + " is none"}
	}
	return q, routed, nil
}

// varyByQuality is what a context changes of the answers.
func varyByQuality(ctx context.Context) string {
	if q, _ := wantedBy(ctx); q != Balanced {
		return "quality=" + q.String()
	}
	return ""
}
