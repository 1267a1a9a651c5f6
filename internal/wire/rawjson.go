package wire

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// The functions of this file take apart valid JSON without modelling it. Values are the raw text of one value
// without white space around it, or "" for one that is not there. As in encoding/json the last of several
// members with one name counts.

const space = " \t\r\n"

func trimSpace(s string) string { return strings.Trim(s, space) }

// kind is the first byte of a value, which tells its type; 0 without a value.
func kind(value string) byte {
	if value == "" {
		return 0
	}
	return value[0]
}

func isNumber(value string) bool {
	k := kind(value)
	return k == '-' || '0' <= k && k <= '9'
}

// isSet reports whether a value is there and not null.
func isSet(value string) bool { return value != "" && value != "null" }

// set is the value, or "" for null.
func set(value string) string {
	if value == "null" {
		return ""
	}
	return value
}

// text is the content of a string; "" for anything else.
func text(value string) (s string) {
	if kind(value) != '"' {
		return ""
	}
	if inner := value[1 : len(value)-1]; !strings.Contains(inner, `\`) {
		return inner
	}
	_ = json.Unmarshal([]byte(value), &s)
	return s
}

func isEmptyArray(value string) bool {
	return kind(value) == '[' && trimSpace(value[1:len(value)-1]) == ""
}

// member finds a member of an object.
func member(object, name string) (found string) {
	_ = eachMember(object, func(key, value string) error {
		if key == name {
			found = value
		}
		return nil
	})
	return found
}

// eachMember visits the members of an object until an error.
func eachMember(object string, visit func(key, value string) error) error {
	dec := json.NewDecoder(strings.NewReader(object))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		key, ok := token.(string)
		if !ok {
			return errors.New("a key is not a string")
		}
		value, err := nextValue(dec, object)
		if err != nil {
			return err
		}
		if err := visit(key, value); err != nil {
			return err
		}
	}
	return nil
}

// eachElement visits the elements of an array until an error.
func eachElement(array string, visit func(value string) error) error {
	dec := json.NewDecoder(strings.NewReader(array))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		value, err := nextValue(dec, array)
		if err != nil {
			return err
		}
		if err := visit(value); err != nil {
			return err
		}
	}
	return nil
}

// nextValue cuts the value the decoder is at out of the text it reads, which costs no copy.
func nextValue(dec *json.Decoder, from string) (string, error) {
	start := dec.InputOffset()
	if err := dec.Decode(&skipped{}); err != nil {
		return "", err
	}
	return strings.TrimLeft(from[start:dec.InputOffset()], space+",:"), nil
}

// skipped takes any JSON value and keeps nothing of it.
type skipped struct{}

func (*skipped) UnmarshalJSON([]byte) error { return nil }

// depth counts how deeply arrays and objects are nested in valid JSON.
func depth(data string) (deepest int) {
	level := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '{', '[':
			level++
			deepest = max(deepest, level)
		case '}', ']':
			level--
		case '"':
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		}
	}
	return deepest
}

// putField sets a field in a list sorted by key. A value that is not there leaves the list alone.
func putField(fields *[]Field, key, value string) error {
	if value == "" {
		return nil
	}
	i, found := findField(*fields, key)
	switch {
	case found:
		(*fields)[i].Raw = value
	case len(*fields) == maxExtra:
		return errTooMany
	default:
		*fields = slices.Insert(*fields, i, Field{key, value})
	}
	return nil
}

func findField(fields []Field, key string) (int, bool) {
	return slices.BinarySearchFunc(fields, key, func(f Field, key string) int { return cmp.Compare(f.Key, key) })
}

// dropNulls removes null fields. They stay until then because a later null undoes an earlier value.
func dropNulls(fields *[]Field) {
	*fields = slices.DeleteFunc(*fields, func(f Field) bool { return f.Raw == "null" })
}
