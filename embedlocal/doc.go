// Package embedlocal turns texts into vectors on this machine: a [holysheep.Embedder] that runs a sentence encoder in
// ONNX format, in pure Go (hugot's backend), without a gateway, a key or a shared library. Its vectors cost nothing.
//
// The model is a directory that the user has; nothing is downloaded. The documented default is all-MiniLM-L6-v2
// (English, 384 dimensions): from huggingface.co/sentence-transformers/all-MiniLM-L6-v2 take
//
//	config.json
//	tokenizer.json
//	sentence_bert_config.json  (the length that the model was trained for)
//	1_Pooling/config.json      (how token vectors become one; mean without it)
//	onnx/model.onnx            (or model.onnx beside the others)
//
// Encoders with BERT's WordPiece tokenizer can be read, which the all-MiniLM, all-mpnet, multi-qa, bge, gte and e5
// families have; their multilingual siblings on XLM-RoBERTa (multilingual-e5, bge-m3) have another and cannot. What
// does not work is a [*ModelError] from [Open].
//
// It is portable rather than fast: of a model of the size of all-MiniLM-L6-v2 expect some 500 tokens in a second on two
// cores where texts come together, and a tenth of a second for a short one by itself.
package embedlocal
