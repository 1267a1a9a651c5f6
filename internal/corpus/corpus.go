// Package corpus makes texts to count tokens of, for tests and for the benchmark.
package corpus

import (
	"math/rand/v2"
	"strings"
)

// Sentences are what texts of any length are put together from, by their kind.
var Sentences = map[string][]string{
	"english": {
		"Our return policy covers every item that was bought within the last thirty days, provided that it has not been worn. ",
		"I've been waiting for order #48291 since March 3rd, and nobody's answered my emails; could you check what happened? ",
		"The harbour was quiet that morning, except for two fishermen who argued about the price of diesel. ",
		"If the temperature rises above 38.5 °C, call a doctor; don't wait until the weekend is over.\n",
		"Mathematicians had suspected for decades that the conjecture was false, but nobody could construct a counterexample. ",
		"She'd have preferred to leave earlier, they'll tell you, but the train to Edinburgh doesn't run on Sundays. ",
		"Quarterly revenue grew by 12.4% to $3.1 billion, driven mainly by subscriptions in Southeast Asia.\n\n",
		"To reset the device, hold the power button for ten seconds (the light blinks twice), then let go. ",
		"Nothing in this agreement limits the liability of either party for gross negligence or wilful misconduct. ",
		"\"You can't be serious,\" he said, putting down the newspaper, \"we've only just painted the kitchen!\" ",
		"Photosynthesis converts light into chemical energy that is later released to fuel the organism's activities. ",
		"Please summarize the following conversation in three bullet points and suggest a polite reply to the customer.\n",
	},
	"chinese": {
		"我们的退货政策规定,自购买之日起三十天内,未使用过的商品可以免费退换。",
		"订单编号48291已经等了两个星期,到现在还没有收到任何回复,请帮我查一下。",
		"港口的清晨格外安静,只有两个渔民在为柴油的价格争论不休。",
		"如果体温超过三十八度五,请立即联系医生,不要等到周末结束。\n",
		"数学家们几十年来一直怀疑这个猜想是错误的,但没有人能够构造出反例。",
		"本季度营业收入同比增长百分之十二,达到三十一亿美元,主要得益于东南亚的订阅业务。",
		"人工智能正在深刻改变软件开发的方式,越来越多的企业开始使用大型语言模型。",
		"她本来想早点离开,可是星期天没有开往爱丁堡的火车。\n\n",
		"光合作用将光能转化为化学能,供生物体日后的活动使用。",
		"请用三个要点总结下面的对话,并为客户起草一份礼貌的回复。",
	},
	"japanese": {
		"ご購入から三十日以内で未使用の商品であれば、無料で返品を承っております。",
		"注文番号48291の件ですが、二週間たってもまだ返事がありません。確認していただけますか?",
		"その朝の港は静かで、二人の漁師が軽油の値段について言い争っているだけだった。",
		"体温が38.5度を超えたら、週末が終わるのを待たずにすぐ医師に連絡してください。\n",
		"光合成は光を化学エネルギーに変え、生物の活動に使われます。",
		"次の会話を三つの要点にまとめて、お客様への丁寧な返信を提案してください。",
		"カスタマーサポートのチャットボットは、サーバーのメンテナンス中はご利用いただけません。",
	},
	"korean": {
		"구매일로부터 삼십 일 이내에 사용하지 않은 상품은 무료로 반품하실 수 있습니다. ",
		"주문 번호 48291이 두 주째 답이 없습니다. 확인해 주시겠어요? ",
		"다음 대화를 세 가지 요점으로 요약하고 고객에게 보낼 정중한 답변을 제안해 주세요.\n",
		"광합성은 빛을 화학 에너지로 바꾸어 생물의 활동에 쓰이게 합니다. ",
	},
	"russian": {
		"Товар, который не был в употреблении, можно вернуть бесплатно в течение тридцати дней со дня покупки. ",
		"Заказ №48291 не приходит уже две недели, и никто не отвечает на мои письма; проверьте, пожалуйста.\n",
		"Математики десятилетиями подозревали, что гипотеза неверна, но никто не мог построить контрпример. ",
		"В то утро в порту было тихо, только два рыбака спорили о цене на дизельное топливо. ",
	},
	"german": {
		"Unbenutzte Ware kann innerhalb von dreißig Tagen nach dem Kauf kostenlos zurückgegeben werden. ",
		"Die Bestellung 48291 ist seit zwei Wochen überfällig; könnten Sie bitte prüfen, was passiert ist?\n",
		"Die Haftung für grobe Fahrlässigkeit und Vorsatz bleibt von dieser Vereinbarung unberührt. ",
		"Straßenbahnhaltestellenbeleuchtung und Donaudampfschifffahrtsgesellschaft sind lange Wörter. ",
	},
	"arabic": {
		"يمكن إرجاع المنتجات غير المستخدمة مجانًا خلال ثلاثين يومًا من تاريخ الشراء. ",
		"طلبي رقم 48291 متأخر منذ أسبوعين ولم يرد أحد على رسائلي.\n",
		"كان الميناء هادئًا في ذلك الصباح باستثناء صيادين يتجادلان حول سعر الوقود. ",
	},
	"hindi": {
		"खरीद की तारीख से तीस दिनों के भीतर अप्रयुक्त वस्तुएँ बिना शुल्क लौटाई जा सकती हैं। ",
		"मेरा ऑर्डर 48291 दो सप्ताह से नहीं आया है, कृपया जाँच करें।\n",
		"उस सुबह बंदरगाह शांत था, केवल दो मछुआरे डीज़ल की कीमत पर बहस कर रहे थे। ",
	},
	"thai": {
		"สินค้าที่ยังไม่ได้ใช้สามารถคืนได้โดยไม่มีค่าใช้จ่ายภายในสามสิบวันนับจากวันที่ซื้อ ",
		"คำสั่งซื้อหมายเลข 48291 ล่าช้ามาสองสัปดาห์แล้ว กรุณาช่วยตรวจสอบด้วย\n",
	},
	"tamil": {
		"பயன்படுத்தப்படாத பொருட்களை வாங்கிய முப்பது நாட்களுக்குள் இலவசமாகத் திருப்பித் தரலாம். ",
		"எனது ஆர்டர் 48291 இரண்டு வாரங்களாக வரவில்லை, தயவுசெய்து சரிபார்க்கவும்.\n",
	},
	"emoji":     {"👍", "😀😃", "👨‍👩‍👧‍👦", "🇩🇪", "🤷🏽‍♀️", " ❤️ ", "🚀🚀🚀", "ok 👌🏾! "},
	"combining": {"e\u0301", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞", "n\u0303o ", "\u0301\u0302", "à la carte ", "ก็", "नि", "\u0338="},
	"json": {
		`{"id":48291,"status":"shipped","items":[{"sku":"A-19","qty":2,"price":19.99}],"note":null}`, "\n",
		"{\n  \"type\": \"object\",\n  \"properties\": {\n    \"city\": {\"type\": \"string\"}\n  },\n  \"required\": [\"city\"]\n}\n",
	},
	"numbers": {"3.14159265358979, ", "1,000,000; ", "2026-11-24T15:52:56Z ", "0xDEADBEEF ", "550e8400-e29b-41d4-a716-446655440000\n"},
	"markup":  {"<div class=\"row\">\n\t<a href=\"https://example.com/a?b=1&c=2\">x</a>\n</div>\n", "| a | b |\n|---|---|\n", "```go\n", "**bold** _it_ "},
}

// Compose puts sentences of a kind together until they make size bytes or a little more.
func Compose(kind string, size int, seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 1))
	var b strings.Builder
	for b.Len() < size {
		b.WriteString(Sentences[kind][r.IntN(len(Sentences[kind]))])
	}
	return b.String()
}

// Hostile are texts that are slow to count, or wrong, when it is done plainly; size bytes each.
func Hostile(size int) map[string]string {
	r := rand.New(rand.NewPCG(7, 7))
	from := func(alphabet string) string {
		b := make([]byte, size)
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		return string(b)
	}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return map[string]string{
		"one letter":       strings.Repeat("a", size),
		"one capital":      strings.Repeat("A", size),
		"two letters":      strings.Repeat("ab", size/2),
		"spaces":           strings.Repeat(" ", size),
		"spaces, a letter": strings.Repeat(" ", size-1) + "x",
		"newlines":         strings.Repeat("\n", size),
		"mixed blanks":     from(" \t\n"),
		"carets":           strings.Repeat("^", size),
		"one character":    strings.Repeat("的", size/3),
		"marks":            strings.Repeat("\u0301", size/2),
		"quotes":           strings.Repeat("'", size),
		"contractions":     strings.Repeat("'s", size/2),
		"random letters":   from("abcdefghijklmnopqrstuvwxyz"),
		"both cases":       from("abcdefABCDEF"),
		"punctuation":      from("!@#$%^&*()-=+[]{};:,.<>?/"),
		"digits":           from("0123456789"),
		"hexadecimal":      from("0123456789abcdef"),
		"base64":           from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"),
		"all letters":      from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
		"single letters":   from("abcdefghij     "),
		"capitals":         from("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
		"rare characters":  from("\u0378\u1d00\ua015\U0001f9ff\U000e0001"),
		"random bytes":     from(string(all)),
	}
}
