"""The penalty for saying the same again."""

from tina_lite.errors import BadInput
from tina_lite.rewards.completions import Completions, contents
from tina_lite.rewards.registry import reward


def repeated_share(words: list[str], ngram_size: int) -> float:
    """1 - unique n-grams / n-grams; 0 for a text shorter than one n-gram.

    >>> repeated_share("a b a b a b".split(), 2)
    0.6
    """
    total = len(words) - ngram_size + 1
    if total <= 0:
        return 0.0
    unique = len(set(zip(*(words[start:] for start in range(ngram_size)), strict=False)))
    return 1 - unique / total


@reward("repetition_penalty")
def repetition_penalty(completions: Completions, *, ngram_size: int = 3, max_penalty: float = -1.0) -> list[float]:
    """max_penalty * (1 - unique n-grams / n-grams), n-grams of lower-cased words between white space.

    Range: max_penalty (every n-gram the same) to 0 (none repeated, or fewer words than one n-gram). ngram_size in
    words. Source: "Demystifying Long Chain-of-Thought Reasoning" (arXiv 2502.03373), C.2.

    >>> from tina_lite.rewards.completions import chat
    >>> repetition_penalty(chat("one two three four", "Wait wait wait wait wait", "one two", ""))
    [0.0, -0.6666666666666667, 0.0, 0.0]
    """
    if ngram_size < 1:
        raise BadInput(f"reward repetition_penalty: ngram_size is {ngram_size}; it must be 1 or more")
    if max_penalty > 0:
        raise BadInput(f"reward repetition_penalty: max_penalty is {max_penalty}; it must be 0 or less")
    shares = [repeated_share(text.lower().split(), ngram_size) for text in contents(completions)]
    return [share * max_penalty if share else 0.0 for share in shares]
