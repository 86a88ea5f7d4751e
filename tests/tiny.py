"""Tiny random Llamas with a tokenizer of their own, made on the spot: models to try the plumbing on, that know nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

THINKS = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]<think>\n{% endif %}"
"""A chat template that opens the reasoning block."""

PLAIN = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"


def tokenizer(template: str, words: tuple[str, ...] = (), text: str = "") -> Any:
    """One token a byte, and one for each of `words`; with `text`, byte pairs learnt from it besides."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator([text], trainers.BpeTrainer(vocab_size=256 + 512 * bool(text), initial_alphabet=alphabet))
    made.add_tokens([AddedToken(word, single_word=True) for word in words])
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=made, eos_token="</s>", chat_template=template)


def llama(folder: Path, template: str, seed: int = 0) -> Path:
    """A random model that babbles bytes; the folder it was saved in."""
    import torch

    torch.manual_seed(seed)
    words = tokenizer(template)
    model = _model(len(words), 32)
    return _save(folder, model, words)


def gguf(path: Path) -> Path:
    """A random model of one layer as a GGUF file."""
    import numpy as np
    from gguf import GGUFWriter
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    tokens, width, wide = ["<s>", "</s>", *bytes_to_unicode().values(), "ab"], 32, 64
    out = GGUFWriter(str(path), "llama")
    out.add_block_count(1)
    out.add_context_length(128)
    out.add_embedding_length(width)
    out.add_feed_forward_length(wide)
    out.add_head_count(2)
    out.add_head_count_kv(2)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_freq_base(10_000.0)
    out.add_vocab_size(len(tokens))
    out.add_tokenizer_model("gpt2")
    out.add_token_list(tokens)
    out.add_token_types([3, 3, *[1] * (len(tokens) - 2)])
    out.add_token_merges(["a b"])
    out.add_bos_token_id(0)
    out.add_eos_token_id(1)
    out.add_chat_template(PLAIN)
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd": (len(tokens), width),
        "output": (len(tokens), width),
        "output_norm": (width,),
        **{f"blk.0.{name}": (width,) for name in ("attn_norm", "ffn_norm")},
        **{f"blk.0.attn_{name}": (width, width) for name in ("q", "k", "v", "output")},
        **{f"blk.0.ffn_{name}": (wide, width) for name in ("gate", "up")},
        "blk.0.ffn_down": (width, wide),
    }
    drawn = np.random.default_rng(0)
    for name, shape in shapes.items():
        out.add_tensor(f"{name}.weight", drawn.standard_normal(shape).astype(np.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return path


Replies = tuple[tuple[str, ...], tuple[str, ...]]
"""The two replies of a guard, in pieces that are one token each; the first piece is the label."""

SAFE_OR_NOT: Replies = (("safe",), ("unsafe", "\n", "S2"))
"""Llama-Guard's."""


def guard(
    folder: Path, replies: Replies, texts: list[str], hidden: int = 64, layers: int = 2, template: str = PLAIN
) -> Path:
    """A random classifier that gives one of two replies and stops; which one depends on the whole prompt, half and half.

    `texts`: prompts like those it will see; its direction is chosen so that it tells them apart. With another template
    it is anything else that says one of two things; `<think>` is one token.
    """
    import torch

    torch.manual_seed(1)
    pieces = tuple(piece for reply in replies for piece in reply)
    words = tokenizer(template, (*pieces, "<think>") if template == THINKS else pieces, "\n".join(texts))
    model = _model(len(words), hidden, layers)
    with torch.no_grad():
        # A dimension of its own for every piece says that it was the last token; from it the next one follows.
        said = [[words.convert_tokens_to_ids(piece) for piece in reply] for reply in replies]
        own = {token: at for at, token in enumerate(token for reply in said for token in reply)}
        places = list(own.values())
        model.model.embed_tokens.weight[:, places] = 0
        for layer in model.model.layers:
            layer.self_attn.v_proj.weight *= 10
            layer.self_attn.o_proj.weight *= 10
            layer.self_attn.o_proj.weight[places] = 0
            layer.mlp.down_proj.weight[places] = 0
        for token, at in own.items():
            model.model.embed_tokens.weight[token] = torch.eye(hidden)[at] * 10
        states = torch.stack(
            [model.model(**words(text, return_tensors="pt")).last_hidden_state[0, -1] for text in texts]
        )
        mean = states.mean(0)
        spread = torch.linalg.svd(states - mean).Vh[0]
        direction = spread - mean * (spread @ mean) / (mean @ mean)
        direction[places] = 0
        model.lm_head.weight.zero_()
        model.lm_head.weight[said[0][0]], model.lm_head.weight[said[1][0]] = direction, -direction
        for reply in said:
            for token, following in zip(reply, [*reply[1:], words.eos_token_id], strict=True):
                model.lm_head.weight[following] += torch.eye(hidden)[own[token]] * 1000
    return _save(folder, model, words)


def _model(vocabulary: int, hidden: int, layers: int = 2) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=8192,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=vocabulary - 1,
        tie_word_embeddings=False,
    )
    model: Any = LlamaForCausalLM(config)
    return model.eval()


def _save(folder: Path, model: Any, words: Any) -> Path:
    model.config.eos_token_id = model.generation_config.eos_token_id = words.eos_token_id
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
