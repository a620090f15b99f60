"""Asks the model each of its arguments, and prints what it says or the status of the error."""

from __future__ import annotations

import os
import sys

from openai import APIStatusError, OpenAI

client = OpenAI(max_retries=0)
for prompt in sys.argv[1:]:
    try:
        answer = client.chat.completions.create(
            model=os.environ["AGENT_MODEL"], messages=[{"role": "user", "content": prompt}]
        )
        print(answer.choices[0].message.content)
    except APIStatusError as error:
        print(error.status_code)
