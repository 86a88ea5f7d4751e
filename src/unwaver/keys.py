"""Keys: what one looks like, so that none is written down or shown, and which may be sent where.

Keys come from the environment. A recipe may come from somebody else, and it names both the variable and the host: so
only variables that are named like the key of a model's server are sent unasked, a vendor's only to that vendor or to a
host of one's own, one that says nobody's (`API_KEY`) only to a host of one's own, and none over plain HTTP to a host on
the internet. Anything else needs a yes: in the environment (`UNWAVER_ALLOW_KEYS`) or in a terminal. Pure, but for the
environment, the file of a text that is to be sent (`text_to_send`) and, before anything is sent (`leads_home`), the
addresses of a name.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from unwaver.errors import RecipeError

_ALWAYS = frozenset(
    ("authorization", "auth", "bearer", "cookie", "credential", "credentials", "jwt", "passphrase", "passwd",
     "password", "pwd", "secret", "secrets", "apikey", "authtoken", "accesskey", "accesstoken")
)  # fmt: skip
"""Words at the end of a field's name, before which anything may stand."""
_KEYS = frozenset(
    ("x", "my", "api", "auth", "access", "client", "hub", "id", "hf", "key", "keys", "ocp", "apim", "personal",
     "private", "proxy", "refresh", "security", "service", "session", "subscription", "token", "tokens", "use", "user",
     "account")
)  # fmt: skip
"""Words that alone make up the name of a key: others have one, too (`pad_token`, `prompt_cache_key`)."""
CERTAIN = re.compile(
    r"\b(sk|pk|nvapi|pplx)[-_](?=[\w-]*\d)[\w-]{12,}"
    r"|\b(hf|gsk|xai|ghp|r8)[-_](?=[\w-]*\d)(?=[\w-]*[A-Za-z\d]{16})[\w-]{16,}"
    r"|\bAIza[\w-]{20,}|\bBearer\s+\S{8,}",
    re.ASCII,
)
"""Texts that can be nothing but a key. Models and folders are called `hf-llama3-8b` and `xai-grok-4-fast`, too; what a
key has behind these beginnings is long and in one piece."""
KEY = re.compile(
    rf"{CERTAIN.pattern}|\b(sk|pk|hf|gsk|xai|nvapi|pplx|ghp|r8)[-_][\w-]{{12,}}|(?=[A-Za-z]*\d)[A-Za-z\d]{{24,}}"
)
"""Texts that look like a key: they are shown to nobody."""

MOST_WORDS = 1 << 20
"""Bytes of a wording of one's own: more than any model reads before its task."""

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

OF_A_MODEL = frozenset(
    ("LLM", "VLLM", "SGLANG", "LLAMACPP", "LLAMA", "TGI", "LITELLM", "LMSTUDIO", "LOCALAI", "MODEL", "MODELS",
     "INFERENCE", "TEACHER", "STUDENT", "JUDGE", "ATTACKER", "GUARD", "READER", "SCRIPTED", "UNWAVER", "AI")
)  # fmt: skip
"""Words that say of a key that it is for a model's server."""
FILLING = frozenset(
    ("API", "ACCESS", "KEY", "TOKEN", "SERVER", "ENDPOINT", "PROXY", "GATEWAY", "ROUTER", "MY", "OUR", "LOCAL", "OWN",
     "TEST", "DEV", "PROD", "HUB", "2ND", "STUDIO")
)  # fmt: skip
"""Words beside them, which any key may bear."""

EXCEPTIONS: dict[str, tuple[str, ...]] = {
    "AWS_BEARER_TOKEN_BEDROCK": tuple(
        f"bedrock-runtime.{region}.amazonaws.com"
        for region in ("us-east-1", "us-east-2", "us-west-2", "eu-central-1", "eu-west-1", "ap-northeast-1")
    )
}
"""Names that are made otherwise."""


def names_a_key(name: str) -> bool:
    """Whether a field's name is that of a key: `api_key`, `X-Api-Key`, `authToken`, `client_secret`."""
    words = _words(name)
    if not words:
        return False
    of = {*words} - _KEYS
    return words[-1] in _ALWAYS or (
        words[-1] in ("key", "keys", "token", "tokens")
        and all(word.upper() in VENDORS or word in _ALWAYS for word in of)
    )


_SECRET = re.compile(
    rf"{CERTAIN.pattern}|-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[A-Z\d]{{16}}\b"
    r"|\b(gh[opsu]|github_pat|glpat|npm|xox[abp])[-_](?=[\w-]*\d)[\w-]{16,}|^\s*(machine\s+\S+|default)\s+(login|account|password)\s",
    re.ASCII | re.MULTILINE,
)
_NAMED = re.compile(
    r"""(?<![\w.-])([\w.-]{1,60})["']?\s*[=:]\s*["']?(?=[\w+/=.~!@%^*-]*\d)(?=[\w+/=.~!@%^*-]*[A-Za-z])(?=[\w+/=.~!@%^*-]{10})"""
)
"""A name and what may be a key behind it: letters and digits, and no mark-up. Values are left for the next name."""


def text_to_send(path: Path, what: str) -> str:
    """The text of a file that a recipe names and a model is sent; RecipeError where it can't be read, or holds a key.

    A recipe of somebody else may name any file of ours, and a server of its own.
    """
    if path.exists() and not path.is_file():
        raise RecipeError(f"{path}: is no file; expected {what}")
    try:
        length = path.stat().st_size  # 0 of what the kernel makes up, the environment of this process included
        if length > MOST_WORDS:
            raise RecipeError(f"{path}: can't be read as {what}: {length:,} bytes are too many")
        text = path.read_text(encoding="utf-8") if length else ""
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: can't be read as {what}: {error}") from None
    if _holds_a_key(text):
        raise RecipeError(f"{path}: would be sent to a model as {what}, and looks as if a key stood in it")
    return text


def _holds_a_key(text: str) -> bool:
    """Whether a text holds what can be nothing but a key, names one as files of settings do, or holds one of ours."""
    ours = (value for name, value in os.environ.items() if names_a_key(name) and len(value) >= 12)
    named = ((words := _words(found[1])) and words[-1] in _ALWAYS | {"key", "token"} for found in _NAMED.finditer(text))
    return any(named) or _SECRET.search(text) is not None or any(value in text for value in ours)


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z\d]+|[A-Z]+(?![a-z])", name)]


def refuse_keys(content: Any, where: str) -> None:
    """ValueError for a key among settings that are passed through, however deep: they are written into every run."""
    if isinstance(content, str) and CERTAIN.search(content):
        raise ValueError(f"{where}: a key belongs in the environment, as settings are written into every run")
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for name, value in inner:
        told = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str) and one]
        titled = names_a_key(str(name)) or _is_titled(content, name)
        if told and isinstance(content, dict) and titled:
            raise ValueError(
                f"{where}.{name}: a key belongs in the environment, as settings are written into every run"
            )
        refuse_keys(value, f"{where}.{name}")


def _is_titled(content: Any, name: Any) -> bool:
    """Whether a table is a field by itself, as headers may be written: `{ name = "X-Api-Key", value = "..." }`."""
    titles = (content.get(title) for title in ("name", "key", "header", "field")) if isinstance(content, dict) else ()
    return name in ("value", "content") and any(isinstance(title, str) and names_a_key(title) for title in titles)


def no_address(address: str) -> str | None:
    """Why an address is none; None where it may be one."""
    try:
        url = urlsplit(address)
        host, port = url.hostname or "", url.port
    except ValueError as error:
        return str(error).lower()
    if url.scheme not in ("http", "https", "socks5", "socks5h"):
        return f"expected http or https, got {url.scheme or 'no scheme'}"
    # Letters, digits and dots alone: what else libraries take for a dot or pass over, they might not all.
    fine = re.fullmatch(r"[\w.-]+|[\da-f:.]*:[\da-f:.]*(%\w+)?", host) and port != 0
    return None if fine else "expected SCHEME://HOST:PORT"


def host_of(address: str) -> str:
    """The host of an address, in small letters."""
    return (urlsplit(address).hostname or "").rstrip(".").lower()


OWN = tuple(
    ipaddress.ip_network(one)
    for one in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10",
                "::1/128", "fc00::/7", "fe80::/10")
)  # fmt: skip
"""The networks whose packets stay on this machine or at home. What else is called private (Teredo's addresses, those of
examples and benchmarks, the reserved) is carried over the internet by somebody, or is nobody's."""


def is_own(host: str) -> bool:
    """Whether a host is this machine or on a network of one's own, as far as it says: an address, or a name that the
    internet lacks."""
    try:
        return _is_home(host)
    except ValueError:
        bare = (
            re.fullmatch(r"[a-z][\w-]*", host, re.ASCII) is not None
        )  # a number would be an address, written otherwise
        return bare or host.endswith((".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc"))


def _is_home(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in OWN)


def leads_home(host: str) -> bool:
    """Whether a host is one's own by its name and by every address that the name has now; one that has none leads
    nowhere."""
    return is_own(host) and all(map(_is_home, _addresses(host)))


@cache
def _addresses(host: str) -> tuple[str, ...]:
    try:
        return tuple({str(found[4][0]) for found in socket.getaddrinfo(host, None)})
    except (OSError, UnicodeError):
        return ()


def leaks(address: str) -> str | None:
    """Where a key sent to this address could be read on its way; None: nowhere."""
    host = host_of(address)
    if urlsplit(address).scheme != "http":
        return None
    if not leads_home(host):
        return f"on the way to {host}, whose address is on the internet"
    proxy = "" if proxy_bypass(host) else getproxies().get("http", getproxies().get("all", ""))
    by = host_of(proxy if "://" in proxy else f"http://{proxy}")
    return None if not by or leads_home(by) else f"by the proxy {by}"


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
    theirs = VENDORS.keys() | OF_A_MODEL
    known = name in EXCEPTIONS or (
        words[-1] in ("KEY", "TOKEN", "2", "3")
        and all(word in theirs or word in FILLING or re.fullmatch(r"\d{1,2}|", word) for word in words)
    )
    if not known:
        return f"{name} is not named like the key of a model's server"
    if leads_home(host):
        return None
    if name not in EXCEPTIONS and theirs.isdisjoint(words):
        return f"{name} doesn't say whose key it is"
    at_home = any(host == home or host.endswith(f".{home}") for homes in vendors for home in homes)
    if vendors and not at_home:
        return f"{name} is named like another vendor's key than {host}'s"
    return None
