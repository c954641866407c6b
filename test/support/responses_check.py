"""Python's openai client against heed serve's Responses API: python responses_check.py URL MODEL MODEL_WITH_TOOLS."""

import json
import sys
from typing import Literal

from openai import OpenAI
from pydantic import BaseModel

url, model, with_tools = sys.argv[1:]
client = OpenAI(base_url=url, api_key="none", max_retries=0)
first = client.responses.create(model=model, input="Hello", max_output_tokens=8)
more = {"role": "user", "content": "More"}
second = client.responses.create(model=model, input=[more], previous_response_id=first.id, max_output_tokens=8)


class City(BaseModel):
    city: Literal["Rome", "Bern"]


events = []
with client.responses.stream(model=model, input="Hello", text_format=City, max_output_tokens=60) as stream:
    for event in stream:
        events.append(event.type)
    parsed = stream.get_final_response().output_parsed

parameters = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
tools = [{"type": "function", "name": "weather", "parameters": parameters, "strict": True}]
asked = {"model": with_tools, "tools": tools, "max_output_tokens": 60}
hello = {"role": "user", "content": "Hello"}
called = client.responses.create(input=[hello], tool_choice="required", **asked)
result = {"type": "function_call_output", "call_id": called.output[0].call_id, "output": "sunny"}
client.responses.create(input=[hello, *called.output, result], **asked)
items = client.responses.input_items.list(second.id)
client.responses.delete(first.id)
print(
    json.dumps(
        {
            "tokens": second.usage.input_tokens - first.usage.input_tokens,
            "events": sorted(set(events)),
            "city": parsed.city,
            "call": json.loads(called.output[0].arguments),
            "items": [item.content[0].text for item in items],
        }
    )
)
