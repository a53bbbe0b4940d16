"""Records of the learning family: interactions, actions, patterns, feedback, preferences, world models."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple


class Interaction(NamedTuple):
    """One exchange with a user. ``id`` is the correlation id that messages and archive entries carry;
    ``feedback_type`` is ``approval``, ``correction``, ``followup``, ``clarification`` or ``none``."""

    id: str
    session_id: str | None
    user_id: str | None
    agent_id: str | None
    user_query: str
    query_context: Mapping[str, Any]
    ai_interpretation: str | None
    planned_actions: list[Any]
    confidence: float | None
    active_role: str | None
    tokens_used: int | None
    user_feedback: str | None
    feedback_type: str
    success: bool | None
    tags: list[Any]
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


class Action(NamedTuple):
    """One action taken in an interaction; ``position`` counts from 1."""

    interaction_id: str
    position: int
    action_type: str
    target: str | None
    details: Mapping[str, Any]
    status: str
    result: Any
    error: str | None
    created_at: datetime


class Pattern(NamedTuple):
    """Something that was seen ``frequency`` times; ``confidence`` is 0.0–1.0."""

    id: str
    name: str
    pattern_type: str
    description: str | None
    sequence: list[Any]
    frequency: int
    confidence: float
    sources: list[Any]
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


class Feedback(NamedTuple):
    """What somebody said of an interaction, or in general, and whether it was applied."""

    id: str
    type: str
    message: str
    context: Mapping[str, Any]
    interaction_id: str | None
    applied: bool
    created_at: datetime
    applied_at: datetime | None


class Preference(NamedTuple):
    """What a user (or, without one, everybody) prefers."""

    id: str
    user_id: str | None
    category: str
    key: str
    value: Any
    confidence: float
    source: str | None
    created_at: datetime
    updated_at: datetime


class WorldModel(NamedTuple):
    """What is believed of a domain: entities, relations and goals, as lists of objects."""

    id: str
    session_id: str | None
    domain: str
    domain_confidence: float
    interaction_count: int
    entities: list[Any]
    relations: list[Any]
    goals: list[Any]
    metrics: Mapping[str, Any]
    discovered_entity_types: list[Any]
    discovered_relation_types: list[Any]
    constraints: list[Any]
    is_active: bool
    merged_from: list[Any]
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


class WorldModelSnapshot(NamedTuple):
    """A world model as it was when ``trigger_event`` happened."""

    id: str
    world_model_id: str
    data: Mapping[str, Any]
    trigger_event: str | None
    created_at: datetime
