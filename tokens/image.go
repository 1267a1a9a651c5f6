package tokens

import (
	"bytes"
	"encoding/base64"
	"image"
	_ "image/gif" // The formats that the providers read and Go knows; of a WebP the worst case is taken.
	_ "image/jpeg"
	_ "image/png"
	"io"
	"math"
	"strings"

	"github.com/holysheep-ai/holysheep-go"
)

// imageRule is what an image costs. Of one whose size is not known, because it has an address or a format that Go
// does not read, the most is taken that the rule can come to.
type imageRule struct {
	low  int64                    // with Detail "low"; 0 where that changes nothing
	most int64                    // of an image whose size is not known
	of   func(w, h float64) int64 // in pixels, both at least 1
}

func (r imageRule) tokens(img holysheep.Image) int64 {
	if img.Detail == "low" && r.low > 0 {
		return r.low
	}
	w, h, ok := size(img)
	if !ok || r.of == nil {
		return r.most
	}
	return r.of(float64(w), float64(h))
}

// size reads the header of an image that comes with its bytes.
func size(img holysheep.Image) (w, h int, ok bool) {
	var r io.Reader = bytes.NewReader(img.Data)
	if len(img.Data) == 0 {
		meta, data, found := strings.Cut(img.URL, ",")
		if !found || !strings.HasPrefix(meta, "data:") || !strings.HasSuffix(meta, ";base64") {
			return 0, 0, false
		}
		r = base64.NewDecoder(base64.StdEncoding, strings.NewReader(data))
	}
	config, _, err := image.DecodeConfig(r)
	return config.Width, config.Height, err == nil && config.Width > 0 && config.Height > 0
}

// tiles is OpenAI's rule of base + each × the squares of 512 pixels that cover an image, after it was made to fit
// 2048 × 2048 and its shorter side 768. Small images are not enlarged: one of 128 × 64 is billed as one square.
func tiles(base, each int64) imageRule {
	return imageRule{
		low: base, most: base + 8*each,
		of: func(w, h float64) int64 {
			w, h = shrink(w, h, 2048/max(w, h))
			w, h = shrink(w, h, 768/min(w, h))
			return base + each*cover(w, h, 512)
		},
	}
}

// patches is OpenAI's rule of the squares of 32 pixels that cover an image, at most 1,536, times a factor. Larger
// images are shrunk to fit and may come out a little below the limit; they are counted at it, and so is Detail "low".
func patches(factor float64) imageRule {
	const most = 1536
	cost := func(n int64) int64 { return int64(math.Ceil(float64(min(n, most)) * factor)) }
	return imageRule{most: cost(most), of: func(w, h float64) int64 { return cost(cover(w, h, 32)) }}
}

// area is Anthropic's rule of a token for 750 pixels, after an image was made to fit a longest side and a number of
// tokens.
func area(longest float64, most int64) imageRule {
	return imageRule{
		most: most,
		of: func(w, h float64) int64 {
			w, h = shrink(w, h, longest/max(w, h))
			return min(most, int64(math.Ceil(w*h/750)))
		},
	}
}

// crops is Google's rule: 258 tokens, or for images with a side above 384 pixels 258 for each tile. Two of its pages
// tell how tiles are cut, by 768 pixels and by two thirds of the shorter side (256 to 768): the dearer one is taken,
// and one tile more, since bills have been seen that have it. The most is that of 3072 × 3072 pixels, a guess: no limit
// is published.
var crops = imageRule{
	most: 17 * 258,
	of: func(w, h float64) int64 {
		if w <= 384 && h <= 384 {
			return 258
		}
		unit := min(768, max(256, math.Floor(min(w, h)/1.5)))
		return 258 * (1 + max(cover(w, h, unit), cover(w, h, 768)))
	},
}

// anyImage is for models whose rule is not known, or that read no images: the most of the others but gpt-4o-mini's.
var anyImage = imageRule{most: 4784}

func shrink(w, h, by float64) (float64, float64) {
	if by >= 1 {
		return w, h
	}
	return max(1, w*by), max(1, h*by)
}

// cover is how many squares cover an image. Sizes are rounded to a thousandth of a pixel first, or 2048 × 0.375 might
// come out above 768.
func cover(w, h, square float64) int64 {
	squares := func(side float64) float64 { return math.Ceil(math.Round(side*1000) / 1000 / square) }
	return int64(squares(w) * squares(h))
}
