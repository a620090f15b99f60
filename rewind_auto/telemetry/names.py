"""Every name that leaves: of attributes, of metrics, of events."""

from __future__ import annotations

from typing import Final

# GenAI semantic conventions, newest state: `cache_write` (was `cache_creation`), `top_k` an int.
GEN_AI_OPERATION_NAME: Final = "gen_ai.operation.name"
GEN_AI_PROVIDER_NAME: Final = "gen_ai.provider.name"
GEN_AI_CONVERSATION_ID: Final = "gen_ai.conversation.id"
GEN_AI_CONVERSATION_COMPACTED: Final = "gen_ai.conversation.compacted"
GEN_AI_PROMPT_NAME: Final = "gen_ai.prompt.name"
GEN_AI_PROMPT_VERSION: Final = "gen_ai.prompt.version"
GEN_AI_OUTPUT_TYPE: Final = "gen_ai.output.type"

GEN_AI_REQUEST_MODEL: Final = "gen_ai.request.model"
GEN_AI_REQUEST_STREAM: Final = "gen_ai.request.stream"
GEN_AI_REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
GEN_AI_REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
GEN_AI_REQUEST_TOP_P: Final = "gen_ai.request.top_p"
GEN_AI_REQUEST_TOP_K: Final = "gen_ai.request.top_k"
GEN_AI_REQUEST_FREQUENCY_PENALTY: Final = "gen_ai.request.frequency_penalty"
GEN_AI_REQUEST_PRESENCE_PENALTY: Final = "gen_ai.request.presence_penalty"
GEN_AI_REQUEST_STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
GEN_AI_REQUEST_SEED: Final = "gen_ai.request.seed"
GEN_AI_REQUEST_CHOICE_COUNT: Final = "gen_ai.request.choice.count"
GEN_AI_REQUEST_ENCODING_FORMATS: Final = "gen_ai.request.encoding_formats"
GEN_AI_REQUEST_REASONING_LEVEL: Final = "gen_ai.request.reasoning.level"
GEN_AI_REQUEST_PREVIOUS_RESPONSE_ID: Final = "gen_ai.request.previous_response.id"
GEN_AI_EMBEDDINGS_DIMENSION_COUNT: Final = "gen_ai.embeddings.dimension.count"

GEN_AI_RESPONSE_ID: Final = "gen_ai.response.id"
GEN_AI_RESPONSE_MODEL: Final = "gen_ai.response.model"
GEN_AI_RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"

GEN_AI_USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
GEN_AI_USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"
GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
GEN_AI_USAGE_TEXT_INPUT_TOKENS: Final = "gen_ai.usage.text.input_tokens"
GEN_AI_USAGE_IMAGE_INPUT_TOKENS: Final = "gen_ai.usage.image.input_tokens"
GEN_AI_USAGE_AUDIO_INPUT_TOKENS: Final = "gen_ai.usage.audio.input_tokens"
GEN_AI_USAGE_TEXT_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.text.cache_read.input_tokens"
GEN_AI_USAGE_IMAGE_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.image.cache_read.input_tokens"
GEN_AI_USAGE_AUDIO_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.audio.cache_read.input_tokens"
GEN_AI_USAGE_TEXT_OUTPUT_TOKENS: Final = "gen_ai.usage.text.output_tokens"
GEN_AI_USAGE_IMAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.image.output_tokens"
GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS: Final = "gen_ai.usage.audio.output_tokens"

GEN_AI_SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
GEN_AI_INPUT_MESSAGES: Final = "gen_ai.input.messages"
GEN_AI_OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
GEN_AI_TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"

GEN_AI_TOOL_NAME: Final = "gen_ai.tool.name"
GEN_AI_TOOL_TYPE: Final = "gen_ai.tool.type"
GEN_AI_TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
GEN_AI_TOOL_CALL_RESULT: Final = "gen_ai.tool.call.result"

# Only with OpenAI's own API, its name at Azure included: others that speak it have other tiers.
OPENAI_API_TYPE: Final = "openai.api.type"
OPENAI_REQUEST_SERVICE_TIER: Final = "openai.request.service_tier"
OPENAI_RESPONSE_SERVICE_TIER: Final = "openai.response.service_tier"
OPENAI_RESPONSE_SYSTEM_FINGERPRINT: Final = "openai.response.system_fingerprint"

AWS_BEDROCK_GUARDRAIL_ID: Final = "aws.bedrock.guardrail.id"

SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"

# Metrics, unlike attributes, by their released names, those of v1.41.1. The conventions' main branch calls
# them gen_ai.client.inference.duration and .time_to_first_chunk, and splits the tokens into counters
# gen_ai.client.inference.usage.*; nothing released does. A metric is only of use beside the same one of
# other instrumentations, which make it for the calls that we leave to them, and on dashboards made for it:
# under another name we would be a gap there. OpenTelemetry's own for Python (opentelemetry-util-genai 1.3)
# has these.
GEN_AI_CLIENT_OPERATION_DURATION: Final = "gen_ai.client.operation.duration"
GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
GEN_AI_CLIENT_TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105 - no secret
GEN_AI_TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105
REWIND_CALLS: Final = "rewind.calls"

# Events.
DETAILS_EVENT: Final = "gen_ai.client.inference.operation.details"
EXCEPTION_EVENT: Final = "gen_ai.client.operation.exception"

# Ours. No name may be a dotted beginning of another: Phoenix turns the dots into nested objects.
REWIND_CACHE_DECISION: Final = "rewind.cache.decision"
REWIND_MATCH: Final = "rewind.match"
REWIND_MODE: Final = "rewind.mode"
REWIND_SESSION_ID: Final = "rewind.session.id"
REWIND_STEP: Final = "rewind.step"
REWIND_FINGERPRINT: Final = "rewind.fingerprint"
REWIND_DRIFT_STEP: Final = "rewind.drift.step"
REWIND_DIVERGENCE_PATHS: Final = "rewind.divergence.paths"
REWIND_DIVERGENCE_SOURCE_STEP: Final = "rewind.divergence.source_step"
REWIND_DIVERGENCE_CAUSE_STEP: Final = "rewind.divergence.cause_step"
REWIND_SOURCE_SESSION_ID: Final = "rewind.source.session.id"
REWIND_SOURCE_STEP: Final = "rewind.source.step"
REWIND_RECORDED_USAGE_INPUT_TOKENS: Final = "rewind.recorded.usage.input_tokens"
REWIND_RECORDED_USAGE_OUTPUT_TOKENS: Final = "rewind.recorded.usage.output_tokens"
REWIND_RECORDED_USAGE_CACHE_READ_INPUT_TOKENS: Final = "rewind.recorded.usage.cache_read.input_tokens"
REWIND_RECORDED_USAGE_CACHE_WRITE_INPUT_TOKENS: Final = "rewind.recorded.usage.cache_write.input_tokens"
REWIND_RECORDED_USAGE_REASONING_OUTPUT_TOKENS: Final = "rewind.recorded.usage.reasoning.output_tokens"
