package route

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// A document and its schema may nest so deep, and a check may take so many steps: schemas can refer to themselves.
const (
	deepestSchema = 100
	mostSteps     = 1_000_000
)

// againstSchema says what keeps the text from being JSON that the schema allows; "" if nothing does. What it says has
// names out of the schema only, none of the text. An empty schema allows everything that is JSON.
func againstSchema(schema json.RawMessage, text string) string {
	value, ok := readJSON([]byte(text))
	if !ok {
		return "it is no JSON"
	}
	if len(bytes.TrimSpace(schema)) == 0 {
		return ""
	}
	root, ok := readJSON(schema)
	if !ok {
		return "" // the gateway will have said so
	}
	c := schemaCheck{root: root}
	return c.value(root, value, "it", 0)
}

// readJSON reads one document, with its numbers as they are written.
func readJSON(raw []byte) (any, bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, false
	}
	_, err := d.Token()
	return v, err == io.EOF
}

// schemaCheck reads a schema. Each of its methods says what is wrong, "" if nothing is.
type schemaCheck struct {
	root  any
	steps int
}

func (c *schemaCheck) value(schema, v any, at string, depth int) string {
	if c.steps++; c.steps > mostSteps || depth > deepestSchema {
		return "it is too deep to be checked"
	}
	if allowed, ok := schema.(bool); ok {
		if !allowed {
			return at + " is not allowed"
		}
		return ""
	}
	s, ok := schema.(map[string]any)
	if !ok {
		return ""
	}
	if ref, ok := s["$ref"].(string); ok {
		if why := c.value(c.resolve(ref), v, at, depth+1); why != "" {
			return why
		}
	}
	if t, ok := s["type"]; ok && !hasType(t, v) {
		return at + " is of another type"
	}
	if allowed, ok := s["enum"].([]any); ok && !slices.ContainsFunc(allowed, func(a any) bool { return equalJSON(a, v) }) {
		return at + " is none of the allowed values"
	}
	if constant, ok := s["const"]; ok && !equalJSON(constant, v) {
		return at + " is not the constant"
	}
	if why := c.combined(s, v, at, depth); why != "" {
		return why
	}
	switch v := v.(type) {
	case map[string]any:
		return c.object(s, v, at, depth)
	case []any:
		return c.list(s, v, at, depth)
	case string:
		return bounded(s, "minLength", "maxLength", float64(utf8.RuneCountInString(v)), at+" is too short or too long")
	case json.Number:
		return number(s, v, at)
	}
	return ""
}

func (c *schemaCheck) combined(s map[string]any, v any, at string, depth int) string {
	fitting := func(list []any) (n int) {
		for _, one := range list {
			if c.value(one, v, at, depth+1) == "" {
				n++
			}
		}
		return n
	}
	if list, ok := s["allOf"].([]any); ok && fitting(list) < len(list) {
		return at + " does not fit all of allOf"
	}
	if list, ok := s["anyOf"].([]any); ok && fitting(list) == 0 {
		return at + " fits none of anyOf"
	}
	if list, ok := s["oneOf"].([]any); ok && fitting(list) != 1 {
		return at + " does not fit one of oneOf"
	}
	return ""
}

func (c *schemaCheck) object(s map[string]any, v map[string]any, at string, depth int) string {
	required, _ := s["required"].([]any)
	for _, name := range required {
		if name, ok := name.(string); ok {
			if _, there := v[name]; !there {
				return fmt.Sprintf("%s has no %q", at, name)
			}
		}
	}
	properties, _ := s["properties"].(map[string]any)
	_, patterns := s["patternProperties"]
	rest, closed := s["additionalProperties"]
	for _, name := range slices.Sorted(maps.Keys(v)) {
		property, known := properties[name]
		switch {
		case known:
			if why := c.value(property, v[name], at+"."+name, depth+1); why != "" {
				return why
			}
		case closed && !patterns:
			if why := c.value(rest, v[name], "a further property of "+at, depth+1); why != "" {
				return why
			}
		}
	}
	return bounded(s, "minProperties", "maxProperties", float64(len(v)), at+" has too few or too many properties")
}

func (c *schemaCheck) list(s map[string]any, v []any, at string, depth int) string {
	if items, ok := s["items"]; ok && s["prefixItems"] == nil {
		for i := range v {
			if why := c.value(items, v[i], fmt.Sprintf("%s[%d]", at, i), depth+1); why != "" {
				return why
			}
		}
	}
	return bounded(s, "minItems", "maxItems", float64(len(v)), at+" is too short or too long")
}

func number(s map[string]any, v json.Number, at string) string {
	n, err := v.Float64()
	if err != nil {
		return at + " is no number that can be held"
	}
	wrong := at + " is out of bounds"
	if why := bounded(s, "minimum", "maximum", n, wrong); why != "" {
		return why
	}
	if least, ok := numberIn(s, "exclusiveMinimum"); ok && n <= least {
		return wrong
	}
	if most, ok := numberIn(s, "exclusiveMaximum"); ok && n >= most {
		return wrong
	}
	return ""
}

func bounded(s map[string]any, low, high string, n float64, wrong string) string {
	if least, ok := numberIn(s, low); ok && n < least {
		return wrong
	}
	if most, ok := numberIn(s, high); ok && n > most {
		return wrong
	}
	return ""
}

func numberIn(s map[string]any, name string) (float64, bool) {
	n, ok := s[name].(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil
}

// resolve finds what "#/$defs/address" refers to. What is elsewhere allows everything.
func (c *schemaCheck) resolve(ref string) any {
	path, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return true
	}
	at := c.root
	for name := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if name == "" {
			continue
		}
		m, ok := at.(map[string]any)
		if !ok {
			return true
		}
		if at, ok = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]; !ok {
			return true
		}
	}
	return at
}

// hasType reports whether v is of a type, or of one in a list of types. Types that are not known hold everything.
func hasType(t, v any) bool {
	if list, ok := t.([]any); ok {
		return slices.ContainsFunc(list, func(one any) bool { return hasType(one, v) })
	}
	switch t {
	case "object":
		_, ok := v.(map[string]any)
		return ok
	case "array":
		_, ok := v.([]any)
		return ok
	case "string":
		_, ok := v.(string)
		return ok
	case "boolean":
		_, ok := v.(bool)
		return ok
	case "null":
		return v == nil
	case "number", "integer":
		n, ok := v.(json.Number)
		if !ok || t == "number" {
			return ok
		}
		f, err := n.Float64()
		return err == nil && f == math.Trunc(f)
	}
	return true
}

// equalJSON compares values: 1 and 1.0 are one number.
func equalJSON(a, b any) bool {
	if x, ok := a.(json.Number); ok {
		y, ok := b.(json.Number)
		if !ok {
			return false
		}
		f, errF := x.Float64()
		g, errG := y.Float64()
		return x == y || errF == nil && errG == nil && f == g
	}
	return reflect.DeepEqual(a, b)
}
