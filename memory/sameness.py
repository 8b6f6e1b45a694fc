"""Whether two facts say the same. Pure.

Vectors alone cannot tell: static embeddings put "is allergic" beside "is not allergic" (cosine 0.98) and
one sum of money beside another (0.92). So two facts are the same only if, leaving out small words and
endings, one's words are all among the other's, and what the longer one adds is neither a number nor a
negation. It errs on the side of keeping two: a duplicate is a nuisance, a lost fact a falsehood.
"""

import re
import unicodedata

_WORD = re.compile(r"\w+(?:[.,:/-]\d+)*")
# Words that carry nothing in a sentence about a person, English and Spanish, without accents.
_SMALL = """
a about also am an and any are as at be been being but by can could did do does for from had has have he
her here hers him his how i if in into is it its just me my of on or our ours please prefers she should
so some that the their theirs them then there these they this those to user user's us was we were what
when where which who whom whose why will with would you your yours s t re ve ll d m
al algo alguna alguno ante aqui asi cada como con cual cuales cuando cuanto de del desde donde dos e el
ella ellas ellos en entre era eres es esa esas ese eso esos esta estan estar estas este esto estos estoy
fue ha han hasta hay he la las le les lo los mas me mi mis mucho muy nos nosotros o os otra otro para
pero por porque pues que quien quienes se sea ser si sido sin sobre son soy su sus tambien te tener
tengo ti tiene tienen todo todos tu tus un una unas uno unos usted usuaria usuario y ya yo
"""
SMALL_WORDS = frozenset(_SMALL.split())
_NEGATING = """
no not never none nothing nobody without neither nor cannot cant dont doesnt isnt wasnt wont arent didnt
nunca jamas nada nadie ningun ninguna ninguno tampoco sin ni stopped longer former formerly used except
unless dejo excepto salvo antes anterior
"""
_NEGATIONS = frozenset(_NEGATING.split())
# Letters of a word that count: enough to tell words apart, few enough that endings do not matter.
_STEM = 5


def plain_words(text: str) -> list[str]:
    """The words in order, lower case, without accents; numbers whole."""
    return _WORD.findall(_plain(text.replace("'", "").replace("’", "")))


def telling_words(text: str) -> list[str]:
    """The words in order, lower case, with their accents, without those that carry nothing."""
    return [word for word in _WORD.findall(text.casefold()) if _plain(word) not in SMALL_WORDS]


def _plain(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))


def say_the_same(one: str, other: str) -> bool:
    """Whether the two facts are one, in other words or in more of them."""
    first, second = set(plain_words(one)), set(plain_words(other))
    if (first & _NEGATIONS) != (second & _NEGATIONS):
        return False
    less, more = sorted((_stems(first), _stems(second)), key=len)
    return bool(less) and less <= more and not any(any(c.isdigit() for c in word) for word in more - less)


def same_words(one: str, other: str) -> bool:
    """Whether the two facts say the same in the same words."""
    return say_the_same(one, other) and _stems(set(plain_words(one))) == _stems(set(plain_words(other)))


def content(text: str) -> set[str]:
    """The stems of its words that tell something; numbers whole."""
    return _stems(set(plain_words(text)))


def _stems(words: set[str]) -> set[str]:
    return {
        word if any(c.isdigit() for c in word) else word[:_STEM]
        for word in words
        if word not in SMALL_WORDS or word in _NEGATIONS
    }
