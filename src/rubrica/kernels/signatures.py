"""What each exported function of the native core takes, in the order of its arguments.

`border.py` checks each call against this table. The table is read like this:

    threads                a whole number, of the C type and within the bounds that `NUMBERS` gives its name
    N                      a size: any other name is one, an int64 from 0 to 2^62
    ids:int32              an array of this type, without gaps
    offsets:int64[N+1]     ... with N + 1 numbers, of any shape
    weights:float32[N]?    ... or None
    &means:float32[N*D]    ... that the function writes to
    weights:float32*       a list of arrays

A test compares the table with the declarations in `native/`. Where an index may come from a file, the Python function
around the call checks that it is in range.
"""

from ctypes import c_double, c_int, c_int32, c_int64, c_void_p
from typing import Any

MAX_THREADS = 1024
_TEXTS = "N texts:uint8 starts:int64[N] ends:int64[N] kinds:uint8[num_kinds]? lower:int32[num_kinds]? num_kinds"
_BYTES = "N size texts:uint8[size] starts:int64[N] ends:int64[N]"
_MATRIX = (
    "{0}_parts {0}_dsub {0}:float32[{1}*D]? {0}_codes:uint8[{1}*{0}_parts]? {0}_centroids:float32[256*D]?"
    " {0}_norm_codes:uint8[{1}]? {0}_norms:float32[256]?"
)
_SUBWORDS = "unknown_id S R of_token:int32? subword_starts:int64[S+1]? subwords:int32[R]?"
_ROWS = "rows:int32 starts:int64[B] lengths:int64[B]"

SIGNATURES = {
    "bag_subwords": "run_min run_max S words:uint8 starts:int64[S] ends:int64[S] num_buckets R"
    " &subword_starts:int64[S+1] &subwords:int32[R]?",
    "bag_features": f"threads word_ngrams N V B D ids:int32 offsets:int64[N+1] {_SUBWORDS} words:float32[V*D]"
    " ngrams:float32[B*D] &features:float32[N*D]",
    "bag_train": f"threads word_ngrams V B C D ids:int32 offsets:int64 {_SUBWORDS} targets:int64? sets:uint8?"
    " path_starts:int64? path:int32? weights:float32? count texts:int64[count] batch_size lr lr_end"
    " smoothing &words:float32[V*D] &ngrams:float32[B*D] &weight:float32[C*D] &bias:float32[C] &outcome:float64[2]",
    "tree_scores": "threads N C D features:float32[N*D] weight:float32[(C-1)*D] bias:float32[C-1]"
    " children:int32[2*(C-1)] &scores:float32[N*C]",
    "tree_best": "threads N C D k features:float32[N*D] weight:float32[(C-1)*D] bias:float32[C-1]"
    " children:int32[2*(C-1)] &classes:int32[N*k] &scores:float32[N*k]",
    "distinct": "N V ids:int64[N] &words:int64[N] &index:int32[N]",
    "take_words": "B V E steps ids:int32 starts:int64[B] lengths:int64[B] table:float32[V*E] &words:int64 &index:int32"
    " &vectors:float32",
    "square_sum": "count numbers:float32[count] &sum:float64[1]",
    "adam_rows": "threads dense V E U words:int64[U] gradient:float32[U*E] scale &table:float32[V*E]"
    " &first:float32[V*E] &second:float32[V*E] step lr beta1 beta2 epsilon",
    "layer": "threads N F C features:float32[N*F] weight:float32[C*F] bias:float32[C] &logits:float32[N*C]",
    "linear_count": "P C texts:int64[P] classes:int64[P] places:int64 sizes:int32 indices:uint32 &counts:uint32",
    "linear_descend": "threads parts W N F count order:int64[count] starts:int64[N] sizes:int32[N] indices:uint32"
    " values:float32 signs:int8[parts*N*W] costs:float32[N] &alphas:float32[parts*N*W] &weights:float32[parts*F*W]"
    " &biases:float32[parts*W] &worst:float64[parts]",
    "linear_scores": "threads N C places:int64[N] sizes:int32[N] indices:uint32 values:float32 weights:float32"
    " biases:float32[C] &scores:float32[N*C]",
    "documents_start": "threads most",
    "documents_end": "handle",
    "documents_add": f"handle lowercase word_ngrams char_ngrams max_tokens {_TEXTS} &sizes:int64[N]",
    "documents_take": "handle least &keys:uint32? &counts:uint32?",
    "linear_features": f"threads lowercase word_ngrams char_ngrams max_tokens {_TEXTS} shift keys:uint32"
    " key_starts:int32[(1<<32-shift)+1] numbers:int32? idf:float32? places:int64[N] &sizes:int32[N] &words:int32[N]?"
    " &indices:uint32 &values:float32",
    "linear_weigh": "threads N F idf:float32[F] places:int64[N] sizes:int32[N] words:int32[N] indices:uint32"
    " &values:float32",
    "linear_words_start": "",
    "linear_words_end": "handle",
    "linear_answers": f"handle threads lowercase word_ngrams char_ngrams max_tokens {_TEXTS} F groups C shift"
    " entries:uint32 rows:float32[F*(1+4*groups)] bias:float32[C] &scores:float32[N*C]",
    "index_words": "V words:uint8 starts:int64[V] ends:int64[V] num_slots &slots:uint8[16*num_slots]",
    "encode": f"threads lowercase max_length unknown_id {_TEXTS} num_slots slots:uint8[16*num_slots] words:uint8"
    " word_starts:int64 &ids:int32 &offsets:int64[N+1]",
    "counter_start": "",
    "counter_end": "handle",
    "counter_add": f"handle threads lowercase max_length {_TEXTS} &offsets:int64[N+1]",
    "counter_ids": "handle &ids:int32 &sizes:int64[2]",
    "counter_words": "handle &words:uint8 &offsets:int64 &counts:int64",
    "split_texts": "size texts:uint8[size] N &starts:int64[N] &ends:int64[N]",
    "fasttext_entries": "size file:uint8[size] N &names:uint8? &ends:int64[N]? &counts:int64[N]? &types:uint8[N]?",
    "fasttext_open": "min_n max_n longest buckets loss supervised pruned prefix_size prefix:uint8[prefix_size] V L S"
    " names:uint8[S] ends:int64[V+L] counts:int64[V+L] P kept_buckets:int32[P] kept_rows:int32[P] R O D"
    f" {_MATRIX.format('input', 'R')} {_MATRIX.format('output', 'O')}",
    "fasttext_close": "handle",
    "fasttext_best": f"handle threads {_BYTES} k threshold &labels:int32[N*k] &scores:float32[N*k] &counts:int32[N]",
    "fasttext_scores": f"handle threads {_BYTES} L &scores:float32[N*L]",
    "fasttext_vectors": f"handle threads words {_BYTES} D &vectors:float32[N*D]",
    "fasttext_rows": "handle words size text:uint8[size] most &rows:int32[most] most_labels &labels:int32[most_labels]"
    " &found:int64[1]",
    "fasttext_find": f"handle {_BYTES} &ids:int32[N]",
    "mingru_gates": "threads U E H vectors:float32[U*E] weight:float32[2*H*E] bias:float32[2*H] &gates:float32",
    "mingru_forward": f"pooling reverse threads B H {_ROWS} gates:float32 &features:float32[B*H] &states:float32?"
    " &best:int32?",
    "mingru_backward": f"pooling reverse threads B H U E {_ROWS} vectors:float32[U*E] weight:float32[2*H*E]"
    " gates:float32 states:float32 best:int32 d_features:float32[B*H] &d_vectors:float32[U*E]? &d_weight:float32[2*H*E]"
    " &d_bias:float32[2*H]",
    "windows_width": "K F",
    "windows_project": "threads U E K F vectors:float32[U*E] weight:float32[F*E*K] &projected:float32",
    "windows_forward": f"maximum threads B K F {_ROWS} projected:float32 bias:float32[F] &features:float32[B*F]"
    " &best:int32?",
    "windows_backward": f"maximum threads B K F U E {_ROWS} vectors:float32[U*E] weight:float32[F*E*K] bias:float32[F]"
    " projected:float32 best:int32? d_features:float32[B*F] &d_vectors:float32[U*E]? &d_weight:float32[F*E*K]"
    " &d_bias:float32[F]",
    "projected_width": "cell H",
    "project": "cell threads U E H vectors:float32[U*E] w_ih:float32[G[cell]*H*E] b_ih:float32[G[cell]*H]"
    " &projected:float32",
    "recurrent_saved": "cell output B tokens H",
    "recurrent_best": "B H",
    "recurrent_forward": f"cell output reverse threads B H U {_ROWS} projected:float32 w_hh:float32[G[cell]*H*H]"
    " b_hh:float32[G[cell]*H] u:float32[H]? &features:float32[S(output,B,rows)*P[output]*H] &saved:float32?"
    " &best:int32?",
    "recurrent_backward": f"cell output reverse threads B H U E {_ROWS} vectors:float32[U*E] w_ih:float32[G[cell]*H*E]"
    " w_hh:float32[G[cell]*H*H] u:float32[H]? &saved:float32 best:int32?"
    " d_features:float32[S(output,B,rows)*P[output]*H]"
    " &d_vectors:float32[U*E]? &d_w_ih:float32[G[cell]*H*E] &d_b_ih:float32[G[cell]*H] &d_w_hh:float32[G[cell]*H*H]"
    " &d_b_hh:float32[G[cell]*H] &d_u:float32[H]?",
    "recurrent_learn": f"cell pooling directions threads B H U E C smoothing {_ROWS} targets:int64[B]"
    " text_weights:float32[B]? mask:float32[B*directions*P[pooling]*H]? vectors:float32[U*E] weights:float32*"
    " &d_vectors:float32[U*E]? &gradients:float32* &scores:float32[2]",
    "fasttext_words_start": "threads",
    "fasttext_words_end": "handle",
    "fasttext_words_known": "handle ordered N data:uint8 starts:int64[N] ends:int64[N]",
    "fasttext_words_lines": "handle size data:uint8[size] first last",
    "fasttext_words_texts": "handle N data:uint8 starts:int64[N] ends:int64[N]",
    "fasttext_words_finish": "handle min_count min_count_label prefix_size prefix:uint8[prefix_size] &sizes:int64[7]",
    "fasttext_words_tokens": "handle U size &bytes:uint8[size] &ends:int64[U] &counts:int64[U] &hashes:uint32[U]",
    "fasttext_words_numbers": "handle below longest num_tokens num_lines &tokens:int32[num_tokens]?"
    " &lines:int64[num_lines+1]? &sizes:int64[2]",
    "fasttext_token_rows": "U V L K min_n max_n buckets P bytes:uint8 ends:int64[U] kept:int32[P]? kept_rows:int32[P]?"
    " &starts:int64[U+1] &rows:int32?",
    "fasttext_uniform": "threads count seed bound &numbers:float32[count]",
    "fasttext_tree": "C counts:int64[C] &starts:int64[C+1] &paths:int32?",
    "fasttext_aliases": "C weights:float64[C] &shares:float32[C] &aliases:int32[C]",
    "fasttext_quantize": "threads R D dsub M matrix:float32[R*D] &centroids:float32[256*D] &codes:uint8[R*M]",
    "fasttext_learn": "threads kind loss N U V L K R C D run_words buckets P tokens:int32 lines:int64[N+1]"
    " hashes:uint32[U] row_starts:int64[U+1] token_rows:int32 kept:int32[P]? kept_rows:int32[P]? window negatives"
    " keep:float32[V]? shares:float32[C]? aliases:int32[C]? path_starts:int64[C+1]? paths:int32? count"
    " order:int64[count] visit seen total lr batch_size seed &input:float32[R*D] &output:float32[C*D]"
    " &outcome:float64[2]",
}

# C type, least and largest value of the arguments by name.
NUMBERS: dict[str, tuple[type, float, float]] = {
    "threads": (c_int, 1, MAX_THREADS),
    "parts": (c_int, 0, 1 << 26),
    "W": (c_int, 1, 16),
    "word_ngrams": (c_int, 1, 16),
    "char_ngrams": (c_int, 0, 16),
    "run_min": (c_int, 1, 16),
    "run_max": (c_int, 1, 16),
    "num_buckets": (c_int64, 1, 1 << 31),
    "cell": (c_int, 0, 2),
    "pooling": (c_int, 0, 4),
    "output": (c_int, 0, 5),  # a pooling, or the states
    "directions": (c_int, 1, 2),
    "shift": (c_int, 0, 31),
    "unknown_id": (c_int32, -(1 << 31), (1 << 31) - 1),
    "batch_size": (c_int64, 1, 1 << 62),
    "step": (c_int64, 1, 1 << 62),
    "handle": (c_void_p, 1, (1 << 64) - 1),
    "smoothing": (c_double, 0, 1),
    "kind": (c_int, 0, 2),
    "loss": (c_int, 0, 3),
    "seen": (c_double, 0, 1e300),
    "total": (c_double, 0, 1e300),
    "bound": (c_double, 0, 1e300),
}
NUMBERS |= dict.fromkeys(("lowercase", "reverse", "dense", "maximum", "ordered"), (c_int, 0, 1))
NUMBERS |= dict.fromkeys(("lr", "lr_end", "scale", "beta1", "beta2", "epsilon", "threshold"), (c_double, -1e300, 1e300))
SIZE: tuple[type, float, float] = (c_int64, 0, 1 << 62)
KNOWN: dict[str, Any] = {
    "G": (1, 3, 4),  # gates of a cell
    "P": (1, 1, 1, 2, 1, 1),  # parts that an output sets side by side
    "S": lambda output, texts, rows: texts if output < 5 else rows.size,  # rows of features: of texts, or of tokens
}
