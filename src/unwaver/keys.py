"""Keys: what one looks like, so that none is written down or shown, and which may be sent where.

Keys come from the environment. A recipe may come from somebody else, and it names both the variable and the host: so
only variables that are named like the key of a model's server are sent unasked, a vendor's only to that vendor or to a
host of one's own, and none over plain HTTP to a host on the internet. Anything else needs a yes: in the environment
(`UNWAVER_ALLOW_KEYS`) or in a terminal. Pure, but for the environment.
"""

from __future__ import annotations

import ipaddress
import os
import re
from typing import Any
from urllib.parse import urlsplit

SECRET = re.compile(r"(x-)?((api|auth|access|hub|hf|use_auth)[-_]?)?(key|token|authorization|password|secret)", re.I)
"""Names of fields that hold a key."""
KEY = re.compile(
    r"\b(sk|pk|hf|gsk|xai|nvapi|pplx|ghp|r8)[-_][\w-]{12,}|\bAIza[\w-]{20,}|(?=[A-Za-z]*\d)[A-Za-z\d]{24,}"
)
"""Texts that look like a key: they are shown to nobody."""

ALLOW = "UNWAVER_ALLOW_KEYS"
"""The environment variable that says yes: names of variables, with commas between them."""

_DASHSCOPE = ("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com", "dashscope-us.aliyuncs.com")

VENDORS: dict[str, tuple[str, ...]] = {
    "OPENAI": ("openai.com",),
    "AZURE": ("openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com", "models.ai.azure.com"),
    "ANTHROPIC": ("anthropic.com",),
    "CLAUDE": ("anthropic.com",),
    "GEMINI": ("googleapis.com",),
    "GOOGLE": ("googleapis.com",),
    "VERTEX": ("googleapis.com",),
    "DEEPSEEK": ("deepseek.com",),
    "MISTRAL": ("mistral.ai",),
    "CODESTRAL": ("mistral.ai",),
    "OPENROUTER": ("openrouter.ai",),
    "TOGETHER": ("together.xyz", "together.ai"),
    "TOGETHERAI": ("together.xyz", "together.ai"),
    "FIREWORKS": ("fireworks.ai",),
    "GROQ": ("groq.com",),
    "XAI": ("x.ai",),
    "GROK": ("x.ai",),
    "COHERE": ("cohere.com", "cohere.ai"),
    "CO": ("cohere.com", "cohere.ai"),
    "DASHSCOPE": _DASHSCOPE,
    "QWEN": _DASHSCOPE,
    "ALIBABA": _DASHSCOPE,
    "BAILIAN": _DASHSCOPE,
    "MOONSHOT": ("moonshot.cn", "moonshot.ai"),
    "KIMI": ("moonshot.cn", "moonshot.ai", "kimi.com"),
    "ZHIPU": ("bigmodel.cn", "z.ai"),
    "ZHIPUAI": ("bigmodel.cn", "z.ai"),
    "BIGMODEL": ("bigmodel.cn", "z.ai"),
    "GLM": ("bigmodel.cn", "z.ai"),
    "ZAI": ("bigmodel.cn", "z.ai"),
    "MINIMAX": ("minimax.io", "minimax.chat", "minimaxi.com"),
    "STEPFUN": ("stepfun.com", "stepfun.ai"),
    "ARK": ("volces.com", "byteplus.com", "bytepluses.com"),
    "DOUBAO": ("volces.com",),
    "VOLCENGINE": ("volces.com",),
    "QIANFAN": ("qianfan.baidubce.com",),
    "ERNIE": ("qianfan.baidubce.com",),
    "HUNYUAN": ("hunyuan.cloud.tencent.com", "hunyuan.tencentcloudapi.com"),
    "SILICONFLOW": ("siliconflow.cn", "siliconflow.com"),
    "MODELSCOPE": ("modelscope.cn",),
    "BAICHUAN": ("baichuan-ai.com",),
    "YI": ("lingyiwanwu.com", "01.ai"),
    "NVIDIA": ("nvidia.com",),
    "NIM": ("nvidia.com",),
    "NGC": ("nvidia.com",),
    "HF": ("huggingface.co",),
    "HUGGINGFACE": ("huggingface.co",),
    "HUGGINGFACEHUB": ("huggingface.co",),
    "PERPLEXITY": ("perplexity.ai",),
    "PERPLEXITYAI": ("perplexity.ai",),
    "PPLX": ("perplexity.ai",),
    "CEREBRAS": ("cerebras.ai",),
    "SAMBANOVA": ("sambanova.ai",),
    "DEEPINFRA": ("deepinfra.com",),
    "HYPERBOLIC": ("hyperbolic.xyz",),
    "NOVITA": ("novita.ai",),
    "NEBIUS": ("nebius.ai", "nebius.com"),
    "LAMBDA": ("lambda.ai", "lambdalabs.com"),
    "BASETEN": ("baseten.co",),
    "ANYSCALE": ("anyscale.com",),
    "OCTOAI": ("octoai.cloud",),
    "LEPTON": ("lepton.ai",),
    "REPLICATE": ("replicate.com",),
    "FRIENDLI": ("friendli.ai",),
    "INCEPTION": ("inceptionlabs.ai",),
    "UPSTAGE": ("upstage.ai",),
    "REKA": ("reka.ai",),
    "AI21": ("ai21.com",),
    "WRITER": ("writer.com",),
    "DATABRICKS": ("databricks.com", "azuredatabricks.net", "databricks.us"),
    "WATSONX": ("ibm.com",),
    "VENICE": ("venice.ai",),
    "CHUTES": ("chutes.ai",),
    "FEATHERLESS": ("featherless.ai",),
    "PARASAIL": ("parasail.io",),
    "RUNPOD": ("runpod.ai",),
    "OLLAMA": ("ollama.com",),
    "REQUESTY": ("requesty.ai",),
    "AIMLAPI": ("aimlapi.com",),
}
"""A word in the name of a vendor's variable -> the hosts its key belongs to, with all below them. Hosts below which
anybody can run a server of their own (clouds, hosted containers) are left out."""

OF_ONES_OWN = frozenset(
    ("API", "KEY", "TOKEN", "LLM", "VLLM", "SGLANG", "LLAMACPP", "LLAMA", "TGI", "LITELLM", "LMSTUDIO",
     "LOCALAI", "MODEL", "MODELS", "SERVER", "ENDPOINT", "PROXY", "GATEWAY", "ROUTER", "INFERENCE", "TEACHER",
     "STUDENT", "JUDGE", "ATTACKER", "GUARD", "READER", "MY", "OUR", "LOCAL", "OWN", "TEST", "DEV", "PROD",
     "SCRIPTED", "UNWAVER", "AI", "HUB", "2ND", "STUDIO")
)  # fmt: skip
"""Words that make up the name of a key for a model's server, a vendor's or one's own."""

EXCEPTIONS: dict[str, tuple[str, ...]] = {
    "AWS_BEARER_TOKEN_BEDROCK": tuple(
        f"bedrock-runtime.{region}.amazonaws.com"
        for region in ("us-east-1", "us-east-2", "us-west-2", "eu-central-1", "eu-west-1", "ap-northeast-1")
    )
}
"""Names that are made otherwise."""


def refuse_keys(content: Any, where: str) -> None:
    """ValueError for a key among settings that are passed through: settings are written into every run."""
    for name, value in content.items() if isinstance(content, dict) else ():
        if SECRET.fullmatch(str(name)) and isinstance(value, str) and value:
            raise ValueError(
                f"{where}.{name}: a key belongs in the environment, as settings are written into every run"
            )
        refuse_keys(value, f"{where}.{name}")


def host_of(address: str) -> str:
    """The host of an address, in small letters."""
    return (urlsplit(address).hostname or "").rstrip(".").lower()


def is_own(host: str) -> bool:
    """Whether a host is this machine or on a network of one's own: an address, or a name that the internet lacks."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        bare = re.fullmatch(r"[a-z][\w-]*", host) is not None  # a number would be an address, written otherwise
        return bare or host.endswith((".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc"))
    address = getattr(address, "ipv4_mapped", None) or address
    shared = isinstance(address, ipaddress.IPv4Address) and address in ipaddress.ip_network("100.64.0.0/10")
    return address.is_loopback or address.is_private or address.is_link_local or shared


def in_the_clear(address: str) -> bool:
    """Whether a key sent to this address could be read on its way over the internet."""
    return urlsplit(address).scheme == "http" and not is_own(host_of(address))


def needs_a_yes(name: str, address: str) -> str | None:
    """Why a variable isn't sent to an address unasked; None where it may be."""
    allowed = {one.strip() for one in os.environ.get(ALLOW, "").split(",")}
    if name in allowed:
        return None
    host = host_of(address)
    words = name.upper().split("_")
    vendors = [VENDORS[word] for word in words if word in VENDORS]
    vendors += [EXCEPTIONS[name]] if name in EXCEPTIONS else []
    known = name in EXCEPTIONS or (
        words[-1] in ("KEY", "TOKEN", "2", "3")
        and all(word in VENDORS or word in OF_ONES_OWN or re.fullmatch(r"\d{1,2}|", word) for word in words)
    )
    if not known:
        return f"{name} is not named like the key of a model's server"
    at_home = any(host == home or host.endswith(f".{home}") for homes in vendors for home in homes)
    if vendors and not at_home and not is_own(host):
        return f"{name} is named like another vendor's key than {host}'s"
    return None
