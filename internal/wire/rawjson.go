package wire

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// The functions of this file take apart JSON without modelling it. It must be valid, which is for encoding/json to
// say; then all that is left to do is to find where values end. A value is its raw text without white space around
// it, or "" for one that is not there. As in encoding/json the last of several members with one name counts.

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
	for rest := object[1:]; ; {
		var key, value string
		if key, rest = cutValue(rest); key == "" {
			return nil
		}
		value, rest = cutValue(rest)
		if err := visit(text(key), value); err != nil {
			return err
		}
	}
}

// eachElement visits the elements of an array until an error.
func eachElement(array string, visit func(value string) error) error {
	for rest := array[1:]; ; {
		var value string
		if value, rest = cutValue(rest); value == "" {
			return nil
		}
		if err := visit(value); err != nil {
			return err
		}
	}
}

// cutValue cuts the next value off what is left of an array or an object; it is "" at the end of either.
func cutValue(s string) (value, rest string) {
	s = strings.TrimLeft(s, space+",:")
	end := 0
	switch kind(s) {
	case '"':
		end = stringEnd(s, 0)
	case '{', '[':
		for level := 0; end == 0 || level > 0; end++ {
			switch s[end] {
			case '{', '[':
				level++
			case '}', ']':
				level--
			case '"':
				end = stringEnd(s, end) - 1
			}
		}
	default:
		if end = strings.IndexAny(s, space+",]}"); end < 0 {
			end = len(s)
		}
	}
	return s[:end], s[end:]
}

// stringEnd is where the string that starts at i ends.
func stringEnd(s string, i int) int {
	for i++; s[i] != '"'; i++ {
		if s[i] == '\\' {
			i++
		}
	}
	return i + 1
}

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
			i = stringEnd(data, i) - 1
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
