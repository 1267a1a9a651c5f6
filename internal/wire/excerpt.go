package wire

import (
	"html"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxExcerpted is how much of a body is looked at for an excerpt: pages tend to open with their style sheets.
const maxExcerpted = 64 << 10

// Excerpt is the readable beginning of a body that is not what was expected: of HTML the title and the visible
// text, of anything else the text. White space is folded, and the result is valid UTF-8 of at most limit bytes.
func Excerpt(body []byte, limit int) string {
	s := strings.ToValidUTF8(string(body[:min(len(body), maxExcerpted)]), "\ufffd")
	s = strings.TrimSpace(strings.TrimPrefix(s, "\ufeff"))
	if looksLikeHTML(s) {
		s = visible(s)
	}
	return clip(fold(s), limit)
}

// fold replaces every run of white space and control characters by one space.
func fold(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}

// clip cuts a string to at most limit bytes without cutting a character.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	limit = max(limit, 0)
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

func looksLikeHTML(s string) bool {
	return len(s) > 1 && s[0] == '<' && startsTag(s[1])
}

func startsTag(c byte) bool {
	return c == '!' || c == '?' || c == '/' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// visible is the title and the text of an HTML page, the title only once if the text opens with it.
func visible(page string) string {
	var title, text strings.Builder
	out := &text
	for page != "" {
		next := strings.IndexByte(page, '<')
		if next < 0 || next+1 == len(page) {
			out.WriteString(page)
			break
		}
		out.WriteString(page[:next])
		page = page[next:]
		if !startsTag(page[1]) {
			out.WriteByte('<')
			page = page[1:]
			continue
		}
		out.WriteByte(' ')
		switch tag := tagName(page); tag {
		case "script", "style", "svg", "template":
			page = after(page, "</"+tag)
			page = after(page, ">")
			continue
		case "title":
			out = &title
		case "/title":
			out = &text
		}
		if strings.HasPrefix(page, "<!--") {
			page = after(page, "-->")
		} else {
			page = after(page, ">")
		}
	}
	head, body := fold(html.UnescapeString(title.String())), fold(html.UnescapeString(text.String()))
	switch {
	case head == "" || strings.HasPrefix(body, head):
		return body
	case body == "":
		return head
	}
	return head + ": " + body
}

// tagName is the lower-case name of the tag that s opens with, with its slash if it has one.
func tagName(s string) string {
	end := 1
	for end < len(s) && (s[end] == '/' && end == 1 || 'a' <= s[end]|0x20 && s[end]|0x20 <= 'z') {
		end++
	}
	return strings.ToLower(s[1:end])
}

// after is what follows the first occurrence of a lower-case ASCII text, whose letters may be of either case.
func after(s, text string) string {
	for i := 0; i+len(text) <= len(s); i++ {
		if (s[i] == text[0]) && strings.EqualFold(s[i:i+len(text)], text) {
			return s[i+len(text):]
		}
	}
	return ""
}
