"""The canonical form: requests that ask the same have one fingerprint, others never."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewind_auto.core.canonical import Canonicalizer, digest, parse_path
from rewind_auto.core.model import Request

URL = "https://api.openai.com/v1/chat/completions"
PLAIN = Canonicalizer()


def asked(body=b"{}", url=URL, method="POST", headers=()):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(method, url, tuple(headers), raw)


def same(*requests, by=PLAIN):
    """Whether all of them have one canonical fingerprint."""
    return len({by.canonical(request) for request in requests}) == 1


def chat(*messages, **more):
    return {"model": "gpt-5", "messages": list(messages), **more}


def test_both_digests_at_once_or_one_at_a_time():
    request = asked(b'{"b":1,"a":2}')
    both = PLAIN.fingerprint(request)
    assert (both.exact, both.canonical) == (PLAIN.exact(request), PLAIN.canonical(request))
    assert both.exact != both.canonical
    assert str(both) == both.canonical.hex()


def test_parts_do_not_run_into_one_another():
    assert len({digest(b"ab", b"c"), digest(b"a", b"bc"), digest(b"abc"), digest(b"abc", b""), digest()}) == 5


# --- JSON


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b'{"a":1,"b":{"c":2,"d":3}}', b'{ "b" : {"d":3,\n"c":2}, "a":1 }'),
        (b'{"a":1.0,"b":0.5}', b'{"a":1,"b":5e-1}'),
        (b'{"a":1e3}', b'{"a":1000}'),
        (b'{"a":-0.0}', b'{"a":0}'),
        ('{"a":"é☃"}'.encode(), b'{"a":"\\u00e9\\u2603"}'),
        (b'{"a":"/"}', b'{"a":"\\/"}'),
        (b'{"a":1,"a":2}', b'{"a":2}'),  # as every parser in use reads it
        (b"[1, 2]", b"[1,2]"),
        (b'\n {"a":1}', b'{"a":1}\n'),
    ],
)
def test_spellings_of_the_same(first, second):
    assert same(asked(first), asked(second))
    assert PLAIN.exact(asked(first)) != PLAIN.exact(asked(second))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b"[1,2]", b"[2,1]"),
        (b'{"a":1}', b'{"a":"1"}'),
        (b'{"a":1}', b'{"a":true}'),
        (b'{"a":null}', b"{}"),
        (b'{"a":""}', b'{"a":null}'),
        (b'{"a":0.1}', b'{"a":0.10000001}'),
        (b'{"a":9007199254740993}', b'{"a":9007199254740992}'),
        (b'{"a":"x "}', b'{"a":"x"}'),
        (b'{"a":{}}', b'{"a":[]}'),
        (b"{}", b""),
        (b"{", b"{ "),
    ],
)
def test_what_is_not_the_same(first, second):
    assert not same(asked(first), asked(second))


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"{",
            b"[1,",
            b'{"a":',
            b"\xff\xfe",
            b'{"a":"\xff"}',
            b'"text"',
            b"  ",
            b"\xef\xbb\xbf{}",
            b"{} {}",
        ),
        *(
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b'{"a":' + b"9" * 5000 + b"}",
            b'{"a":NaN}',
            b'{"a":1e999}',
            b'{"a":"\\ud800"}',
        ),
    ],
    ids=lambda body: repr(body[:12]),
)
def test_odd_bodies_never_raise(body):
    assert same(asked(body), asked(body))
    assert not same(asked(body), asked(body + b"x"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


def shuffled(value):
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(max_size=6), JSON, max_size=4))
def test_the_order_and_spacing_of_any_object_does_not_matter(value):
    spaced = json.dumps(shuffled(value), indent=1, ensure_ascii=False).encode()
    assert same(asked(value), asked(spaced))
    assert not same(asked(value), asked({**value, "another": 1}))


# --- who asked, and ids


@pytest.mark.parametrize("field", ["user", "safety_identifier", "prompt_cache_key"])
def test_who_asked_does_not_matter(field):
    assert same(asked(chat()), asked(chat(**{field: "a"})), asked(chat(**{field: "b"})))
    assert not same(asked({"a": {field: "a"}}), asked({"a": {field: "b"}}))  # elsewhere it is something else
    assert not same(asked({"messages": [{"role": "user"}]}), asked({"messages": [{"role": "system"}]}))


def test_anthropics_user_id():
    first, second = ({"model": "x", "metadata": {"user_id": user, "a": 1}} for user in "ab")
    assert same(asked(first), asked(second))
    assert not same(asked(first), asked({"model": "x", "metadata": {"user_id": "a", "a": 2}}))


def called(call, result, **more):
    """A turn with a tool call and its result, as OpenAI has it."""
    function = {"name": "weather", "arguments": "{}"}
    return [
        {"role": "assistant", "tool_calls": [{"id": call, "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": result, "content": "18", **more},
    ]


def test_ids_that_were_minted_anew():
    first, second = (asked(chat(*called(name, name))) for name in ("call_AAAA1111", "call_BBBB2222"))
    assert same(first, second)
    crossed = asked(chat(*called("call_AAAA1111", "call_CCCC3333")))
    assert not same(first, crossed)  # that the result is this call's is part of what is asked


def test_which_result_answers_which_call_matters():
    def turn(*order):
        calls = [{"id": name, "function": {"name": "f"}} for name in ("call_1111a", "call_2222b")]
        results = [{"role": "tool", "tool_call_id": name, "content": "same"} for name in order]
        return asked(chat({"role": "assistant", "tool_calls": calls}, *results))

    assert not same(turn("call_1111a", "call_2222b"), turn("call_2222b", "call_1111a"))


@pytest.mark.parametrize("key", ["tool_call_id", "tool_use_id", "call_id"])
def test_references_are_renamed_whatever_they_look_like(key):
    assert same(asked({"a": [{key: "x"}, {key: "y"}]}), asked({"a": [{key: "7"}, {key: "8"}]}))
    assert not same(asked({"a": [{key: "x"}, {key: "y"}]}), asked({"a": [{key: "7"}, {key: "7"}]}))


@pytest.mark.parametrize(
    "ids",
    [
        *(
            ("call_abc123", "call_xyz789"),
            ("toolu_01AbCdEf", "toolu_01GhIjKl"),
            ("msg_0123abcd", "msg_9876fedc"),
        ),
        *(("fc_0123abcd", "fc_9876fedc"), ("rs_0123abcd", "rs_9876fedc"), ("resp_0123abcd", "resp_9876fedc")),
        *(
            ("lc_run--0123abcd", "lc_run--9876fedc"),
            ("run-0123abcd", "run-9876fedc"),
            ("pyd_ai_0123", "pyd_ai_4567"),
        ),
        ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "7ca7b810-9dad-11d1-80b4-00c04fd430c8"),
    ],
    ids=lambda ids: ids[0],
)
def test_ids_that_libraries_mint(ids):
    assert same(*(asked({"input": [{"id": name}]}) for name in ids))


@pytest.mark.parametrize(
    "names", [("file-abc123", "file-xyz789"), ("vs_abc123", "vs_xyz789"), ("gpt-5", "gpt-4"), ("1", "2")]
)
def test_ids_that_say_what_is_meant(names):
    assert not same(*(asked({"input": [{"id": name}]}) for name in names))


def test_first_appearance_does_not_depend_on_the_order_of_keys():
    one = b'{"a":{"call_id":"1"},"b":{"call_id":"2"},"c":{"call_id":"1"}}'
    two = b'{"c":{"call_id":"8"},"b":{"call_id":"9"},"a":{"call_id":"8"}}'
    three = b'{"b":{"call_id":"8"},"c":{"call_id":"9"},"a":{"call_id":"9"}}'
    assert same(asked(one), asked(two), asked(three))


# --- paths to ignore


@pytest.mark.parametrize(
    ("path", "first", "second"),
    [
        ("temperature", chat(temperature=0.1), chat(temperature=0.9)),
        ("temperature", chat(), chat(temperature=0.9)),
        ("$.metadata.run", chat(metadata={"run": 1, "a": 1}), chat(metadata={"run": 2, "a": 1})),
        (
            "messages[0].content",
            chat({"content": "a"}, {"content": "c"}),
            chat({"content": "b"}, {"content": "c"}),
        ),
        ("messages[*].name", chat({"name": "a"}, {"name": "b"}), chat({"name": "c"}, {})),
        ("messages[1]", chat({}, {"content": "a"}), chat({}, {"content": "b"})),
        ("*.trace", {"a": {"trace": 1}, "b": {"trace": 2}}, {"a": {"trace": 3}, "b": {}}),
        ("messages.*.name", chat({"name": "a"}), chat({"name": "b"})),
        (" tools ", chat(tools=[1]), chat(tools=[2])),
        ("größe", chat(größe=1), chat(größe=2)),
    ],
)
def test_ignored(path, first, second):
    assert not same(asked(first), asked(second))
    assert same(asked(first), asked(second), by=Canonicalizer((path,)))


@pytest.mark.parametrize(
    ("path", "first", "second"),
    [
        (
            "messages[0].content",
            chat({"content": "a"}, {"content": "c"}),
            chat({"content": "a"}, {"content": "d"}),
        ),
        ("messages[7].content", chat({"content": "a"}), chat({"content": "b"})),
        ("messages[1]", chat({}), chat({}, {})),  # how many there are is not ignored
        ("metadata.run", chat(metadata={"run": 1, "a": 1}), chat(metadata={"run": 1, "a": 2})),
        ("model.name", chat(), {**chat(), "model": "other"}),
    ],
)
def test_not_ignored(path, first, second):
    assert not same(asked(first), asked(second), by=Canonicalizer((path,)))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", ("a",)),
        ("a.b", ("a", "b")),
        ("$.a[0][*].b", ("a", "0", "*", "b")),
        ("a[10]", ("a", "10")),
        ("a-b_c d", ("a-b_c d",)),
        ("*", ("*",)),
    ],
)
def test_paths(text, path):
    assert parse_path(text) == path


@pytest.mark.parametrize(
    "text", ["", " ", "$", ".", "a[", "a]", "a[b]", "[x]", "a[-1]", "a[1", "a[]", "[[0]]"]
)
def test_malformed_paths(text):
    with pytest.raises(ValueError, match="not a JSON path") as raised:
        parse_path(text)
    assert repr(text) in str(raised.value)
    with pytest.raises(ValueError, match="not a JSON path"):
        Canonicalizer((text,))


# --- addresses


def test_headers_are_no_part_of_it():
    assert same(asked(), asked(headers=[(b"x-stainless-retry-count", b"1"), (b"traceparent", b"00-1-2-3")]))


@pytest.mark.parametrize(
    "other",
    [
        *({"method": "PUT"}, {"method": "post"}, {"url": URL + "/"}, {"url": URL + "?a=1"}),
        *(
            {"url": "https://api.anthropic.com/v1/chat/completions"},
            {"url": "https://api.openai.com/v2/chat/completions"},
            {"url": URL + "?date=1"},
        ),
    ],
)
def test_addresses_that_differ(other):
    assert not same(asked(), asked(**other))
    assert PLAIN.exact(asked()) != PLAIN.exact(asked(**other))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("https://h/x?a=1&b=2", "https://h/x?b=2&a=1"),
        ("https://h/x?key=one&a=1", "https://h/x?a=1&key=two"),
        ("https://h/x?api-version=1&sig=one", "https://h/x?api-version=1&sig=two"),
        (
            "https://h/x?X-Amz-Date=20260101T000000Z&a=1&X-Amz-Signature=one",
            "https://h/x?x-amz-date=20260202T000000Z&a=1&X-Amz-Signature=two",
        ),
        ("https://h/x?X-Goog-Date=1&X-Goog-Signature=one", "https://h/x?X-Goog-Date=2&X-Goog-Signature=two"),
        ("https://u:one@h/x", "https://v:two@h/x"),
        ("https://h/x", "https://H:443/x"),
        ("https://h/x", "http://h/x"),
        ("https://h/x#a", "https://h/x#b"),
    ],
)
def test_addresses_that_are_the_same(first, second):
    """In the exact fingerprint too: a key that was renewed is no other question."""
    one, two = (PLAIN.fingerprint(asked(url=url)) for url in (first, second))
    assert one == two


@pytest.mark.parametrize(
    "pages", [("page_token=a", "page_token=b"), ("pageToken=a", "pageToken=b"), ("after=a", "after=b")]
)
def test_pages_are_told_apart(pages):
    assert not same(*(asked(url=f"https://h/v1/files?{page}", method="GET", body=b"") for page in pages))


def test_odd_addresses_never_raise():
    for url in (
        "",
        "x",
        "https://",
        "https://[::1]:8080/x",
        "https://h:99999/x",
        "https://h:x/",
        "https://h/\udcff",
    ):
        assert same(asked(url=url), asked(url=url))


def test_hosts_of_one_class():
    def regional(host, port):
        assert port in (None, 8443)
        return "openai" if host.endswith("api.openai.com") else host

    by = Canonicalizer(host_class=regional)
    first = asked()
    assert same(
        first, asked(url=URL.replace("api.", "eu.api.")), asked(url=URL.replace(".com", ".com:8443")), by=by
    )
    assert not same(first, asked(url=URL.replace("openai", "groq")), by=by)


def test_hosts_as_the_runtime_classes_them():
    from rewind_auto.describe import host_class

    by = Canonicalizer(host_class=host_class)
    for hosts in (
        ("api.openai.com", "eu.api.openai.com"),
        ("us-central1-aiplatform.googleapis.com", "europe-west4-aiplatform.googleapis.com"),
        ("bedrock-runtime.us-east-1.amazonaws.com", "bedrock-runtime.eu-west-1.amazonaws.com"),
        ("127.0.0.1:8000", "127.0.0.1:9000"),
        ("a.openai.azure.com", "b.openai.azure.com"),
    ):
        assert same(*(asked(url=f"https://{host}/v1/x") for host in hosts), by=by)
    assert not same(asked(url="https://one.internal/v1/x"), asked(url="https://two.internal/v1/x"), by=by)


# --- other bodies


def multipart(boundary, content=b"data"):
    kind = b"multipart/form-data; boundary=" + boundary
    body = b"--%b\r\nContent-Disposition: form-data; name=file\r\n\r\n%b\r\n--%b--\r\n"
    bare = boundary.strip(b'"')
    return asked(body % (bare, content, bare), headers=[(b"Content-Type", kind)])


def test_boundaries_of_multipart():
    assert same(multipart(b"0123abcd"), multipart(b"9876fedc"), multipart(b'"quoted"'))
    assert not same(multipart(b"0123abcd"), multipart(b"0123abcd", b"other"))
    assert not same(multipart(b"0123abcd"), asked(multipart(b"0123abcd").body))


def test_a_renewed_token_in_the_body_is_no_other_question():
    first, second = (asked({"prompt": "x", "api_key": key}) for key in ("one-of-them", "another-one"))
    assert same(first, second)
    assert not same(first, asked({"prompt": "y", "api_key": "one-of-them"}))
