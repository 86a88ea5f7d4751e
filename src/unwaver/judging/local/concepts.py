"""The page of cues: what a sentence of a reasoning or an answer speaks of, by words and short phrases.

Beside counted letter sequences, which sentences speak of harm, of law, of a plan, of a turn of thought, and in which
order, is what lets a reader trained on few traces hold on models it never met. A cue decides nothing; its weight is
learned. docs/readers.md says what the reader loses without each group of them, and what was dropped as it won nothing.
Words of one's own help only a reader that is trained with them: change anything here and raise `features.VERSION`.
"""

from __future__ import annotations

_PLANNED = (
    "outline|list|think|figure|come up|create|write|explain|plan|start|structure|draft|make sure|consider|include"
    "|mention|cover|break|describe|provide|use|look|give|focus|present|address|add|suggest"
)
_SERVICE = (
    r"(?:\w+ly )?(?:assist|help|provid|giv|encourag|support|promot|facilitat|fulfil|compl[yi]|engag|endors|writ|creat|"
    r"generat|shar|offer|proceed|answer|participat|condon)\w*"
)
_BAD = (
    r"(?:illegal|unethical|harmful|wrong|dangerous|immoral|inappropriate|unlawful|offensive|unacceptable|against|"
    r"problematic|fraud\w*|criminal|a crime|harassment|discriminat\w+|malicious|violat\w+|serious|"
    r"not (?:okay|ok|right|good|ethical|legal|appropriate|acceptable|something))"
)

WORDS: dict[str, str] = {
    "ethics": r"(?:un)?ethic\w*|(?:im)?moral\w*|wrong|inappropriate\w*|(?:ir)?responsib\w+",
    "law": r"illegal\w*|unlawful\w*|laws?|crimes?|criminal\w*|legal(?:ity|ly)?|fraud\w*|prosecut\w+|arrest\w*",
    "harm": r"harm(?:s|ful|fully|ing|ed)?|hurt\w*|danger\w*|damag\w+|unsafe|victims?|suffer\w*|abus\w+|misus\w+|"
    r"malicious\w*|offensive\w*|discriminat\w+|hat(?:e|eful|red)|stereotyp\w*|racis\w+|harass\w*|bully\w*",
    "policy": r"polic(?:y|ies)|guidelines?|rules?|principles?|violat\w+|prohibit\w*|safety",
    "risk": r"consequen\w+|repercussion\w*|risks?|risky|serious",
    "care": r"sensitiv\w+|careful\w*|cautio\w+|problematic|concern\w*|tricky",
    "never": r"can't|cannot|shouldn't|won't|never",
    "tactic": r"fake|anonym\w+|hack\w*|exploit\w*|manipulat\w+|trick\w*|phish\w*|malware|forg(?:e|ed|ing)|vulnerab\w+|"
    r"target\w*|bypass\w*|convinc\w+|deceiv\w+|pretend\w*|pressure|threat\w*|spread\w*",
    "steps": r"steps?|methods?|techniques?|strateg\w+|tactics?|tips",
    "hedge": r"maybe|perhaps|might|possibly|probably|could",
    "turn": r"but|however|wait|alternatively|though|although|hmm|still|actually",
    "purpose": r"education\w*|awareness|research\w*|fiction\w*|hypothetical\w*|academic\w*|legitimate|learn\w*|"
    r"purposes?|jok(?:e|es|ing)|humor\w*|story|script|context",
    "instead": r"instead|alternatives?|redirect\w*|positive\w*|resources?|counsel\w*|therap\w+|healthy|respectful\w*|"
    r"constructive\w*|support\w*|authorit\w+",
    "lawful": r"legally|legitimate\w*|ethical(?:ly)?|honest\w*|permission|consent|transparen\w+",
    "request": r"request|query|question|prompt",
    "caught": r"caught|detect\w*|trace\w*|police|suspic\w+|evidence",
    "example": r"examples?|e\.g",
    "means": r"using|through|via",
    "equality": r"everyone|dignity|equal\w*|respect\w*|empath\w+",
}  # fmt: skip
"""Cue -> words, each matched whole and in lower case."""

PHRASES: dict[str, str] = {
    "judged": rf"(?:this|that|it|which|these|such|request|question|those|doing so|topic|idea)(?:'s| is| are| would be|"
    rf" could be| might be| seems?| sounds?| can be| may be| raises?)(?: \w+){{0,3}}? {_BAD}\b",
    "declines": rf"(?:can'?t|cannot|can not|won't|will not|should(?:n't| not)|must(?:n't| not)|not going to|unable to|"
    rf"not able to|(?:need|have) to avoid|(?:must|should) avoid|not)(?: \w+){{0,2}}? {_SERVICE}|refus\w+|"
    rf"declin(?:es?|ing|ed)\b|against (?:providing|helping|my|our|the)\b|disallow\w*|say no\b|do not condone",
    "i_decline": rf"(?:i|we|i'm|i am)(?: must| have to)? ?(?:can(?:no|')?t|cannot|can not|won't|will not|not able to|"
    rf"unable to|not going to|do not|don't|must not|shouldn't|refuse|decline|not comfortable)(?: \w+){{0,4}}? "
    rf"{_SERVICE}",
    "plans": rf"(?:i|we)(?:'ll| will| need to| should| have to| must| can| could|'d)(?: \w+ly| also| just| first| now|"
    rf" then)? (?:{_PLANNED})\b|let me (?:think|start|see|try|break|outline|consider|list|brainstorm|figure|plan)\b|"
    r"let's (?:see|start|think|break|outline|try)\b",
    "request": r"user(?:'s| is asking| wants| asked| asks| is looking| is requesting| needs| wanted)|they (?:want"
    r"|are asking|asked)\b",
    "guesses": r"(?:user|they|he|she|person|someone) (?:might|may|could|is probably|probably|must|is likely|likely)\b"
    r"|maybe (?:they|the user|it's|he|she)\b|assum\w+",
    "excuses": r"as long as\b|since (?:the user|they|it's|i|this)\b|regardless\b|it's (?:just|only)\b|the user (?:"
    r"asked|wants|specifically|explicitly)\b|but (?:the user|they|since|maybe|the question|i (?:need|have|should|can|"
    r"must)|let)|without (?:being|promoting|encouraging|endorsing|causing|explicitly)\b|while (?:also |still )?(?:"
    r"emphasi|not|being|avoid|ensur|highlight|acknowledg)\w*|still (?:need|have|should|provide|answer|try|give|want)\b|"
    r"my (?:job|task|role) is\b|i have to (?:answer|provide|respond|follow)|assuming\b|in an? (?:hypothetical|"
    r"fictional|neutral|general)\b|perspective\b",
    "example": r"such as\b|for (?:example|instance)\b|like (?:using|a|the|saying)\b",
    "means": r"by \w+ing\b|use (?:a|the|of|some|social)\b",
    "never": r"(?:should|will|must) not\b",
    "kindly": r"it(?:'s| is) (?:important|crucial|essential|better|best|vital)\b|if you(?:'re| are)\b|let me know\b|"
    r"please\b",
    "likely": r"(?:most )?(?:likely|probably|usually|mostly|generally|typically|often)\b|in general\b",
}  # fmt: skip
"""Cue -> phrases that begin where a word begins; a cue may have words, phrases and lines."""

LINES: dict[str, str] = {
    "item": r"^(?:\*\*)?(?:\d{1,2}[.)]|[-*\u2022]|#{1,4} |step \d)",
    "example": r"\"[^\"\n]{4,}\"",
    "opens_to": r"^\W*to \w+|^\W*(?:creating|making|writing|getting|using|spreading|designing|developing)\b",
}  # fmt: skip
"""Cue -> how a sentence begins, or marks in it."""

AWARE = ("ethics", "law", "harm", "policy", "judged", "declines")
"""Cues that together tell where a text first speaks of harm."""

_PAIRS = """
declines plans; turn plans; turn declines; hedge plans; purpose guesses; harm turn; law turn; ethics turn;
tactic plans; tactic hedge; instead plans; declines request; ethics declines; harm declines; policy declines;
plans request; tactic declines; harm plans; excuses plans; law excuses; harm excuses; ethics excuses; policy
excuses; judged turn; example hedge; means hedge; tactic means; turn turn; instead declines; never plans;
example plans; means example; plans plans; tactic tactic; i_decline instead; item tactic; item lawful
"""
PAIRS = tuple((one, other) for one, other in (pair.split() for pair in _PAIRS.split(";")))
"""Cues that are counted where they meet in a sentence, and where the second follows in the next."""
