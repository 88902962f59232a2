"""A LangChain agent with one tool, through whatever proxy the environment names.

HTTP_PROXY=http://planner:x@127.0.0.1:8080 HTTPS_PROXY=$HTTP_PROXY python3 agent.py "How long is http://example.org/?"
"""

import os
import sys

import requests
from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def fetch(url: str) -> str:
    """Fetch a web page."""
    page = requests.get(url, timeout=30)
    print(f"fetch {url} → {page.status_code}", file=sys.stderr)
    return page.text[:4000]


def main() -> None:
    question = sys.argv[1] if len(sys.argv) > 1 else "What does http://example.org/ say?"
    model = ChatOpenAI(model=os.environ.get("MODEL", "gpt-5.1-mini"))  # OPENAI_API_KEY, OPENAI_BASE_URL
    agent = create_agent(model, tools=[fetch])
    result = agent.invoke({"messages": [{"role": "user", "content": question}]})
    print(result["messages"][-1].content)


main()
