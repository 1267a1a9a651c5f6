package guard

import (
	"slices"
	"strings"
)

// Negation keeps a question apart from one that denies it.
func Negation() Guard {
	return Guard{name: "negation", differ: func(a, b *question) bool { return negations(a)%2 != negations(b)%2 }}
}

var negative = map[string]bool{
	"not": true, "never": true, "without": true, "neither": true, "none": true, "nobody": true, "nothing": true,
	"nowhere": true, "unable": true, "impossible": true, "dont": true, "cant": true, "wont": true, "isnt": true,
	"doesnt": true, "didnt": true, "unavailable": true, "except": true, "excluding": true, "excluded": true, "non": true,
}

// polite are phrases that hold a negation and deny nothing.
var polite = []string{
	"why don't you", "why do not you", "if you don't mind", "if you do not mind", "don't worry", "no problem", "not only", "whether or not", "or not", "no matter",
	"不好意思", "没关系", "没问题", "对不起", "不客气", "是不是", "能不能", "可不可以", "可不可", "有没有", "要不要", "会不会", "行不行", "对不对", "好不好",
	"不同", "不少", "不过", "不仅", "不但", "不管", "不论", "无论", "未来", "没事", "特别", "别人", "别的", "分别", "区别", "级别", "性别", "类别", "无线", "差不多", "不得不",
}

func negations(q *question) int {
	text, n := q.text, 0
	for _, p := range polite {
		if strings.Contains(text, p) {
			text = strings.ReplaceAll(text, p, " ")
		}
	}
	list := q.words
	if text != q.text {
		list = split(text)
	}
	for i, w := range list {
		switch {
		case negative[w.text]:
			n++
		case w.text == "no":
			if i+1 == len(list) || !list[i+1].digit { // no. 5 is a number
				n++
			}
		case w.wide && (w.text == "不" || w.text == "没" || w.text == "无" || w.text == "别" || w.text == "未" || w.text == "勿"):
			n++
		}
	}
	return n
}

// Directions keeps questions apart that ask for the opposite, or for the same the other way round: from A to B and from
// B to A, A is more than B and B is more than A.
func Directions() Guard {
	return Guard{name: "directions", differ: func(a, b *question) bool {
		return opposite(a, b) || prefixed(a, b) || prefixed(b, a) || turned(a, b) || swapped(a.contents(), b.contents())
	}}
}

// opposites are pairs of words of which a question has mostly one.
var opposites = pairs(`more|most:less|least|fewer before|prior:after increase|increased|increasing|raise|raised|raising:decrease|decreased|decreasing|reduce|reduced|reducing|lower|lowering
buy|buying|purchase|purchasing:sell|selling send|sending|sent:receive|receiving|received|get open|opening|opened:close|closing|closed
enable|enabling|enabled|activate|activating|activated:disable|disabling|disabled|deactivate|deactivating|deactivated
deposit|depositing:withdraw|withdrawing|withdrawal first|earliest|oldest:last|latest|newest maximum|max|highest|largest|biggest:minimum|min|lowest|smallest
cheap|cheaper|cheapest|inexpensive:expensive|dearer|dearest start|starting|begin|beginning|started:stop|stopping|end|ending|finish|stopped
add|adding|added:remove|removing|removed|delete|deleting|deleted lock|locking|locked:unlock|unlocking|unlocked upgrade|upgrading:downgrade|downgrading
import|importing:export|exporting upload|uploading:download|downloading incoming|inbound:outgoing|outbound login:logout subscribe|subscribing:unsubscribe|unsubscribing
accept|accepting|accepted:reject|rejecting|rejected|decline|declining|declined allow|allowing|allowed|permit:forbid|forbidden|block|blocking|blocked
arrive|arriving|arrival|arrivals:depart|departing|departure|departures|leave|leaving above|over:below|under inside|indoor|indoors:outside|outdoor|outdoors
hot|hotter|warm:cold|colder|cool early|earlier|sooner:late|later fast|faster|quick|quicker:slow|slower long|longer:short|shorter big|bigger|large|larger:small|smaller
win|winning:lose|losing borrow|borrowing:lend|lending old|older:new|newer public:private internal:external north|northern:south|southern east|eastern:west|western
left:right up:down on:off in:out same:different always:never with:without include|including|included:exclude|excluding|excluded
all|every:some full:partial mandatory|required|compulsory:optional join|joining:leave hide|hiding:show attach:detach expand:collapse prepaid:postpaid buyer:seller tenant:landlord
deposits:withdrawals success|successful|succeed:failure|failed|fail safe|safely:unsafe|dangerous legal:illegal valid:invalid possible:impossible credit:debit import:export encode|encoding:decode|decoding
encrypt|encrypting:decrypt|decrypting compress|compressing:decompress|decompressing|extract push|pushing:pull|pulling read|reading:write|writing encourage:discourage
refund|refunded:charge|charged install|installing:uninstall|uninstalling connect|connecting:disconnect|disconnecting checking:savings host:guest employer:employee teacher:student
涨|上涨|上升|增加|提高|升:跌|下跌|下降|减少|降低|降 买|购买|买入:卖|出售|卖出 多:少 大:小 高:低 快:慢 早:晚 长:短 新:旧 打开|开启|启用|开通|开:关闭|关掉|停用|禁用|关
之前|以前|前:之后|以后|后 收|收到|接收:发|发送|寄 存|存款|存入:取|取款|取出 上传:下载 登录:退出|登出 增:减 添加|加:删除|移除|去掉 允许:禁止 便宜:贵 借入:借出 左:右 上:下 里:外 进:出 入:出 最大:最小 升级:降级
订阅:退订 绑定:解绑 锁定:解锁 公开:私有 男:女 买家:卖家 首次|第一次:最后一次 出发:到达 赢:输 冷:热 含:不含 接受:拒绝 转入:转出 导入:导出 安装:卸载 连接:断开`)

type pair struct{ left, right []string }

func pairs(list string) (out []pair) {
	for p := range strings.FieldsSeq(list) {
		left, right, _ := strings.Cut(p, ":")
		out = append(out, pair{strings.Split(left, "|"), strings.Split(right, "|")})
	}
	return out
}

// sides says on which pairs, and which side of each, a word stands.
var sides = func() map[string][]int {
	out := map[string][]int{}
	for i, p := range opposites {
		for _, w := range p.left {
			out[w] = append(out[w], i+1)
		}
		for _, w := range p.right {
			out[w] = append(out[w], -i-1)
		}
	}
	return out
}()

var wideSides = func() (out []string) {
	for w := range sides {
		if !isASCII(w) {
			out = append(out, w)
		}
	}
	slices.SortFunc(out, func(a, b string) int { // the longest first, so that a part of it is not taken for itself
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return out
}()

// stances are the sides that a question takes, and how often.
func stances(q *question) map[int]int {
	out := map[int]int{}
	wide := false
	for _, w := range q.words {
		wide = wide || w.wide
		for _, side := range sides[w.text] {
			if !w.wide {
				out[side]++
			}
		}
	}
	if !wide {
		return out
	}
	text := q.text
	for _, w := range wideSides {
		n := strings.Count(text, w)
		if n == 0 {
			continue
		}
		for _, side := range sides[w] {
			out[side] += n
		}
		text = strings.ReplaceAll(text, w, " ")
	}
	return out
}

// opposite reports whether b is on the other side once more than a is, and on a's side once less: "turn on the light on
// the stairs" and "turn off the light on the stairs" have an "on" in common.
func opposite(a, b *question) bool {
	x, y := stances(a), stances(b)
	for side, n := range x {
		if y[side] < n && y[-side] > x[-side] {
			return true
		}
	}
	return false
}

// prefixed reports whether b has a word of a with un-, dis-, de- or non- before it, and not the word itself.
func prefixed(a, b *question) bool {
	for _, w := range b.words {
		for _, p := range []string{"un", "dis", "de", "non", "in", "im", "re", "mis"} {
			bare, ok := strings.CutPrefix(w.text, p)
			if ok && len(bare) >= 3 && has(a, bare) && !has(b, bare) && !has(a, w.text) {
				return true
			}
		}
	}
	return false
}

func has(q *question, text string) bool {
	return slices.ContainsFunc(q.words, func(w word) bool { return w.text == text })
}

// swapped reports whether two parts have changed places around what is between them: Alice pays Bob, Bob pays Alice.
func swapped(x, y []string) bool {
	if len(x) != len(y) {
		return false
	}
	for len(x) > 0 && x[0] == y[0] {
		x, y = x[1:], y[1:]
	}
	for len(x) > 0 && x[len(x)-1] == y[len(y)-1] {
		x, y = x[:len(x)-1], y[:len(y)-1]
	}
	const most = 6 // words or characters in a part
	for i := 1; i <= min(most, len(x)-2); i++ {
		for j := 1; j <= min(most, len(x)-i-1); j++ {
			left, middle, right := x[:i], x[i:len(x)-j], x[len(x)-j:]
			if slices.Equal(y[:j], right) && slices.Equal(y[j:len(y)-i], middle) && slices.Equal(y[len(y)-i:], left) {
				return true
			}
		}
	}
	return false
}

// turns are the words around which a question can be turned.
var turns = map[string]bool{
	"to": true, "from": true, "than": true, "into": true, "before": true, "after": true, "over": true, "by": true, "with": true, "for": true,
	"instead": true, "versus": true, "vs": true, "between": true, "到": true, "比": true, "换": true, "给": true, "向": true, "转": true, "变": true, "被": true, "把": true, "对": true, "在": true,
}

// turned reports whether the questions have the same words in another order around a word that gives them a direction.
func turned(a, b *question) bool {
	x, y := a.contents(), b.contents()
	if len(x) != len(y) || slices.Equal(x, y) {
		return false
	}
	for _, q := range []*question{a, b} {
		if !slices.ContainsFunc(q.words, func(w word) bool { return turns[w.text] }) {
			return false
		}
	}
	same := slices.Clone(x)
	other := slices.Clone(y)
	slices.Sort(same)
	slices.Sort(other)
	if !slices.Equal(same, other) {
		return false
	}
	// A change of place of a whole half, "with a card, can I pay", is none of direction: the neighbours stay.
	return !rotated(x, y)
}

// rotated reports whether y is x begun at another word.
func rotated(x, y []string) bool {
	if slices.ContainsFunc(x, func(w string) bool { return len(w) > 0 && w[0] >= 0x80 }) {
		return false
	}
	for i := 1; i < len(x); i++ {
		if slices.Equal(x[i:], y[:len(x)-i]) && slices.Equal(x[:i], y[len(x)-i:]) {
			return i > 1 && len(x)-i > 1
		}
	}
	return false
}
