"""A tokenizer whose lengths can be counted by eye."""


class CharacterTokenizer:
    """One token a character; a chat template with <roles>, or none."""

    def __init__(self, template: bool = True, system: bool = True) -> None:
        self.chat_template = "some" if template else None
        self._system = system

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> str:
        if not self._system and conversation[0]["role"] == "system":
            raise ValueError("System role not supported")
        assert not tokenize
        turns = "".join(f"<{message['role']}>{message['content']}" for message in conversation)
        return turns + "<assistant><think>\n" * add_generation_prompt

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [0] * add_special_tokens + [ord(character) for character in text]
