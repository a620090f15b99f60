"""What the many that speak like OpenAI do otherwise: an answer in one piece and a stream of each."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from events import sse

from rewind_auto.providers.wire import ended, response_info

if TYPE_CHECKING:
    import openai
    from wire_server import WireServer

QUESTION: list[Any] = [{"role": "user", "content": "Hi"}]
TIMES = {"queue_time": 0.01, "prompt_time": 0.02, "completion_time": 0.03, "total_time": 0.05}
CITED = {
    "citations": ["https://x.example"],
    "search_results": [{"title": "Bern", "url": "https://x.example", "date": None}],
}


def counted(read: int, written: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written, **more}


@dataclass
class Speaker:
    """One that speaks like OpenAI.

    Attributes:
        usage: its token counts.
        tokens: what they are in ours.
        parts: of the message in both answers.
        message: the message of the answer in one piece.
        deltas: the pieces of the stream.
        head: what stands in answer and chunks beside the usual.
        last: the chunk after the deltas, without its choices.
        choice: what stands in the choice of that chunk beside the usual.
        beside: what stands in the choice of the answer in one piece; ``more``: in that answer.
        extra: what stands in every choice of a chunk beside the usual.
        noise: comments between the events.
    """

    usage: dict[str, Any]
    tokens: dict[str, int]
    message: dict[str, Any]
    deltas: list[dict[str, Any]]
    parts: list[dict[str, Any]]
    model: str = "some-model"
    head: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    choice: dict[str, Any] = field(default_factory=dict)
    extra: list[dict[str, Any]] = field(default_factory=list)
    beside: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    finish: str = "stop"
    noise: str = ""

    def answer(self) -> dict[str, Any]:
        message = {"role": "assistant", "refusal": None, **self.message}
        whole = {"index": 0, "finish_reason": self.finish, "logprobs": None, "message": message}
        head = self._head("chat.completion")
        return {**head, "choices": [{**whole, **self.beside}], "usage": self.usage, **self.more}

    def chunks(self) -> list[dict[str, Any]]:
        head = self._head("chat.completion.chunk")
        extra = self.extra or [{}] * len(self.deltas)
        grown = [
            {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None, **more}]}
            for delta, more in zip(self.deltas, extra, strict=True)
        ]
        delta = {"role": "assistant", "content": ""}
        end = {"index": 0, "delta": delta, "finish_reason": self.finish, **self.choice}
        return [*grown, {**head, "choices": [end], **(self.last or {"usage": self.usage})}]

    def stream(self) -> bytes:
        body = sse([*self.chunks(), "[DONE]"])
        return b"".join(f"{self.noise}\n\n".encode() + event for event in body.splitlines(keepends=True))

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": "id-1", "object": kind, "created": 1, "model": self.model, **self.head}


TEXT = [{"type": "text", "content": "Grüezi."}]
THOUGHT = [{"type": "reasoning", "content": "Let me see."}, *TEXT]
SAID = [{"role": "assistant", "content": "Grü"}, {"content": "ezi."}]

SPEAKERS = {
    "groq": Speaker(
        usage={**counted(20, 9), **TIMES, "completion_tokens_details": {"reasoning_tokens": 4}},
        tokens={"input_tokens": 20, "output_tokens": 9, "reasoning_output_tokens": 4},
        message={"content": "Grüezi.", "reasoning": "Let me see."},
        deltas=[
            {"role": "assistant", "reasoning": "Let me "},
            {"reasoning": "see."},
            *SAID,
        ],
        parts=THOUGHT,
        head={"system_fingerprint": "fp_1", "x_groq": {"id": "req_1"}},
        last={
            "x_groq": {
                "id": "req_1",
                "usage": {**counted(20, 9), **TIMES, "completion_tokens_details": {"reasoning_tokens": 4}},
            }
        },
    ),
    "deepseek": Speaker(
        usage=counted(
            9,
            6,
            prompt_cache_hit_tokens=5,
            prompt_cache_miss_tokens=4,
            completion_tokens_details={"reasoning_tokens": 3},
        ),
        tokens={
            "input_tokens": 9,
            "output_tokens": 6,
            "cache_read_input_tokens": 5,
            "reasoning_output_tokens": 3,
        },
        message={"content": "Grüezi.", "reasoning_content": "Let me see."},
        deltas=[
            {"role": "assistant", "content": None, "reasoning_content": "Let me "},
            {"content": None, "reasoning_content": "see."},
            {"content": "Grüezi.", "reasoning_content": None},
        ],
        parts=THOUGHT,
        noise=": keep-alive",
    ),
    "x_ai": Speaker(
        usage={
            "prompt_tokens": 32,
            "completion_tokens": 9,
            "total_tokens": 135,
            "prompt_tokens_details": {"text_tokens": 32, "cached_tokens": 6},
            "completion_tokens_details": {"reasoning_tokens": 94},
            "num_sources_used": 0,
        },
        tokens={
            "input_tokens": 32,
            "output_tokens": 103,
            "cache_read_input_tokens": 6,
            "reasoning_output_tokens": 94,
            "text_input_tokens": 32,
        },
        message={"content": "Grüezi.", "reasoning_content": "Let me see."},
        deltas=[{"role": "assistant", "reasoning_content": "Let me see."}, *SAID],
        parts=THOUGHT,
        head={"system_fingerprint": "fp_1", "citations": ["https://x.example"]},
    ),
    "openrouter": Speaker(
        usage=counted(
            10,
            60,
            cost=0.0042,
            cost_details={"upstream_inference_cost": None},
            is_byok=False,
            prompt_tokens_details={"cached_tokens": 4, "cache_write_tokens": 2},
            completion_tokens_details={"reasoning_tokens": 40},
        ),
        tokens={
            "input_tokens": 10,
            "output_tokens": 60,
            "cache_read_input_tokens": 4,
            "cache_write_input_tokens": 2,
            "reasoning_output_tokens": 40,
        },
        message={
            "content": "Grüezi.",
            "reasoning": "Let me see.",
            "reasoning_details": [{"type": "reasoning.text", "text": "Let me see.", "index": 0}],
            "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aWk="}}],
        },
        deltas=[
            {
                "role": "assistant",
                "content": "",
                "reasoning": "Let me see.",
                "reasoning_details": [{"type": "reasoning.text", "text": "Let me see.", "index": 0}],
            },
            *SAID,
            {"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aWk="}}]},
        ],
        parts=[
            *THOUGHT,
            {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "aWk="},
        ],
        head={"provider": "Somebody", "system_fingerprint": None},
        choice={"native_finish_reason": "end_turn"},
        noise=": OPENROUTER PROCESSING",
    ),
    "perplexity": Speaker(
        usage=counted(
            33,
            70,
            search_context_size="low",
            citation_tokens=200,
            num_search_queries=18,
            reasoning_tokens=739,
            cost={"total_cost": 0.01, "input_tokens_cost": 0.001, "output_tokens_cost": 0.009},
        ),
        tokens={"input_tokens": 33, "output_tokens": 809, "reasoning_output_tokens": 739},
        message={"content": "Grüezi."},
        deltas=[{"role": "assistant", "content": "Grü"}, {"role": "assistant", "content": "ezi."}],
        parts=TEXT,
        head=CITED,
        beside={"delta": {"role": "assistant", "content": ""}},
        extra=[  # all that came so far, beside what came now
            {"message": {"role": "assistant", "content": "Grü"}},
            {"message": {"role": "assistant", "content": "Grüezi."}},
        ],
        choice={"message": {"role": "assistant", "content": "Grüezi."}},
    ),
    "together_ai": Speaker(
        usage=counted(20, 9, cached_tokens=0),
        tokens={"input_tokens": 20, "output_tokens": 9, "cache_read_input_tokens": 0},
        message={"content": "Grüezi.", "tool_calls": []},
        deltas=[
            {"role": "assistant", "content": "Grü", "token_id": 1},
            {"role": "assistant", "content": "ezi.", "token_id": 2},
        ],
        parts=TEXT,
        extra=[{"text": "Grü", "seed": None}, {"text": "ezi.", "seed": None}],
        choice={"text": "", "seed": 7},
        more={"prompt": []},
        finish="eos",
    ),
    "fireworks_ai": Speaker(
        usage=counted(20, 9, prompt_tokens_details={"cached_tokens": 16}),
        tokens={"input_tokens": 20, "output_tokens": 9, "cache_read_input_tokens": 16},
        message={"content": "Grüezi.", "reasoning_content": "Let me see."},
        deltas=[{"role": "assistant", "reasoning_content": "Let me see."}, *SAID],
        parts=THOUGHT,
        head={"perf_metrics": None},
        last={
            "usage": counted(20, 9, prompt_tokens_details={"cached_tokens": 16}),
            "perf_metrics": {"server-time-to-first-token": 0.1, "prompt-tokens": 20},
        },
    ),
    "moonshot_ai": Speaker(
        usage=counted(20, 9, cached_tokens=16),
        tokens={"input_tokens": 20, "output_tokens": 9, "cache_read_input_tokens": 16},
        message={"content": "Grüezi.", "reasoning_content": "Let me see."},
        deltas=[{"role": "assistant", "reasoning_content": "Let me see."}, *SAID],
        parts=THOUGHT,
        last={"system_fingerprint": "fp_1"},
        choice={"usage": counted(20, 9, cached_tokens=16)},
    ),
}


@pytest.mark.parametrize("speaker", SPEAKERS.values(), ids=SPEAKERS)
def test_an_answer_in_one_piece(
    speaker: Speaker, openai_client: openai.OpenAI, wire_server: WireServer
) -> None:
    body = wire_server.answers(json.dumps(speaker.answer()).encode())
    theirs = openai_client.chat.completions.create(model="some-model", messages=QUESTION)

    info = response_info("openai-chat", body, "application/json")

    assert (info.id, info.model) == (theirs.id, theirs.model)
    check(info, speaker)


@pytest.mark.parametrize("speaker", SPEAKERS.values(), ids=SPEAKERS)
def test_a_stream(speaker: Speaker, openai_client: openai.OpenAI, wire_server: WireServer) -> None:
    body = wire_server.streams(speaker.stream())
    theirs = list(openai_client.chat.completions.create(model="some-model", messages=QUESTION, stream=True))
    assert len(theirs) == len(speaker.chunks())

    info = response_info("openai-chat", body, "text/event-stream")

    assert (info.id, info.model) == (theirs[0].id, theirs[0].model)
    assert info.text == "".join(one.choices[0].delta.content or "" for one in theirs)
    check(info, speaker)
    assert ended("openai-chat", body)


def check(info: Any, speaker: Speaker) -> None:
    assert info.finish_reasons == ("stop",)
    assert info.usage == speaker.tokens
    assert info.output_messages[0]["parts"] == speaker.parts


def test_reasoning_beside_the_total_may_still_be_part_of_the_completion() -> None:
    answer = {"choices": [], "usage": counted(10, 60, reasoning_tokens=40)}  # SGLang
    tokens = {"input_tokens": 10, "output_tokens": 60, "reasoning_output_tokens": 40}
    assert response_info("openai-chat", json.dumps(answer).encode()).usage == tokens


def test_groq_says_in_its_box_why_a_stream_stopped() -> None:
    (first, *_) = SPEAKERS["groq"].chunks()
    body = sse([first, {**first, "choices": [], "x_groq": {"id": "req_1", "error": "over capacity"}}])
    info = response_info("openai-chat", body)
    assert (info.error, info.finish_reasons) == ("error", ("error",))


def test_openrouter_says_in_a_chunk_why_a_stream_stopped() -> None:
    (first, *_) = SPEAKERS["openrouter"].chunks()
    end = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    broken = {**first, "error": {"code": 502, "message": "Provider disconnected"}, "choices": [end]}
    info = response_info("openai-chat", sse([first, broken]))
    assert (info.error, info.finish_reasons) == ("502", ("error",))
    assert ended("openai-chat", sse([first, broken]))


def test_watsonx_has_a_word_of_its_own_for_the_model() -> None:
    answer = {"id": "w", "model_id": "ibm/granite", "choices": [], "usage": counted(1, 2)}
    assert response_info("openai-chat", json.dumps(answer).encode()).model == "ibm/granite"
