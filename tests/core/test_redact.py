"""Secrets: what is taken out, and what only looks like one and stays."""

from __future__ import annotations

import base64
import gzip
import json
import time
import zlib

import pytest

from rewind_auto.core import redact
from rewind_auto.core.decode import decode
from rewind_auto.core.model import Fault, Head, Recording, Request

CANARY = "cAnArY-0123456789-abcdef"
URL = "https://api.example.com/v1/x"


def headers(**pairs):
    return tuple((name.replace("_", "-").encode(), value.encode()) for name, value in pairs.items())


def recording(url=URL, sent=(), body=b"", answer=b"", head=(), status=200, fault=None):
    kept = Recording(
        Request("POST", url, tuple(sent), body), Head(status, tuple(head)), answer, ((len(answer), 7),)
    )
    kept.fault = fault
    return redact.recording(kept)[0]


# As the SDKs of the providers, gateways and clouds spell them.
@pytest.mark.parametrize(
    "name",
    [
        *("authorization", "Authorization", "AUTHORIZATION", "Proxy-Authorization", "cf-aig-authorization"),
        *("x-api-key", "X-Api-Key", "api-key", "Api-Key", "apikey", "x-goog-api-key", "openai-api-key"),
        *(
            "xi-api-key",
            "x-portkey-api-key",
            "Ocp-Apim-Subscription-Key",
            "x-functions-key",
            "x-litellm-api-key",
            "x-litellm-key",
            "x-portkey-virtual-key",
            "Proxy-Authorization",
            "x-ms-authorization-auxiliary",
            "x-goog-authenticated-user-jwt",
        ),
        *("x-amz-security-token", "x-auth-token", "x-access-token", "X-Vault-Token", "Helicone-Auth", "jwt"),
        *(
            "x-goog-iam-authorization-token",
            "cf-access-client-secret",
            "x-csrf-token",
            "x-hub-signature",
            "token",
        ),
        *("cookie", "Cookie", "set-cookie", "Set-Cookie", "X-Password", "x-session-token"),
    ],
)
def test_headers_that_hold_credentials(name):
    [(kept, value)] = redact.headers(((name.encode(), CANARY.encode()),))
    assert kept == name.encode()
    assert value == b"[redacted]"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "x-ratelimit-remaining-tokens",
            "x-ratelimit-limit-tokens",
            "anthropic-ratelimit-input-tokens-remaining",
        ),
        *(
            "x-ratelimit-reset-tokens",
            "content-type",
            "user-agent",
            "openai-organization",
            "x-request-id",
            "cf-ray",
        ),
        *(
            "access-control-allow-credentials",
            "Access-Control-Allow-Headers",
            "www-authenticate",
            "idempotency-key",
        ),
        *(
            "x-stainless-retry-count",
            "anthropic-beta",
            "anthropic-version",
            "x-goog-api-client",
            "etag",
            "authority",
        ),
        *(
            "x-author",
            "x-tokenizer",
            "x-token-count",
            "sec-websocket-key",
            "strict-transport-security",
            "x-design",
        ),
        *("openai-project", "x-goog-user-project", "retry-after", "alt-svc"),
    ],
)
def test_headers_that_hold_none(name):
    pair = (name.encode(), b"1234567890 and more, in any case")
    assert redact.headers((pair,)) == (pair,)


def test_what_stays_of_a_header():
    """The scheme, the names of cookies, and all that a jar goes by."""
    kept = redact.headers(
        (
            (b"Authorization", b"Bearer " + CANARY.encode()),
            (b"authorization", b"AWS4-HMAC-SHA256 Credential=AKIA/x, Signature=abc"),
            (b"Cookie", f"a={CANARY}; b={CANARY}; c".encode()),
            (
                b"Set-Cookie",
                f"__cf_bm={CANARY}; path=/; expires=Mon, 01-Jan-29 00:00:00 GMT; HttpOnly".encode(),
            ),
            (b"x-api-key", b""),
        )
    )
    assert [value for _, value in kept] == [
        b"Bearer [redacted]",
        b"[redacted]",
        b"a=[redacted]; b=[redacted];[redacted]",
        b"__cf_bm=[redacted]; path=/; expires=Mon, 01-Jan-29 00:00:00 GMT; HttpOnly",
        b"[redacted]",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("https://u:p@h/x", "https://h/x"),
        ("https://u@h:8080/a@b?c=d@e", "https://h:8080/a@b?c=d@e"),
        ("https://h/x?key=K&alt=sse", "https://h/x?key=[redacted]&alt=sse"),
        ("https://h/x?alt=sse&KEY=K", "https://h/x?alt=sse&KEY=[redacted]"),
        (
            "https://h/x?api_key=K&api-key=K&apikey=K",
            "https://h/x?api_key=[redacted]&api-key=[redacted]&apikey=[redacted]",
        ),
        ("https://h/x?access_token=K&token=K", "https://h/x?access_token=[redacted]&token=[redacted]"),
        ("https://h/x?sig=K&code=K&sv=1", "https://h/x?sig=[redacted]&code=[redacted]&sv=1"),
        ("https://h/x?X-Amz-Signature=K&X-Amz-Date=1", "https://h/x?X-Amz-Signature=[redacted]&X-Amz-Date=1"),
        ("https://h/x?subscription-key=K", "https://h/x?subscription-key=[redacted]"),
        ("https://h/x?a=sk-0123456789abcdef0123", "https://h/x?a=[redacted]"),
        ("https://h/x#access_token=K&a=b", "https://h/x#access_token=[redacted]&a=b"),
        ("https://u:p@h?key=K#token=K", "https://h?key=[redacted]#token=[redacted]"),
        ("https://h/x?api%5Fkey=K&api%2Dkey=K", "https://h/x?api%5Fkey=[redacted]&api%2Dkey=[redacted]"),
        (f"https://h/bot123456789:AA{'Ab1_-' * 7}/send", "https://h/bot[redacted]/send"),
        (
            f"https://hooks.slack.com/services/T012/B012/{'Ab1' * 8}",
            "https://hooks.slack.com/services/[redacted]",
        ),
        (f"https://d.com/api/webhooks/{'123' * 6}/{'Ab1_' * 15}", "https://d.com/api/webhooks/[redacted]"),
        (
            "https://h/v1beta/auth?client_assertion=K&assertion=K",
            "https://h/v1beta/auth?client_assertion=[redacted]&assertion=[redacted]",
        ),
        *(
            (same, same)
            for same in ("https://h/x?pageToken=K&page_token=K&keys=1", "https://h/x?", "https://h", "")
        ),
        *(
            (same, same)
            for same in (
                "https://h/x?max_tokens=5&api-version=2024-10-21&key",
                "https://h/task-0123456789abcdef012",
            )
        ),
    ],
)
def test_urls(before, after):
    assert redact.url(before) == after


# One of each kind of key, as its issuer makes them.
KEYS = [
    "sk-proj-0123456789abcdefABCDEF_-0123456789",
    "sk-ant-api03-0123456789abcdef-0123456789_AA",
    "sk-or-v1-0123456789abcdef0123456789abcdef",
    "gsk_0123456789abcdefABCDEFGH",
    "xai-0123456789abcdefABCDEFGH",
    "pplx-0123456789abcdefABCDEFGH",
    "fw_0123456789abcdefABCDEFGH",
    "r8_0123456789abcdefABCDEFGH",
    "hf_0123456789abcdefABCDEFGH",
    "ghp_0123456789abcdefABCDEFGH",
    "github_pat_0123456789abcdefABCD_0123456789",
    "glpat-0123456789abcdefABCD",
    "lsv2_pt_0123456789abcdef0123456789abcdef_0123456789",
    "AIza" + "0123456789abcdefABCDEF_-0123456789a",
    "ya29.0123456789abcdefABCDEF_-0123456789",
    "AKIA0123456789ABCDEF",
    "ASIA0123456789ABCDEF",
    "ABSKQmVkcm9ja0FQSUtleS0123456789abcdef+/0123456789==",
    "bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29tLz9BY3Rpb249Q2Fs=",
    "xoxb-0123456789-0123456789-abcdef",
    "csk-0123456789abcdef0123456789abcdef",
    "ek_0123456789abcdefABCDEFGH",
    "tgp_v1_0123456789abcdefABCDEFGH",
    "nvapi-0123456789abcdefABCDEFGH",
    "dapi0123456789abcdef0123456789abcdef",
    "sk_live_0123456789abcdefABCDEFGH",
    "GOCSPX-0123456789abcdefABCDEFGH",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:6])
@pytest.mark.parametrize("around", ['{"content":"my key is %s, ok?"}', "%s", '{"a":["%s"]}', "key=%s\n"])
def test_strings_shaped_like_keys(key, around):
    assert redact.request_body((around % key).encode()) == (around % "[redacted]").encode()
    assert redact.text(around % key) == around % "[redacted]"


def test_a_private_key_and_a_bearer_token():
    pem = "-----BEGIN RSA PRIVATE KEY-----\\nMIIabc\\n-----END RSA PRIVATE KEY-----\\n"
    assert redact.request_body(f'{{"key":"{pem}"}}'.encode()) == b'{"key":"[redacted]\\n"}'
    assert redact.request_body(b"curl -H 'Authorization: Bearer abcdefghijklmnop0123=='") == (
        b"curl -H 'Authorization: [redacted]'"
    )


@pytest.mark.parametrize(
    "text",
    [
        *(
            "task-0123456789abcdef01234567",
            "disk-0123456789abcdef01234567",
            "risk-averse-and-otherwise-harmless",
        ),
        *(
            "sk-short",
            "the bearer of bad news",
            "Bearer short",
            "ghosts_of_christmas_past",
            "hf_short",
            "eyJ.eyJ.x",
        ),
        *(
            '{"max_tokens":4096,"max_completion_tokens":9}',
            '{"token":" hello","logprob":-1}',
            '{"key":"value"}',
        ),
        *('{"properties":{"password":{"type":"string"},"api_key":{"type":"string"}}}', '{"secrets":["a"]}'),
        *('{"required":["api_key","password"]}', '{"api_key":""}', '{"api_key":null}', '{"tokens":"abc"}'),
        *(
            "AKIAshort",
            "ABSKshort and bedrock-api-key-short",
            "mask-0123456789abcdef0123456789",
            "a" * 500,
            "what is an api_key?",
            '{"monkey":"banana"}',
        ),
    ],
)
def test_what_only_looks_like_one(text):
    assert redact.request_body(text.encode()) == text.encode()


@pytest.mark.parametrize(
    "name",
    [
        *(
            "api_key",
            "apiKey",
            "API_KEY",
            "openai_api_key",
            "x-api-key",
            "access_token",
            "refresh_token",
            "auth_token",
        ),
        *(
            "authToken",
            "session_token",
            "client_secret",
            "clientSecret",
            "secret",
            "password",
            "Password",
            "private_key",
        ),
        *("aws_secret_access_key", "authorization", "Authorization", "bearer_token"),
    ],
)
def test_fields_that_hold_credentials(name):
    for depth in range(3):  # JSON in a string of JSON in a string of JSON, as arguments of tool calls are
        body = json.dumps({"a": 1, name: f'{CANARY} "quoted" \\ ü', "b": {"c": "d"}})
        wanted = json.dumps({"a": 1, name: "[redacted]", "b": {"c": "d"}})
        for _ in range(depth):
            body, wanted = json.dumps({"arguments": body}), json.dumps({"arguments": wanted})
        if depth == 0:
            assert redact.request_body(body.encode()).decode() == wanted
        plain = body.replace('"quoted" ', "").replace("quoted", "")
        assert CANARY not in redact.request_body(plain.encode()).decode()
        json.loads(redact.request_body(body.encode()))
    assert (
        redact.request_body(f'{{"{name}" :\n "{CANARY}"}}'.encode())
        == f'{{"{name}" :\n "[redacted]"}}'.encode()
    )


PARTS = (
    '--x\r\nContent-Disposition: form-data; name="api_key"\r\n\r\n%s\r\n--x\r\n'
    'Content-Disposition: form-data; name="purpose"\r\n\r\nK\r\n--x--\r\n'
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # OAuth, as a form
        (
            "grant_type=password&password=K%21&client_secret=K&username=u&code=K",
            "grant_type=password&password=[redacted]&client_secret=[redacted]&username=u&code=[redacted]",
        ),
        ("a=1&api_key=K\r\n", "a=1&api_key=[redacted]\r\n"),
        ("code=print(1)&a=b", "code=print(1)&a=b"),
        # a form in parts
        (
            PARTS % "K K",
            PARTS % "[redacted]",
        ),
        # GraphQL, code, and other writings
        (r'{"query":"mutation { login(password: \"K\", n: 1) { id } }"}',
         r'{"query":"mutation { login(password: \"[redacted]\", n: 1) { id } }"}'),
        ("{'password': 'K', 'a': 'b'}", "{'password': '[redacted]', 'a': 'b'}"),
        ('client = OpenAI(api_key="K")', 'client = OpenAI(api_key="[redacted]")'),
        ('{"CLIENT_SECRET":"K"}', '{"CLIENT_SECRET":"[redacted]"}'),
        ('{"Access-Token":"K"}', '{"Access-Token":"[redacted]"}'),
        ("see https://h/x?key=K&a=b, or", "see https://h/x?key=[redacted]&a=b, or"),
        (r'{"u":"https://h/?a=b\u0026token=K"}', r'{"u":"https://h/?a=b\u0026token=[redacted]"}'),
        ("postgres://me:K!!@db/x", "postgres://[redacted]@db/x"),
        ('{"password":"cut off', '{"password":"[redacted]'),
        # what is no secret
        *((same, same) for same in (
            "x(password=2)", "password = 1", "the key=value form", '{"valid_token":"abc"}', "a?monkey=K&b=K",
            '{"properties":{"api_key":{"type":"string"}},"required":["api_key"]}', "https://h:8080/a@b",
        )),
    ],
)  # fmt: skip
def test_other_ways_of_writing_it(before, after):
    assert redact.request_body(before.encode()).decode() == after
    assert redact.request_body(after.encode()).decode() == after


def test_a_quote_inside_a_secret_is_part_of_it():
    for secret in (f'a"b{CANARY}', f"{CANARY}\\", f'\\"{CANARY}'):
        body = json.dumps({"password": secret, "z": 1})
        for _ in range(4):
            clean = redact.request_body(body.encode()).decode()
            assert CANARY not in clean
            assert json.loads(clean)
            body = json.dumps({"arguments": body})


def test_variables_of_an_environment():
    """As a tool reads them from a file, or the output of a command; code is no such thing."""
    text = f"X=1\nDB_PASSWORD={CANARY}\nexport OPENAI_API_KEY={CANARY}; run --fast\nf(password=p, api_key=k)"
    for body in (text, json.dumps({"content": text})):
        clean = redact.request_body(body.encode()).decode()
        assert clean == body.replace(f"{CANARY};", "[redacted]").replace(CANARY, "[redacted]")


def test_a_web_token_is_found_wherever_it_begins():
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
    for text in (f"a {token} b", f"\n{token}", f"it={token}.", f"x{token}", f"{token} {token}"):
        for body in (text, json.dumps({"content": text})):
            clean = redact.request_body(body.encode()).decode()
            assert "eyJ" not in clean
            assert clean.count("[redacted]") == text.count(token)
    for text in ("eyJhbGciOi.eyJzdWIiOiIxMjM0", "sentence.eyJzdWIiOiIxMjM0NTY3.dozjg"):
        assert redact.request_body(text.encode()).decode() == text


def test_a_file_in_a_body_hides_nothing_beside_it():
    file = base64.b64encode(bytes(range(256)) * 1000).decode()
    body = json.dumps({"image": f"data:image/png;base64,{file}", "api_key": CANARY})
    assert redact.request_body(body.encode()) == body.replace(CANARY, "[redacted]").encode()
    whole = json.dumps({"image": file}).encode()
    assert redact.request_body(whole) is whole


def test_many_quotes_cost_no_more_than_their_length():
    for body in (
        b'"' * 100_000,
        b'\\"' * 50_000 + b'api_key"',
        b'"api_key":"' + b"\\" * 99_999,
        b"sk-" * 33_000,
        b'\\"api_key\\":\\"' * 6_000 + b'"' * 20_000,
        b"password: '" * 10_000,
        b"&key=" * 20_000,
        b'form-data; name="api_key"\r\n\r\n' * 5_000,
        b"://" * 33_000,
        b"a=b&" * 25_000 + b" ",
        b"key=" * 25_000,
        b"?key=" * 20_000,
        b"eyJaaaaaaaaaa" * 8_000,
        b"-----BEGIN PRIVATE KEY-----" * 4_000,
        b"-----BEGIN " + b"A " * 50_000,
    ):
        started = time.process_time()
        redact.request_body(body)
        assert time.process_time() - started < 1


# --- the request's own credentials, wherever else they turn up


@pytest.mark.parametrize(
    ("sent", "url"),
    [
        (headers(authorization=f"Bearer {CANARY}"), URL),
        (headers(authorization=CANARY), URL),
        (headers(x_api_key=CANARY), URL),
        (headers(cookie=f"a=b; session={CANARY}"), URL),
        (headers(authorization="Basic " + base64.b64encode(f"user:{CANARY}".encode()).decode()), URL),
        ((), f"{URL}?alt=sse&key={CANARY}"),
    ],
    ids=["bearer", "bare", "x-api-key", "cookie", "basic", "query"],
)
def test_credentials_quoted_back(sent, url):
    said = f"Incorrect key provided: {CANARY}. Is {CANARY} yours?"
    kept = recording(
        url=url,
        sent=(*sent, *headers(x_debug=f"mine is {CANARY}", referer=f"{URL}?k={CANARY}")),
        body=json.dumps({"note": said}).encode(),
        answer=said.encode(),
        head=headers(x_echo=said, location=f"{URL}?k={CANARY}", content_type="text/plain"),
        fault=Fault("httpx2", "ProxyError", said, "body", {"group": [said, [{"args": said}]]}),
    )
    assert CANARY not in repr(kept)
    assert kept.body == said.replace(CANARY, "*" * len(CANARY)).encode()  # chunks keep their lengths
    assert kept.head.headers[-1] == (b"content-type", b"text/plain")


def test_a_credential_that_was_sent_escaped():
    escaped, plain = b"a%2Bb%2Fc%3D%3D-0123", b"a+b/c==-0123"
    kept = recording(url=f"{URL}?key={escaped.decode()}", answer=b"no such key: %b (%b)" % (plain, escaped))
    assert kept.body == b"no such key: %b (%b)" % (b"*" * len(plain), b"*" * len(escaped))


@pytest.mark.parametrize("short", ["", "a", "true", "1234567"])
def test_short_values_are_no_secrets_elsewhere(short):
    kept = recording(sent=headers(cookie=f"a={short}", x_api_key=short), answer=b"a is true for 1234567")
    assert kept.body == b"a is true for 1234567"


CODINGS = {
    b"gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"identity": bytes,
}


@pytest.mark.parametrize("status", [200, 401])
@pytest.mark.parametrize("coding", CODINGS)
def test_an_answer_that_is_compressed(coding, status):
    said = f'{{"error":"bad key {CANARY}"}}'.encode()
    kept = recording(
        sent=headers(authorization=f"Bearer {CANARY}"),
        answer=CODINGS[coding](said),
        head=((b"content-encoding", coding),),
        status=status,
    )
    clean = said.replace(CANARY.encode(), b"*" * len(CANARY))
    assert decode(kept.head, kept.body) == clean
    assert kept.cuts == ((len(kept.body), 7),)


def test_a_compressed_stream_keeps_its_chunks():
    pieces = [b"data: one\n\n", f"data: {CANARY}\n\n".encode(), b"data: [DONE]\n\n"]
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    sent = [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
    request = Request("POST", URL, headers(x_api_key=CANARY), b"")
    cuts = tuple((len(piece), at) for at, piece in enumerate(sent))
    kept, _ = redact.recording(
        Recording(request, Head(200, headers(content_encoding="gzip")), b"".join(sent), cuts)
    )
    assert kept.body == b"".join(pieces).replace(CANARY.encode(), b"*" * len(CANARY))
    assert (kept.cuts, kept.head.wire) == (tuple((len(piece), at) for at, piece in enumerate(pieces)), False)


@pytest.mark.parametrize(
    "issued",
    [
        {"access_token": CANARY, "token_type": "Bearer", "refresh_token": f"{CANARY}/+", "expires_in": 5},
        {"id": "sess_1", "client_secret": {"value": f"ek_{CANARY}", "expires_at": 5}},
        {"value": f"ek_{CANARY}", "expires_at": 5, "session": {"type": "realtime"}},
        {"name": f"auth_tokens/{CANARY}", "expireTime": "2026"},
        {"client_id": "a", "client_secret": CANARY},
    ],
)
def test_answers_that_issue_credentials(issued):
    """A replay has no use for them: they are sent in headers, which are not compared."""
    answer = json.dumps(issued).encode()
    kept = recording(answer=answer)
    assert CANARY.encode() not in kept.body
    assert len(kept.body) == len(answer)
    assert json.loads(kept.body).keys() == issued.keys()


def test_a_compressed_error_without_one_stays_as_it_was():
    answer = gzip.compress(b'{"error":"bad request"}')
    head = ((b"content-encoding", b"gzip"),)
    kept = recording(sent=headers(authorization=f"Bearer {CANARY}"), answer=answer, head=head, status=400)
    assert (kept.body, kept.head.wire) == (answer, True)


def test_answers_are_left_as_they_are():
    """What is served must be what came: only the request's own credentials are blanked."""
    answer = b'{"content":"use sk-0123456789abcdef0123 or {\\"api_key\\":\\"x\\"}"}'
    head = headers(x_ratelimit_remaining_tokens="5", x_note="sk-0123456789abcdef0123")
    kept = recording(sent=headers(authorization=f"Bearer {CANARY}"), answer=answer, head=head)
    assert (kept.body, kept.head.headers) == (answer, head)


def test_the_original_is_not_touched():
    """The program's exception and the span may still need it."""
    request = Request("POST", f"{URL}?key={CANARY}", headers(x_api_key=CANARY), CANARY.encode())
    kept = Recording(request, Head(401, headers(x_echo=CANARY)), CANARY.encode(), ((len(CANARY), 1),))
    before = repr(kept)
    redact.recording(kept)
    assert repr(kept) == before


# --- texts and command lines


@pytest.mark.parametrize(
    "text", ["", "ü ☃ 𝄞", "\ud800 lone", "\udcff from a file name", "\x00\x1b[0m", "two\nlines"]
)
def test_any_text_comes_back(text):
    assert redact.text(text) == text
    assert redact.text(f"{text} sk-0123456789abcdef0123").endswith(" [redacted]")


def test_a_secret_that_cuts_a_character_in_two():
    assert "\x00" not in redact.text("☃☃☃☃ abc", ("☃☃☃☃".encode()[1:11],))


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (("python", "a.py", "--api-key", "abc"), ("python", "a.py", "--api-key", "[redacted]")),
        (
            ("a", "--api-key=abc", "--token=abc", "--x=y"),
            ("a", "--api-key=[redacted]", "--token=[redacted]", "--x=y"),
        ),
        (("env", "OPENAI_API_KEY=abc", "A=b", "a"), ("env", "OPENAI_API_KEY=[redacted]", "A=b", "a")),
        (("a", "sk-0123456789abcdef0123"), ("a", "[redacted]")),
        (("a", "--max-tokens", "5", "--key", "--verbose"), ("a", "--max-tokens", "5", "--key", "--verbose")),
        (("python", "-c", "password = 1; x(password=2)"), ("python", "-c", "password = 1; x(password=2)")),
        (("ü\udcff", ""), ("ü\udcff", "")),
        ((), ()),
    ],
)
def test_command_lines(words, kept):
    assert redact.command(words) == kept
