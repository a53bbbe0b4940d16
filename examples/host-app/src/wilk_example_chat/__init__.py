"""A chat program that keeps its conversation with wilk: every call goes on where the last one ended."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import wilk
from wilk.records.conversation import Message

AGENT = {
    "name": "Parrot",
    "description": "Answers without a model, and never forgets how a talk began",
    "prompts": {"system": "You are Parrot. Repeat what was said."},
}
GREETING = {"user_template": "Good day, {name}. I am {agent}.", "variables": ["name", "agent"]}


def main(argv: Sequence[str] | None = None) -> int:
    """Say one thing to the agent, and print what it answers."""
    parser = argparse.ArgumentParser(prog="wilk-chat", description=__doc__)
    parser.add_argument("text", nargs="*", help="what to say; without it, the talk so far is shown")
    parser.add_argument("--home", help="the home folder (WILK_HOME, else ~/.wilk)")
    parser.add_argument("--new", action="store_true", help="begin a new talk")
    parser.add_argument("--name", default="stranger", help="your name")
    arguments = parser.parse_args(argv)
    try:
        with wilk.open_store(home=arguments.home) as store:
            store.sync()  # what was edited since the last run
            if arguments.text:
                print(say(store, " ".join(arguments.text), name=arguments.name, new=arguments.new))
            else:
                show(store)
    except wilk.WilkError as error:
        parser.exit(1, f"wilk-chat: {error}\n")
    return 0


def say(store: wilk.Store, text: str, *, name: str, new: bool) -> str:
    """Append what was said and what the agent answers to the current session."""
    agent = store.agents.find("parrot") or store.agents.save("parrot", AGENT)
    session = None if new else store.sessions.current()
    if session is None:
        session = store.sessions.use(
            store.sessions.create(name=f"Talk with {agent.name}", agents=[agent.id]).id
        )
        if store.prompts.find("greeting") is None:
            store.prompts.save("greeting", GREETING)
        greeting = store.prompts.render("greeting", name=name, agent=agent.name)
        store.messages.append(session.id, "assistant", greeting, agent=agent.id)
    with store.transaction():  # a question without its answer is not kept
        store.messages.append(session.id, "user", text)
        answer = model(agent.definition["prompts"]["system"], store.messages.last(session.id, 1000))
        store.messages.append(session.id, "assistant", answer, agent=agent.id)
    return answer


def show(store: wilk.Store) -> None:
    """Print the current talk."""
    session = store.sessions.current()
    for message in store.messages.last(session.id) if session else ():
        print(f"{message.sequence:3} {message.role:9} {message.text}")


def model(system: str, history: Sequence[Message]) -> str:
    """Stand in for a language model: the same words always get the same answer."""
    said = [message.text for message in history if message.role == "user"]
    answer = f"{said[-1]} (that was {len(said)} of this talk, which began with {said[0]!r})"
    return answer.upper() if "loud" in system else answer
