package wire

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds on what an error keeps of a body.
const (
	maxMessage = 4 << 10 // of a gateway's own message
	maxExcerpt = 1 << 10 // of a body that is no error object
	maxWord    = 256     // of a code, a type and the like
	maxUnwraps = 2       // errors inside errors
)

// ErrorBody is what a gateway's error answer says, whatever its shape.
type ErrorBody struct {
	Message, Type, Code, Param string

	RequestID     string        // from "(request id: ...)" at the end of the message, or a request_id beside it
	RetryAfter    time.Duration // the body's retry_after
	HasRetryAfter bool
	ResetAt       string // the body's resetAt or reset_at, as it was written
	Object        bool   // a gateway's error object was there, as opposed to HTML, plain text or nothing
}

// ParseError reads an error answer. Without an error object in it the message is an excerpt of the body.
func ParseError(body []byte) ErrorBody {
	var e ErrorBody
	if value, ok := asJSON(string(body)); !ok || !e.read(value, 0) {
		e = ErrorBody{Message: Excerpt(body, maxExcerpt)}
	}
	for _, word := range []*string{&e.Type, &e.Code, &e.Param, &e.RequestID, &e.ResetAt} {
		*word = strings.Clone(clip(*word, maxWord)) // a clone, or the whole body stays in memory
	}
	e.Message = strings.Clone(clip(strings.TrimSpace(e.Message), maxMessage))
	return e
}

// asJSON is the text as a value for the functions of rawjson.go, if it is an object or an array.
func asJSON(s string) (string, bool) {
	s = trimSpace(strings.TrimPrefix(s, "\ufeff"))
	if k := kind(s); k != '{' && k != '[' {
		return "", false
	}
	if !utf8.ValidString(s) {
		s = strings.Map(func(r rune) rune { return r }, s)
	}
	return s, json.Valid([]byte(s)) && depth(s) <= maxDepth
}

// errorFields are the members of an object that an error may be made of.
type errorFields struct {
	err, message, msg, kind, code, status, param, detail string
	base, choices, retryAfter, resetAt, requestID        string
}

func readFields(object string) (f errorFields) {
	_ = eachMember(object, func(key, value string) error {
		switch key {
		case "error":
			f.err = errorIn(value)
		case "message":
			f.message = value
		case "msg":
			f.msg = value
		case "type":
			f.kind = value
		case "code":
			f.code = value
		case "status":
			f.status = value
		case "param":
			f.param = value
		case "detail":
			f.detail = set(value)
		case "base_resp":
			f.base = value
		case "choices":
			f.choices = value
		case "retry_after":
			f.retryAfter = value
		case "resetAt", "reset_at":
			f.resetAt = value
		case "request_id":
			f.requestID = value
		}
		return nil
	})
	return f
}

// read takes in an object with an error in it, or an array that holds one. It reports whether there was an error.
func (e *ErrorBody) read(value string, level int) bool {
	if kind(value) == '[' {
		value = firstElement(value)
	}
	if kind(value) != '{' || level > maxUnwraps {
		return false
	}
	f := readFields(value)
	switch {
	case f.err != "":
		e.readError(f.err, level)
		if kind(f.err) != '{' {
			e.addText(word(f.message))
		}
	case e.readBase(f.base):
	case kind(f.choices) == '[':
		return false // an answer, whatever else it says
	case f.detail != "":
		e.readDetail(f.detail, level)
	case word(f.message) == "" && word(f.msg) == "" || saysSuccess(f.code):
		return false
	}
	e.Object = true
	e.fill(&f)
	e.unwrap(level)
	return true
}

// readError takes in the value of an "error" member.
func (e *ErrorBody) readError(value string, level int) {
	if kind(value) == '[' {
		value = firstElement(value)
	}
	if kind(value) != '{' {
		e.addText(word(value))
		return
	}
	f := readFields(value)
	e.fill(&f)
	if f.err != "" && e.Message == "" {
		e.read(value, level+1)
	}
	if e.Message == "" && e.Code == "" && e.Type == "" {
		e.Message = clip(value, maxExcerpt)
	}
}

// fill sets what is not known yet.
func (e *ErrorBody) fill(f *errorFields) {
	first(&e.Message, word(f.message), word(f.msg))
	if kind := word(f.kind); kind != "error" { // which only says that this is one
		first(&e.Type, kind)
	}
	first(&e.Type, text(f.status)) // Google's name of the code
	first(&e.Code, word(f.code))
	first(&e.Param, text(f.param))
	first(&e.ResetAt, word(f.resetAt))
	first(&e.RequestID, text(f.requestID))
	if d, ok := wait(word(f.retryAfter), time.Second); ok && !e.HasRetryAfter {
		e.RetryAfter, e.HasRetryAfter = d, true
	}
}

// addText adds a message that stands beside another: {"error":"rate_limited","message":"Slow down."}.
func (e *ErrorBody) addText(s string) {
	switch {
	case s == "" || s == e.Message:
	case e.Message == "":
		e.Message = s
	case e.Type == "" && !strings.ContainsAny(e.Message, space):
		e.Type, e.Message = e.Message, s
	default:
		e.Message += ": " + s
	}
}

// readBase takes in MiniMax's way to say that something went wrong; code 0 means that nothing did.
func (e *ErrorBody) readBase(value string) bool {
	if kind(value) != '{' {
		return false
	}
	code := member(value, "status_code")
	if !isNumber(code) || count(code) == 0 {
		return false
	}
	e.Code, e.Message = code, text(member(value, "status_msg"))
	return true
}

// readDetail takes in FastAPI's errors: a text, an object, or a list with one object for each bad field.
func (e *ErrorBody) readDetail(value string, level int) {
	switch kind(value) {
	case '{':
		if !e.read(value, level+1) {
			e.Message = clip(value, maxExcerpt)
		}
	case '[':
		var messages []string
		_ = eachElement(value, func(element string) error {
			if kind(element) != '{' || len(messages) == 16 {
				return nil
			}
			if msg := text(member(element, "msg")); msg != "" {
				messages = append(messages, msg)
				first(&e.Param, path(member(element, "loc")))
				first(&e.Type, text(member(element, "type")))
			}
			return nil
		})
		e.Message = strings.Join(messages, "; ")
	default:
		e.Message = word(value)
	}
}

// path joins FastAPI's location of a field: ["body","messages",0] is messages.0.
func path(loc string) string {
	if kind(loc) != '[' {
		return ""
	}
	var names []string
	_ = eachElement(loc, func(element string) error {
		if name := word(element); name != "" && len(names) < 16 && (len(names) > 0 || name != "body") {
			names = append(names, name)
		}
		return nil
	})
	return strings.Join(names, ".")
}

// unwrap reads the request id at the end of the message, and the error of its own that the message may be.
func (e *ErrorBody) unwrap(level int) {
	message, id := cutRequestID(e.Message)
	first(&e.RequestID, id)
	value, ok := asJSON(message)
	if !ok {
		return
	}
	var inner ErrorBody
	if !inner.read(value, level+1) {
		return
	}
	outer := *e
	*e = inner
	first(&e.Message, outer.Message)
	first(&e.Type, outer.Type)
	first(&e.Code, outer.Code)
	first(&e.Param, outer.Param)
	first(&e.ResetAt, outer.ResetAt)
	if outer.RequestID != "" {
		e.RequestID = outer.RequestID // the gateway's own, not its upstream's
	}
	if outer.HasRetryAfter {
		e.RetryAfter, e.HasRetryAfter = outer.RetryAfter, true
	}
}

const requestIDMark = "(request id:"

// cutRequestID splits a message into its text and the request id at its end.
func cutRequestID(message string) (text, id string) {
	trimmed := strings.TrimSpace(message)
	at := strings.LastIndexByte(trimmed, '(')
	if at < 0 || !strings.HasSuffix(trimmed, ")") || len(trimmed)-at <= len(requestIDMark) ||
		!strings.EqualFold(trimmed[at:at+len(requestIDMark)], requestIDMark) {
		return message, ""
	}
	id = strings.TrimSpace(trimmed[at+len(requestIDMark) : len(trimmed)-1])
	if id == "" || strings.ContainsAny(id, space) {
		return message, ""
	}
	return strings.TrimSpace(trimmed[:at]), id
}

// first sets a field that is still empty to the first text that is not.
func first(field *string, texts ...string) {
	for _, s := range texts {
		if *field == "" {
			*field = s
		}
	}
}

// word is a string's content or a number as it was written; "" for anything else.
func word(value string) string {
	if isNumber(value) {
		return value
	}
	return text(value)
}

// saysSuccess reports whether the code beside a message means that all is well.
func saysSuccess(code string) bool {
	switch strings.ToLower(word(code)) {
	case "0", "200", "ok", "success":
		return true
	}
	return false
}

func firstElement(array string) (found string) {
	_ = eachElement(array, func(value string) error {
		found = value
		return errTooMany
	})
	return found
}
