"""Marks in letters that only look like theirs: of another script, bold, accented, or with unseen signs. Pure."""

from __future__ import annotations

import re
import unicodedata

_TAG = re.compile(r"[<＜\[◁‹][^<>＜＞\[\]\n]{1,60}[>＞\]▷›]")
_LIKE = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501\u051b\u051d\u043a\u0442\u043d\u043f\u0433"
    "\u0391\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0406\u0405\u0393"
    "\u03bf\u03b9\u03ba\u03bd\u03c1\u03c4\u03c5\u03c7\u03b1\u03b5\u03b7\u0397\u0399\u039a\u039d\u03a4\u0395\u039f"
    "\u0570\u0585\u0578\u057d\u0581\u0131\u0261\u029c\u026a\u0274\u1d0b\u1d1b\u1d00\u1d07\u0280\ua731\u1d0f\u0262",
    "aeopcyxijshdqwkthnraabekmhopctxisroikvptuxaenhiknteohonugighinktaersog",
)
"""Cyrillic, Greek, Armenian and small capital letters -> the Latin ones that they look like."""


def alike(raw: str) -> tuple[str, str]:
    """(a reply with the tags that are in such letters written plainly, the first of these tags as it stands or "")."""
    odd: list[str] = []

    def plainly(tag: re.Match[str]) -> str:
        if tag[0].isascii():
            return tag[0]
        body = "".join(
            c for c in unicodedata.normalize("NFKD", tag[0][1:-1]) if unicodedata.category(c) not in ("Mn", "Cf")
        )
        body = body.translate(_LIKE)
        if body == tag[0][1:-1] or not body.isascii():
            return tag[0]
        odd.append(tag[0][:40])
        return tag[0][0] + body + tag[0][-1]

    clear = raw if raw.isascii() else _TAG.sub(plainly, raw)
    return clear, next(iter(odd), "")
