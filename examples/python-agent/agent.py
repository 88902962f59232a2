"""A small agent in Python: asks a model, runs the tool it wants, asks again. Everything goes through the proxy of the environment.

HTTP_PROXY=http://researcher:x@127.0.0.1:8080 HTTPS_PROXY=$HTTP_PROXY python3 agent.py "What does example.org say?"
"""

import json
import os
import sys

import requests
from openai import OpenAI

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "fetch",
            "description": "Fetch a web page",
            "parameters": {"type": "object", "properties": {"url": {"type": "string"}}, "required": ["url"]},
        },
    }
]


def main() -> None:
    question = sys.argv[1] if len(sys.argv) > 1 else "What does http://example.org/ say?"
    client = OpenAI()  # OPENAI_API_KEY, OPENAI_BASE_URL
    model = os.environ.get("MODEL", "gpt-5.1-mini")
    messages = [{"role": "user", "content": question}]
    for _ in range(5):
        answer = client.chat.completions.create(model=model, messages=messages, tools=TOOLS).choices[0].message
        if not answer.tool_calls:
            print(answer.content)
            return
        messages.append(answer.model_dump(exclude_none=True))
        for call in answer.tool_calls:
            url = json.loads(call.function.arguments)["url"]
            page = requests.get(url, timeout=30)
            print(f"fetch {url} → {page.status_code}", file=sys.stderr)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": page.text[:4000]})


main()
