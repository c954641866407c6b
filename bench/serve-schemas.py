"""Clients for Python against a server: python serve-schemas.py URL MODEL. Prints a line of JSON for each schema."""

import json
import sys
from enum import Enum
from typing import List, Optional, Union

import instructor
from openai import OpenAI
from pydantic import BaseModel, EmailStr, Field

url, model = sys.argv[1:]
client = OpenAI(base_url=url, api_key="none", max_retries=0)
messages = [{"role": "user", "content": "How was the tavern?"}]


class CalendarEvent(BaseModel):
    name: str
    date: str
    participants: List[str]


class Step(BaseModel):
    explanation: str
    output: str


class MathReasoning(BaseModel):
    steps: List[Step]
    final_answer: str


class ResearchPaper(BaseModel):
    title: str
    authors: List[str]
    abstract: str
    keywords: List[str]


class UIType(str, Enum):
    div = "div"
    button = "button"
    header = "header"
    section = "section"
    field = "field"
    form = "form"


class Attribute(BaseModel):
    name: str
    value: str


class UI(BaseModel):
    type: UIType
    label: str
    children: List["UI"]
    attributes: List[Attribute]


UI.model_rebuild()


class Category(str, Enum):
    violence = "violence"
    sexual = "sexual"
    self_harm = "self_harm"


class ContentCompliance(BaseModel):
    is_violating: bool
    category: Optional[Category]
    explanation_if_violating: Optional[str]


class User(BaseModel):
    name: str
    age: int = Field(ge=0, le=150)


class Address(BaseModel):
    number: str
    street: str
    city: str


class Entry(BaseModel):
    item: Union[User, Address]


class Account(BaseModel):
    username: str = Field(pattern=r"^[a-zA-Z0-9_]+$", max_length=20)
    email: EmailStr


class Node(BaseModel):
    value: float
    next: Optional["Node"]


Node.model_rebuild()

schemas = [CalendarEvent, MathReasoning, ResearchPaper, UI, ContentCompliance, Entry, Account, Node]
modes = {
    "instructor: json schema": instructor.Mode.JSON_SCHEMA,
    "instructor: tools": instructor.Mode.TOOLS,
}


def report(name, way, ask):
    try:
        ask()
        error = None
    except Exception as raised:  # noqa: BLE001 what it is goes into the report
        error = f"{type(raised).__name__}: {raised}"
    print(json.dumps({"name": name, "way": way, "error": error}), flush=True)


for schema in schemas:
    for way, mode in modes.items():
        patched = instructor.from_openai(client, mode=mode)
        report(
            schema.__name__,
            way,
            lambda: patched.chat.completions.create(
                model=model, messages=messages, response_model=schema, max_retries=0, seed=1
            ),
        )
    report(
        schema.__name__,
        "openai for Python: parse",
        lambda: client.chat.completions.parse(model=model, messages=messages, response_format=schema, seed=1)
        .choices[0]
        .message.parsed.model_dump(),
    )
