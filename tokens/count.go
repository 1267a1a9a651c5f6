package tokens

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"
)

var errTooLong = errors.New("tokens: a text without a break of more than 2 GiB")

// How much text is counted between two looks at the context: a millisecond or so.
const betweenLooks = 64 << 10

// count gives the number of tokens of a text, as tiktoken-go's EncodeOrdinary does: special tokens such as
// <|endoftext|> are text, and each byte that is not UTF-8 counts as U+FFFD.
func (e *encoding) count(ctx context.Context, text string) (int64, error) {
	if !utf8.ValidString(text) {
		text = strings.Map(func(r rune) rune { return r }, text)
	}
	var n int64
	for i, look := 0, 0; i < len(text); {
		if i >= look {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			look = i + betweenLooks
		}
		end := e.split(e.class, text, i)
		in, err := e.countPiece(ctx, text[i:end])
		if err != nil {
			return 0, err
		}
		n += in
		i = end
	}
	return n, nil
}
